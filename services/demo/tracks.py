"""How far the events have come, shown while they move: bars on a terminal, a plain line now and then elsewhere."""

import time
from collections.abc import Callable
from types import TracebackType

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TaskID, TextColumn
from rich.progress import TimeRemainingColumn as _TimeLeft
from rich.text import Text

EVERY_S = 2.0


class _Rate(ProgressColumn):
    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        return Text(f"{speed:>7,.0f} events/s" if speed else "", style="progress.data.speed")


class Tracks:
    """One track a place that events come to, all of the same length `total`; used as a context.

    clock: monotonic seconds.
    """

    def __init__(
        self, console: Console, places: list[str], total: int, *, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._console = console
        self._total = total
        self._clock = clock
        self._counts = dict.fromkeys(places, 0)
        self._first = dict.fromkeys(places, 0)
        self._began = self._said = clock()
        self._bars: Progress | None = None
        self._tasks: dict[str, TaskID] = {}
        if console.is_terminal:
            columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), _Rate(), _TimeLeft())
            self._bars = Progress(*columns, console=console, speed_estimate_period=5)
            self._tasks = {place: self._bars.add_task(place, total=total) for place in places}

    def __enter__(self) -> "Tracks":
        self._began = self._said = self._clock()
        if self._bars:
            self._bars.start()
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        if self._bars:
            self._bars.stop()
        else:
            self._say()

    def begin(self, place: str, count: int) -> None:
        """So many were there before we began: they count, but not into the speed."""
        self._first[place] = count
        self.at(place, count)

    def at(self, place: str, count: int) -> None:
        """So many have come to `place` by now; never less than before."""
        self._counts[place] = max(self._counts[place], min(count, self._total))
        if self._bars:
            self._bars.update(self._tasks[place], completed=self._counts[place])
        elif self._clock() - self._said >= EVERY_S:
            self._said = self._clock()
            self._say()

    def line(self) -> str:
        """All tracks in one line, with the speed and the time left of the last of them."""
        parts = [f"{place} {count:,}" for place, count in self._counts.items()]
        last = list(self._counts)[-1]
        took = self._clock() - self._began
        speed = (self._counts[last] - self._first[last]) / took if took > 0 else 0.0
        pace = f" ({speed:,.0f} events/s, {(self._total - self._counts[last]) / speed:.0f} s left)" if speed else ""
        return f"of {self._total:,} events: {', '.join(parts)}{pace}"

    def _say(self) -> None:
        self._console.print(self.line(), highlight=False, soft_wrap=True)

"""The history a command is to try a policy on: its options, what they ask for, and how far it is with it."""

from collections.abc import Callable
from pathlib import Path
from typing import Any, NamedTuple

import click
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from services.analyst import words
from services.analyst.backtest import history, run
from services.analyst.backtest.evaluate import Document
from services.analyst.backtest.tally import Tally
from services.analyst.backtest.topic import Topic
from services.analyst.calibration.purchases import Unreadable
from services.local.errors import MISUSED, CannotStart
from services.scorer.domain.instants import to_datetime
from services.shared.foreign import ForeignRecord
from services.shared.kafka import KafkaUnavailable, TopicMismatch, TopicMissing
from services.shared.settings import KafkaSettings

_FILE = click.Path(path_type=Path)


class Source(NamedTuple):
    """size: in the measure that `read` tells its progress in.  events: how many there are, about

    file: where they are from; None for the topic, which may be empty in a new installation
    """

    read: run.Read
    size: int
    events: int
    file: Path | None = None


def options(command: Callable[..., Any]) -> Callable[..., Any]:
    """`--events`, `--cdnow`, `--topic`, `--until` and `--workers`; see `source`."""
    for option in (
        click.option("--workers", type=click.IntRange(1, 256), help="Processes to use; one a core if not given."),
        click.option("--topic", is_flag=True, help="The history is topic events at KAFKA_BOOTSTRAP."),
        click.option("--cdnow", type=_FILE, help="The history is this file of rows `customer date [items] amount`."),
        click.option("--events", type=_FILE, help="The history is this file of events, one a line (NDJSON)."),
    ):
        command = option(command)
    return command


def source(events: Path | None, cdnow: Path | None, topic: bool) -> Source | None:
    """What the options name; None without any. CannotStart if it is not there, UsageError if they name several."""
    if sum(map(bool, (events, cdnow, topic))) > 1:
        raise click.UsageError("name one history: --events, --cdnow or --topic")
    try:
        if events is not None:
            size = history.size(events)
            return Source(lambda spill, told: history.from_file(events, spill, told), size, run.events_in(size), events)
        if cdnow is not None:
            size = history.size(cdnow)
            return Source(
                lambda spill, told: history.from_rows(cdnow, spill, told), size, run.events_in(size) * 4, cdnow
            )
        if topic:
            return _topic(KafkaSettings())
    except Unreadable as error:
        raise CannotStart(str(error), exit_code=MISUSED) from error
    return None


def _topic(settings: KafkaSettings) -> Source:
    try:
        found = Topic(settings)
    except (KafkaUnavailable, TopicMissing, TopicMismatch) as error:
        raise CannotStart(str(error), exit_code=error.exit_code) from error
    return Source(found.read, found.size, found.size)


def tried(
    new: Document, old: Document | None, given: Source, *, until_ms: int | None, workers: int | None
) -> tuple[Tally, int]:
    """The tally of a back-test, and the instant played to, with progress on stderr if somebody looks at it.

    CannotStart if it cannot be played; with exit code 2 if a file cannot be read, or holds nothing to try a policy on.
    """
    console = Console(stderr=True, markup=False)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TextColumn("{task.fields[speed]}"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        try:
            tally, played_ms = run.run(
                new,
                old,
                given.read,
                about_events=given.events,
                until_ms=until_ms,
                workers=workers,
                watch=_Bar(bar, given.size),
            )
        except Unreadable as error:
            raise CannotStart(str(error), exit_code=MISUSED) from error
        except (run.Failed, KafkaUnavailable, ForeignRecord) as error:
            raise CannotStart(str(error)) from error
    if given.file is not None and not tally.customers:
        raise CannotStart(_nothing(given.file, tally, played_ms), exit_code=MISUSED)
    return tally, played_ms


def _nothing(file: Path, tally: Tally, until_ms: int) -> str:
    """Why there is nothing in the file to try a policy on."""
    likeness = history.likeness(file)
    if not tally.events and likeness != "is empty":
        return f"{file} has no event up to {words.instant(to_datetime(until_ms))}; give a later --until"
    reasons = ", ".join(f"{count:,} {reason}" for reason, count in sorted(tally.dead.items()))
    wanted = "--events reads events one a line, as they are posted or as they stand on topic events"
    return f"{file} {likeness}" + (f" ({reasons})" if reasons else "") + f"; {wanted}"


class _Bar(run.Watch):
    def __init__(self, progress: Progress, size: int) -> None:
        self._progress = progress
        self._reading: TaskID = progress.add_task("reading the history", total=size, speed="")
        self._playing: TaskID | None = None

    def reading(self, more: int) -> None:
        self._progress.advance(self._reading, more)

    def playing(self, events: int, total: int) -> None:
        if self._playing is None:
            self._progress.update(self._reading, visible=False)
            self._playing = self._progress.add_task("playing it", total=total, speed="")
        task = self._progress.tasks[-1]
        speed = f"{events / task.elapsed:,.0f} events/s" if task.elapsed else ""
        self._progress.update(self._playing, completed=events, speed=speed)

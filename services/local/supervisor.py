"""Supervision of the processes of one machine: start, watch, restart a few times, take all of them down.

Used inside an asyncio program, beside whatever else that does:

    async with Supervisor(console) as supervisor:
        kafka = EmbeddedKafka(folder, on_line=supervisor.voice("kafka"))
        await supervisor.start(kafka)
        await supervisor.run(replay())   # or supervisor.wait()

Signals are taken over while it is entered. When it is left, however that comes about, every child has ended.
"""

import asyncio
import contextlib
import itertools
import signal
from collections.abc import Coroutine
from typing import Any, Protocol, TypeVar

from rich.console import Console
from rich.text import Text

from services.local.errors import MISUSED, CannotStart, Died
from services.local.process import OnLine, describe_exit

T = TypeVar("T")

RESTARTS = 3
_COLOURS = ("cyan", "magenta", "green", "yellow", "blue", "bright_cyan", "bright_magenta")


class Child(Protocol):
    """What the supervisor can look after: EmbeddedKafka, EmbeddedPostgres, Command."""

    @property
    def name(self) -> str: ...

    async def start(self) -> None:
        """Start, or start again on the same ports and data; returns when ready, raises CannotStart or Died."""

    async def wait(self) -> int:
        """The exit code, once it has ended; negative for a signal."""

    async def stop(self) -> None:
        """Ask it to end, kill it after a deadline; nothing happens if it doesn't run."""

    async def kill(self) -> None:
        """kill -9; nothing happens if it doesn't run."""

    def last_line(self) -> str:
        """The last thing it said."""


class Interrupted(Exception):
    """The supervisor was asked to end by a signal. exit_code: what a shell expects, 128 + its number."""

    def __init__(self, sig: signal.Signals) -> None:
        super().__init__(f"stopped by {sig.name}")
        self.exit_code = 128 + sig


class Supervisor:
    """Starts children and keeps them going.

    A child that dies is restarted with a line that says so, `restarts` times at most over its life; the next time
    all are stopped. One that ends with exit code 2 was misused (a bad setting, a port in use) and would be again:
    all are stopped at once, with its own last line as the error.
    pause: seconds before a first restart, twice, three times as long before the next ones.
    """

    def __init__(self, console: Console, *, restarts: int = RESTARTS, pause: float = 1.0) -> None:
        self._console = console
        self._restarts = restarts
        self._pause = pause
        self._groups: list[tuple[Child, ...]] = []
        self._deaths: dict[str, int] = {}
        self._watches: list[asyncio.Task[None]] = []
        self._colours: dict[str, str] = {}
        self._palette = itertools.cycle(_COLOURS)
        # Why all has to end: a signal or an error of a child. Awaited by `run`.
        self._end: asyncio.Future[Exception] = asyncio.get_running_loop().create_future()
        self._stopping: asyncio.Task[None] | None = None
        self._killing: asyncio.Future[list[None]] | None = None
        self._signals = [signal.SIGINT, signal.SIGTERM]
        if signal.getsignal(signal.SIGHUP) is not signal.SIG_IGN:  # under nohup a closed terminal is no reason to end
            self._signals.append(signal.SIGHUP)
        self._say = self.voice("tierline")

    async def __aenter__(self) -> "Supervisor":
        loop = asyncio.get_running_loop()
        for sig in self._signals:
            loop.add_signal_handler(sig, self._signalled, sig)
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        try:
            await self.stop()
        finally:
            loop = asyncio.get_running_loop()
            for sig in self._signals:
                loop.remove_signal_handler(sig)

    def voice(self, name: str) -> OnLine:
        """Prints lines behind `name`, in its colour; the `on_line` of the child of that name."""
        colour = self._colours.setdefault(name, next(self._palette))

        def say(line: str) -> None:
            text = Text.assemble((f"{name:<9}", colour), (" │ ", "dim"), line)
            self._console.print(text, soft_wrap=True)

        return say

    async def start(self, *children: Child) -> None:
        """Start `children` together; returns when all are ready, and watches them from then on.

        Raises what `run` raises.
        """
        self._groups.append(children)
        await self.run(self._start_all(children))

    async def run(self, work: Coroutine[Any, Any, T]) -> T:
        """The result of `work`, which is cancelled when the machine cannot go on.

        Interrupted if a signal asked us to end; CannotStart if a child died for good. What `work` raises is raised.
        """
        task = asyncio.ensure_future(work)
        either: list[asyncio.Future[Any]] = [task, self._end]
        try:
            await asyncio.wait(either, return_when=asyncio.FIRST_COMPLETED)
            if task.done():
                return task.result()
            raise self._end.result()
        finally:
            if not task.done():
                task.cancel()
                await asyncio.wait([task])

    async def wait(self) -> None:
        """Returns when a signal asks us to end; CannotStart if a child died for good."""
        with contextlib.suppress(Interrupted):
            await self.run(asyncio.Event().wait())

    async def stop(self) -> None:
        """Stop all, what was started last first; returns when all have ended. A signal meanwhile kills them."""
        if self._stopping is None:
            self._stopping = asyncio.create_task(self._stop_all())
        await asyncio.shield(self._stopping)

    def _signalled(self, sig: signal.Signals) -> None:
        if self._end.done():
            self._say(f"{sig.name}: killing what still runs")
            self._killing = asyncio.gather(*(child.kill() for group in self._groups for child in group))
        else:
            self._say(f"{sig.name}: stopping")
            self._end.set_result(Interrupted(sig))

    def _fail(self, error: Exception) -> None:
        if not self._end.done():
            self._end.set_result(error)

    async def _start_all(self, children: tuple[Child, ...]) -> None:
        try:
            async with asyncio.TaskGroup() as group:
                for child in children:
                    group.create_task(self._start_one(child))
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors
        self._watches += [asyncio.create_task(self._watch(child)) for child in children]

    async def _start_one(self, child: Child) -> None:
        """Returns when it is ready, however often it died before that; CannotStart if that was too often."""
        while True:
            try:
                await child.start()
                return
            except Died as error:
                if error.exit_code == MISUSED:
                    raise
                await self._mourn(child, str(error))

    async def _watch(self, child: Child) -> None:
        try:
            while True:
                code = await child.wait()
                if code == MISUSED:
                    raise CannotStart(f"{child.name}: {child.last_line() or describe_exit(code)}", exit_code=MISUSED)
                await self._mourn(child, f"{child.name} died ({describe_exit(code)})")
                await self._start_one(child)
        except Exception as error:  # noqa: BLE001 - it is not lost: whoever waits in `run` raises it
            self._fail(error)

    async def _mourn(self, child: Child, what: str) -> None:
        """Count a death and wait before the restart; CannotStart if there have been enough."""
        deaths = self._deaths[child.name] = self._deaths.get(child.name, 0) + 1
        if deaths > self._restarts:
            raise CannotStart(f"{what}, after {self._restarts} restarts: stopping all")
        self._say(f"{what}: restart {deaths} of {self._restarts}")
        await asyncio.sleep(deaths * self._pause)

    async def _stop_all(self) -> None:
        for watch in self._watches:
            watch.cancel()
        await asyncio.gather(*self._watches, return_exceptions=True)
        for group in reversed(self._groups):
            await asyncio.gather(*(child.stop() for child in reversed(group)))

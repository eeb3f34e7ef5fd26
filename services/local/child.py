"""What the children of one machine that are a single process have in common; each says itself how it starts."""

import signal

from services.local.process import Process


class OneProcess:
    """A child as the supervisor knows it (supervisor.Child), but for `start`, which sets `_process`.

    grace: seconds it may take to stop before it is killed.  stop_signal: what asks it to
    """

    def __init__(self, name: str, *, grace: float = 15.0, stop_signal: signal.Signals = signal.SIGTERM) -> None:
        self.name = name
        self._grace = grace
        self._stop_signal = stop_signal
        self._process: Process | None = None

    @property
    def pid(self) -> int:
        return self._running().pid

    async def wait(self) -> int:
        """Its exit code, once it has ended by itself or was stopped."""
        return await self._running().wait()

    async def stop(self) -> None:
        """Ask it to end, and SIGKILL after the grace period; nothing happens if it was not started."""
        if self._process is not None:
            await self._process.stop(within=self._grace, sig=self._stop_signal)

    async def kill(self) -> None:
        """kill -9, as a crash would; nothing happens if it was not started."""
        if self._process is not None:
            await self._process.kill()

    def last_line(self) -> str:
        """The last thing it said, "" if it said nothing."""
        return "" if self._process is None else self._process.last_line()

    def _running(self) -> Process:
        if self._process is None:
            raise RuntimeError(f"{self.name} was not started")
        return self._process

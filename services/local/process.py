"""One child process: it dies with us, its output is read line by line, it is stopped within a deadline.

Nothing may be left behind, even by kill -9 of the parent. On Linux the kernel sees to it (PR_SET_PDEATHSIG). Elsewhere
a child outlives a parent killed with -9, and what holds its port or its data then says so at the next start.
"""

import asyncio
import contextlib
import ctypes
import os
import signal
import sys
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

OnLine = Callable[[str], None]

_PR_SET_PDEATHSIG = 1
_libc = ctypes.CDLL(None, use_errno=True) if sys.platform == "linux" else None


def _before_exec(user: tuple[int, int] | None, death_signal: signal.Signals) -> Callable[[], None]:
    """What the child does between fork and exec: becomes `user` (uid, gid), then asks to die with its parent.

    In this order, as a change of user clears the request. The kernel sends `death_signal` when the *thread* that
    forked ends, so children are to be started from a thread that stays, such as the main one.
    """
    parent = os.getpid()

    def prepare() -> None:
        if user is not None:
            uid, gid = user
            os.setgroups([])
            os.setgid(gid)
            os.setuid(uid)
        if _libc is not None:
            _libc.prctl(_PR_SET_PDEATHSIG, int(death_signal), 0, 0, 0)
            if os.getppid() != parent:  # it died before we asked
                os._exit(1)

    return prepare


def describe_exit(code: int) -> str:
    """`code` as people say it: "exit code 1", or "signal SIGKILL" for the negative codes of subprocess."""
    if code >= 0:
        return f"exit code {code}"
    with contextlib.suppress(ValueError):
        return f"signal {signal.Signals(-code).name}"
    return f"signal {-code}"


class Process:
    """A running child. Make one with `spawn`.

    last_lines: the newest lines of its output (stdout and stderr together), for an error message.
    """

    def __init__(self, process: asyncio.subprocess.Process, output: int, on_line: OnLine | None) -> None:
        self._process = process
        self._on_line = on_line
        self.last_lines: deque[str] = deque(maxlen=20)
        self._reader = asyncio.create_task(self._read(output))

    @classmethod
    async def spawn(
        cls,
        argv: Sequence[str | Path],
        *,
        env: Mapping[str, str] | None = None,
        cwd: Path | None = None,
        user: tuple[int, int] | None = None,
        on_line: OnLine | None = None,
        death_signal: signal.Signals = signal.SIGKILL,
    ) -> "Process":
        """Start `argv`. OSError if there is no such program or it may not be run.

        The child has a session of its own, so that Ctrl-C in the terminal reaches only us and we say in which
        order things end. on_line gets every line without its end, undecodable bytes replaced.
        """
        # A pipe of our own: asyncio's would have `wait` wait for every grandchild that holds it.
        ours, theirs = os.pipe()
        try:
            process = await asyncio.create_subprocess_exec(
                *map(str, argv),
                env=env,
                cwd=cwd,
                stdin=asyncio.subprocess.DEVNULL,
                stdout=theirs,
                stderr=theirs,
                start_new_session=True,
                preexec_fn=_before_exec(user, death_signal),
            )
        except BaseException:
            os.close(ours)
            raise
        finally:
            os.close(theirs)
        return cls(process, ours, on_line)

    @property
    def pid(self) -> int:
        return self._process.pid

    @property
    def exit_code(self) -> int | None:
        """None while it runs; negative: the signal that ended it."""
        return self._process.returncode

    def last_line(self) -> str:
        """The last line of its output that is not empty, "" if it said nothing."""
        return next((line.strip() for line in reversed(self.last_lines) if line.strip()), "")

    async def wait(self) -> int:
        """Its exit code, once it has ended and its output has been read."""
        code = await self._process.wait()
        # A grandchild may hold the pipe open: what it says later is nobody's business.
        await asyncio.wait([self._reader], timeout=0.5)
        self._reader.cancel()
        await asyncio.wait([self._reader])
        return code

    def send(self, sig: signal.Signals) -> None:
        """Send a signal; nothing happens if it has ended already."""
        if self._process.returncode is None:
            with contextlib.suppress(ProcessLookupError):
                self._process.send_signal(sig)

    async def stop(self, *, within: float, sig: signal.Signals = signal.SIGTERM) -> int:
        """Ask with `sig`, after `within` seconds SIGKILL; its exit code."""
        self.send(sig)
        try:
            async with asyncio.timeout(within):
                return await self.wait()
        except TimeoutError:
            return await self.kill()

    async def kill(self) -> int:
        """SIGKILL, if it still runs; its exit code."""
        self.send(signal.SIGKILL)
        return await self.wait()

    async def _read(self, output: int) -> None:
        stream = asyncio.StreamReader()
        transport, _ = await asyncio.get_running_loop().connect_read_pipe(
            lambda: asyncio.StreamReaderProtocol(stream), os.fdopen(output, "rb", buffering=0)
        )
        rest = b""
        try:
            # Not readline(): that one raises on a line over 64 KiB.
            while chunk := await stream.read(65536):
                *lines, rest = (rest + chunk).split(b"\n")
                for line in lines:
                    self._say(line)
        finally:
            if rest:
                self._say(rest)
            transport.close()

    def _say(self, raw: bytes) -> None:
        line = raw.decode(errors="replace").rstrip("\r")
        self.last_lines.append(line)
        if self._on_line is not None:
            self._on_line(line)

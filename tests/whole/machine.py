"""`tierline up` as a process of its own, and what tests do to it."""

import asyncio
import contextlib
import os
import signal
import sys
from asyncio.subprocess import PIPE, Process
from collections.abc import AsyncIterator
from pathlib import Path
from typing import Any

import httpx
import msgspec
import psutil

from services.local.ports import free_port
from tests.waiting import until

SERVICES = ("ingest", "scorer", "notifier")
BROUGHT_UP_WITHIN_S = 90.0


class Machine:
    """A running `tierline up`. stdout, stderr: its lines so far.  data: its data folder."""

    def __init__(self, process: Process, data: Path, ports: dict[str, int]) -> None:
        self._process = process
        self.data = data
        self.ports = ports
        self.stdout: list[str] = []
        self.stderr: list[str] = []
        self._readers = [
            asyncio.create_task(self._read(process.stdout, self.stdout)),
            asyncio.create_task(self._read(process.stderr, self.stderr)),
        ]
        self.family: dict[int, str] = {}

    @staticmethod
    async def _read(stream: Any, lines: list[str]) -> None:
        while line := await stream.readline():
            lines.append(line.decode().rstrip("\n"))

    def url(self, service: str) -> str:
        return f"http://127.0.0.1:{self.ports[service]}"

    def child(self, service: str) -> psutil.Process | None:
        """The process of a service, None while there is none."""
        for process in self._children():
            with contextlib.suppress(psutil.Error):
                if process.cmdline()[-1:] == [service]:
                    return process
        return None

    def bookmark(self) -> dict[str, Any] | None:
        """The demo's, None while there is none."""
        try:
            return dict(msgspec.json.decode((self.data / "demo.json").read_bytes()))
        except FileNotFoundError:
            return None

    async def decided(self) -> int:
        """Events the scorer has decided, 0 while it does not answer."""
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                said = (await client.get(f"{self.url('scorer')}/readyz")).json()
        except httpx.TransportError:
            return 0
        return sum(detail.get("position", 0) for detail in said["partitions"].values())

    async def says(self, words: str, *, within: float = BROUGHT_UP_WITHIN_S) -> None:
        """Returns once a line of stdout or stderr has these words."""

        def said() -> bool:
            if self._process.returncode is not None:
                raise AssertionError(f"tierline has ended ({self._process.returncode}): {self.log()}")
            return any(words in line for line in self.stdout + self.stderr)

        await until(said, within=within, what=words)

    def exports(self) -> str:
        """The line that lets other commands reach it, as it was printed."""
        [line] = [line for line in self.stderr if "other commands beside it: " in line]
        return line.partition("other commands beside it: ")[2]

    def remember_family(self) -> None:
        """Note all processes that must be gone in the end."""
        for process in self._children():
            with contextlib.suppress(psutil.NoSuchProcess):
                self.family[process.pid] = process.name()

    def left_behind(self) -> dict[int, str]:
        """Those of the family that still are."""
        return {pid: name for pid, name in self.family.items() if psutil.pid_exists(pid)}

    def terminate(self) -> None:
        self._process.send_signal(signal.SIGTERM)

    async def ended(self, *, within: float = BROUGHT_UP_WITHIN_S) -> int:
        """The exit code, once it has ended and all its output was read."""
        async with asyncio.timeout(within):
            await asyncio.gather(*self._readers)
            return await self._process.wait()

    def log(self) -> str:
        return "\n".join(["", *self.stderr[-40:], *self.stdout])

    def _children(self) -> list[psutil.Process]:
        try:
            return psutil.Process(self._process.pid).children(recursive=True)
        except psutil.NoSuchProcess:
            return []

    async def close(self) -> None:
        if self._process.returncode is None:
            self._process.kill()
        await self._process.wait()
        for reader in self._readers:
            reader.cancel()


@contextlib.asynccontextmanager
async def tierline_up(data: Path, *options: str, **environment: str) -> AsyncIterator[Machine]:
    """`tierline up` with these options and variables; killed at the end, if it has not ended by then."""
    ports = {service: free_port() for service in SERVICES}
    words = [word for service, port in ports.items() for word in (f"--{service}-port", str(port))]
    named = ("KAFKA_BOOTSTRAP", "DATABASE_URL", "TIERLINE_PARTITIONS", "TIERLINE_POLICY")
    ours = {name: value for name, value in os.environ.items() if name not in named}
    process = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "services.cli.main", "up", "--data", str(data), *words, *options),
        env={**ours, **environment},
        stdout=PIPE,
        stderr=PIPE,
    )
    machine = Machine(process, data, ports)
    try:
        yield machine
    finally:
        await machine.close()

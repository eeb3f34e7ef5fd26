"""A scorer worker as a process of its own, as a test starts, asks, kills and stops it."""

import os
import signal
import sys
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import httpx
import msgspec

from services.local.ports import free_port
from services.local.process import Process
from tests.scorer.engine.installation import Installation
from tests.waiting import until

ROOT = Path(__file__).parents[3]


class WorkerProcess:
    """`python -m services.scorer` for an installation. lines: what it has logged so far."""

    def __init__(self, process: Process, port: int, lines: list[str]) -> None:
        self.process, self._port, self.lines = process, port, lines

    @classmethod
    async def start(
        cls,
        installation: Installation,
        *,
        argv: tuple[str, ...] = ("-m", "services.scorer"),
        cwd: Path = ROOT,
        **env: str,
    ) -> "WorkerProcess":
        lines: list[str] = []
        port = free_port()
        settings: Mapping[str, str] = {
            **os.environ,
            **installation.env,
            "TIERLINE_SCORER_PORT": str(port),
            "TIERLINE_LOG_FORMAT": "json",
            "PYTHONPATH": str(ROOT),
            **env,
        }
        process = await Process.spawn([sys.executable, *argv], env=settings, cwd=cwd, on_line=lines.append)
        return cls(process, port, lines)

    async def __aenter__(self) -> "WorkerProcess":
        return self

    async def __aexit__(self, failure: type[BaseException] | None, *more: object) -> None:
        await self.process.kill()
        if failure is not None:  # pytest shows what is printed
            print(f"worker {self.process.pid}:", *self.lines[-80:], sep="\n")

    async def ready(self, within: float = 40.0) -> dict[str, Any]:
        """Wait until it is ready; its partitions as /readyz tells them."""

        async def answer() -> dict[str, Any] | None:
            assert self.process.exit_code is None, "\n".join(self.lines[-20:])
            status, body = await self._get("/readyz")
            return msgspec.json.decode(body)["partitions"] if status == 200 else None

        return await until(answer, within=within, what="ready")

    async def partitions(self) -> dict[str, Any]:
        """Its partitions now, ready or not; empty while it does not answer."""
        status, body = await self._get("/readyz")
        partitions: dict[str, Any] = msgspec.json.decode(body)["partitions"] if status else {}
        return partitions

    async def is_ready(self) -> bool:
        """Whether its /readyz says so now."""
        return (await self._get("/readyz"))[0] == 200

    async def owning(self, count: int, within: float = 40.0) -> None:
        """Wait until it is ready with `count` partitions."""

        async def owns() -> bool:
            return len(await self.ready(within)) == count

        await until(owns, within=within, what=f"{count} partitions owned")

    async def metric(self, name: str) -> float:
        """A metric, added up over its labels; 0 if it is not there."""
        return sum(await self.metric_by_label(name))

    async def metric_by_label(self, name: str) -> list[float]:
        """A metric's values; none if it is not there, or the worker does not answer."""
        _, body = await self._get("/metrics")
        lines = [line for line in body.decode().splitlines() if line.startswith((name + "{", name + " "))]
        return [float(line.rpartition(" ")[2]) for line in lines]

    async def killed(self, within: float = 40.0) -> None:
        """Wait until it has killed itself."""
        await until(lambda: self.process.exit_code is not None, within=within, what="killed")
        assert self.process.exit_code == -signal.SIGKILL, "\n".join(self.lines[-20:])

    async def stop(self) -> int:
        """Ask it to end; its exit code."""
        return await self.process.stop(within=20)

    async def _get(self, path: str) -> tuple[int, bytes]:
        try:
            async with httpx.AsyncClient() as client:
                response = await client.get(f"http://127.0.0.1:{self._port}{path}", timeout=5)
        except httpx.HTTPError:
            return 0, b""
        return response.status_code, response.content

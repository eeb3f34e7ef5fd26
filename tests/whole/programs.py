"""Our commands as processes of their own, for tests of the whole."""

import os
import sys
from collections.abc import Mapping
from typing import NamedTuple

import httpx

from services.local.command import Command
from services.local.ports import free_port
from services.local.process import Process


class Ended(NamedTuple):
    code: int
    lines: list[str]


async def run(*args: str, env: Mapping[str, str]) -> Ended:
    """A command that ends by itself. env: beside ours"""
    lines: list[str] = []
    process = await Process.spawn(
        [sys.executable, "-m", "services.cli.main", *args], env=os.environ | env, on_line=lines.append
    )
    try:
        return Ended(await process.wait(), lines)
    finally:
        await process.kill()


class Service:
    """A service, up and ready while the context is open. lines: what it has said so far"""

    def __init__(self, name: str, *, env: Mapping[str, str]) -> None:
        port = free_port()
        self.lines: list[str] = []
        self.url = f"http://127.0.0.1:{port}"
        self._child = Command(
            name,
            [sys.executable, "-m", "services.cli.main", name],
            env=os.environ | {f"TIERLINE_{name.upper()}_PORT": str(port)} | env,
            ready_url=f"{self.url}/readyz",
            on_line=self.lines.append,
        )

    async def __aenter__(self) -> "Service":
        try:
            await self._child.start()
        except BaseException:
            self._show()
            raise
        return self

    async def __aexit__(self, failure: type[BaseException] | None, *_: object) -> None:
        if failure is not None:
            self._show()
        await self._child.stop()

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(base_url=self.url, trust_env=False, timeout=20)

    def _show(self) -> None:
        print(*self.lines[-40:], sep="\n")  # pytest shows what is printed

"""An installation for each test that wants one, and the command line on it."""

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from services.cli.main import main
from tests.scorer.engine.conftest import install
from tests.scorer.engine.installation import Installation

__all__ = ["install"]

Tierline = Callable[..., Awaitable[tuple[int, str, str]]]


@pytest.fixture
def tierline(monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Tierline:
    """Run `tierline audit ...` on an installation: exit code, stdout, stderr."""

    async def run(on: Installation, *args: str) -> tuple[int, str, str]:
        for name, value in on.env.items():
            monkeypatch.setenv(name, value)
        monkeypatch.setattr("sys.argv", ["tierline", "audit", *args])

        def ended() -> int:
            try:
                main()
            except SystemExit as end:
                return int(end.code or 0)
            return 0

        code = await asyncio.to_thread(ended)
        said = capsys.readouterr()
        return code, said.out, said.err

    return run

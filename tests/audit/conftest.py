"""An installation for each test that wants one, and the command line on it."""

from collections.abc import Awaitable, Callable

import pytest

from tests import commandline
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
        return await commandline.tierline(monkeypatch, capsys, "audit", *args)

    return run

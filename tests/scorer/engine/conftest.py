"""An installation for each test that wants one."""

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest

from tests.fixtures.broker import Broker
from tests.scorer.engine.installation import Installation

Install = Callable[..., Awaitable[Installation]]


@pytest.fixture
def install(kafka: Broker, topic_prefix: str, tmp_path: Path) -> Install:
    """Make an installation; keywords as Installation and policy_text take them."""

    async def make(**options: Any) -> Installation:
        return await asyncio.to_thread(Installation, kafka.bootstrap, topic_prefix, tmp_path, **options)

    return make

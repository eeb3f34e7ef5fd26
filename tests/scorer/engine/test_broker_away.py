"""A worker whose broker dies and comes back."""

import asyncio
from pathlib import Path

import pytest

from tests.fixtures.broker import embedded_kafka
from tests.scorer.engine.installation import Installation
from tests.scorer.engine.traffic import check, everything_taken, traffic
from tests.scorer.engine.workers import WorkerProcess
from tests.waiting import until

pytestmark = pytest.mark.timeout(180)


async def test_a_broker_that_dies_and_comes_back_is_no_reason_to_die(tmp_path: Path) -> None:
    async with embedded_kafka() as broker:
        installation = await asyncio.to_thread(Installation, broker.bootstrap, "b-", tmp_path)
        events = traffic(2000, customers=40)
        async with await WorkerProcess.start(installation) as worker:
            await worker.ready()
            await asyncio.to_thread(installation.send, events[:1000])
            await everything_taken(installation)
            await broker.kill()
            await until(lambda: any("Unable connect" in line for line in worker.lines))
            await broker.start()
            await asyncio.to_thread(installation.send, events[1000:])
            await everything_taken(installation)
            assert worker.process.exit_code is None
            await asyncio.to_thread(check, installation, events)
            await broker.kill()
            assert await worker.stop() == 0

"""Workers killed, frozen and joined by others: what readers of committed records see is as if nothing had happened."""

import asyncio
import signal

import pytest

from services.scorer.engine.failpoints import PLACES
from tests.freezing import frozen
from tests.scorer.engine.conftest import Install
from tests.scorer.engine.traffic import check, everything_taken, feed, traffic
from tests.scorer.engine.workers import WorkerProcess

pytestmark = pytest.mark.timeout(180)


async def test_kill_9_at_every_step_of_a_transaction_leaves_no_trace(install: Install) -> None:
    #  chunk 1 ──●● ╳   chunk 2 ──●● ╳   chunk 3 ──●● ╳   chunk 4 ──●● ╳   chunk 5 ──●●●●●●●●─▶
    #     after_produce    after_offsets      in_commit       after_commit
    installation = await install()
    events = traffic(4000, customers=60)
    small = {"TIERLINE_SCORER_MAX_POLL_RECORDS": "100"}  # many transactions
    for start, place in zip(range(0, 4000, 800), PLACES, strict=False):
        await asyncio.to_thread(installation.send, events[start : start + 800])
        async with await WorkerProcess.start(installation, TIERLINE_FAILPOINT=f"{place}:5", **small) as worker:
            await worker.killed()
    await asyncio.to_thread(installation.send, events[3200:])
    async with await WorkerProcess.start(installation, **small) as worker:
        await worker.ready()
        await everything_taken(installation)
        assert await worker.metric("tierline_scorer_transactions_failed_total") == 0
        assert await worker.stop() == 0
    await asyncio.to_thread(check, installation, events)
    aborted = await asyncio.to_thread(installation.read, "scorer-state", committed=False)
    assert len(aborted) > len(await asyncio.to_thread(installation.read, "scorer-state")), "the kills did not bite"


async def test_workers_may_join_and_leave_and_die(install: Install) -> None:
    #  first   ●── 4 ──┬── 2 ──┬── 4 ──┬── 2 ──┬── 4 ──▶ partitions
    #  second          ●── 2 ──▮ SIGTERM
    #  third                           ●── 2 ──╳ kill -9
    installation = await install(partitions=4)
    events = traffic(6000, customers=80)
    async with await WorkerProcess.start(installation) as first:
        await first.owning(4)
        feeding = asyncio.create_task(feed(installation, events[:2000]))
        async with await WorkerProcess.start(installation) as second:
            await second.owning(2)
            await first.owning(2)
            await feeding
            feeding = asyncio.create_task(feed(installation, events[2000:4000]))
            assert await second.stop() == 0
        await first.owning(4)
        async with await WorkerProcess.start(installation) as third:
            await third.owning(2)
            await feeding
            feeding = asyncio.create_task(feed(installation, events[4000:]))
            await third.process.kill()
        await first.owning(4)
        await feeding
        await everything_taken(installation)
        assert await first.stop() == 0
    await asyncio.to_thread(check, installation, events)


async def test_a_worker_frozen_past_its_session_is_fenced_and_comes_back(install: Install) -> None:
    #  first   ●── takes ──▮ stands still, a transaction open, events in hand ▮ SIGCONT, fenced, rejoins ──▶
    #  second                 ●── takes all over, takes those events ──────────────────── shares ──▶
    installation = await install(partitions=2)
    events = traffic(3000, customers=40)
    stop = {"TIERLINE_FAILPOINT": "after_produce:5:stop", "TIERLINE_SCORER_MAX_POLL_RECORDS": "100"}
    async with await WorkerProcess.start(installation, **stop) as first:
        await first.owning(2)
        await asyncio.to_thread(installation.send, events[:1200])
        await frozen(first.process.pid)
        async with await WorkerProcess.start(installation) as second:
            await second.owning(2)
            await everything_taken(installation)
            first.process.send(signal.SIGCONT)
            await feed(installation, events[1200:])
            await first.owning(1)
            await everything_taken(installation)
            assert await first.metric("tierline_scorer_transactions_failed_total") > 0, "it was not fenced"
            assert await second.stop() == 0
        assert await first.stop() == 0
    await asyncio.to_thread(check, installation, events)

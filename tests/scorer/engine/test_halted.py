"""A worker whose core fails at everybody of one partition, or at a merge: that one halts, and the other goes on."""

import asyncio
from datetime import timedelta

import pytest

from schemas.events import Event
from services.shared.partitioner import partition_of
from tests.scorer.engine.conftest import Install
from tests.scorer.engine.families import has, merge
from tests.scorer.engine.installation import ago, purchase
from tests.scorer.engine.poisoned import POISON
from tests.scorer.engine.traffic import check, everything_taken
from tests.scorer.engine.workers import WorkerProcess
from tests.waiting import until

pytestmark = pytest.mark.timeout(120)


async def test_one_partition_halts_the_other_goes_on_and_a_sound_worker_takes_what_waited(install: Install) -> None:
    #  partition 0: 120 orders the core fails at ─── halted ─── sound worker: all of them decided, once
    #  partition 1: 120 orders ───────────────────── decided ── 20 more: decided
    installation = await install()
    began = ago(60)
    failing, sound = installation.customers(0, 60), installation.customers(1, 60)
    events: list[Event] = [
        purchase(name, at=began + timedelta(milliseconds=n), id=f"{of}{n}")
        for of, names in ((f"{POISON}-", failing), ("e", sound))
        for n, name in enumerate([*names, *names])
    ]
    await asyncio.to_thread(installation.send, events)
    async with await WorkerProcess.start(installation, argv=("-m", "tests.scorer.engine.poisoned")) as worker:

        async def stands() -> bool:
            partitions = await worker.partitions()
            return {n: partition["status"] for n, partition in partitions.items()} == {"0": "halted", "1": "ready"}

        await until(stands, within=40, what="0 halted, 1 ready")
        more = [purchase(name, at=ago(0)) for name in sound[:20]]
        await asyncio.to_thread(installation.send, more)

        async def goes_on() -> bool:
            return (await worker.partitions())["1"]["position"] == 140

        await until(goes_on, within=20, what="the other partition goes on")
        assert "those of 60 of 60 customers" in (await worker.partitions())["0"]["reason"]
        assert await worker.metric("tierline_scorer_partitions_halted") == 1
        assert not await worker.is_ready()
        assert sum("partition halted" in line for line in worker.lines) == 1
        assert await worker.stop() == 0
    _, positions = await asyncio.to_thread(installation.state)
    assert (positions[0].events_offset, positions[1].events_offset) == (0, 140)
    assert await asyncio.to_thread(installation.dead_letters) == []
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await everything_taken(installation)
        assert await worker.metric("tierline_scorer_partitions_halted") == 0
        assert await worker.stop() == 0
    await asyncio.to_thread(check, installation, [*events, *more])


async def test_a_partition_halts_at_a_merge_the_core_fails_at_and_a_sound_worker_goes_on_from_there(
    install: Install,
) -> None:
    #  partition 0: torn ──▮ merge: fails, halted ─── sound worker: merged, what waited decided
    #  partition 1: kept ─────────────────────────── more: decided
    installation = await install()
    torn = next(name for n in range(100) if partition_of((name := f"torn{n}").encode(), 2) == 0)
    kept = installation.customers(1, 1)[0]
    began = ago(60)
    await asyncio.to_thread(installation.send, [purchase(torn, 60, at=began), purchase(kept, 60, at=began)])
    async with await WorkerProcess.start(installation, argv=("-m", "tests.scorer.engine.poisoned")) as worker:
        await worker.ready()
        await everything_taken(installation)
        await asyncio.to_thread(merge, installation, [(torn, kept)])

        async def halted() -> bool:
            partitions = await worker.partitions()
            return {n: partition["status"] for n, partition in partitions.items()} == {"0": "halted", "1": "ready"}

        await until(halted, within=40, what="0 halted, 1 ready")
        assert "a merge, unmerge or erasure fails: Broken: cannot be joined (poisoned.py:" in str(
            (await worker.partitions())["0"]["reason"]
        )
        await asyncio.to_thread(installation.send, [purchase(kept, 60), purchase(torn, 60)])

        async def goes_on() -> bool:
            return (await worker.partitions())["1"]["position"] == 2

        await until(goes_on, within=20, what="the other partition goes on")
        assert worker.process.exit_code is None
        assert await worker.stop() == 0
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await has(installation, {kept: 4})
        assert await worker.stop() == 0

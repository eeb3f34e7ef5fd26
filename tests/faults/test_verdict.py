"""The verdict: exact as long as nobody has tampered with what was committed, and then it says what is wrong."""

import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
import pytest_asyncio

from tests.faults.reading import Record, read
from tests.faults.upstream import Upstream
from tests.faults.verdict import Verdict, judge
from tests.fixtures.broker import Broker
from tests.scorer.engine.installation import Installation
from tests.scorer.engine.traffic import everything_taken
from tests.scorer.engine.workers import WorkerProcess
from tests.waiting import until

pytestmark = pytest.mark.timeout(120)


@pytest_asyncio.fixture(loop_scope="session")
async def played(kafka: Broker, topic_prefix: str, tmp_path: Path) -> AsyncIterator[tuple[Installation, Upstream]]:
    """Two partitions, 1,200 records, everything taken and nothing due, the worker gone."""
    of = await asyncio.to_thread(Installation, kafka.bootstrap, topic_prefix, tmp_path, window="1s", quiet="1s")
    upstream = Upstream(of, seed=3, customers=40)
    async with await WorkerProcess.start(of) as worker:
        await worker.ready()
        await upstream.send(1_200)
        await everything_taken(of)
        await until(lambda: _nothing_due(worker), what="no timer is left")
        assert await worker.stop() == 0
    yield of, upstream


async def test_what_is_tampered_with_is_lost_or_doubled(played: tuple[Installation, Upstream]) -> None:
    of, upstream = played
    verdict = await judged(of, upstream)
    assert (verdict.exact, verdict.records, verdict.extra) == (True, 1_200, 0), verdict.wrong
    assert verdict.checked == 2

    letter = (await standing(of, "dead-letters"))[0]
    await again(of, "dead-letters", letter)
    verdict = await judged(of, upstream)
    assert (verdict.lost, verdict.doubled) == (0, 1)
    assert "dead letter" in verdict.wrong[0]

    decision = next(r for r in await standing(of, "decisions") if b'"dimension":"tier"' in r.value)
    await again(of, "decisions", decision)
    verdict = await judged(of, upstream)
    # The letter, the decision's sequence and revision; its announcement now is missing once.
    assert (verdict.lost, verdict.doubled) == (1, 3)

    states = [record for record in await standing(of, "scorer-state") if record.key.startswith(b"c")]
    await again(of, "scorer-state", states[0])
    verdict = await judged(of, upstream)
    assert verdict.lost > 1, "a customer's state from before the last events is put back"
    assert any("events of" in line for line in verdict.wrong)

    upstream.acknowledged.append((0, 10**9))
    assert "1 acknowledged records are not on the log" in (await judged(of, upstream)).wrong[0]


async def judged(of: Installation, upstream: Upstream) -> Verdict:
    return await asyncio.to_thread(judge, of, upstream.acknowledged, seed=1, sample=2)


async def standing(of: Installation, topic: str) -> list[Record]:
    return await asyncio.to_thread(read, of, topic)


async def again(of: Installation, topic: str, record: Record) -> None:
    await asyncio.to_thread(of.write, topic, record.value, record.key, record.partition)


async def _nothing_due(worker: WorkerProcess) -> bool:
    timers = await worker.metric_by_label("tierline_scorer_timers_pending")
    return len(timers) == 2 and not any(timers)

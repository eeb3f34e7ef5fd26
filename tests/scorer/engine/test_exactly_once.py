"""Workers killed, frozen and joined by others: what readers of committed records see is as if nothing had happened."""

import asyncio
import signal
from collections.abc import Sequence
from datetime import timedelta

import pytest

from schemas.decisions import Decision
from schemas.events import Event
from services.scorer.domain.instants import to_ms
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.state import Customer
from services.scorer.engine.failpoints import PLACES
from tests.scorer.engine.conftest import Install
from tests.scorer.engine.installation import Installation, ago, interaction, purchase
from tests.scorer.engine.workers import WorkerProcess
from tests.waiting import until

pytestmark = pytest.mark.timeout(180)

Told = tuple[str, str, int, object, object, object, str]


def told(subject: str, decision: Decision) -> Told:
    """What a decision says, without when it was decided."""
    return (
        subject,
        decision.dimension,
        decision.revision,
        decision.before,
        decision.after,
        decision.effective_at,
        decision.cause,
    )


def traffic(count: int, customers: int) -> list[Event]:
    """Orders and calls of some customers, in the order of their times, the last of them just now."""
    began = ago(count / 1000 + 1)
    return [
        make(f"c{n * 7 % customers}", at=began + timedelta(milliseconds=n))
        for n in range(count)
        for make in [purchase if n % 3 else interaction]
    ]


def expected(installation: Installation, events: Sequence[Event]) -> set[Told]:
    """What the pure core says of the same events, one at a time."""
    customers: dict[str, Customer] = {}
    said: set[Told] = set()
    for event in events:
        customer = customers.setdefault(event.subject, Customer())
        at = to_ms(event.time)
        for change in decide(customer, installation.policy, [Arrival(event, at, 0, b"")], at).changes:
            effective = event.time + timedelta(milliseconds=change.effective_ms - at)
            said.add(
                (
                    event.subject,
                    change.dimension.name,
                    change.revision,
                    change.before,
                    change.after,
                    effective,
                    change.cause,
                )
            )
    return said


async def feed(installation: Installation, events: Sequence[Event]) -> None:
    """Send in small portions until all is sent."""
    for start in range(0, len(events), 20):
        await asyncio.to_thread(installation.send, events[start : start + 20])


async def everything_taken(installation: Installation) -> None:
    ends = await asyncio.to_thread(installation.ends)

    async def all_taken() -> bool:
        _, positions = await asyncio.to_thread(installation.state)
        return {p: position.events_offset for p, position in positions.items()} == ends

    await until(all_taken, within=40, what=f"positions {ends}")


def check(installation: Installation, events: Sequence[Event]) -> None:
    """Every event is in the state once, every decision on its topic once, in sequences without gaps."""
    customers, positions = installation.state()
    for subject in {event.subject for event in events}:
        sent = sum(event.subject == subject for event in events)
        assert len(customers[subject].entries) == sent, subject
    stored = installation.read("decisions")
    records = installation.decision_records()
    for partition, position in positions.items():
        sequences = [r.sequence for s, r in zip(stored, records, strict=True) if s.partition == partition]
        assert sequences == list(range(1, position.sequence + 1))
    decisions = [record for record in records if isinstance(record, Decision)]
    assert {told(d.subject, d) for d in decisions} == expected(installation, events)
    announced = sum(d.before != d.after for d in decisions if d.dimension == "tier")
    assert len(installation.read("tier-changes")) == announced


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
    #  first   ●── takes ──▮ SIGSTOP · · fetched events in hand · · ▮ SIGCONT, fenced, rejoins ──▶
    #  second                ●── takes all over, takes those events ─────────────── shares ──▶
    installation = await install(partitions=2)
    events = traffic(3000, customers=40)
    async with await WorkerProcess.start(installation) as first:
        await first.owning(2)
        await asyncio.to_thread(installation.send, events[:1000])
        await everything_taken(installation)
        first.process.send(signal.SIGSTOP)
        await asyncio.to_thread(installation.send, events[1000:1200])
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

"""Customers merged, parted and erased across partitions while events come, on a broker, by workers that are killed."""

import asyncio
from collections import defaultdict
from datetime import timedelta

import pytest
from msgspec.structs import replace

from schemas.decisions import Decision
from schemas.events import PurchaseData
from schemas.topics import MIB
from services.scorer.domain.packing import alias_of
from services.shared.partitioner import partition_of
from tests.scorer.engine.conftest import Install
from tests.scorer.engine.families import erase, has, merge, part
from tests.scorer.engine.installation import Installation, ago, purchase
from tests.scorer.engine.traffic import everything_taken, feed
from tests.scorer.engine.workers import WorkerProcess
from tests.waiting import until

pytestmark = pytest.mark.timeout(240)
PAIRS = [(f"old{n}", f"new{n}") for n in range(40)]


def revisions_are_gapless(of: Installation) -> None:
    stored, records = of.read("decisions"), of.decision_records()
    seen: dict[tuple[str, str], int] = defaultdict(int)
    for place, record in zip(stored, records, strict=True):
        if isinstance(record, Decision):
            assert place.partition == partition_of(record.subject.encode(), of.partitions)
            seen[record.subject, record.dimension] += 1
            assert record.revision == seen[record.subject, record.dimension], record
    for partition in range(of.partitions):
        sequences = [r.sequence for s, r in zip(stored, records, strict=True) if s.partition == partition]
        assert sequences == list(range(1, len(sequences) + 1))


def tiers(of: Installation) -> dict[str, object]:
    """What was said last of everybody's tier."""
    return {d.subject: d.after for d in of.decisions() if d.dimension == "tier"}


async def test_merged_parted_and_erased_across_partitions_while_workers_are_killed(install: Install) -> None:
    #  old   ── 2 × 60 ──▮ merge ── 60 for the old name ──▮ unmerge ─────────────▮ erase old
    #  new   ── 60 ──────▮ 240 ──────────────────────────▮ ── 60 again ──────────────────────▶
    installation = await install(partitions=4)
    began = ago(30)
    first = [purchase(name, 60, at=began) for pair in PAIRS for name in (*pair, pair[0])]
    late = [purchase(old, 60, at=began + timedelta(seconds=5)) for old, _ in PAIRS]
    small = {"TIERLINE_SCORER_MAX_POLL_RECORDS": "50"}
    async with await WorkerProcess.start(installation, TIERLINE_FAILPOINT="after_produce:6", **small) as worker:
        await feed(installation, first)
        await asyncio.to_thread(merge, installation, PAIRS)
        await worker.killed()
    async with await WorkerProcess.start(installation, TIERLINE_FAILPOINT="in_commit:8", **small) as worker:
        await feed(installation, late)
        await worker.killed()
    async with (
        await WorkerProcess.start(installation, **small) as one,
        await WorkerProcess.start(installation, **small) as two,
    ):
        await one.owning(2)
        await two.owning(2)
        await everything_taken(installation)
        await has(installation, {new: 4 for _, new in PAIRS})
        said = await asyncio.to_thread(tiers, installation)
        assert {said[new] for _, new in PAIRS} == {"silver"}
        assert {said.get(old, "basic") for old, _ in PAIRS} == {"basic"}
        await asyncio.to_thread(part, installation, PAIRS)
        await has(installation, {new: 1 for _, new in PAIRS} | {old: 3 for old, _ in PAIRS})
        said = await asyncio.to_thread(tiers, installation)
        assert {said[new] for _, new in PAIRS} == {"basic"}
        assert {said[old] for old, _ in PAIRS} == {"silver"}
        await asyncio.to_thread(erase, installation, [old for old, _ in PAIRS])
        await has(installation, {new: 1 for _, new in PAIRS})
        # What happened before an erasure counts no more, whenever it comes; what happens after it does.
        await feed(installation, [purchase(old, 60, at=began) for old, _ in PAIRS])
        await feed(installation, [purchase(old, 120) for old, _ in PAIRS[:5]])
        await everything_taken(installation)
        await has(installation, {new: 1 for _, new in PAIRS} | {old: 1 for old, _ in PAIRS[:5]})
        said = await asyncio.to_thread(tiers, installation)
        assert {said[old] for old, _ in PAIRS[5:]} == {"basic"}
        assert {said[old] for old, _ in PAIRS[:5]} == {"silver"}
        assert await one.stop() == 0
        assert await two.stop() == 0
    await asyncio.to_thread(revisions_are_gapless, installation)
    assert await asyncio.to_thread(installation.dead_letters) == []


async def test_two_customers_are_one_and_two_again_though_their_records_are_longer_than_a_mib(install: Install) -> None:
    installation = await install(partitions=2)
    (old,), (new,) = installation.customers(0, 1), installation.customers(1, 1)
    began = ago(100_000)
    orders = [
        replace(purchase(name, at=began + timedelta(seconds=n)), data=PurchaseData(100, "EUR", f"{name} {n}"))
        for name in (old, new)
        for n in range(15_500)
    ]

    async def are_long(old_bytes: range, new_bytes: range) -> None:
        """The newest records of both are of so many bytes."""

        async def so_long() -> bool:
            state = {stored.key: stored.value for stored in await asyncio.to_thread(installation.read, "scorer-state")}
            of_old, of_new = state.get(old.encode()) or b"", state.get(new.encode()) or b""
            return len(of_old) in old_bytes and len(of_new) in new_bytes

        await until(so_long, what=f"{old} takes {old_bytes} and {new} {new_bytes}", within=60)

    whole, another_name, both = range(610_000, 650_000), range(1, 100), range(MIB + 60_000, 1_300_000)
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await asyncio.to_thread(installation.send, orders)
        await are_long(whole, whole)
        await asyncio.to_thread(merge, installation, [(old, new)])
        await are_long(another_name, both)
        assert await worker.stop() == 0
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await asyncio.to_thread(part, installation, [(old, new)])
        await are_long(whole, whole)
        assert await worker.stop() == 0
    assert await asyncio.to_thread(installation.dead_letters) == []


async def test_an_event_for_another_name_is_taken_once_and_reported_under_its_own_place(install: Install) -> None:
    installation = await install(partitions=2)
    (old,), (new,) = installation.customers(0, 1), installation.customers(1, 1)
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await asyncio.to_thread(merge, installation, [(old, new)])
        known = purchase(old, 60, id="same")
        await asyncio.to_thread(installation.send, [known, purchase(old, 70, id="same"), known])
        await has(installation, {new: 1})
        await until(lambda: asyncio.to_thread(installation.dead_letters), what="the conflict is reported")
        assert await worker.metric("tierline_scorer_identity_operations_total") == 1
        assert await worker.stop() == 0
    (letter,) = await asyncio.to_thread(installation.dead_letters)
    assert (letter.reason, letter.subject, letter.partition, letter.offset) == ("id_conflict", old, 0, 1)
    state = {record.key: record.value for record in await asyncio.to_thread(installation.read, "scorer-state")}
    assert alias_of(state[old.encode()]) == new

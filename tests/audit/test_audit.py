"""The audit of a live state that scorer workers have made on a broker: right, then damaged, cut off, and watched."""

import asyncio
import json
import re
import secrets
from collections.abc import AsyncIterator, Callable
from datetime import timedelta
from typing import Any

import httpx
import msgspec
import pytest
from confluent_kafka import Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from schemas import topics
from schemas.decisions import DeadLetter
from schemas.events import Event
from services.audit.pace import Pace, Stopped
from services.audit.report import Report, report
from services.audit.run import Audited, audit
from services.audit.scope import Scope
from services.audit.tally import Tally
from services.audit.watching import Watching
from services.local.ports import free_port
from services.scorer.domain.ledger import Ledger
from services.scorer.domain.packing import decode, encode
from services.scorer.domain.state import Customer
from services.shared.partitioner import partition_of
from services.shared.settings import AuditSettings
from tests.audit.conftest import Tierline
from tests.fixtures.broker import Broker
from tests.scorer.engine.conftest import Install
from tests.scorer.engine.families import erase, has, merge, part
from tests.scorer.engine.installation import Installation, ago, interaction, policy_text, purchase
from tests.scorer.engine.test_activation import activate, all_looked_at
from tests.scorer.engine.traffic import everything_taken, feed
from tests.scorer.engine.workers import WorkerProcess
from tests.waiting import until

pytestmark = pytest.mark.timeout(240)
PAIRS = [(f"old{n}", f"new{n}") for n in range(12)]


def varied() -> list[Event]:
    """Orders and calls of some, late and doubled ones among them, all in the last minute or two."""
    began = ago(90)
    names = [*(f"c{n}" for n in range(60)), *(name for pair in PAIRS for name in pair)]
    events = [
        make(name, at=began + timedelta(seconds=n % 7 - (20 if n % 5 == 0 else 0), milliseconds=n))
        for n, name in enumerate(names * 3)
        for make in [purchase if n % 3 else interaction]
    ]
    return events + events[::9]


def found(of: Installation, scope: Scope | None = None, **more: Any) -> Audited:
    return audit(of.settings, scope or Scope(), **more)


def outcomes(audited: Audited) -> dict[str, int]:
    return {outcome: count for outcome, count in audited.tally.customers.items() if count}


def who_differs(audited: Audited) -> set[str]:
    return {finding.customer for finding in audited.tally.findings}


@pytest.fixture(scope="module")
async def settled(kafka: Broker, tmp_path_factory: pytest.TempPathFactory) -> AsyncIterator[Installation]:
    """An installation in which much has happened, with no worker any more. Who damages it mends it."""
    folder, prefix = tmp_path_factory.mktemp("settled"), f"t{secrets.token_hex(4)}-"
    installation = await asyncio.to_thread(Installation, kafka.bootstrap, prefix, folder, partitions=3)
    async with await WorkerProcess.start(installation, TIERLINE_SCORER_MAX_POLL_RECORDS="40") as worker:
        await worker.ready()
        await feed(installation, varied())
        await asyncio.to_thread(merge, installation, PAIRS)
        await feed(installation, [purchase(old, 60) for old, _ in PAIRS])
        await asyncio.to_thread(activate, installation, policy_text(silver=150, name="strict"))
        await asyncio.to_thread(part, installation, PAIRS[:6])
        await asyncio.to_thread(erase, installation, ["new8", "c7", "never-seen"])
        await feed(installation, [purchase(name, 70) for pair in PAIRS for name in pair])
        await everything_taken(installation)
        await all_looked_at(worker, 2)
        await nothing_under_way(installation)
        assert await worker.stop() == 0
    yield installation
    names = [installation.settings.topic(topic.name) for topic in topics.CATALOGUE]
    AdminClient({"bootstrap.servers": kafka.bootstrap}).delete_topics(names)


async def nothing_under_way(of: Installation) -> None:
    async def arrived() -> bool:
        return not outcomes(await asyncio.to_thread(found, of)).get("in_motion")

    await until(arrived, within=60, what="nobody is on the way between partitions")


class Damage:
    """Other records of customers in the scorer's name, in the place of theirs until the context ends."""

    def __init__(self, of: Installation, **changes: Callable[[Customer], None] | None) -> None:
        """changes: by customer; None takes the record away"""
        self._of, self._changes = of, changes
        self._before = {record.key: record.value for record in of.read("scorer-state")}

    def __enter__(self) -> None:
        for subject, change in self._changes.items():
            if change is None:
                self._write(subject.encode(), None)
                continue
            customer = decode(self._before[subject.encode()], self._of.policies)
            change(customer)
            self._write(subject.encode(), encode(customer))

    def __exit__(self, *error: object) -> None:
        for subject in self._changes:
            self._write(subject.encode(), self._before[subject.encode()])

    def _write(self, key: bytes, record: bytes | None) -> None:
        self._of.write("scorer-state", record, key, partition_of(key, self._of.partitions))


def lose_an_entry(customer: Customer) -> None:
    entries = customer.ledger.entries
    del entries[0]
    customer.life.ledger = Ledger.of(entries)


def take_another_tier(customer: Customer) -> None:
    customer.life.standings[0].place = (customer.life.standings[0].place + 1) % 3


async def test_a_right_state_agrees(settled: Installation, tierline: Tierline) -> None:
    customers, _ = await asyncio.to_thread(settled.state)
    audited = await asyncio.to_thread(found, settled)
    assert (audited.tally.findings, outcomes(audited)) == ([], {"agrees": len(customers)})
    assert audited.policies == 2
    assert audited.tally.events == len(await asyncio.to_thread(settled.read, "events"))
    code, out, err = await tierline(settled)
    assert (code, err) == (0, "")
    assert f"{len(customers)} customers: {len(customers)} agree, 0 differ" in out
    assert (await tierline(settled, "--customer", "c4"))[0] == 0
    code, out, err = await tierline(settled, "--customer", "nobody")
    assert (code, out, err) == (1, "", "tierline: nothing is known of customer 'nobody'\n")


async def test_each_damage_is_found_and_named(settled: Installation, tierline: Tierline) -> None:
    with Damage(settled, c3=lose_an_entry, new1=take_another_tier, c5=None):
        code, out, err = await tierline(settled)
        assert (code, err) == (1, "")
        assert re.search(r"^c3\n(  .*\n)*  1 entry is missing: ", out, re.MULTILINE), out
        assert re.search(r"^c5\n  the live state knows nothing of the customer; ", out, re.MULTILINE), out
        assert re.search(r"^new1\n  tier: \w+ since .* in the live state, recomputed ", out, re.MULTILINE), out
        assert "3 differ" in out
        assert "`tierline explain CUSTOMER`" in out

        code, out, _ = await tierline(settled, "--json")
        told = json.loads(out)
        assert code == 1
        assert (told["customers"]["differs"], told["slice"], told["left_out"]) == (3, None, 0)
        assert [finding["customer"] for finding in told["findings"]] == ["c3", "c5", "new1"]
        tier = next(d for d in told["findings"][2]["differences"] if d["what"] == "position")
        assert (tier["dimension"], tier["live"] == tier["recomputed"]) == ("tier", False)

        assert (await tierline(settled, "--customer", "c3"))[0] == 1
        assert (await tierline(settled, "--customer", "c4"))[0] == 0
        code, out, _ = await tierline(settled, "--customer", "old1")
        assert (code, "new1\n" in out, "c3" in out) == (1, True, False), "who they were merged with is looked at too"


async def test_a_sample_finds_who_is_in_it_and_all_slices_together_look_at_everybody(
    settled: Installation, tierline: Tierline
) -> None:
    everybody = (await asyncio.to_thread(found, settled)).tally.looked_at
    with Damage(settled, c3=lose_an_entry):
        slices = [await asyncio.to_thread(found, settled, Scope(3, number)) for number in range(3)]
        assert sorted(map(len, map(who_differs, slices))) == [0, 0, 1]
        assert sum(one.tally.looked_at for one in slices) == everybody
        assert all(0 < one.tally.looked_at < everybody for one in slices)
        hit = [bool(who_differs(one)) for one in slices].index(True) + 1
        code, out, _ = await tierline(settled, "--sample", "33.3%", "--slice", str(hit))
        assert (code, f"slice {hit} of 3: " in out) == (1, True)
        assert (await tierline(settled, "--sample", "33.3%", "--slice", str(hit % 3 + 1)))[0] == 0


async def test_a_family_of_which_something_is_on_its_way_is_left_out(install: Install) -> None:
    """What nobody takes, since no worker runs any more: a merge, and an event for another name."""
    installation = await install(partitions=2)
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await asyncio.to_thread(installation.send, [purchase(name) for name in ("a", "b", "c", "d", "e")])
        await asyncio.to_thread(merge, installation, [("d", "e")])
        await has(installation, {"a": 1, "b": 1, "c": 1, "e": 2})
        await nothing_under_way(installation)
        assert await worker.stop() == 0
    assert outcomes(await asyncio.to_thread(found, installation)) == {"agrees": 4}
    await asyncio.to_thread(installation.send, [purchase("d"), purchase("a")])
    assert outcomes(await asyncio.to_thread(found, installation)) == {"agrees": 3, "in_motion": 1}
    await asyncio.to_thread(merge, installation, [("b", "c")])
    audited = await asyncio.to_thread(found, installation)
    assert (audited.tally.findings, outcomes(audited)) == ([], {"agrees": 1, "in_motion": 3})
    await asyncio.to_thread(installation.write, "transfers", b"", b"a", partition_of(b"a", 2))
    assert outcomes(await asyncio.to_thread(found, installation)) == {"in_motion": 4}


async def test_a_transaction_left_open_hides_nobody_who_is_on_their_way(install: Install) -> None:
    installation = await install(partitions=2)
    (old,), (new,) = installation.customers(0, 1), installation.customers(1, 1)
    cut = Producer({"bootstrap.servers": installation.bootstrap, "transactional.id": f"{installation.prefix}killed"})
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await asyncio.to_thread(installation.send, [purchase(old), purchase(new)])
        await has(installation, {old: 1, new: 1})
        await asyncio.to_thread(cut.init_transactions)
        cut.begin_transaction()
        cut.produce(installation.settings.topic("transfers"), b"", new.encode(), 1)
        await asyncio.to_thread(cut.flush)
        await asyncio.to_thread(merge, installation, [(old, new)])
        await has(installation, {new: 1})
        audited = await asyncio.to_thread(found, installation)
        assert (audited.tally.findings, outcomes(audited)) == ([], {"in_motion": 1})
        await asyncio.to_thread(cut.abort_transaction)
        await has(installation, {new: 2})
        assert await worker.stop() == 0


async def test_an_event_in_the_dead_letters_as_poison_is_not_recomputed_and_one_there_for_less_is(
    install: Install,
) -> None:
    installation = await install(partitions=2)
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await asyncio.to_thread(installation.send, [purchase("a"), purchase("b")])
        await everything_taken(installation)
        assert await worker.stop() == 0
    for event in await asyncio.to_thread(installation.read, "events"):
        letter = DeadLetter(
            reason="poison" if event.key == b"a" else "refund_exceeds_order",
            detail="",
            subject=None,
            id=None,
            topic="events",
            partition=event.partition,
            offset=event.offset,
            at=ago(1),
            event=event.value,
        )
        value = msgspec.json.encode(letter)
        await asyncio.to_thread(installation.write, "dead-letters", value, event.key or b"", event.partition)
    (finding,) = (await asyncio.to_thread(found, installation)).tally.findings
    assert finding.customer == "a"
    assert finding.differences[0].detail.startswith("no event on the topic makes this customer")


async def test_audits_while_a_worker_takes_traffic_merges_and_unmerges_find_nothing(install: Install) -> None:
    installation = await install(partitions=3)
    audits: list[Audited] = []
    ended = asyncio.Event()

    async def audit_again_and_again() -> None:
        while not ended.is_set():
            audits.append(await asyncio.to_thread(found, installation, workers=1))

    async with await WorkerProcess.start(installation, TIERLINE_SCORER_MAX_POLL_RECORDS="40") as worker:
        await worker.ready()
        auditing = asyncio.create_task(audit_again_and_again())
        while len(audits) < 4:
            await feed(installation, varied())
            await asyncio.to_thread(merge, installation, PAIRS)
            await feed(installation, varied())
            await asyncio.to_thread(part, installation, PAIRS)
        ended.set()
        await auditing
        assert await worker.stop() == 0
    assert [finding for one in audits for finding in one.tally.findings] == []
    assert all(one.tally.customers["agrees"] for one in audits[1:])
    assert any(one.tally.customers["in_motion"] for one in audits), "nothing moved: the test shows nothing"


async def test_events_that_do_not_reach_back_to_the_beginning_are_refused(install: Install, tierline: Tierline) -> None:
    installation = await install(partitions=2)
    (whole,), cut = installation.customers(0, 1), installation.customers(1, 9)
    await asyncio.to_thread(installation.send, [purchase(name) for name in (whole, *cut)])
    name = installation.settings.topic("events")
    admin = AdminClient({"bootstrap.servers": installation.bootstrap})
    (deleted,) = admin.delete_records([TopicPartition(name, 1, 5)]).values()
    await asyncio.to_thread(deleted.result, 20)
    code, out, err = await tierline(installation)
    assert (code, out) == (2, "")
    assert err.startswith(f"tierline: {name}-1 begins at offset 5: events before it are gone")
    assert (await tierline(installation, "--customer", cut[0]))[0] == 2
    code, _, err = await tierline(installation, "--customer", whole)
    assert (code, "nothing is known" in err) == (1, True), "that one's partition is whole"


async def test_a_pace_is_told_of_everything_read_and_can_end_the_audit(settled: Installation) -> None:
    class Counted(Pace):
        records = 0

        def took(self, records: int) -> None:
            self.records += records
            if self.records > 100:
                raise Stopped

    pace = Counted()
    with pytest.raises(Stopped):
        await asyncio.to_thread(found, settled, pace=pace)
    assert pace.records > 100


@pytest.fixture
async def watching(settled: Installation) -> AsyncIterator[tuple[Watching, list[Report]]]:
    """Audits of two slices in turn, as quickly as they come."""
    told: list[Report] = []
    settings = AuditSettings(
        kafka_bootstrap=settled.bootstrap, topic_prefix=settled.prefix, partitions=settled.partitions, port=0
    )
    watching = Watching(settings, every_s=0.05, slices=2, most=None, workers=1, on_found=told.append)
    await watching.start()
    running = asyncio.create_task(watching.run())
    try:
        yield watching, told
    finally:
        watching.stop()
        await running


async def scraped(watching: Watching) -> dict[str, float]:
    async with httpx.AsyncClient(base_url=f"http://127.0.0.1:{watching.server.port}", trust_env=False) as client:
        assert (await client.get("/livez")).json() == {"alive": True}
        text = (await client.get("/metrics")).text
    rows = (line.rpartition(" ") for line in text.splitlines() if line.startswith("tierline_audit"))
    return {name: float(value) for name, _, value in rows}


async def test_watching_counts_outcomes_slice_after_slice_and_finds_what_is_damaged_meanwhile(
    settled: Installation, watching: tuple[Watching, list[Report]]
) -> None:
    one, told = watching
    await until(lambda: len(told) >= 2, within=40, what="two audits")
    everybody = (await asyncio.to_thread(found, settled)).tally.looked_at
    assert {report.slice for report in told[:2]} == {(1, 2), (2, 2)}
    assert sum(report.customers["agrees"] for report in told[:2]) == everybody
    before = await scraped(one)
    assert before['tierline_audit_customers_total{outcome="agrees"}'] >= everybody
    assert before['tierline_audit_customers_total{outcome="differs"}'] == 0
    assert before["tierline_audit_failures_total"] == 0

    async def differs() -> bool:
        return (await scraped(one))['tierline_audit_customers_total{outcome="differs"}'] > 0

    with Damage(settled, c3=lose_an_entry):
        await until(differs, within=40, what="the damage is counted")
    assert (await scraped(one))["tierline_audit_last_success_timestamp_seconds"] > before[
        "tierline_audit_last_success_timestamp_seconds"
    ]


async def test_watching_goes_on_when_the_broker_is_away(tmp_path: Any) -> None:
    settings = AuditSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}", port=0)
    watching = Watching(settings, every_s=0.01, slices=1, most=None, workers=1)
    await watching.start()
    running = asyncio.create_task(watching.run())

    async def failed() -> bool:
        return (await scraped(watching))["tierline_audit_failures_total"] >= 1

    try:
        await until(failed, within=40, what="a failure is counted")
        assert not running.done()
    finally:
        watching.stop()
        await running


def test_a_report_names_its_slice_from_one() -> None:
    assert report(Audited(Tally(), Scope(4, 3), 0, 1)).slice == (4, 4)
    assert report(Audited(Tally(), Scope(), 0, 1)).slice is None

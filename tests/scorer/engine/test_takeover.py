"""Taking a partition over, on a broker: fencing, restoring, and what is refused."""

import asyncio
import threading
import time
from collections.abc import Iterator

import msgspec
import pytest
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import AdminClient
from prometheus_client import CollectorRegistry
from structlog import get_logger
from structlog.testing import capture_logs

from schemas.decisions import CaughtUp
from schemas.subjects import POSITION_KEY
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import VERSION, decode_position, encode, encode_position
from services.scorer.domain.state import Customer, Position
from services.scorer.engine import changelog, eventlog, takeover
from services.scorer.engine.clock import Clock
from services.scorer.engine.failpoints import FailPoints
from services.scorer.engine.takeover import Refusal, Taken, Takeover
from services.scorer.engine.transactions import GroupOffsets, Transactions
from services.scorer.engine.turn import Turn
from services.shared.metrics import ScorerMetrics
from tests.scorer.engine.conftest import Install
from tests.scorer.engine.families import merge
from tests.scorer.engine.installation import Installation, now, purchase
from tests.scorer.engine.records import Fetched, raw
from tests.waiting import until


def fetched_from(of: Installation, partition: int) -> list[Fetched]:
    """What stands on a partition of `events`."""
    stored = [record for record in of.read("events") if record.partition == partition]
    return [raw(record.value, record.key, offset=record.offset, timestamp=to_ms(now())) for record in stored]


class Owner:
    """Takes partitions of an installation over, as a worker would."""

    def __init__(self, installation: Installation, clock: Clock | None = None) -> None:
        self.registry = CollectorRegistry()
        self.rereads = 0
        self._offsets = GroupOffsets(installation.settings)
        self._taken: list[Taken] = []
        self._take_over = Takeover(
            installation.settings,
            lambda: installation.policies,
            lambda: self._reread(installation),
            ScorerMetrics(self.registry),
            self._offsets,
            clock or Clock(),
            FailPoints(""),
        )

    def _reread(self, installation: Installation) -> Policies:
        self.rereads += 1
        return installation.policies.keeping(["channel"], 1)

    def take_over(self, partition: int = 0) -> Taken:
        self._taken.append(self._take_over(partition))
        return self._taken[-1]

    def metric(self, name: str) -> float | None:
        return self.registry.get_sample_value(name)

    def close(self) -> None:
        for taken in self._taken:
            taken.transactions.drop()
        self._offsets.close()


@pytest.fixture
async def installation(install: Install) -> Installation:
    return await install(partitions=2)


@pytest.fixture
def owner(installation: Installation) -> Iterator[Owner]:
    owner = Owner(installation)
    yield owner
    owner.close()


@pytest.fixture
def other(installation: Installation) -> Iterator[Owner]:
    owner = Owner(installation)
    yield owner
    owner.close()


def turn(sequence: int, *keys: bytes, value: bytes = b"state") -> Turn:
    """A turn that writes state for `keys` and one marker."""
    made = Turn(sequence, 0, catching_up=True)
    made.customers = dict.fromkeys(keys, value)
    made.caught_up(0)
    return made


def position(of: Installation, offset: int, sequence: int = 0) -> Position:
    return Position(
        events_offset=offset, sequence=sequence, policy=of.policy.name, policy_digest=of.policy.digest, appended_ms=5
    )


def committed_offset(of: Installation, partition: int = 0) -> int:
    consumer = Consumer({"bootstrap.servers": of.bootstrap, "group.id": of.settings.topic(of.settings.group)})
    try:
        offset: int = consumer.committed([TopicPartition(of.settings.topic("events"), partition)], 10)[0].offset
        return offset
    finally:
        consumer.close()


def test_the_first_start_begins_where_the_topic_begins_and_says_so(installation: Installation, owner: Owner) -> None:
    taken = owner.take_over()
    assert taken.position.events_offset == 0
    assert taken.catching_up, "a marker will be written, so that decisions are not empty should the state be lost"
    [stored] = installation.read("scorer-state")
    assert decode_position(stored.value) == taken.position
    assert committed_offset(installation) == 0
    assert owner.metric("tierline_scorer_takeovers_total") == 1


@pytest.mark.parametrize("off_s", [-3600, 3600])
def test_a_machine_whose_clock_is_an_hour_off_goes_by_the_broker_s(installation: Installation, off_s: int) -> None:
    clock = Clock(lambda: time.time() + off_s)
    owner = Owner(installation, clock)
    try:
        owner.take_over()
        assert abs(clock.now_ms() - time.time() * 1000) < 5_000
    finally:
        owner.close()


def test_a_backlog_is_what_lies_below_the_end_at_takeover(installation: Installation, owner: Owner) -> None:
    subjects = installation.customers(0, 3)
    installation.send(purchase(subject) for subject in subjects)
    taken = owner.take_over()
    assert (taken.backlog_end, taken.catching_up, taken.position.caught_up) == (3, True, False)


def test_the_next_owner_finds_state_position_and_sequence(
    installation: Installation, owner: Owner, other: Owner
) -> None:
    installation.send(purchase(subject) for subject in installation.customers(0, 3))
    first = owner.take_over()
    batch = fetched_from(installation, 0)
    made = Turn(0, 1000, catching_up=True)
    first.shard.take(made, batch, batch[-1].timestamp)
    made.caught_up(0)
    first.transactions.commit(position(installation, 3, made.sequence), made)
    second = other.take_over()
    assert second.position == position(installation, 3, made.sequence)
    assert second.shard.records == first.shard.records
    assert not second.catching_up
    assert committed_offset(installation) == 3


def test_a_zombie_is_fenced_and_leaves_nothing(installation: Installation, owner: Owner, other: Owner) -> None:
    zombie = owner.take_over()
    other.take_over()
    with pytest.raises(KafkaException):
        zombie.transactions.commit(position(installation, 9), turn(0, b"zombie"))
    assert b"zombie" not in {record.key for record in installation.read("scorer-state")}
    assert installation.read("decisions") == []
    assert committed_offset(installation) == 0


def test_what_a_dead_owner_left_open_is_not_restored(installation: Installation, owner: Owner, other: Owner) -> None:
    owner.take_over().transactions.commit(position(installation, 0, 1), turn(0))
    producer = Producer(
        {"bootstrap.servers": installation.bootstrap, "transactional.id": f"{installation.prefix}scorer-0"}
    )
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(installation.settings.topic("scorer-state"), b"half", b"half", 0)
    producer.produce(installation.settings.topic("scorer-state"), b"half", POSITION_KEY, 0)
    producer.flush(20)
    taken = other.take_over()
    assert taken.shard.records == {}
    assert taken.position.sequence == 1
    assert len(installation.read("scorer-state", committed=False)) > len(installation.read("scorer-state"))


def test_group_offsets_moved_by_somebody_do_not_matter(installation: Installation, owner: Owner, other: Owner) -> None:
    owner.take_over().transactions.commit(position(installation, 0, 1), turn(0))
    installation.send(purchase(subject) for subject in installation.customers(0, 2))
    consumer = Consumer({"bootstrap.servers": installation.bootstrap, "group.id": f"{installation.prefix}scorer"})
    consumer.commit(
        offsets=[TopicPartition(installation.settings.topic("events"), 0, 2)], asynchronous=False
    )  # somebody moved them
    consumer.close()
    assert other.take_over().position.events_offset == 0
    assert committed_offset(installation) == 0


def test_lost_state_beside_decisions_is_refused(installation: Installation, owner: Owner) -> None:
    marker = msgspec.json.encode(CaughtUp(partition=0, sequence=1, at=now()))
    installation.write("decisions", marker, b"", 0)
    with pytest.raises(Refusal, match=r"scorer-state-0 holds no position, but .*decisions-0 is not empty"):
        owner.take_over()
    assert owner.take_over(1).position.events_offset == 0  # the other partition is as it should be


def test_customers_without_a_position_are_refused(installation: Installation, owner: Owner) -> None:
    installation.write("scorer-state", encode(Customer.new(installation.policies)), b"a", 0)
    with pytest.raises(Refusal, match="holds no position"):
        owner.take_over()


def test_another_policy_over_kept_data_is_refused_in_one_line(installation: Installation, owner: Owner) -> None:
    elsewhere = msgspec.structs.replace(position(installation, 0), policy="old", policy_digest="00ff00ff00ff00ff")
    installation.write("scorer-state", encode_position(elsewhere), POSITION_KEY, 0)
    with pytest.raises(Refusal) as refused:
        owner.take_over()
    assert "was decided under policy old (00ff00ff00ff00ff), which is not on topic" in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_topic_made_anew_under_kept_state_is_refused(installation: Installation, owner: Owner) -> None:
    installation.write("scorer-state", encode_position(position(installation, 50)), POSITION_KEY, 0)
    with pytest.raises(Refusal, match=r"stands at offset 50, but .*events-0 ends at 0"):
        owner.take_over()


def test_transfers_made_anew_under_kept_state_are_refused(installation: Installation, owner: Owner) -> None:
    ahead = msgspec.structs.replace(position(installation, 0), transfers=3)
    installation.write("scorer-state", encode_position(ahead), POSITION_KEY, 0)
    with pytest.raises(Refusal, match=r"scorer-state-0 stands at offset 3, but .*transfers-0 ends at 0: .* made anew"):
        owner.take_over()
    for _ in range(3):
        installation.write("transfers", b"anything", b"a", 0)
    assert owner.take_over().position.transfers == 3


def test_transfers_that_were_cut_off_are_told_loudly(
    installation: Installation, owner: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    #  transfers  0 ──── 2: the position ──── 4: the first kept ── 5
    for _ in range(5):
        installation.write("transfers", b"anything", b"a", 0)
    behind = msgspec.structs.replace(position(installation, 0), transfers=2)
    installation.write("scorer-state", encode_position(behind), POSITION_KEY, 0)
    place = TopicPartition(installation.settings.topic("transfers"), 0, 4)
    admin = AdminClient({"bootstrap.servers": installation.bootstrap})
    admin.delete_records([place])[place].result(20)
    monkeypatch.setattr(takeover, "log", get_logger())  # one used before goes by what was configured then
    with capture_logs() as told:
        assert owner.take_over().position.transfers == 4
    assert ("error", "transfers are lost") in [(one["log_level"], one["event"]) for one in told]


def test_identities_made_anew_under_kept_state_are_refused(installation: Installation, owner: Owner) -> None:
    merged = msgspec.structs.replace(position(installation, 0), identities=2)
    installation.write("scorer-state", encode_position(merged), POSITION_KEY, 0)
    merge(installation, [("a", "b")])
    with pytest.raises(Refusal, match=r"has done merge, unmerge or erasure 2, which is not on topic .*identities: "):
        owner.take_over()
    merge(installation, [("c", "b")])
    assert owner.take_over().position.identities == 2


def test_what_a_rebuild_has_kept_is_kept_by_the_next_owner_too(installation: Installation, owner: Owner) -> None:
    done = msgspec.structs.replace(position(installation, 0), rebuilt=1)
    installation.write("scorer-state", encode_position(done), POSITION_KEY, 0)
    assert owner.take_over().shard.policies.fields == {"channel"}, "it has not looked at what it had not heard of"
    assert owner.take_over(1).position.rebuilt == 0
    assert owner.rereads == 1
    unknown = msgspec.structs.replace(done, rebuilt=2)
    installation.write("scorer-state", encode_position(unknown), POSITION_KEY, 0)
    with pytest.raises(Refusal, match=r"has done rebuild 2, which is not on topic .*control"):
        owner.take_over()


@pytest.mark.parametrize("version", [1, 99])
@pytest.mark.parametrize("whose", ["a position", "a customer"])
def test_state_of_another_version_is_refused_in_one_line_that_says_what_to_do(
    installation: Installation, owner: Owner, version: int, whose: str
) -> None:
    if whose == "a customer":
        owner.take_over().transactions.commit(position(installation, 0), None)
    key = POSITION_KEY if whose == "a position" else b"a"
    installation.write("scorer-state", bytes([version]) + b"of another time, and long enough", key, 0)
    with pytest.raises(Refusal) as refused:
        owner.take_over()
    line = str(refused.value)
    assert f"scorer-state-0: not a state record of version {VERSION}" in line
    assert f"its first bytes are {bytes([version])!r}"[:-1] in line
    assert "start the version you had" in line
    assert "start with --fresh and send the events again" in line
    assert "\n" not in line


def test_state_that_was_cut_short_is_refused(installation: Installation, owner: Owner) -> None:
    whole = encode_position(position(installation, 0))
    for cut in (1, 10, len(whole) - 1):
        installation.write("scorer-state", whole[:cut], POSITION_KEY, 0)
        with pytest.raises(Refusal, match="start the version you had"):
            owner.take_over()


def test_restore_keeps_the_last_record_of_each_key_and_drops_the_erased(installation: Installation) -> None:
    for value, key in ((b"1", b"a"), (b"1", b"b"), (b"2", b"a"), (None, b"b"), (b"1", b"c")):
        installation.write("scorer-state", value, key, 0)
    told: list[tuple[int, int]] = []
    consumer = changelog.reader(installation.settings, "restore")
    try:
        topic = installation.settings.topic("scorer-state")
        restored = changelog.restore(consumer, topic, 0, lambda read, left: told.append((read, left)))
    finally:
        consumer.close()
    assert restored.records == {b"a": b"2", b"c": b"1"}
    assert (restored.position, restored.read) == (None, 5)
    assert sum(read for read, _ in told) == 5
    assert told[-1][1] == 0


async def test_the_log_tells_missing_records_from_missing_offsets(installation: Installation) -> None:
    # one record, one aborted with its marker, one record, the end; the last two may change places
    [subject] = installation.customers(0, 1)
    topic = installation.settings.topic("events")
    installation.send([purchase(subject)])
    producer = Producer({"bootstrap.servers": installation.bootstrap, "transactional.id": f"{installation.prefix}x"})
    producer.init_transactions(20)
    producer.begin_transaction()
    producer.produce(topic, b"aborted", b"k", 0)
    producer.flush(20)
    producer.abort_transaction(20)
    installation.send([purchase(subject)])
    consumer = changelog.reader(installation.settings, "ask")
    try:
        await until(lambda: eventlog.bounds(consumer, topic, 0) == (0, 4))
        answers = [eventlog.what_follows(consumer, topic, 0, offset) for offset in (0, 1, 4)]
    finally:
        consumer.close()
    first, second = installation.read("events")
    assert second.offset > 1
    assert answers == [(True, first.offset), (True, second.offset), (False, 4)]


async def test_partitions_are_taken_over_side_by_side(installation: Installation, owner: Owner) -> None:
    taken = await asyncio.gather(*(asyncio.to_thread(owner.take_over, partition) for partition in (0, 1)))
    assert [one.position.events_offset for one in taken] == [0, 0]


async def test_a_call_that_never_comes_back_is_given_up_and_lets_its_producer_go_when_it_does(
    installation: Installation, owner: Owner, other: Owner, monkeypatch: pytest.MonkeyPatch
) -> None:
    #  open   ●── hangs · · · · · · · ▪ comes back, dropped
    #  owner  ●──────── given up ▮          other ● ── taken over ──▶
    came_back, dropped = threading.Event(), threading.Event()
    really_open, really_drop = Transactions.open, Transactions.drop

    def hangs(transactions: Transactions) -> None:
        assert came_back.wait(20)
        really_open(transactions)

    def drop(transactions: Transactions) -> None:
        really_drop(transactions)
        dropped.set()

    monkeypatch.setattr(takeover, "HANGS_S", 0.1)
    monkeypatch.setattr(Transactions, "open", hangs)
    monkeypatch.setattr(Transactions, "drop", drop)
    with pytest.raises(KafkaException, match="does not come back"):
        await asyncio.wait_for(asyncio.to_thread(owner.take_over), 10)
    assert not dropped.is_set()
    came_back.set()
    assert await asyncio.to_thread(dropped.wait, 20)
    monkeypatch.setattr(takeover, "HANGS_S", 90.0)
    monkeypatch.setattr(Transactions, "open", really_open)
    assert (await asyncio.to_thread(other.take_over)).position.events_offset == 0

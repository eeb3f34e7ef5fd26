"""Merges, unmerges and erasures over several partitions: whatever overtakes what, and whoever crashes in between, the
outcome is the one of a single book kept in the order of time."""

from collections import Counter, defaultdict
from collections.abc import Mapping
from datetime import UTC, datetime, timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decisions import Decision, DecisionRecord
from schemas.events import Event, Interaction, Purchase, PurchaseData
from schemas.identities import Erasure, Identity, Merge, Unmerge
from services.scorer.domain import merging
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import alias_of, decode
from services.scorer.domain.policy import parse
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.state import Customer, Joined
from services.scorer.engine import relations, transfers
from services.scorer.engine.kinship import Kinship
from services.scorer.engine.shard import Shard
from services.scorer.engine.transfers import Forwarded, Moved, TransferInbox, pieces
from services.scorer.engine.turn import Turn
from services.shared.identities import AlreadyMerged, Directory, NotMerged
from services.shared.partitioner import partition_of
from tests.scorer.engine.records import Fetched, fetched

TEXT = """
policy: kin
currency: EUR
zone: UTC
features:
  spend:  {sum: purchase.amount}
  recent: {count: interaction, window: 10d}
ladders:
  tier:
    - {name: gold,   when: "spend >= 300", stay: "spend >= 300 or recent >= 1"}
    - {name: silver, when: "spend >= 100", grace: 2d}
    - {name: basic}
segments:
  active: "recent >= 2"
"""
POLICIES = Policies.only(parse(TEXT))
BEGIN = datetime(2026, 3, 1, tzinfo=UTC)
END_MS = to_ms(BEGIN + timedelta(days=90))
NAMES = "abcdef"
PARTITIONS = 3

Step = Event | Identity
Draws = list[tuple[str, str, str, int]]  # what is done, to whom, with whom, how much
Paths = dict[tuple[str, str], list[tuple[int, Any]]]


def learned(paths: Paths, subject: str, dimension: str, from_ms: int, path: list[tuple[int, Any]]) -> None:
    """A reader's book: cut at `from`, go on with `path`."""
    kept = [step for step in paths[subject, dimension] if step[0] < from_ms]
    paths[subject, dimension] = kept + path


class Book:
    """Everything done in the order of time, in one place."""

    def __init__(self) -> None:
        self.customers: dict[str, Customer] = defaultdict(lambda: Customer.new(POLICIES))
        self.directory = Directory()
        self.paths: Paths = defaultdict(list)

    def take(self, step: Step) -> None:
        if isinstance(step, Merge | Unmerge | Erasure):
            self._operate(step, to_ms(step.at))
            self.directory.take(step)
            return
        assert step.receivedtime is not None
        at_ms, subject = to_ms(step.receivedtime), self.directory.survivor(step.subject)
        self._tell(
            subject, decide(self.customers[subject], POLICIES, [Arrival(step, at_ms, 0, b"")], at_ms, subject).changes
        )

    def _operate(self, step: Identity, at_ms: int) -> None:
        match step:
            case Merge(from_=other, into=into):
                merged = merging.merge(
                    self.customers[into],
                    self.customers.pop(other, None) or Customer.new(POLICIES),
                    POLICIES,
                    subject=into,
                    other_subject=other,
                    at_ms=at_ms,
                )
                self._tell(other, merged.of_alias)
                self._tell(into, merged.changes)
            case Unmerge(from_=other, into=into):
                parted = merging.unmerge(self.customers[into], POLICIES, subject=into, other_subject=other, at_ms=at_ms)
                self.customers[into], self.customers[other] = parted.customer, parted.other
                self._tell(into, parted.changes)
                self._tell(other, parted.of_other)
            case Erasure(subject=subject):
                erased = merging.erase(self.customers[subject], POLICIES, subject=subject, at_ms=at_ms)
                self._tell(subject, erased.changes)
                for alias, freed in erased.freed.items():
                    self.customers[alias] = freed.customer
                    self._tell(alias, freed.changes)

    def end(self) -> None:
        for subject, customer in self.customers.items():
            self._tell(subject, decide(customer, POLICIES, (), END_MS, subject).changes)

    def _tell(self, subject: str, changes: Any) -> None:
        for change in changes:
            learned(self.paths, subject, change.dimension.name, change.from_ms, change.path)


class Partitioned:
    """The same by partitions that know of each other only by what stands on the topics."""

    def __init__(self, steps: list[Step]) -> None:
        self.kinship = Kinship(PARTITIONS)
        self.events: list[list[Fetched]] = [[] for _ in range(PARTITIONS)]
        self.transfers: list[list[bytes]] = [[] for _ in range(PARTITIONS)]
        self.state: list[dict[bytes, bytes]] = [{} for _ in range(PARTITIONS)]
        self.decisions: list[list[Decision]] = [[] for _ in range(PARTITIONS)]
        self.done = [(0, 0, 0)] * PARTITIONS  # events taken, operations begun, transfers taken
        for step in steps:
            if isinstance(step, Merge | Unmerge | Erasure):
                self.kinship.learn(step)
            else:
                home = partition_of(step.subject.encode(), PARTITIONS)
                assert step.receivedtime is not None
                appended_ms = to_ms(step.receivedtime)
                self.events[home] += fetched([step], first=len(self.events[home]), appended_ms=appended_ms)
        self.inboxes = [TransferInbox() for _ in range(PARTITIONS)]
        self.told = [0] * PARTITIONS
        self.shards = [self._restored(p) for p in range(PARTITIONS)]

    def _restored(self, p: int) -> Shard:
        """As after a takeover: the state as it was committed, and everything from the position on again."""
        aliases = {key: into for key, record in self.state[p].items() if (into := alias_of(record)) is not None}
        records = {key: record for key, record in self.state[p].items() if key not in aliases}
        self.inboxes[p] = TransferInbox()
        self.inboxes[p].begin(self.done[p][2])
        self.told[p] = self.done[p][2]
        return Shard(POLICIES, number=p, partitions=PARTITIONS, topic="events", records=records, aliases=aliases)

    def move(self, p: int, what: str) -> bool:
        """One turn of the partition; False if there was nothing to do of that kind."""
        taken, begun, position = self.done[p]
        shard, turn, inbox = self.shards[p], Turn(0, END_MS, False), self.inboxes[p]
        while self.told[p] < len(self.transfers[p]):
            inbox.put(self.told[p], self.transfers[p][self.told[p]])
            self.told[p] += 1
        match what:
            case "event":
                batch = self.events[p][taken : taken + 1]
                if not batch:
                    return False
                shard.take(turn, batch, batch[0].timestamp, self.kinship.next_life(p, begun))
                taken += 1
            case "transfer":
                transfer = inbox.head()
                if transfer is None or not relations.take(
                    shard, turn, transfer, transfer.at_ms, self.kinship, begun, inbox.more
                ):
                    return False
                inbox.take()
                position = inbox.position
            case "operation":
                operation = self.kinship.next(p, begun)
                if operation is None or not relations.begin(shard, turn, operation):
                    return False
                begun = operation.sequence
            case "crash":
                shard.take(turn, self.events[p][taken : taken + 1], END_MS)  # and nothing of it is committed
                self.shards[p] = self._restored(p)
                return False
            case "time":
                shard.fire(turn, END_MS, 1000)
        self.commit(p, turn)
        self.done[p] = taken, begun, position
        return True

    def commit(self, p: int, turn: Turn) -> None:
        for to, _, value in turn.transfers:
            self.transfers[to].append(value)
        self.state[p] |= turn.customers
        self.decisions[p] += [msgspec.json.decode(value, type=DecisionRecord) for _, value in turn.decisions]

    def run(self, random: Random) -> None:
        """Until nothing is left to do, in any order of turns."""
        idle = 0
        while idle < 4 * PARTITIONS:
            moves = [(p, what) for p in range(PARTITIONS) for what in ("event", "transfer", "operation", "crash")]
            random.shuffle(moves)
            idle = 0
            for p, what in moves:
                idle += not self.move(p, what)
        for p in range(PARTITIONS):
            assert self.kinship.next(p, self.done[p][1]) is None, "an operation was never begun"
            assert self.inboxes[p].head() is None
            self.move(p, "time")

    def paths(self) -> Paths:
        """As a reader has them, who finds no revision missing and none twice."""
        paths: Paths = defaultdict(list)
        revisions: dict[tuple[str, str], int] = defaultdict(int)
        for p in range(PARTITIONS):
            for decision in self.decisions[p]:
                assert partition_of(decision.subject.encode(), PARTITIONS) == p
                revisions[decision.subject, decision.dimension] += 1
                assert decision.revision == revisions[decision.subject, decision.dimension]
                path = [(to_ms(at), value) for at, value in decision.path]
                learned(paths, decision.subject, decision.dimension, to_ms(decision.from_), path)
        return paths

    def customers(self) -> dict[str, Customer]:
        return {
            key.decode(): decode(record, POLICIES) for shard in self.shards for key, record in shard.records.items()
        }


def history(draws: Draws) -> list[Step]:
    """Events and operations in the order of time, some hours apart; what cannot be is left out."""
    steps: list[Step] = []
    known, at = Directory(), BEGIN
    lives: Counter[str] = Counter()  # ended by erasures
    reused: set[tuple[str, int]] = set()
    for number, (what, one, other, value) in enumerate(draws):
        at += timedelta(hours=7 + value)
        operation: Identity | None = None
        try:
            match what:
                case "merge":
                    operation = known.merge(one, other, at)
                case "unmerge":
                    operation = known.unmerge(one, known.survivor(one), at) if one != other else None
                case "erase":
                    operation = known.erase(one, at)
                    lives.update({operation.subject, *known.members(operation.subject)})
                case "reuse" if (one, lives[one]) not in reused:  # in each life once: in a new one nothing is known
                    reused.add((one, lives[one]))
                    data = PurchaseData(amount_minor=value * 1000, currency="EUR", order=f"k{one}")
                    steps.append(Purchase(id=f"r{one}", source="s", subject=one, time=at, receivedtime=at, data=data))
                case "order":
                    data = PurchaseData(amount_minor=value * 1000, currency="EUR")
                    steps.append(
                        Purchase(id=f"o{number}", source="s", subject=one, time=at, receivedtime=at, data=data)
                    )
                case "again":  # an order filed before under another name
                    orders = [step for step in steps if isinstance(step, Purchase) and not step.data.order]
                    if orders:
                        order = orders[value % len(orders)]
                        steps.append(msgspec.structs.replace(order, subject=one, receivedtime=at))
                case "call":
                    steps.append(Interaction(id=f"c{number}", source="s", subject=one, time=at, receivedtime=at))
        except (AlreadyMerged, NotMerged):
            continue
        if operation is not None:
            known.take(operation)
            steps.append(operation)
    return steps


def entries(customers: Mapping[str, Customer]) -> dict[str, list[tuple[int, int]]]:
    kept = {name: sorted((e.id, e.amount) for e in one.ledger.entries) for name, one in customers.items()}
    return {name: of_name for name, of_name in kept.items() if of_name}


NAME = st.sampled_from(NAMES)
DRAWS = st.lists(
    st.tuples(
        st.sampled_from(["order", "order", "order", "again", "call", "call", "merge", "merge", "unmerge", "erase"]),
        NAME,
        NAME,
        st.integers(1, 25),
    ),
    max_size=40,
)


def assert_is_that_of_one_book(steps: list[Step], random: Random) -> None:
    book, many = Book(), Partitioned(steps)
    for step in steps:
        book.take(step)
    book.end()
    many.run(random)
    shown = {name: c.shown() for name, c in many.customers().items() if len(c.ledger)}
    assert shown == {name: c.shown() for name, c in book.customers.items() if len(c.ledger)}
    assert entries(many.customers()) == entries(book.customers)
    told, wanted = many.paths(), book.paths
    for key in {*told, *wanted}:
        if key[0] in book.customers and len(book.customers[key[0]].ledger):
            assert told[key] == wanted[key], key


@settings(max_examples=150, deadline=None)
@given(DRAWS, st.integers(0, 1 << 30))
def test_rule_11_whatever_overtakes_what_the_outcome_is_that_of_one_book(draws: Draws, seed: int) -> None:
    assert_is_that_of_one_book(history(draws), Random(seed))


def of_many_lives(random: Random) -> Draws:
    """Long histories of few: an erasure between two orders of one key is rare otherwise."""
    kinds = ["reuse", "reuse", "reuse", "order", "merge", "unmerge", "erase"]
    return [
        (random.choice(kinds), random.choice("abcd"), random.choice("abcd"), random.randint(1, 25)) for _ in range(30)
    ]


@settings(max_examples=150, deadline=None)
@given(st.integers(0, 1 << 30))
def test_rule_12_no_event_is_held_against_those_before_an_erasure_whatever_overtakes_what(seed: int) -> None:
    random = Random(seed)
    assert_is_that_of_one_book(history(of_many_lives(random)), random)


def test_a_ledger_too_long_for_a_record_goes_in_pieces_that_count_when_the_last_has_come() -> None:
    moved = Moved(7, "a", "b", 5, b"x" * 2_000_000, Joined("a", {}))
    records = list(pieces(moved))
    assert len(records) == 3
    between = list(pieces(Forwarded("a", b"{}", 9, 1, 4)))
    inbox = TransferInbox()
    inbox.begin(10)
    for offset, value in enumerate([records[0], between[0], records[1]], start=10):
        inbox.put(offset, value)
    assert inbox.head() is None, "the last piece is missing"
    inbox.put(13, records[2])
    assert inbox.head() == moved
    assert inbox.more, "an event stands behind it"
    inbox.take()
    assert inbox.position == 11
    # A crash here: what follows is read again from 11 on, pieces without their first one among it.
    again = TransferInbox()
    again.begin(inbox.position)
    for offset, value in enumerate([between[0], records[1], records[2]], start=11):
        again.put(offset, value)
    for one in (inbox, again):
        assert isinstance(one.head(), Forwarded)
        one.take()
        assert (one.head(), one.position) == (None, 14)


def test_an_inbox_that_is_full_has_room_for_the_rest_of_what_comes_next(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(transfers, "_ROOM_BYTES", 1_500_000)
    moved = Moved(7, "a", "b", 5, b"x" * 2_000_000, Joined("a", {}))
    event = Forwarded("a", b"{}", 9, 1, 4)
    records = [*pieces(moved), *pieces(event)]
    inbox, said = TransferInbox(), []
    inbox.begin(0)
    for offset, value in enumerate(records):
        inbox.put(offset, value)
        inbox.head()
        said.append(inbox.has_room)
    assert said == [True, True, False, False], "the third piece would never come, or anything would"
    inbox.take()
    assert inbox.has_room
    assert 0 < inbox.bytes < 1_000
    assert inbox.head() == event
    assert not inbox.more
    inbox.take()
    assert inbox.bytes == 0


@pytest.mark.parametrize("order", ["merge first", "event first"])
def test_rule_11_an_event_for_another_name_goes_where_that_one_has_gone(order: str) -> None:
    #  b's partition   ─● 60 ──▮ merge b into a ──● 60 ─▶      a's partition   ─────────── gold at once ─▶
    steps = history([("order", "b", "", 20), ("merge", "b", "a", 1), ("order", "b", "", 15)])
    many = Partitioned(steps)
    home = partition_of(b"b", PARTITIONS)
    what = ["event", "operation", "event"] if order == "merge first" else ["event", "event", "operation"]
    for one in what:
        assert many.move(home, one)
    there = partition_of(b"a", PARTITIONS)
    while many.move(there, "transfer"):
        pass
    many.move(there, "time")
    assert many.customers()["a"].shown()["tier"][1] == "gold"
    assert "b" not in many.customers()

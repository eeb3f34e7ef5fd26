"""Writes what a scorer would write, into logs in memory, for tests to deliver as they like."""

from collections import defaultdict
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple

import msgspec

from schemas.control import Activation
from schemas.decisions import CaughtUp, Condition, Decision, Step, Trigger, Value
from schemas.events import Click, Event, Override, OverrideData, Purchase, PurchaseData
from schemas.subjects import POSITION_KEY
from services.notifier.intake import Batch, take_changelog, take_decisions
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import encode, encode_position
from services.scorer.domain.policy import Policy, parse
from services.scorer.domain.records import decision
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.standing import Standing
from services.scorer.domain.state import Customer, Position
from services.scorer.sequence import Book, first

POLICY = """
policy: corner_shop
currency: USD
zone: UTC
features:
  spend:  {sum: purchase.amount}
  orders: {count: purchase}
  quiet:  {since_last: purchase}
ladders:
  tier:
    - {name: gold, when: "spend >= 1_000"}
    - {name: silver, when: "spend >= 100"}
    - {name: basic}
classes:
  type:
    - {name: growth, when: "orders >= 5", strategy: "bundles, loyalty", resources: 30%}
    - {name: potential}
segments:
  active: "quiet < 30d"
churn:
  at_risk: "quiet >= 60d"
playbooks:
  - on: "tier enters gold"
    task: {title: "Say thank you", to: sales, due: 2d, priority: high}
  - on: "tier falls to basic"
    task: {title: "Ask why", to: service, due: 36h}
  - on: "type enters growth"
    task: {title: "Offer a bundle", to: sales, due: 7d}
  - on: "active enters"
    when: "orders >= 2"
    task: {title: "Send the catalogue", to: marketing, due: 1d}
"""

CHANGELOG, DECISIONS = "scorer-state", "decisions"
NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)

_encode = msgspec.json.Encoder().encode


def policy() -> Policy:
    return parse(POLICY, "corner_shop.yaml")


class Record(NamedTuple):
    """As a Kafka client gives it."""

    key: bytes | None
    value: bytes | None
    offset: int


class Scribe:
    """One scorer's logs, by topic and partition. A customer is in partition 0 unless put elsewhere."""

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.policies = Policies.only(policy)
        self.activations: list[Activation] = []  # topic control
        self.logs: dict[tuple[str, int], list[Record]] = defaultdict(list)
        self.sequences: dict[int, int] = defaultdict(int)
        self.partition_of: dict[str, int] = {}
        self._standings: dict[str, dict[str, Standing]] = {}
        self._customers: dict[str, Customer] = {}
        self._events = 0

    def move(
        self,
        subject: str,
        dimension: str,
        after: Value,
        *,
        at: datetime = NOON,
        path: Sequence[Step] | None = None,
        **fields: Any,
    ) -> Decision:
        """One decision about one dimension, announced if it moves the customer; its state goes to the changelog."""
        standing = self._standing(subject, dimension)
        partition = self.partition_of.get(subject, 0)
        record = Decision(
            **{
                "subject": subject,
                "dimension": dimension,
                "kind": self.policy.dimension(dimension).kind,
                "revision": standing.revision + 1,
                "sequence": self._next_sequence(partition),
                "from_": at,
                "path": [(at, after)] if path is None else list(path),
                "before": self.held(subject, dimension),
                "after": after,
                "effective_at": at,
                "decided_at": at + timedelta(seconds=1),
                "cause": "event",
                "trigger": Trigger(type="purchase", id="e1", source="shop", time=at, received_at=at),
                "policy": self.policy.name,
                "policy_digest": self.policy.digest,
                "conditions": [_condition(dimension)],
                "next": None,
                **fields,
            }
        )
        place = self.policy.dimension(dimension).values.index(after)
        self._standings[subject][dimension] = Standing(place, record.revision, to_ms(record.effective_at))
        self.append(DECISIONS, partition, subject.encode(), _encode(record))
        self.state(subject)
        return record

    def activate(self, text: str, *, at: datetime = NOON, playbooks: bool = True) -> None:
        """Another policy behind the first; what is written from now on was decided under it."""
        if not self.activations:
            self.activations.append(first(POLICY))
        one = parse(text)
        self.activations.append(
            Activation(
                record="activation",
                sequence=len(self.activations) + 1,
                policy=one.name,
                digest=one.digest,
                text=text,
                effective_at=at,
                activated_at=at,
                activated_by="li",
                playbooks=playbooks,
            )
        )
        self.policy, self.policies = one, Book(self.activations).policies

    def purchase(self, subject: str, amount: int, at: datetime = NOON) -> None:
        """amount: in dollars."""
        self.event(Purchase, subject, at, PurchaseData(amount_minor=amount * 100, currency="USD"))

    def override(self, subject: str, dimension: str, value: Value, at: datetime, until: datetime) -> None:
        self.event(Override, subject, at, OverrideData(dimension, value, "li", "contract", until))

    def event(self, kind: Callable[..., Event], subject: str, at: datetime, data: msgspec.Struct) -> None:
        """An event through the real core: its decisions, the state, the partition's position."""
        partition = self.partition_of.get(subject, 0)
        customer = self._customers.setdefault(subject, Customer.new(self.policies))
        self._events += 1
        event = kind(id=f"p{self._events}", source="shop", subject=subject, time=at, receivedtime=at, data=data)
        arrival = Arrival(event, to_ms(at), self._events, b"")
        outcome = decide(customer, self.policies, [arrival], to_ms(at))
        for change in outcome.changes:
            record = decision(
                change,
                subject,
                sequence=self._next_sequence(partition),
                decided_ms=to_ms(at),
                catching_up=False,
            )
            self.append(DECISIONS, partition, subject.encode(), _encode(record))
        self.append(CHANGELOG, partition, subject.encode(), encode(customer))
        self.position(partition, self._events)

    def varied_life(self) -> None:
        """Three customers in two partitions: moves, corrections, churn, a repetition, tasks that open and close."""
        self.partition_of["c2"] = 1
        for subject in ("c1", "c2", "c3"):
            self.move(subject, "tier", "silver")
            self.move(subject, "tier", "gold", at=NOON + timedelta(days=1))
            self.purchase(f"{subject}-b", 50)
            again = self.move(subject, "active", True)
            self.move(subject, "churn", True, at=NOON + timedelta(days=60), cause="time")
            self.repeat(again)
            self.move(subject, "tier", "gold", at=NOON + timedelta(days=2), cause="late_event")  # not announced
            self.move(subject, "churn", False, at=NOON + timedelta(days=61))
            self.move(subject, "tier", "basic", at=NOON + timedelta(days=400), cause="time")
            self.position(self.partition_of.get(subject, 0), 100)

    def held(self, subject: str, dimension: str) -> Value:
        """Where the customer stands by the decisions so far."""
        return self.policy.dimension(dimension).values[self._standing(subject, dimension).place]

    def state(self, subject: str) -> bytes:
        """The customer's present state to the changelog."""
        customer = Customer.new(self.policies)
        seen = Click(id="k", source="app", subject=subject, time=NOON)  # nobody stands anywhere before a first event
        decide(customer, self.policies, [Arrival(seen, to_ms(NOON), 0, b"")], to_ms(NOON))
        customer.life.standings = [self._standing(subject, d.name) for d in self.policy.dimensions]
        customer.changed_ms = max(
            (s.since_ms for s in customer.life.standings if s.since_ms is not None), default=customer.changed_ms
        )
        record = encode(customer)
        self.append(CHANGELOG, self.partition_of.get(subject, 0), subject.encode(), record)
        return record

    def forget(self, subject: str) -> None:
        """A tombstone."""
        self.append(CHANGELOG, self.partition_of.get(subject, 0), subject.encode(), None)

    def position(self, partition: int = 0, events_offset: int = 1, **fields: Any) -> Position:
        """The partition's position, standing for every decision so far."""
        position = Position(
            **{
                "events_offset": events_offset,
                "sequence": self.sequences[partition],
                "policy": self.policy.name,
                "policy_digest": self.policy.digest,
                **fields,
            }
        )
        self.append(CHANGELOG, partition, POSITION_KEY, encode_position(position))
        return position

    def caught_up(self, partition: int = 0) -> None:
        marker = CaughtUp(partition=partition, sequence=self._next_sequence(partition), at=NOON)
        self.append(DECISIONS, partition, b"", _encode(marker))

    def repeat(self, record: Decision) -> None:
        """The same decision again, further on in the log."""
        self.append(DECISIONS, self.partition_of.get(record.subject, 0), record.subject.encode(), _encode(record))

    def append(self, topic: str, partition: int, key: bytes, value: bytes | None) -> None:
        log = self.logs[topic, partition]
        log.append(Record(key, value, len(log)))

    def batch(self, offsets: dict[tuple[str, int], int], most: int = 1_000_000) -> Batch:
        """What a poll from these offsets brings, at most `most` records of each partition."""
        batch = Batch()
        for (topic, partition), log in sorted(self.logs.items()):
            begin = offsets.get((topic, partition), 0)
            take = take_changelog if topic == CHANGELOG else take_decisions
            take(batch, topic, partition, begin, log[begin : begin + most])
        return batch

    def _standing(self, subject: str, dimension: str) -> Standing:
        beginning = {d.name: Standing(len(d.values) - 1) for d in self.policy.dimensions}
        return self._standings.setdefault(subject, beginning)[dimension]

    def _next_sequence(self, partition: int) -> int:
        self.sequences[partition] += 1
        return self.sequences[partition]


def _condition(dimension: str) -> Condition:
    return Condition(
        rule=dimension, text="spend >= 100", operand="spend", operator=">=", threshold="100.00", value="120.00",
        holds=True, entries=1, first=NOON, last=NOON,
    )  # fmt: skip

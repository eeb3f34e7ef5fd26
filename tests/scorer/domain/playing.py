"""Plays a script through the core as the engine would, and holds every turn against the oracle.

Between any two turns the state goes through its bytes. What is checked of a turn stands in `Played.turn`.
"""

from collections.abc import Iterator
from typing import NamedTuple

from schemas.decisions import Decision, Value
from schemas.events import Event, Purchase
from services.scorer.domain import policy as core_policy
from services.scorer.domain.explain import explain
from services.scorer.domain.records import announcement, decision
from services.scorer.domain.scoring import Arrival, Outcome, decide
from services.scorer.domain.state import Customer, decode, due_ms, encode
from tests.scorer.domain import explaining
from tests.scorer.domain.oracle import Complaint, Intake, Oracle, Steps
from tests.scorer.domain.oracle_calendar import to_ms
from tests.scorer.domain.reader import Reader, steps
from tests.scorer.domain.strategies import Logged, Script
from tests.scorer.domain.timeline import SUBJECT

FOR_EVER = 2**62


class Named(NamedTuple):
    source: str
    id: str
    type: str
    time_ms: int

    @classmethod
    def of(cls, event: Event) -> "Named":
        return cls(event.source, event.id, type(event).__name__.lower(), to_ms(event.time))


def in_order(record: Decision) -> bool:
    """One step at its own instant, and nothing taken back."""
    return [to_ms(record.from_)] == [t for t, _ in steps(record)] and not record.retracts


class Played:
    """One customer's life so far, in the core and in the oracle side by side."""

    def __init__(self, policy: str) -> None:
        self.oracle = Oracle(policy)
        self.policy = core_policy.parse(policy)
        self.record = encode(Customer(), self.policy)
        self.reader = Reader()
        self.decisions: list[Decision] = []
        self.complaints: set[Complaint] = set()
        self.duplicates = 0
        self.log: list[Event] = []
        self.intake = Intake([], [], set())
        self.future: dict[str, Steps] = self.oracle.paths([])
        self.now = 0

    # -- turns

    def turn(self, arrivals: list[Logged], until: int) -> list[Decision]:
        """A micro-batch, or without one a timer; afterwards everything is as the oracle says it is at `until`."""
        self.now = until = max(until, self.now)
        due = due_ms(self.record)
        customer = decode(self.record)
        places = range(len(self.log), len(self.log) + len(arrivals))
        numbered = [Arrival(a.event, a.appended_ms, place, b"raw") for place, a in zip(places, arrivals, strict=True)]
        outcome = decide(customer, self.policy, numbered, until)
        made = self.made_of(outcome)
        if not arrivals and (due is None or until < due):
            assert not outcome.altered, "nothing was due, so nothing is written"
        if not outcome.altered:
            assert not made
        self.record = encode(customer, self.policy)
        self.check_intake(arrivals, outcome)
        old, self.future = self.future, self.oracle.paths(self.intake.accepted) if arrivals else self.future
        self.check_records(made, old)
        self.check_paths()
        self.check_due()
        return made

    def made_of(self, outcome: Outcome) -> list[Decision]:
        first = len(self.decisions) + 1
        made = [
            decision(change, SUBJECT, self.policy, sequence=number, decided_ms=self.now, catching_up=False)
            for number, change in enumerate(outcome.changes, first)
        ]
        self.decisions += made
        return made

    def eagerly_until(self, until: int) -> None:
        """Every timer at its instant."""
        while (due := due_ms(self.record)) is not None and due <= until:
            assert due > self.now, "a timer is about what is to come"
            self.turn([], due)

    # -- what must hold

    def check_intake(self, arrivals: list[Logged], outcome: Outcome) -> None:
        self.log += [logged.event for logged in arrivals]
        known = len(self.intake.accepted)
        self.intake = self.oracle.intake(self.log) if arrivals else self.intake
        self.taken = self.intake.accepted[known:]
        self.complaints |= {Complaint(report.reason, report.arrival.offset) for report in outcome.reports}
        self.duplicates += outcome.duplicates
        assert outcome.taken == len(self.taken)
        own = self.oracle.policy["currency"]
        assert outcome.unpriced == sum(getattr(e.data, "currency", None) not in (None, own) for e in self.taken)
        assert self.complaints == self.intake.complaints
        assert self.duplicates == len(self.intake.duplicates)

    def check_records(self, made: list[Decision], old: dict[str, Steps]) -> None:
        """`old` are the oracle's paths before what this turn took."""
        last = {record.dimension: record for record in made}
        true_steps = self.true_steps(old)
        for record in made:
            name = record.dimension
            self.reader.take(record)
            kept = self.reader.kept[name]
            assert kept.revision == record.revision, "a new record has a new revision"
            first = self.oracle.initial[name] if record.revision == 1 else None
            assert first is None or record.before == first, "the first record starts from where everyone begins"
            assert record.after == (kept.path[-1][1] if kept.path else self.oracle.initial[name])
            if record.before != record.after:
                held = {kept.path[-1][0]} if kept.path else {to_ms(event.time) for event in self.intake.accepted}
                assert to_ms(record.effective_at) in held, (
                    "since when `after` has held; the first event, where all begin"
                )
                assert announcement(record).revision == record.revision
            if not any(self.reaches_back(event) for event in self.taken):
                assert set(steps(record)) <= true_steps[name], "told is what is true, or was without what came late"
            self.check_cause(record, old)
            self.check_conditions(record)
        if len(self.taken) <= 1:
            for name, record in last.items():
                coming = None if record.next is None else (to_ms(record.next.at), record.next.after)
                places = (self.now, to_ms(record.from_))
                assert coming in [next_step(paths[name], t) for paths in (old, self.future) for t in places]
        if len(self.taken) == 1:
            self.check_lateness(made, self.taken[0], old)

    def check_conditions(self, record: Decision) -> None:
        """They stand as they stood at the instant of the step, where that is one, before or after what has come."""
        if len(self.taken) > 1 or record.cause not in ("event", "time"):
            return
        before = [event for event in self.intake.accepted if event not in self.taken]
        found = []
        for accepted in (self.intake.accepted, before):
            values = self.oracle.values(accepted, to_ms(record.from_))
            found.append([explaining.agrees(condition, values, self.oracle.digits) for condition in record.conditions])
        assert all(found[0]) or all(found[1]), record.conditions

    def check_cause(self, record: Decision, old: dict[str, Steps]) -> None:
        """`event`: one at that very instant; `late_event`: one that has just arrived; `refund`: either, a refund."""
        come = {Named.of(event) for event in self.taken}
        here = {e for e in map(Named.of, self.intake.accepted) if e.time_ms == to_ms(record.from_)}
        late = any(self.is_late(event, old) or self.reaches_back(event) for event in self.taken)
        if record.cause == "time":
            assert record.trigger is None
            fresh = [e for e in here if e in come or e.time_ms > self.played]
            assert late or not fresh, "event goes before time"
            assert in_order(record)
            return
        assert record.trigger is not None
        among = {"event": here, "late_event": come, "refund": here | come}[record.cause]
        trigger = record.trigger
        assert Named(trigger.source, trigger.id, trigger.type, to_ms(trigger.time)) in among
        assert trigger.type == "refund" or record.cause != "refund"
        assert record.cause != "event" or in_order(record)

    def is_late(self, event: Event, old: dict[str, Steps]) -> bool:
        """Not later than the last change of position."""
        return to_ms(event.time) <= max((t for path in old.values() for t, _ in path if t <= self.played), default=-1)

    def reaches_back(self, event: Event) -> bool:
        """An order that may take over another's refunds changes what was before it."""
        key = event.data.order if isinstance(event, Purchase) else None
        orders = [e for e in self.intake.accepted if isinstance(e, Purchase)]
        return key is not None and any(order.data.order is None and order.id == key for order in orders)

    def true_steps(self, old: dict[str, Steps]) -> dict[str, set[tuple[int, Value]]]:
        """Steps of the path as it is now, and as it was before each late event of the batch was known."""
        true = {name: set(path) for name, path in self.future.items()}
        late = [event for event in self.taken if self.is_late(event, old)]
        for first in range(len(late)):
            without = [event for event in self.intake.accepted if event not in late[first:]]
            for name, path in self.oracle.paths(without).items():
                true[name] |= set(path)
        return true

    def check_lateness(self, made: list[Decision], event: Event, old: dict[str, Steps]) -> None:
        """In order: one record a step. Late: what is past in the log's time is corrected by one record a dimension."""
        if self.reaches_back(event):
            return
        if not self.is_late(event, old):
            assert all(in_order(record) for record in made), "in order: one step, one record"
            return
        net = [record.dimension for record in made if record.cause in ("late_event", "refund")]
        changed = max((t for path in old.values() for t, _ in path if t <= self.played), default=-1)
        for name in self.oracle.dimensions:
            before, after = ([step for step in paths[name] if step[0] <= changed] for paths in (old, self.future))
            assert net.count(name) <= 1, "one net record a dimension"
            assert name in net or before == after, "what was played is corrected"

    def check_paths(self) -> None:
        for name in self.oracle.dimensions:
            expected = [step for step in self.future[name] if step[0] <= self.now]
            assert self.reader.path(name) == expected, name
            announced = self.reader.kept[name].announced
            present = expected[-1][1] if expected else self.oracle.initial[name]
            assert announced in (present, None), "what was announced last is the present"
        self.played = self.now

    played = -1

    def check_due(self) -> None:
        due = due_ms(self.record)
        changes = [t for path in self.future.values() for t, _ in path if t > self.now]
        assert due is None or due > self.now
        assert min(changes, default=FOR_EVER) >= (FOR_EVER if due is None else due), "due is a lower bound"

    def check_explanation(self, at: int) -> None:
        told = explain(decode(self.record), self.policy, at)
        explaining.check(told, self.oracle, self.intake.accepted, self.future, at)


def next_step(path: Steps, t: int) -> tuple[int, Value] | None:
    return next((step for step in path if step[0] > t), None)


def play(script: Script) -> Iterator[Played]:
    """Yields after every batch, and at the end once more."""
    life = Played(script.policy)
    for batch, pause, looks in zip(script.batches, script.pauses, script.looks, strict=True):
        start = batch[0].appended_ms
        if script.eager:
            life.eagerly_until(start)
        for part in looks:
            if start > life.now > 0:
                life.turn([], life.now + int((start - life.now) * part))
        life.turn(batch, batch[-1].appended_ms + pause)
        yield life
    if script.eager:
        life.eagerly_until(script.end_ms)
    life.turn([], script.end_ms)
    yield life

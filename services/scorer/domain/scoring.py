"""One customer, one turn: arrivals are put in their place and time is played, and every change of a path comes out.

An event later than the last change of position is in order: steps come out one by one, each at its own instant. An
earlier one is late: the path is played again from its place, and what differs comes out net, one change a dimension
(rules 3 and 10).
"""

from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from schemas.decisions import Cause, Condition, Trigger, Value
from schemas.events import AcceptedEvent, Event, Refund
from services.scorer.domain.admission import Arrival, Report, admit
from services.scorer.domain.entries import Entry
from services.scorer.domain.explain import conditions
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.domain.ledger import Ledger
from services.scorer.domain.paths import Course, Moment, Path, initial, paths
from services.scorer.domain.policy import Dimension, Policy
from services.scorer.domain.state import Customer, Standing, Waiting

__all__ = ["Arrival", "Change", "Outcome", "Report", "decide"]


class Change(NamedTuple):
    """One dimension's path from `from_ms` on is now `path`; what held of the old one but no longer does is `retracts`.

    before, after: what was announced last, and what holds now; a change with both alike is recorded, not announced
    """

    dimension: Dimension
    revision: int
    from_ms: int
    path: Path
    before: Value
    after: Value
    effective_ms: int
    cause: Cause
    trigger: Trigger | None
    conditions: list[Condition]
    next: tuple[int, Value] | None
    retracts: Path


class Outcome(NamedTuple):
    """altered: the state must be written.  moved: only its due instant is another, which need not be."""

    changes: list[Change]
    reports: list[Report]
    altered: bool
    moved: bool
    taken: int
    duplicates: int
    unpriced: int


def decide(customer: Customer, policy: Policy, arrivals: Sequence[Arrival], until_ms: int) -> Outcome:
    """Take a micro-batch of one customer's arrivals (in log order), then play time up to `until_ms`.

    Duplicates go in log order; after that event-time order makes jitter within the batch free, and a late event takes
    its turn at the instant it became known: as if each timer had fired on time. `customer` is changed in place. Without
    arrivals this is a timer firing.
    """
    due_before = customer.due_ms
    admitted = admit(customer.entries, arrivals) if arrivals else None
    turn = _Turn(customer, policy)
    unpriced = 0
    if admitted is not None:
        place = _places(customer.changed_ms)
        for _, instant in groupby(sorted(admitted.entries, key=place), key=place):
            turn.apply(list(instant))
        unpriced = sum(bool(e.currency) and e.currency != policy.currency for e, _ in admitted.entries)
    turn.advance(until_ms)
    taken = len(admitted.entries) if admitted else 0
    return Outcome(
        changes=turn.changes,
        reports=admitted.reports if admitted else [],
        altered=bool(taken or turn.changes),
        moved=customer.due_ms != due_before,
        taken=taken,
        duplicates=admitted.duplicates if admitted else 0,
        unpriced=unpriced,
    )


def _places(changed_ms: int) -> Callable[[tuple[Entry, Arrival]], tuple[int, bool, int]]:
    """Where an arrival stands in its batch: in order at its own time, late at its append time, after those in order."""

    def place(arrived: tuple[Entry, Arrival]) -> tuple[int, bool, int]:
        entry, arrival = arrived
        late = entry.time_ms <= changed_ms
        return (arrival.appended_ms if late else entry.time_ms, late, entry.time_ms)

    return place


class _Turn:
    """The two operations of the core on one customer: `apply` an event, `advance` time."""

    def __init__(self, customer: Customer, policy: Policy) -> None:
        self._customer, self._policy = customer, policy
        self._ledger = Ledger(customer.entries, policy.currency)
        self._course: Course | None = None  # what time will bring on this ledger
        self._place = -1  # in the course: the last moment played
        self.changes: list[Change] = []
        if not customer.standings:
            customer.standings = [Standing(value) for value in initial(policy)]

    def advance(self, until_ms: int) -> None:
        """Play, in order, every instant up to `until_ms` at which something can change without an event."""
        customer = self._customer
        if customer.due_ms > until_ms:
            return
        if self._course is None:
            self._course, self._place = Course(self._policy, self._ledger, customer.due_ms), -1
        for moment in self._course.moments(self._place + 1):
            if moment.at_ms > until_ms:
                break
            self._place += 1
            self._step(moment, *self._come_due(moment.at_ms))
            customer.due_ms = moment.next_ms

    def apply(self, arrived: Sequence[tuple[Entry, Arrival]]) -> None:
        """Put the events of one instant in their place; `now` is the newest append time, nothing later is played.

        Late is what takes effect no later than the last change of position, or before its own time (an order that takes
        a refund over). Of several events, the first in the log stands as the trigger of what they change.
        """
        customer, before = self._customer, self._ledger
        entry, arrival = arrived[0]
        after = before.with_entries([e for e, _ in arrived])
        from_ms = _first_effect(before, after, entry.time_ms)
        now_ms = max(customer.changed_ms, *(a.appended_ms for _, a in arrived))
        ahead = entry.time_ms > now_ms
        if ahead:
            customer.waiting = customer.waiting + [_waiting(entry.time_ms, a.event) for _, a in arrived]
        if from_ms <= customer.changed_ms or from_ms < entry.time_ms:
            self.advance(now_ms)
            self._hold(after)
            self._replay(before, after, max(now_ms, customer.changed_ms), arrival.event)
        elif ahead:
            self._hold(after)
            customer.due_ms = min(customer.due_ms, entry.time_ms)
        else:
            self.advance(entry.time_ms - 1)
            self._hold(after)
            self._course, self._place = Course(self._policy, after, entry.time_ms), 0
            moment = self._course.first
            self._step(moment, "refund" if isinstance(arrival.event, Refund) else "event", _trigger(arrival.event))
            customer.due_ms = moment.next_ms

    def _hold(self, ledger: Ledger) -> None:
        """Go on with another ledger; what was foreseen on the old one is void."""
        self._ledger, self._customer.entries, self._course = ledger, ledger.entries, None

    def _come_due(self, at_ms: int) -> tuple[Cause, Trigger | None]:
        """What an instant due brings: an event that was waiting for it, or time alone."""
        cause: Cause = "time"
        trigger = None
        for event in self._customer.waiting:
            if event.time_ms == at_ms:
                cause = "refund" if event.type == "refund" else "event"
                received_at = None if event.received_ms is None else to_datetime(event.received_ms)
                trigger = Trigger(
                    type=event.type, id=event.id, source=event.source, time=to_datetime(at_ms), received_at=received_at
                )
        if self._customer.waiting:
            self._customer.waiting = [event for event in self._customer.waiting if event.time_ms > at_ms]
        return cause, trigger

    def _step(self, moment: Moment, cause: Cause, trigger: Trigger | None) -> None:
        """What an instant in order changes, announced as it is."""
        standings = self._customer.standings
        moved = [i for i, value in enumerate(moment.positions) if value != standings[i].value]
        if not moved:
            return
        self._customer.changed_ms = moment.at_ms
        coming = self._course.changes_after(self._place, moved) if self._course else {}
        for i in moved:
            after = moment.positions[i]
            self._change(i, moment, cause, trigger, coming.get(i), from_ms=moment.at_ms, path=[(moment.at_ms, after)])

    def _replay(self, before: Ledger, after: Ledger, now_ms: int, event: Event) -> None:
        """Play both ledgers up to now and bring out, per dimension, what differs of the paths."""
        policy, customer = self._policy, self._customer
        old, new = paths(policy, before, now_ms), paths(policy, after, now_ms)
        self._course, self._place = Course(policy, after, now_ms), 0
        moment = self._course.first
        customer.due_ms = moment.next_ms
        customer.changed_ms = max((path[-1][0] for path in new if path), default=-1)
        moved = [i for i in range(len(new)) if old[i] != new[i]]
        coming = self._course.changes_after(0, moved) if moved else {}
        cause: Cause = "refund" if isinstance(event, Refund) else "late_event"
        for i in moved:
            same = _common(old[i], new[i])
            retracts = [step for step in old[i][same:] if step not in new[i][same:]]
            first = [path[same][0] for path in (old[i], new[i]) if len(path) > same]
            since_ms = new[i][-1][0] if new[i] else after.began_ms
            self._change(
                i,
                moment,
                cause,
                _trigger(event),
                coming.get(i),
                from_ms=min(first),
                path=new[i][same:],
                retracts=retracts,
                effective_ms=since_ms,
            )

    def _change(
        self,
        index: int,
        moment: Moment,
        cause: Cause,
        trigger: Trigger | None,
        coming: tuple[int, Value] | None,
        *,
        from_ms: int,
        path: Path,
        retracts: Path | None = None,
        effective_ms: int | None = None,
    ) -> None:
        """Move the standing and bring the change out; its conditions are those of `moment`."""
        dimension, known = self._policy.dimensions[index], self._customer.standings[index]
        after = moment.positions[index]
        since_ms = moment.at_ms if effective_ms is None else effective_ms
        self._customer.standings[index] = Standing(after, since_ms, known.revision + 1)
        self.changes.append(
            Change(
                dimension=dimension,
                revision=known.revision + 1,
                from_ms=from_ms,
                path=path,
                before=known.value,
                after=after,
                effective_ms=since_ms,
                cause=cause,
                trigger=trigger,
                conditions=[
                    condition
                    for rule in dimension.rules_between(known.value, after)
                    for condition in conditions(rule, self._policy, self._ledger, moment)
                ],
                next=coming,
                retracts=retracts or [],
            )
        )


def _first_effect(before: Ledger, after: Ledger, time_ms: int) -> int:
    """The first instant at which the ledgers differ: the new entries', or an earlier one where refunds settle anew."""
    old, new = before.settlement, after.settlement
    if not (old.takes or new.takes):
        return time_ms
    starts = [take.start_ms for take in {*old.takes} ^ {*new.takes}]
    ends = [instant for _, instant in {*old.voided_ms.items()} ^ {*new.voided_ms.items()}]
    return min([time_ms, *starts, *ends])


def _common(old: Path, new: Path) -> int:
    """How many steps both paths begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def _trigger(event: AcceptedEvent) -> Trigger:
    return Trigger(
        type=type(event).__struct_config__.tag,  # type: ignore[arg-type]
        id=event.id,
        source=event.source,
        time=event.time,
        received_at=event.receivedtime,
    )


def _waiting(time_ms: int, event: AcceptedEvent) -> Waiting:
    received_ms = None if event.receivedtime is None else to_ms(event.receivedtime)
    return Waiting(time_ms, str(type(event).__struct_config__.tag), event.id, event.source, received_ms)

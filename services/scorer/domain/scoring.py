"""The scorer's one question to the core: a customer, what arrived, and until when; what changes?"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import Final

from services.scorer.domain.admission import Admitted, admit
from services.scorer.domain.arrivals import Arrival, Report
from services.scorer.domain.entries import Entry
from services.scorer.domain.eras import Policies
from services.scorer.domain.folding import CAP, LARGE, is_due, is_heavy
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.outcomes import Change, Outcome
from services.scorer.domain.packing import encode, opened, revived
from services.scorer.domain.short import is_unpriced, meet, nobody, take
from services.scorer.domain.state import Customer
from services.scorer.domain.turns import Turn

__all__ = ["Arrival", "Change", "Outcome", "Report", "decide", "score"]


def decide(
    customer: Customer,
    policies: Policies,
    arrivals: Sequence[Arrival],
    until_ms: int,
    subject: str | None = None,
    *,
    reasons: bool = True,
) -> Outcome:
    """Take a micro-batch of one customer's arrivals (in log order), then play time up to `until_ms`.

    Duplicates go in log order; after that event-time order makes jitter within the batch free, and a late event takes
    its turn at the instant it became known: as if each timer had fired on time. `customer` is changed in place. Without
    arrivals this is a timer firing. subject: the customer's own, by default that of the first arrival. reasons: see
    `Chronicle`; a back-test does without.
    """
    return _decide(customer, customer.due_ms, policies, arrivals, until_ms, subject, reasons)


def _decide(
    customer: Customer,
    due_before_ms: int,
    policies: Policies,
    arrivals: Sequence[Arrival],
    until_ms: int,
    subject: str | None,
    reasons: bool,
) -> Outcome:
    """due_before_ms: when to look by the record; a policy that has been activated since may be due earlier."""
    if len(arrivals) == 1:
        met = meet(customer, policies, arrivals[0], subject, until_ms, reasons)
        if met is not None:
            return met
    turn = Turn(customer, policies, reasons=reasons)
    admitted, came = NOBODY, 0
    if arrivals:
        admitted = admit(customer, arrivals[0].event.subject if subject is None else subject, arrivals)
        entries = admitted.entries
        came = sum(customer.ledger.adds(entry) for entry, _ in entries)
        if len(entries) == 1:
            turn.apply(entries, deque())
        else:
            place = _places(customer.changed_ms)
            batch = deque(list(instant) for _, instant in groupby(sorted(entries, key=place), key=place))
            while batch:
                turn.apply(batch.popleft(), batch)
    if admitted.reversed:
        now_ms = max(a.appended_ms for a in arrivals)
        turn.advance(now_ms)
        shadowed = customer.rarely().shadowed
        own = arrivals[0].event.subject if subject is None else subject
        turn.rebase([*customer.ledger.entries, *shadowed], own, now_ms, "late_event", customer.frozen)
    turn.advance(until_ms)
    taken = len(admitted.entries)
    heavy = is_heavy(customer.size, came)
    if heavy:
        turn.forget_texts()
    if is_due(customer.ledger, taken) or (heavy and len(customer.ledger) > CAP):
        turn.fold_touches()
        turn.advance(until_ms)
    altered = bool(taken or turn.changes or admitted.shadowed)
    return Outcome(
        changes=turn.changes,
        reports=admitted.reports,
        altered=altered,
        due_before_ms=due_before_ms,
        due_ms=customer.due_ms,
        taken=taken,
        duplicates=admitted.duplicates,
        unpriced=sum(is_unpriced(entry, policies) for entry, _ in admitted.entries),
    )


def score(
    record: bytes | None,
    policies: Policies,
    arrivals: Sequence[Arrival],
    until_ms: int,
    subject: str | None = None,
    *,
    reasons: bool = True,
) -> tuple[bytes, Outcome]:
    """The same from record to record, None being that of a customer not known before: the next one, and the outcome."""
    before = None if record is None else opened(record, policies)
    if arrivals and (record is None or len(record) <= LARGE):
        known = before or nobody(policies, arrivals[0])
        taken = take(known, policies, arrivals, subject, until_ms, reasons) if known else None
        if taken is not None:
            return taken
    if before is None or record is None:
        due_before_ms, customer = NEVER, Customer.new(policies)
    else:
        due_before_ms, customer = before[1], revived(before, policies)
        customer.size = len(record)
    outcome = _decide(customer, due_before_ms, policies, arrivals, until_ms, subject, reasons)
    return encode(customer), outcome


NOBODY: Final = Admitted([], [], 0)


def _places(changed_ms: int) -> Callable[[tuple[Entry, Arrival]], tuple[int, bool, int]]:
    """Where an arrival stands in its batch: in order at its own time, late at its append time, after those in order."""

    def place(arrived: tuple[Entry, Arrival]) -> tuple[int, bool, int]:
        entry, arrival = arrived
        late = entry.time_ms <= changed_ms
        return (arrival.appended_ms if late else entry.time_ms, late, entry.time_ms)

    return place

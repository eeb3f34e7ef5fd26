"""The scorer's one question to the core: a customer, what arrived, and until when; what changes?"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from services.scorer.domain.admission import Admitted, Arrival, Report, admit
from services.scorer.domain.changes import Change
from services.scorer.domain.entries import Entry, read_profile
from services.scorer.domain.eras import Policies
from services.scorer.domain.folding import fold_touches, is_due
from services.scorer.domain.life import Instant
from services.scorer.domain.rules import Policy
from services.scorer.domain.state import Customer
from services.scorer.domain.turns import Turn, meet

__all__ = ["Arrival", "Change", "Outcome", "Report", "decide"]


class Outcome(NamedTuple):
    """altered: the state must be written.  moved: only its due instant is another, which need not be."""

    changes: list[Change]
    reports: list[Report]
    altered: bool
    moved: bool
    taken: int
    duplicates: int
    unpriced: int


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
    due_before = customer.due_ms
    if len(arrivals) == 1 and due_before > until_ms:
        met = meet(customer, policies, arrivals[0], subject, due_before)
        if met is not None:
            entry, instant = met
            changes: list[Change] = []
            if instant is not None or customer.life.due_ms <= until_ms:
                changes = _told(customer, policies, instant, arrivals[0], until_ms, reasons)
            moved = customer.life.due_ms != due_before
            return Outcome(changes, [], True, moved, 1, 0, _unpriced(entry, policies.newest))
    turn = Turn(customer, policies, reasons=reasons)
    admitted = NOBODY
    if arrivals:
        admitted = admit(customer, arrivals[0].event.subject if subject is None else subject, arrivals)
        entries = admitted.entries
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
    if is_due(customer.ledger, len(admitted.entries)):
        fold_touches(customer)
    taken = len(admitted.entries)
    return Outcome(
        changes=turn.changes,
        reports=admitted.reports,
        altered=bool(taken or turn.changes or admitted.shadowed),
        moved=customer.due_ms != due_before,
        taken=taken,
        duplicates=admitted.duplicates,
        unpriced=sum(_unpriced(entry, policies.newest) for entry, _ in admitted.entries),
    )


def _told(
    customer: Customer, policies: Policies, instant: Instant | None, arrival: Arrival, until_ms: int, reasons: bool
) -> list[Change]:
    """The end of the short way, where something moved or may move by then."""
    turn = Turn(customer, policies, reasons=reasons)
    if instant is not None:
        turn.tell(instant, arrival.event)
    turn.advance(until_ms)
    return turn.changes


NOBODY = Admitted([], [], 0)


def _unpriced(entry: Entry, policy: Policy) -> bool:
    profile = entry.profile
    if len(profile) == 1 or profile[1:] == policy.currency:
        return False
    currency = read_profile(profile).currency
    return bool(currency) and policy.prices.of(0, currency, entry.time_ms) is None


def _places(changed_ms: int) -> Callable[[tuple[Entry, Arrival]], tuple[int, bool, int]]:
    """Where an arrival stands in its batch: in order at its own time, late at its append time, after those in order."""

    def place(arrived: tuple[Entry, Arrival]) -> tuple[int, bool, int]:
        entry, arrival = arrived
        late = entry.time_ms <= changed_ms
        return (arrival.appended_ms if late else entry.time_ms, late, entry.time_ms)

    return place

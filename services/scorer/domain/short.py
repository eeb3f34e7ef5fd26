"""The short way, which most events take: new, in order, with nothing due before it and nothing to settle.

It does what a turn does (`turns.py`), and leaves out what such an event cannot ask for. Where it does not apply,
nothing has been done.
"""

from services.scorer.domain.arrivals import Arrival
from services.scorer.domain.entries import OVERRIDE, PURCHASE, REFUND, Entry, entry_of, letter, read_profile
from services.scorer.domain.eras import Policies
from services.scorer.domain.folding import CAP
from services.scorer.domain.ledger import SIZE
from services.scorer.domain.outcomes import Change, Outcome
from services.scorer.domain.state import Customer
from services.scorer.domain.turns import Turn

_LONG = (letter(REFUND), letter(OVERRIDE))
"""Entries of these kinds, by the first letter of their profile, always take the long way."""

_PURCHASE = letter(PURCHASE)
_CAP_BYTES = CAP * SIZE


def meet(
    customer: Customer, policies: Policies, arrival: Arrival, subject: str | None, until_ms: int, reasons: bool
) -> Outcome | None:
    """Take the event and play time up to `until_ms`, before which nothing is due; None if it is not for this way."""
    life, event = customer.life, arrival.event
    ledger, due_ms = life.ledger, life.due_ms
    if due_ms <= until_ms or ledger.refunds or customer.rare or customer.waiting or life.overrides:
        return None
    if life.known < policies.count or life.era < 0 or (subject is not None and event.subject != subject):
        return None
    entry = entry_of(event, policies.fields)
    time_ms, profile = entry.time_ms, entry.profile
    if entry.order or profile[0] in _LONG or not life.played_ms < time_ms < due_ms or time_ms > arrival.appended_ms:
        return None
    if ledger.holds(entry.id) or len(ledger.rows) >= _CAP_BYTES:
        return None
    instant = life.meet(entry)
    changes: list[Change] = []
    if instant is not None or life.due_ms <= until_ms:
        turn = Turn(customer, policies, reasons=reasons)
        if instant is not None:
            turn.tell(instant, event)
        if life.due_ms <= until_ms:
            turn.advance(until_ms)
        changes = turn.changes
    unpriced = profile[0] == _PURCHASE and profile != policies.plain and is_unpriced(entry, policies)
    return Outcome(changes, [], True, customer.life.due_ms != due_ms, 1, 0, unpriced)


def is_unpriced(entry: Entry, policies: Policies) -> bool:
    """Whether it is money in a currency without a rate, so that it counts as 0."""
    policy = policies.newest
    if entry.profile[1:] == policy.currency:
        return False
    currency = read_profile(entry.profile).currency
    return bool(currency) and policy.prices.of(0, currency, entry.time_ms) is None

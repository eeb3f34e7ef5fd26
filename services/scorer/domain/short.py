"""The short way, which most events take: new, in order, with nothing to settle.

It does what a turn does (`turns.py`), and leaves out what such an event cannot ask for. Where it does not apply,
nothing has been done. A record goes it too, if nothing is due before the event, without becoming a customer as long as
no threshold holds that did not.
"""

from typing import Any

import msgspec

from schemas.events import AcceptedEvent
from services.scorer.domain.arrivals import Arrival
from services.scorer.domain.changes import Chronicle, plain_changes
from services.scorer.domain.entering import entry_of
from services.scorer.domain.entries import OVERRIDE, REFUND, Entry, letter, read_profile
from services.scorer.domain.eras import Policies
from services.scorer.domain.folding import CAP
from services.scorer.domain.ledger import SIZE, Ledger
from services.scorer.domain.machine import Step
from services.scorer.domain.moments import Instant
from services.scorer.domain.now import Now
from services.scorer.domain.outcomes import Change, Outcome
from services.scorer.domain.packing import Opened, encode, packed, resumed
from services.scorer.domain.state import Customer
from services.scorer.domain.triggers import trigger_of
from services.scorer.domain.turns import Turn

_LONG = (letter(REFUND), letter(OVERRIDE))
"""Entries of these kinds, by the first letter of their profile, always take the long way."""

_CAP_BYTES = CAP * SIZE


def meet(
    customer: Customer, policies: Policies, arrival: Arrival, subject: str | None, until_ms: int, reasons: bool
) -> Outcome | None:
    """Play what is due before the event, take it, and play time up to `until_ms`; None if it is not for this way."""
    life, event = customer.life, arrival.event
    ledger, due_ms = life.ledger, life.due_ms
    if ledger.refunds or customer.rare or customer.waiting or life.overrides:
        return None
    if life.known < policies.count or life.era < 0 or (subject is not None and event.subject != subject):
        return None
    entry = _fitting(arrival, policies, ledger, life.played_ms)
    if entry is None:
        return None
    chronicle = Chronicle(customer, reasons)
    while life.due_ms < entry.time_ms:
        chronicle.announce(life.at(life.due_ms, ()), ())
    _tell(customer, policies, chronicle, life.meet(entry), event, until_ms)
    return Outcome(chronicle.changes, [], True, customer.life.due_ms != due_ms, 1, 0, is_unpriced(entry, policies))


def take(
    opened: Opened, policies: Policies, arrival: Arrival, subject: str | None, until_ms: int, reasons: bool
) -> tuple[bytes, Outcome] | None:
    """The same with a record: the next one, and the outcome."""
    known, due_ms, body = opened
    rows, event = body.rows, arrival.event
    if due_ms <= until_ms or known < policies.count or body.rare or body.waiting or not rows:
        return None
    ledger, truths, registers = Ledger(rows, body.profiles, body.extras), body.truths, body.registers
    if ledger.refunds or isinstance(truths, bytes) or (subject is not None and event.subject != subject):
        return None
    last_ms, changed = ledger.last_ms, body.changed
    played_ms = last_ms - body.played
    entry = _fitting(arrival, policies, ledger, played_ms)
    if entry is None or entry.time_ms >= due_ms:
        return None
    era = policies.at(played_ms, known) if known > 1 else 0
    machine, at_ms, place = policies.machines[era], entry.time_ms, ledger.append(entry)
    now_true, next_ms, said = machine.meet(registers, ledger, place, entry, truths, due_ms)
    if changed is not None:
        changed += at_ms - last_ms
    unpriced = is_unpriced(entry, policies)
    standings: msgspec.Raw | list[Any] = body.standings
    moved: list[Step] = []
    if now_true != truths:
        standings, soonest, moved = machine.step(body.standings, now_true, now_true ^ truths, at_ms)
        if soonest < next_ms:
            next_ms = soonest
    if next_ms > until_ms and (not moved or era == known - 1):
        changes: list[Change] = []
        if moved:
            changed = 0
            changes = plain_changes(Now(machine, ledger, registers, now_true, at_ms, said), moved, event, reasons)
        record = packed(next_ms, policies.marks[known - 1], ledger, registers, now_true, standings, changed)
        return record, Outcome(changes, [], True, next_ms != due_ms, 1, 0, unpriced)
    customer = resumed(policies, opened, ledger, era, at_ms, next_ms, changed)
    instant = customer.life.stir(place, now_true, said)
    chronicle = Chronicle(customer, reasons)
    _tell(customer, policies, chronicle, instant, event, until_ms)
    return encode(customer), Outcome(chronicle.changes, [], True, customer.life.due_ms != due_ms, 1, 0, unpriced)


def _fitting(arrival: Arrival, policies: Policies, ledger: Ledger, played_ms: int) -> Entry | None:
    """The entry, if it is one of those that take the short way."""
    entry = entry_of(arrival.event, policies.fields)
    if entry.order or entry.profile[0] in _LONG or entry.time_ms <= played_ms:
        return None
    if entry.time_ms > arrival.appended_ms or ledger.holds(entry.id) or len(ledger.rows) >= _CAP_BYTES:
        return None
    return entry


def _tell(
    customer: Customer,
    policies: Policies,
    chronicle: Chronicle,
    instant: Instant | None,
    event: AcceptedEvent,
    until_ms: int,
) -> None:
    """Bring out what the event's instant moved, and what is due by then."""
    if instant is not None:
        chronicle.announce(instant, (trigger_of(event),))
    if customer.life.due_ms <= until_ms:
        Turn(customer, policies, chronicle=chronicle).advance(until_ms)


def is_unpriced(entry: Entry, policies: Policies) -> bool:
    """Whether it is money in a currency without a rate, so that it counts as 0."""
    profile, policy = entry.profile, policies.newest
    if len(profile) == 1 or profile == policies.plain or profile[1:] == policy.currency:
        return False
    currency = read_profile(profile).currency
    return bool(currency) and policy.prices.of(0, currency, entry.time_ms) is None

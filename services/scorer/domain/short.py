"""The short way, which most events take: new, in order, with nothing to settle.

It does what a turn does (`turns.py`), and leaves out what such an event cannot ask for. Where it does not apply,
nothing has been done. A record goes it too, with all its events in a row, and without becoming a customer unless more
is due at once.
"""

from collections.abc import Sequence
from typing import Final

import msgspec

from schemas.events import AcceptedEvent
from services.scorer.domain.admission import are_apart
from services.scorer.domain.arrivals import Arrival
from services.scorer.domain.changes import Chronicle, plain_changes
from services.scorer.domain.entering import entry_of
from services.scorer.domain.entries import OVERRIDE, REFUND, Entry, letter, read_profile
from services.scorer.domain.eras import Policies
from services.scorer.domain.folding import CAP, LARGE
from services.scorer.domain.gauges import Registers
from services.scorer.domain.instants import to_ms
from services.scorer.domain.ledger import NEVER, SIZE, Ledger
from services.scorer.domain.life import Life
from services.scorer.domain.machine import Machine
from services.scorer.domain.moments import Effect
from services.scorer.domain.now import Now
from services.scorer.domain.outcomes import Change, Outcome
from services.scorer.domain.packing import Opened, encode, packed
from services.scorer.domain.state import Body, Customer
from services.scorer.domain.triggers import trigger_of
from services.scorer.domain.turns import Turn

_NEVER_SHORT: Final = letter(REFUND) + letter(OVERRIDE)
_CAP_BYTES: Final = CAP * SIZE
_MOST_IN_ROW: Final = 250_000  # bytes: more may make a record longer than Kafka takes


def meet(
    customer: Customer, policies: Policies, arrival: Arrival, subject: str | None, until_ms: int, reasons: bool
) -> Outcome | None:
    """Play what is due before the event, take it, and play time up to `until_ms`; None if it is not for this way."""
    life, event = customer.life, arrival.event
    ledger, due_before_ms = life.ledger, life.due_ms
    if customer.rare or customer.waiting or life.overrides or customer.size > LARGE:
        return None
    if life.known < policies.count or life.era < 0:
        return None
    entry = _fit(arrival, policies, ledger, life.played_ms, subject)
    if entry is None:
        return None
    chronicle = Chronicle(customer, reasons)
    while life.due_ms < entry.time_ms:
        chronicle.announce(life.at(life.due_ms, ()), ())
    instant = life.meet(entry)
    if instant is not None:
        chronicle.announce(instant, (trigger_of(event),))
    if customer.life.due_ms <= until_ms:
        Turn(customer, policies, chronicle=chronicle).advance(until_ms)
    due_ms, unpriced = customer.life.due_ms, is_unpriced(entry, policies)
    return Outcome(chronicle.changes, [], True, due_before_ms, due_ms, 1, 0, unpriced)


def take(  # noqa: PLR0912 - the way of nearly every event, in one piece
    opened: Opened, policies: Policies, arrivals: Sequence[Arrival], subject: str | None, until_ms: int, reasons: bool
) -> tuple[bytes, Outcome] | None:
    """The same with a record: the next one, and the outcome."""
    known, due_ms, body = opened
    rows, registers, truths = body.rows, body.registers, body.truths
    if known < policies.count or body.rare or body.waiting or isinstance(truths, bytes) or not (rows or registers):
        return None
    ledger, era = Ledger(rows, body.profiles, body.extras), known - 1
    last_ms, changed, at_ms, unpriced = ledger.last_ms, body.changed, 0, 0
    played_ms = last_ms - body.played
    first = _fit(arrivals[0], policies, ledger, played_ms, subject)
    if first is None or (era and rows and policies.at(played_ms, known) < era):  # another policy is still to come
        return None
    entries = _in_row(first, arrivals, policies, ledger) if len(arrivals) > 1 else ((first, arrivals[0].event),)
    if entries is None:
        return None
    machine, standings, due_before_ms = policies.machines[era], body.standings, due_ms if rows else NEVER
    changes: list[Change] = []
    for entry, event in entries:
        at_ms = entry.time_ms
        if due_ms < at_ms:
            truths, due_ms, standings = _play(machine, ledger, registers, standings, due_ms, at_ms, changes, reasons)
        place, before = ledger.append(entry), truths
        if due_ms > at_ms and not ledger.refunds:
            truths, due_ms, said = machine.meet(registers, ledger, place, entry, before, due_ms)
            stepping = machine.concerned(truths ^ before) if truths != before else ()
        else:
            machine.enter(registers, ledger, Effect(at_ms, place, None))
            truths, due_ms, said = machine.read(registers, ledger, at_ms)
            stepping = machine.all
        if stepping:
            now = Now(machine, ledger, registers, truths, at_ms, said)
            standings, moves_ms = _step(now, standings, stepping, changes, event, reasons)
            if moves_ms < due_ms:
                due_ms = moves_ms
        if entry.profile not in policies.priced:
            unpriced += is_unpriced(entry, policies)
    if changes:
        changed = at_ms - changes[-1].effective_ms
    elif changed is not None:
        changed += at_ms - last_ms
    taken = len(entries)
    if due_ms > until_ms:
        record = packed(due_ms, policies.marks[era], ledger, registers, truths, standings, changed)
        return record, Outcome(changes, [], True, due_before_ms, due_ms, taken, 0, unpriced)
    life = Life(policies, ledger, known, era, machine, truths, registers, standings, at_ms, due_ms)
    customer = Customer(life, -NEVER if changed is None else at_ms - changed)
    chronicle = Chronicle(customer, reasons, changes)
    Turn(customer, policies, chronicle=chronicle).advance(until_ms)
    return encode(customer), Outcome(changes, [], True, due_before_ms, customer.due_ms, taken, 0, unpriced)


def nobody(policies: Policies, first: Arrival) -> Opened | None:
    """What stands in the place of a record before the first event of one not known before; None if that event is not
    for this way."""
    newest, begins_ms = policies.eras[-1], to_ms(first.event.time)
    if newest.activated_ms > first.appended_ms or newest.effective_ms > begins_ms:
        return None
    return policies.count, begins_ms, Body(b"", [], newest.machine.fresh(), 0, newest.machine.begun)


def _play(
    machine: Machine,
    ledger: Ledger,
    registers: list[Registers],
    standings: msgspec.Raw,
    due_ms: int,
    until_ms: int,
    changes: list[Change],
    reasons: bool,
) -> tuple[int, int, msgspec.Raw]:
    """Play what is due before the instant: the thresholds that hold then, when something is due again, the standings.
    What that changes is put to the changes."""
    truths, ledger.entered = 0, len(ledger)
    while due_ms < until_ms:
        truths, next_ms, said = machine.read(registers, ledger, due_ms)
        now = Now(machine, ledger, registers, truths, due_ms, said)
        standings, moves_ms = _step(now, standings, machine.all, changes, None, reasons)
        due_ms = min(next_ms, moves_ms)
    return truths, due_ms, standings


def _step(
    now: Now,
    standings: msgspec.Raw,
    stepping: Sequence[int],
    changes: list[Change],
    event: AcceptedEvent | None,
    reasons: bool,
) -> tuple[msgspec.Raw, int]:
    """Let these movers move: the standings then, when one of them moves again at the earliest though no threshold
    changes. What they change, by the event or by time, is put to the changes."""
    standings, moves_ms, moved = now.machine.step(standings, now.truths, stepping, now.at_ms)
    if moved:
        changes += plain_changes(now, moved, event, reasons)
    return standings, moves_ms


def _in_row(
    first: Entry, arrivals: Sequence[Arrival], policies: Policies, ledger: Ledger
) -> Sequence[tuple[Entry, AcceptedEvent]] | None:
    """The entries with their events, if all take the short way as the first does, each later than the one before."""
    if len(ledger.rows) + len(arrivals) * SIZE > _CAP_BYTES:
        return None
    own, entry, entries = arrivals[0].event.subject, first, [first]
    for arrival in arrivals[1:]:
        follower = _fit(arrival, policies, ledger, entry.time_ms, own)
        if follower is None:
            return None
        entry = follower
        entries.append(entry)
    if sum(map(ledger.adds, entries)) > _MOST_IN_ROW or not are_apart(entries):
        return None
    return list(zip(entries, (a.event for a in arrivals), strict=True))


def _fit(arrival: Arrival, policies: Policies, ledger: Ledger, played_ms: int, subject: str | None) -> Entry | None:
    """The entry, if it takes the short way: no override does, nor what settles anything."""
    event = arrival.event
    if subject is not None and event.subject != subject:
        return None
    entry = entry_of(event, policies.fields)
    at_ms = entry.time_ms
    if at_ms <= played_ms or at_ms > arrival.appended_ms or entry.profile[0] in _NEVER_SHORT:
        return None
    if (entry.order or ledger.refunds) and ledger.names(entry):
        return None
    return None if ledger.holds(entry.id) or len(ledger.rows) >= _CAP_BYTES else entry


def is_unpriced(entry: Entry, policies: Policies) -> bool:
    """Whether it is money in a currency without a rate, so that it counts as 0."""
    profile, policy = entry.profile, policies.newest
    if profile in policies.priced or profile[1:] == policy.currency:
        return False
    currency = read_profile(profile).currency
    return bool(currency) and policy.prices.of(0, currency, entry.time_ms) is None

"""One part of a history, tallied under the new policy and the old one. Runs in a process of its own."""

from collections import defaultdict
from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from schemas.events import Event
from schemas.identities import Identity
from schemas.unreadable import UNREADABLE
from services.analyst.backtest import spill
from services.analyst.backtest.family import Family
from services.analyst.backtest.relatives import Relatives
from services.analyst.backtest.tally import Move, Side, Tally
from services.ingest.normalise import Normaliser, Refusal
from services.scorer.domain.entries import PURCHASE, letter
from services.scorer.domain.eras import Policies
from services.scorer.domain.explain import applies
from services.scorer.domain.flaps import Flaps
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.domain.ledger import Ledger
from services.scorer.domain.policy import parse
from services.scorer.domain.rules import Policy
from services.scorer.domain.scoring import Arrival
from services.scorer.domain.state import Customer

_ORDER = letter(PURCHASE)
_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class Document(NamedTuple):
    """A policy as it travels between processes."""

    text: str
    source: str

    def policy(self) -> Policy:
        return parse(self.text, self.source)


class Evaluator:
    """until_ms: what arrives or is done later is left out, and time is played up to it; who is one customer then counts
    as one. operations: all merges, unmerges and erasures; what has been erased is not played, whenever that was"""

    def __init__(self, new: Document, old: Document | None, until_ms: int, operations: Sequence[Identity] = ()) -> None:
        self._new = Policies.only(new.policy())
        self._old = None if old is None else Policies.only(old.policy())
        known = [p.newest.dimensions for p in (self._old, self._new) if p is not None]
        self._begins = {dimension.name: dimension.values[-1] for dimensions in known for dimension in dimensions}
        self._until_ms = until_ms
        self._relatives = Relatives(operations, until_ms)
        self._normalise = Normaliser(allow_personal_subjects=True)

    def part(self, file: Path) -> Tally:
        tally = Tally()
        by_family: dict[bytes, list[Arrival]] = {}
        for record in spill.read(file):
            if record.appended_ms > self._until_ms:
                continue
            tally.events += 1
            event = record.dead or self._read(record)
            if isinstance(event, str):
                tally.dead[event] += 1
            elif self._relatives.is_forgotten(event):
                tally.dead["erased"] += 1
            else:
                arrival = Arrival(event, record.appended_ms, record.place, b"")
                by_family.setdefault(self._relatives.head(event.subject), []).append(arrival)
        for head in sorted(by_family):
            arrivals = sorted(by_family.pop(head), key=lambda a: (a.appended_ms, a.offset))
            self._family(arrivals, self._relatives.done(head), tally)
        return tally

    def _read(self, record: spill.Record) -> Event | str:
        """The event, or why it isn't one."""
        if b'"receivedtime"' in record.raw:
            try:
                return _event.decode(record.raw)
            except UNREADABLE:
                return "unreadable"
        timeless = record.appended_ms < 0
        event = self._normalise(record.raw, to_datetime(0 if timeless else record.appended_ms))
        if isinstance(event, Refusal):
            return event.problem.type.rpartition("/")[2]
        return "no-time" if timeless else event

    def _family(self, arrivals: Sequence[Arrival], operations: Sequence[Identity], tally: Tally) -> None:
        family = self._live(self._new, arrivals, operations, tally.new)
        for life in family.lives.values():
            tally.dead.update(report.reason for report in life.reports)
            tally.duplicates += life.duplicates
        customers = _known(family)
        if not customers:
            return
        for subject, begin_ms in _begins(family, arrivals).items():
            if subject in customers:
                tally.customers += 1
                tally.lived_ms += max(0, self._until_ms - begin_ms)
                tally.first_ms = begin_ms if tally.first_ms is None else min(begin_ms, tally.first_ms)
        if self._old is not None:
            old = self._live(self._old, arrivals, operations, tally.old).customers
            for subject, customer in customers.items():
                self._compare(subject, customer, old[subject], tally)

    def _live(
        self, policies: Policies, arrivals: Sequence[Arrival], operations: Sequence[Identity], side: Side
    ) -> Family:
        family, policy = Family(policies), policies.newest
        flaps: dict[str, Flaps] = defaultdict(Flaps)
        for life, (change, decided_ms) in family.play(arrivals, operations, self._until_ms):
            name = change.dimension.name
            side.announced[name] += 1
            flap = flaps[life.subject].moved(name, change.before, change.after, change.effective_ms)
            side.flaps[name] += flap
            for number, playbook in enumerate(policy.playbooks):
                waits = playbook.dimension.name == name and playbook.waits_for(change.before, change.after)
                if waits and applies(playbook, life.customer, policies, decided_ms):
                    side.triggered[number, _monday(decided_ms, policy)] += 1
        for life in family.lives.values():
            side.contacts.update((contact.classes, contact.name) for contact in life.contacts)
        for customer in _known(family).values():
            side.positions.update((name, value) for name, (_, value, _) in customer.shown().items())
            side.unpriced.update(_unpriced(customer.ledger, policy))
        return family

    def _compare(self, subject: str, new: Customer, old: Customer, tally: Tally) -> None:
        """What an activation would tell: of what only one of the policies knows, from or back to where everyone begins
        (rule 9)."""
        was, now, moved = old.shown(), new.shown(), False
        for name in {**now, **was}:
            kind, after, since_ms = now.get(name) or (None, self._begins[name], None)
            kind_before, before, _ = was.get(name) or (None, self._begins[name], None)
            if kind == kind_before:
                tally.matrix[name, before, after] += 1
            if before != after:
                tally.moves.append(Move(subject, name, before, after, since_ms))
                moved = True
        tally.movers += moved


def _known(family: Family) -> dict[str, Customer]:
    """Those of whom anything is known in the end, by subject."""
    return {subject: customer for subject, customer in family.customers.items() if len(customer.ledger)}


def _begins(family: Family, arrivals: Sequence[Arrival]) -> dict[str, int]:
    """The first event (ms) of each customer there is in the end, whatever name it was filed under."""
    begins: dict[str, int] = {}
    for arrival in arrivals:
        subject, at_ms = family.survivor(arrival.event.subject), to_ms(arrival.event.time)
        begins[subject] = min(at_ms, begins.get(subject, at_ms))
    return begins


def _unpriced(ledger: Ledger, policy: Policy) -> Iterator[str]:
    """The currencies of the orders that the policy cannot price at their time."""
    for index in ledger.places_of(lambda profile: profile[0] == _ORDER, 0):
        currency = ledger.currency(index)
        if currency != policy.currency and policy.prices.of(0, currency, ledger.time(index)) is None:
            yield currency


def _monday(at_ms: int, policy: Policy) -> int:
    day = to_datetime(at_ms).astimezone(policy.zone).date()
    return (day - timedelta(days=day.weekday())).toordinal()


_evaluators: list[Evaluator] = []


def prepare(new: Document, old: Document | None, until_ms: int, operations: Sequence[Identity]) -> None:
    """What a process does once, before the parts it is given."""
    _evaluators[:] = [Evaluator(new, old, until_ms, operations)]


def evaluate(file: Path) -> Tally:
    return _evaluators[0].part(file)

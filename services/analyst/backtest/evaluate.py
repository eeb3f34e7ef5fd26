"""One part of a history, tallied under the new policy and the old one. Runs in a process of its own."""

from collections.abc import Iterator, Sequence
from datetime import timedelta
from pathlib import Path
from typing import NamedTuple

import msgspec

from schemas.events import Event
from services.analyst.backtest import spill
from services.analyst.backtest.lives import Life
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

_ORDER = letter(PURCHASE)
_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class Document(NamedTuple):
    """A policy as it travels between processes."""

    text: str
    source: str

    def policy(self) -> Policy:
        return parse(self.text, self.source)


class Evaluator:
    """until_ms: what arrives later is left out, and time is played up to it."""

    def __init__(self, new: Document, old: Document | None, until_ms: int) -> None:
        self._new = Policies.only(new.policy())
        self._old = None if old is None else Policies.only(old.policy())
        self._until_ms = until_ms
        self._normalise = Normaliser(allow_personal_subjects=True)

    def part(self, file: Path) -> Tally:
        tally = Tally()
        by_customer: dict[str, list[Arrival]] = {}
        for record in spill.read(file):
            if record.appended_ms > self._until_ms:
                continue
            tally.events += 1
            event = self._read(record)
            if isinstance(event, str):
                tally.dead[event] += 1
            else:
                arrival = Arrival(event, record.appended_ms, record.place, b"")
                by_customer.setdefault(event.subject, []).append(arrival)
        for subject in sorted(by_customer):
            arrivals = sorted(by_customer.pop(subject), key=lambda a: (a.appended_ms, a.offset))
            self._customer(subject, arrivals, tally)
        return tally

    def _read(self, record: spill.Record) -> Event | str:
        """The event, or why it isn't one."""
        if b'"receivedtime"' in record.raw:
            try:
                return _event.decode(record.raw)
            except (msgspec.MsgspecError, RecursionError):
                return "unreadable"
        timeless = record.appended_ms < 0
        event = self._normalise(record.raw, to_datetime(0 if timeless else record.appended_ms))
        if isinstance(event, Refusal):
            return event.problem.type.rpartition("/")[2]
        return "no-time" if timeless else event

    def _customer(self, subject: str, arrivals: Sequence[Arrival], tally: Tally) -> None:
        life = self._live(self._new, subject, arrivals, tally.new)
        tally.dead.update(report.reason for report in life.reports)
        tally.duplicates += life.duplicates
        if not len(life.customer.ledger):
            return
        begin_ms = min(to_ms(arrival.event.time) for arrival in arrivals)
        tally.customers += 1
        tally.lived_ms += max(0, self._until_ms - begin_ms)
        tally.first_ms = begin_ms if tally.first_ms is None else min(begin_ms, tally.first_ms)
        if self._old is not None:
            self._compare(subject, life, self._live(self._old, subject, arrivals, tally.old), tally)

    def _live(self, policies: Policies, subject: str, arrivals: Sequence[Arrival], side: Side) -> Life:
        life, flaps, policy = Life(policies, subject), Flaps(), policies.newest
        for change, decided_ms in life.play(arrivals, self._until_ms):
            name = change.dimension.name
            side.announced[name] += 1
            side.flaps[name] += flaps.moved(name, change.before, change.after, change.effective_ms)
            for number, playbook in enumerate(policy.playbooks):
                waits = playbook.dimension.name == name and playbook.enters(change.before, change.after)
                if waits and applies(playbook, life.customer, policies, decided_ms):
                    side.triggered[number, _monday(decided_ms, policy)] += 1
        side.contacts.update((contact.classes, contact.name) for contact in life.contacts)
        if len(life.customer.ledger):
            side.positions.update((name, value) for name, (_, value, _) in life.customer.shown().items())
            side.unpriced.update(_unpriced(life.customer.ledger, policy))
        return life

    def _compare(self, subject: str, new: Life, old: Life, tally: Tally) -> None:
        was, moved = old.customer.shown(), False
        for name, (kind, after, since_ms) in new.customer.shown().items():
            if name not in was or was[name][0] != kind:
                continue
            before = was[name][1]
            tally.matrix[name, before, after] += 1
            if before != after:
                tally.moves.append(Move(subject, name, before, after, since_ms))
                moved = True
        tally.movers += moved


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


def prepare(new: Document, old: Document | None, until_ms: int) -> None:
    """What a process does once, before the parts it is given."""
    _evaluators[:] = [Evaluator(new, old, until_ms)]


def evaluate(file: Path) -> Tally:
    return _evaluators[0].part(file)

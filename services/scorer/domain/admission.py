"""Admission: which arrivals become entries, settled in log order: the first in the log stands (rules 5 and 7)."""

from collections.abc import Iterable, Sequence
from typing import Final, NamedTuple

from schemas.decisions import DeadLetterReason
from schemas.events import Event
from schemas.money import DIGITS, to_major
from services.scorer.domain.arrivals import Arrival, Report
from services.scorer.domain.entering import entry_of
from services.scorer.domain.entries import PURCHASE, REFUND, TOUCHES, Entry, letter, read_profile
from services.scorer.domain.folding import without_texts
from services.scorer.domain.ledger import FULL, NEVER
from services.scorer.domain.orders import Settlement, settle
from services.scorer.domain.shadows import origin_of, part_shadows
from services.scorer.domain.state import Customer

Admission = tuple[Entry, Arrival]
"""What an arrival has become."""


class Admitted(NamedTuple):
    """shadowed: known under another origin (rule 11), kept aside.  erased: suppressed for ever (rule 12)

    reversed: one of those is of the smaller origin, so that it is the one to count
    """

    entries: list[Admission]
    reports: list[Report]
    duplicates: int
    shadowed: int = 0
    erased: int = 0
    reversed: bool = False


def admit(customer: Customer, subject: str, arrivals: Sequence[Arrival]) -> Admitted:
    """Take duplicates and conflicts out; what a refund asks for beyond its order is reported, yet the refund stays.

    subject: the customer's own; an event of another was filed under an identity that has been merged into it
    """
    fields, ledger = customer.life.policies.fields, customer.ledger
    entries = [(entry_of(a.event, fields, "" if a.event.subject == subject else a.event.subject), a) for a in arrivals]
    if _are_new(customer, entries):
        return Admitted(entries, [], 0)
    return _Gate(customer, subject, ledger.entries).settle(entries)


def _are_new(customer: Customer, entries: Sequence[Admission]) -> bool:
    """Whether nothing known has to do with the new ones: no id or order seen, no refund that names one, no merge or
    erasure; and there is no refund among them."""
    ledger = customer.life.ledger
    if customer.rare is not None or customer.waiting:
        return False
    if customer.size + sum(_adds(customer, admission) for admission in entries) > FULL:
        return False
    if len(entries) > 1 and not are_apart([entry for entry, _ in entries]):
        return False
    return not any(entry.profile[0] == _REFUND or ledger.holds(entry.id) or ledger.names(entry) for entry, _ in entries)


def _adds(customer: Customer, admission: Admission) -> int:
    """How many bytes it adds to the record at most, for good: of clicks and interactions texts are forgotten before it
    is full. Ahead of the clock more stands there than an entry."""
    entry, arrival = admission
    if entry.kind in TOUCHES:
        [entry] = without_texts([entry], customer.life.policies.texts)
    adds = customer.ledger.adds(entry)
    if entry.time_ms > arrival.appended_ms:
        adds += _WAITING + sum(len(text.encode()) for text in (entry.profile, arrival.event.id, arrival.event.source))
    return adds


_WAITING: Final = 96  # bytes of an event ahead of the clock beside its texts


def are_apart(entries: Sequence[Entry]) -> bool:
    """Whether no two of them are of one identity or of one order."""
    orders = [key for entry in entries if (key := _key(entry))]
    return len({entry.id for entry in entries}) == len(entries) and len(set(orders)) == len(orders)


_REFUND: Final = letter(REFUND)


class _Gate:
    def __init__(self, customer: Customer, subject: str, known: Sequence[Entry]) -> None:
        self._customer, self._subject = customer, subject
        self._kept = [*known, *(w.entry for w in customer.waiting)]
        self._look_through()
        self._own: dict[tuple[str, int], Entry] = {}
        self._own_orders: dict[tuple[str, int], Entry] = {}
        for entry in (*self._kept, *(customer.rare.shadowed if customer.rare else ())):
            self._note(entry)
        self._erased = customer.rare.erased if customer.rare else {}
        self._size = customer.size
        self._reversed = False
        self._settlement: Settlement | None = None
        self._entries: list[Admission] = []
        self._reports: list[Report] = []

    def _look_through(self) -> None:
        """What is kept by id and by order's key, and the orders that refunds name."""
        self._by_id = {e.id: e for e in self._kept}
        self._by_order = {key: e for e in self._kept if (key := _key(e))}
        self._named = {name for e in self._kept if e.kind == REFUND for name in (e.order, e.named_id)}

    def settle(self, arrived: Iterable[Admission]) -> Admitted:
        duplicates = shadowed = erased = 0
        for entry, arrival in arrived:
            profile = read_profile(entry.profile)
            if entry.time_ms <= self._erased.get(profile.origin, -NEVER):
                erased += 1
                continue
            if self._too_old(entry):
                detail = "clicks and interactions up to that time are counted for good, by the hour; it came too late"
                self._reports.append(Report("too_old", detail, arrival))
                continue
            twin, reason = self._twin(entry, profile.origin)
            if twin is not None:
                if entry.same_content(twin):
                    duplicates += 1
                else:
                    self._reports.append(Report(reason, _conflict(reason, arrival.event), arrival))
                continue
            size = self._size + _adds(self._customer, (entry, arrival))
            if size > FULL:
                detail = f"the customer's record is full: {FULL:,} bytes; part or erase what is not a customer's"
                self._reports.append(Report("ledger_full", detail, arrival))
                continue
            self._size = size
            other = self._by_id.get(entry.id) or self._by_order.get(_key(entry))
            if other is None:
                self._keep(entry, arrival)
            else:
                self._shadow(entry, arrival, other)
                shadowed += 1
        return Admitted(self._entries, self._reports, duplicates, shadowed, erased, self._reversed)

    def _twin(self, entry: Entry, origin: str) -> tuple[Entry | None, DeadLetterReason]:
        """What is known of the same origin, counted or in a shadow: under this identity, or with this order's key."""
        twin = self._own.get((origin, entry.id))
        if twin is None:
            return self._own_orders.get((origin, _key(entry))), "order_conflict"
        return twin, "id_conflict"

    def _note(self, entry: Entry) -> None:
        origin = origin_of(entry)
        self._own[origin, entry.id] = entry
        if key := _key(entry):
            self._own_orders[origin, key] = entry

    def _shadow(self, entry: Entry, arrival: Arrival, other: Entry) -> None:
        """The same event under two origins: keep it aside, to change places if it is the one to count."""
        self._customer.rarely().shadowed.append(entry)
        self._note(entry)
        if (origin_of(entry) or self._subject) < (origin_of(other) or self._subject):
            self._reversed = True
            self._change_places(arrival)

    def _change_places(self, arrival: Arrival) -> None:
        """Another of two counts now, and what refunds come to with it is reported as if it had just come."""
        before = self._settlement or settle(self._kept)
        self._kept, _ = part_shadows(self._own.values(), self._subject)
        self._look_through()
        self._settlement = settle(self._kept)
        self._reports.extend(_refund_reports(before, self._settlement, arrival))

    def _too_old(self, entry: Entry) -> bool:
        frozen = self._customer.frozen
        return frozen is not None and entry.kind in TOUCHES and entry.time_ms <= frozen.floor_ms

    def _keep(self, entry: Entry, arrival: Arrival) -> None:
        self._note(entry)
        self._by_id[entry.id] = entry
        kind = entry.kind
        if key := _key(entry):
            self._by_order[key] = entry
        if kind == REFUND:
            self._named.update((entry.order, entry.named_id))
        if kind == REFUND or (kind == PURCHASE and (entry.order or entry.id) in self._named):
            before = self._settlement or settle(self._kept)
            self._settlement = settle([*self._kept, entry])
            self._reports.extend(_refund_reports(before, self._settlement, arrival))
        self._kept.append(entry)
        self._entries.append((entry, arrival))


def _key(entry: Entry) -> int:
    """The key of an order that has one of its own, else 0."""
    return entry.order if entry.order and entry.kind == PURCHASE else 0


def _conflict(reason: DeadLetterReason, event: Event) -> str:
    if reason == "id_conflict":
        return f"event {event.id!r} of source {event.source!r} is known with another content; the first one stands"
    return f"the order of event {event.id!r} is known with another content; the first one stands"


def _refund_reports(before: Settlement, after: Settlement, arrival: Arrival) -> Iterable[Report]:
    """The arrival that raises a surplus, or lets a foreign currency come to light, reports it."""
    known = _surplus(before)
    for order, (surplus, currency) in _surplus(after).items():
        if surplus > known.get(order, (0, ""))[0]:
            beyond = f"{to_major(surplus, DIGITS.get(currency, 0))} {currency}"
            detail = f"refunds of the order now exceed it by {beyond}; the surplus counts as nothing"
            yield Report("refund_exceeds_order", detail, arrival)
    if after.foreign - before.foreign:
        detail = "the refund's currency is not its order's; the refund has no effect"
        yield Report("refund_currency", detail, arrival)


def _surplus(settlement: Settlement) -> dict[int, tuple[int, str]]:
    """Minor units and their currency, by the order's key if it has one, else by its id: under two origins an order is
    one, under whatever ids."""
    found = {}
    for id_, surplus in settlement.surplus.items():
        order = settlement.of_order[id_][0].order
        assert order is not None
        found[order.order or id_] = surplus, order.currency
    return found

"""Admission: which arrivals become entries, settled in log order: the first in the log stands (rules 5 and 7)."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple

from schemas.decisions import DeadLetterReason
from schemas.events import Event
from services.scorer.domain.entries import PURCHASE, REFUND, Entry, entry_of
from services.scorer.domain.orders import Settlement, settle


class Arrival(NamedTuple):
    """An event off the topic: the broker's append time (ms), its offset, and its bytes as they stood there."""

    event: Event
    appended_ms: int
    offset: int
    raw: bytes


class Report(NamedTuple):
    """Something the sender must hear of; becomes a dead letter."""

    reason: DeadLetterReason
    detail: str
    arrival: Arrival


class Admitted(NamedTuple):
    entries: list[tuple[Entry, Arrival]]
    reports: list[Report]
    duplicates: int


def admit(known: Sequence[Entry], arrivals: Iterable[Arrival]) -> Admitted:
    """Take duplicates and conflicts out; what a refund asks for beyond its order is reported, yet the refund stays."""
    by_id = {e.id: e for e in known}
    by_order = {e.order: e for e in known if e.kind == PURCHASE and e.order}
    kept = list(known)
    admitted = Admitted([], [], 0)
    duplicates = 0
    settlement: Settlement | None = None
    for arrival in arrivals:
        entry = entry_of(arrival.event)
        twin = by_id.get(entry.id)
        reason: DeadLetterReason = "id_conflict"
        if twin is None and entry.kind == PURCHASE and entry.order:
            twin, reason = by_order.get(entry.order), "order_conflict"
        if twin is not None:
            if entry.same_content(twin):
                duplicates += 1
            else:
                admitted.reports.append(Report(reason, _conflict(reason, arrival.event), arrival))
            continue
        by_id[entry.id] = entry
        if entry.kind == PURCHASE and entry.order:
            by_order[entry.order] = entry
        if entry.kind in (PURCHASE, REFUND) and (entry.kind == REFUND or any(e.kind == REFUND for e in kept)):
            before = settlement or settle(kept)
            settlement = settle([*kept, entry])
            admitted.reports.extend(_refund_reports(before, settlement, arrival))
        kept.append(entry)
        admitted.entries.append((entry, arrival))
    return admitted._replace(duplicates=duplicates)


def _conflict(reason: DeadLetterReason, event: Event) -> str:
    if reason == "id_conflict":
        return f"event {event.id!r} of source {event.source!r} is known with another content; the first one stands"
    return f"the order of event {event.id!r} is known with another content; the first one stands"


def _refund_reports(before: Settlement, after: Settlement, arrival: Arrival) -> Iterable[Report]:
    """The arrival that raises a surplus, or lets a foreign currency come to light, reports it."""
    for order, surplus in after.surplus.items():
        if surplus > before.surplus.get(order, 0):
            detail = f"refunds of the order now exceed it by {surplus} minor units; the surplus counts as nothing"
            yield Report("refund_exceeds_order", detail, arrival)
    if after.foreign - before.foreign:
        detail = "the refund's currency is not its order's; the refund has no effect"
        yield Report("refund_currency", detail, arrival)

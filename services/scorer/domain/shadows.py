"""Shadows: what two merged identities both have counts once; the other entry is kept aside (rule 11)."""

from collections.abc import Iterable

from services.scorer.domain.entries import PURCHASE, Entry, read_profile


def origin_of(entry: Entry) -> str:
    """The subject it was filed under; "" for the customer's own."""
    return read_profile(entry.profile).origin


def part_shadows(entries: Iterable[Entry], subject: str) -> tuple[list[Entry], list[Entry]]:
    """The entries that count and those in their shadow: of one identity, and of orders with one key, the smaller
    origin's counts. `subject` is the customer's own."""
    shadowed: list[Entry] = []
    by_id: dict[int, Entry] = {}
    orders: set[int] = set()
    for entry in sorted(entries, key=lambda e: (origin_of(e) or subject, e.time_ms, e.id)):
        key = entry.order if entry.order and entry.kind == PURCHASE else 0
        if entry.id in by_id or key in orders:
            shadowed.append(entry)
            continue
        by_id[entry.id] = entry
        if key:
            orders.add(key)
    return sorted(by_id.values(), key=lambda e: (e.time_ms, e.id)), shadowed

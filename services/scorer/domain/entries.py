"""Entries: what is kept of an event, and how an event becomes one (rule 5's identity, rule 7's order keys)."""

from hashlib import blake2b

import msgspec

from schemas import events
from services.scorer.domain.instants import to_ms

PURCHASE, REFUND, CLICK, INTERACTION, OUTBOUND, FORM = range(6)
"""Kinds of entries. An interaction that the house began is a kind of its own: only inbound ones count."""

REST = -1
"""The amount of a refund that takes what is left of its order."""


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One event in the ledger.

    id:       hash of the event's source and id
    amount:   minor units of `currency`, REST for a refund without one, 0 where the kind has none
    order:    purchase: hash of the order's own key, 0 if it goes by source and id; refund: hash of the key it names
    named_id: refund: hash of its source and the key it names, which is a keyless order's identity; else 0
    stamped:  the event came without a time, so that a retry with another stamp is still the same event
    """

    time_ms: int
    id: int
    kind: int
    amount: int = 0
    currency: str = ""
    order: int = 0
    named_id: int = 0
    stamped: bool = False

    def same_content(self, other: "Entry") -> bool:
        """Rule 5: kind, time, amount, currency and order agree; a stamped time agrees with any."""
        return (
            self.kind == other.kind
            and (self.time_ms == other.time_ms or self.stamped or other.stamped)
            and self.amount == other.amount
            and self.currency == other.currency
            and self.order == other.order
        )


def hash_of(*parts: str) -> int:
    """63 bits, never 0; parts cannot contain the separator (ids have no control characters)."""
    digest = blake2b("\x00".join(parts).encode(), digest_size=8).digest()
    return (int.from_bytes(digest, "big") >> 1) or 1


def entry_of(event: events.Event) -> Entry:
    """The entry an accepted event becomes."""
    time_ms = to_ms(event.time)
    identity = hash_of(event.source, event.id)
    match event:
        case events.Purchase(data=data):
            order = hash_of(data.order) if data.order is not None else 0
            return Entry(time_ms, identity, PURCHASE, data.amount_minor, data.currency, order, 0, event.stamped)
        case events.Refund(data=data):
            amount = REST if data.amount_minor is None else data.amount_minor
            currency = data.currency or ""
            if data.order is None:
                return Entry(time_ms, identity, REFUND, amount, currency, 0, 0, event.stamped)
            named, named_id = hash_of(data.order), hash_of(event.source, data.order)
            return Entry(time_ms, identity, REFUND, amount, currency, named, named_id, event.stamped)
        case events.Click():
            return Entry(time_ms, identity, CLICK, stamped=event.stamped)
        case events.Interaction(data=data):
            kind = INTERACTION if data.direction == "inbound" else OUTBOUND
            return Entry(time_ms, identity, kind, stamped=event.stamped)
        case events.Form():
            return Entry(time_ms, identity, FORM, stamped=event.stamped)

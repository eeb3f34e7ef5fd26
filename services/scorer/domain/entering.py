"""How an event becomes an entry: rule 5's identity, rule 7's order keys, and the fields that some rule names."""

from collections.abc import Collection
from hashlib import blake2b
from typing import Final

import msgspec

from schemas import events
from schemas.events import Interaction, Purchase
from services.scorer.domain.entries import (
    CLICK,
    COMPLAINT,
    FORM,
    INTERACTION,
    KEPT,
    NPS,
    OUTBOUND,
    OVERRIDE,
    PROFILE,
    PURCHASE,
    RATING,
    REFUND,
    REST,
    STAGE,
    Entry,
    Profile,
    letter,
    write_profile,
)
from services.scorer.domain.instants import to_ms

_LETTERS: Final = [letter(kind) for kind in range(OVERRIDE + 1)]
_blank: Final = blake2b(digest_size=7).copy  # making one costs more than all it digests
_number: Final = int.from_bytes


def hash_of(text: str) -> int:
    """56 bits, never 0. What belongs to a source is `source NUL id`, as ids have no control characters."""
    digest = _blank()
    digest.update(text.encode())
    return _number(digest.digest(), "big") or 1


def entry_of(event: events.Event, fields: Collection[str] = (), origin: str = "") -> Entry:
    """The entry an accepted event becomes, with those of its fields that are named.

    origin: the subject it was filed under, if that is not the customer's own
    """
    order = named_id = 0
    if type(event) is Purchase:
        data = event.data
        kind, currency, amount = PURCHASE, data.currency, data.amount_minor
        if data.order is not None:
            order = hash_of(data.order)
    elif type(event) is Interaction:
        kind, currency, amount = INTERACTION if event.data.direction == "inbound" else OUTBOUND, "", 0
    elif type(event) is events.Refund:
        refund = event.data
        kind, currency = REFUND, refund.currency or ""
        amount = REST if refund.amount_minor is None else refund.amount_minor
        if refund.order is not None:
            order, named_id = hash_of(refund.order), hash_of(f"{event.source}\x00{refund.order}")
    else:
        kind, currency, amount = _kind(event), "", _amount(event)
        if kind >= STAGE:
            order = hash_of(msgspec.json.encode(event.data, order="sorted").decode())
    profile = _LETTERS[kind] + currency
    if fields or origin or event.stamped or kind == OVERRIDE:
        kept = _kept(event, kind, fields) if fields or kind == OVERRIDE else ()
        profile = write_profile(Profile(kind, currency, event.stamped, origin, kept))
    return Entry(to_ms(event.time), hash_of(f"{event.source}\x00{event.id}"), amount, profile, order, named_id)


def _kind(event: events.Event) -> int:
    if isinstance(event, events.Feedback):
        return _FEEDBACK[event.data.kind]
    return _PLAIN[type(event)]


_FEEDBACK: Final = {"rating": RATING, "nps": NPS, "complaint": COMPLAINT}
_PLAIN: Final[dict[type, int]] = {
    events.Click: CLICK,
    events.Form: FORM,
    events.Stage: STAGE,
    events.Profile: PROFILE,
    events.Override: OVERRIDE,
}


def _amount(event: events.Event) -> int:
    if isinstance(event, events.Feedback):
        return event.data.score_centi or 0
    return to_ms(event.data.until) if isinstance(event, events.Override) else 0


def _kept(event: events.Event, kind: int, fields: Collection[str]) -> tuple[tuple[str, str], ...]:
    match event:
        case events.Override(data=data):
            return _override(data)
        case events.Profile(data=data):
            return tuple(sorted((name, value or "") for name, value in data.attributes.items() if name in fields))
        case _:
            names = [name for name in KEPT.get(kind, ()) if name in fields]
            read = [(name, getattr(event.data, "score_centi" if name == "score" else name)) for name in names]
            return tuple((name, str(value)) for name, value in read if value is not None)


def _override(data: events.OverrideData) -> tuple[tuple[str, str], ...]:
    """`inside` is the value of a segment or of churn, `value` that of a ladder or class; neither ends an override."""
    said = ("inside", "1" if data.value else "") if isinstance(data.value, bool) else ("value", data.value or "")
    return (("dimension", data.dimension), said, ("owner", data.owner), ("reason", data.reason))

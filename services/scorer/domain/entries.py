"""Entries: what is kept of an event, and how an event becomes one (rule 5's identity, rule 7's order keys)."""

from collections.abc import Collection
from functools import lru_cache
from hashlib import blake2b

import msgspec

from schemas import events
from schemas.events import Interaction, Purchase
from services.scorer.domain.instants import to_ms

(PURCHASE, REFUND, CLICK, INTERACTION, OUTBOUND, FORM, RATING, NPS, COMPLAINT, STAGE, PROFILE, OVERRIDE) = range(12)
"""Kinds of entries. An interaction that the house began is a kind of its own, and so is each kind of feedback."""

TOUCHES = (CLICK, INTERACTION, OUTBOUND)
"""What a long ledger keeps by the hour only; the amount of such an entry is how many it stands for, 0 means one."""

REST = -1
"""The amount of a refund that takes what is left of its order."""

_SEPARATOR = "\x1f"  # ids and texts have no control characters


class Entry(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """One event in the ledger.

    id:       hash of the event's source and id
    amount:   minor units of `currency`, REST for a refund without one; hundredths of a feedback's score; the instant
              (ms) at which an override ends; 0 where the kind has none
    order:    purchase: hash of the order's own key, 0 if it goes by source and id; refund: hash of the key it names;
              stage, profile, override: hash of all it says, whatever is kept of it
    named_id: refund: hash of its source and the key it names, which is a keyless order's identity; else 0
    profile:  what else is kept of it, see `Profile`
    """

    time_ms: int
    id: int
    amount: int
    profile: str
    order: int = 0
    named_id: int = 0

    @property
    def kind(self) -> int:
        return read_profile(self.profile).kind

    @property
    def currency(self) -> str:
        return read_profile(self.profile).currency

    def same_content(self, other: "Entry") -> bool:
        """Rule 5: kind, time, amount, currency and order agree; a stamped time agrees with any.

        Of a stage, profile or override what it says is the content, and stands in `order`.
        """
        mine, its = read_profile(self.profile), read_profile(other.profile)
        return (
            mine.kind == its.kind
            and (self.time_ms == other.time_ms or mine.stamped or its.stamped)
            and self.amount == other.amount
            and mine.currency == its.currency
            and self.order == other.order
        )


class Profile(msgspec.Struct, frozen=True):
    """What many entries of a customer have alike; kept as a short text, each different one once per customer.

    stamped: the event came without a time, so that a retry with another stamp is still the same event
    origin:  the subject it was filed under, where that is not the customer's own (after a merge)
    fields:  those that some rule names
    """

    kind: int
    currency: str = ""
    stamped: bool = False
    origin: str = ""
    fields: tuple[tuple[str, str], ...] = ()


def letter(kind: int) -> str:
    """What the profiles of a kind of entry begin with."""
    return _LETTERS[kind]


_LETTERS = [chr(65 + kind) for kind in range(12)]


def write_profile(profile: Profile) -> str:
    """`AUSD` is a purchase in US dollars; what is usual is left out."""
    text = letter(profile.kind) + profile.currency
    if not (profile.stamped or profile.origin or profile.fields):
        return text
    parts = [
        text,
        "s" if profile.stamped else "",
        profile.origin,
        *(part for field in profile.fields for part in field),
    ]
    return _SEPARATOR.join(parts)


@lru_cache(maxsize=16_384)
def read_profile(text: str) -> Profile:
    head, *rest = text.split(_SEPARATOR)
    kind, currency = ord(head[0]) - 65, head[1:]
    if not rest:
        return Profile(kind, currency)
    fields = tuple(zip(rest[2::2], rest[3::2], strict=True))
    return Profile(kind, currency, bool(rest[0]), rest[1], fields)


def hash_of(*parts: str) -> int:
    """56 bits, never 0; parts cannot contain the separator (ids have no control characters)."""
    return int.from_bytes(blake2b("\x00".join(parts).encode(), digest_size=7).digest(), "big") or 1


def entry_of(event: events.Event, fields: Collection[str] = (), origin: str = "") -> Entry:
    """The entry an accepted event becomes, with those of its fields that are named.

    origin: the subject it was filed under, if that is not the customer's own
    """
    order = named_id = 0
    if isinstance(event, Purchase):
        data = event.data
        kind, currency, amount = PURCHASE, data.currency, data.amount_minor
        if data.order is not None:
            order = hash_of(data.order)
    elif isinstance(event, Interaction):
        kind, currency, amount = INTERACTION if event.data.direction == "inbound" else OUTBOUND, "", 0
    elif isinstance(event, events.Refund):
        refund = event.data
        kind, currency = REFUND, refund.currency or ""
        amount = REST if refund.amount_minor is None else refund.amount_minor
        if refund.order is not None:
            order, named_id = hash_of(refund.order), hash_of(event.source, refund.order)
    else:
        kind, currency, amount = _kind(event), "", _amount(event)
        if kind >= STAGE:
            order = hash_of(msgspec.json.encode(event.data, order="sorted").decode())
    profile = _LETTERS[kind] + currency
    if fields or origin or event.stamped or kind == OVERRIDE:
        kept = _kept(event, fields) if fields or kind == OVERRIDE else ()
        profile = write_profile(Profile(kind, currency, event.stamped, origin, kept))
    identity = hash_of(event.source, event.id)
    return Entry(to_ms(event.time), identity, amount, profile, order, named_id)


def _kind(event: events.Event) -> int:
    if isinstance(event, events.Feedback):
        return _FEEDBACK[event.data.kind]
    return _PLAIN[type(event)]


_FEEDBACK = {"rating": RATING, "nps": NPS, "complaint": COMPLAINT}
_PLAIN: dict[type, int] = {
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


def _kept(event: events.Event, fields: Collection[str]) -> tuple[tuple[str, str], ...]:
    match event:
        case events.Override(data=data):
            return _override(data)
        case events.Profile(data=data):
            return tuple(sorted((name, value or "") for name, value in data.attributes.items() if name in fields))
        case _:
            read = ((n, getattr(event.data, "score_centi" if n == "score" else n, None)) for n in sorted(fields))
            return tuple((name, str(value)) for name, value in read if value is not None)


def _override(data: events.OverrideData) -> tuple[tuple[str, str], ...]:
    """`inside` is the value of a segment or of churn, `value` that of a ladder or class; neither ends an override."""
    said = ("inside", "1" if data.value else "") if isinstance(data.value, bool) else ("value", data.value or "")
    return (("dimension", data.dimension), said, ("owner", data.owner), ("reason", data.reason))

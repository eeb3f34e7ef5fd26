"""Entries: what is kept of an event."""

from functools import lru_cache
from typing import Final

import msgspec

PURCHASE: Final = 0
REFUND: Final = 1
CLICK: Final = 2
INTERACTION: Final = 3
OUTBOUND: Final = 4
FORM: Final = 5
RATING: Final = 6
NPS: Final = 7
COMPLAINT: Final = 8
STAGE: Final = 9
PROFILE: Final = 10
OVERRIDE: Final = 11
"""Kinds of entries. An interaction that the house began is a kind of its own, and so is each kind of feedback."""

TOUCHES: Final = (CLICK, INTERACTION, OUTBOUND)
"""What a long ledger keeps by the hour only; the amount of such an entry is how many it stands for, 0 means one."""

KEPT: Final = {
    PURCHASE: ("channel",),
    CLICK: ("channel", "page"),
    INTERACTION: ("channel",),
    OUTBOUND: ("channel",),
    FORM: ("channel", "form"),
    RATING: ("channel", "score"),
    NPS: ("channel", "score"),
    COMPLAINT: ("channel",),
    STAGE: ("opportunity", "stage"),
}
"""Per kind the fields that an entry keeps in its profile if a rule asks for them, by name."""

REST: Final = -1
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

"""A customer as the live state has them and as recomputed, both played to one instant: what differs, in words.

What is compared is what the rules say, not bytes: positions and since when, entries, what a merge or an erasure left.
Revisions are not: how often a path was corrected depends on how events were batched.
"""

from collections import Counter
from collections.abc import Collection, Iterable
from typing import Literal, NamedTuple

import msgspec

from schemas import money
from schemas.decisions import Value
from services.analyst import words
from services.scorer.domain import entries as kinds
from services.scorer.domain.entries import REST, TOUCHES, Entry, read_profile, write_profile
from services.scorer.domain.folding import without_texts
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.ledger import FULL
from services.scorer.domain.merging import joined
from services.scorer.domain.shadows import origin_of
from services.scorer.domain.state import Customer

_HOUR_MS = 3_600_000
_NAMED = 3
_NEAR = 131_072  # bytes below a full record
_KINDS = {
    kinds.PURCHASE: "purchase",
    kinds.REFUND: "refund",
    kinds.CLICK: "click",
    kinds.INTERACTION: "interaction",
    kinds.OUTBOUND: "interaction",
    kinds.FORM: "form",
    kinds.RATING: "rating",
    kinds.NPS: "NPS",
    kinds.COMPLAINT: "complaint",
    kinds.STAGE: "stage",
    kinds.PROFILE: "profile",
    kinds.OVERRIDE: "override",
}

What = Literal["position", "entries", "identity", "overdue", "record"]


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """what: identity is a merge or an erasure, overdue a step in time not taken, record one that cannot be used

    detail:    all of it in one line.  dimension: of a position or an overdue step
    live, recomputed: the position
    """

    what: What
    detail: str
    dimension: str | None = None
    live: Value | None = None
    recomputed: Value | None = None


class Stand(NamedTuple):
    """since_ms: of what the rules say.  failing_ms: since when the tier has not been earned"""

    shown: Value
    since_ms: int | None
    failing_ms: int | None


def is_blank(customer: Customer) -> bool:
    """Whether nothing is known of the customer that would make them differ from one never heard of."""
    return not (
        len(customer.ledger) or customer.waiting or _shadowed(customer) or _erased(customer) or joined(customer)
    )


def is_full(customer: Customer) -> bool:
    """Whether the record may have been too long for something, which depends on when it was folded."""
    return customer.size >= FULL - _NEAR


def compared(live: Customer, again: Customer, *, exact: bool) -> list[Difference]:
    """exact: whether clicks, interactions and positions can be compared; if not, it depends on when a long ledger was
    folded what became of them."""
    found = [*_identities(live, again), *_entries(live, again, exact=exact)]
    return [*_positions(live, again), *found] if exact else found


def unknown(live: Customer | None, again: Customer | None) -> Difference:
    """Only one of the two is there."""
    if live is None:
        assert again is not None, "one of them is there"
        named = _named(_all(again))
        return Difference("entries", f"the live state knows nothing of the customer; recomputed: {named}")
    return Difference("entries", f"no event on the topic makes this customer; the live state has {_named(_all(live))}")


def aliased(live: str | None, again: str | None) -> Difference:
    """Whom the subject stands for, None if for itself."""

    def told(into: str | None) -> str:
        return "a customer of their own" if into is None else f"another name of {into!r}"

    return Difference("identity", f"in the live state {told(live)}, recomputed {told(again)}")


# -- positions


def _positions(live: Customer, again: Customer) -> Iterable[Difference]:
    if not (len(live.ledger) or len(again.ledger)):
        return  # before the first event everyone stands where they begin, by whatever policy
    ours, theirs = _stands(live), _stands(again)
    floor_ms = _floor_ms(live, again)
    for name in {**ours, **theirs}:
        mine, its = ours.get(name), theirs.get(name)
        if mine is None or its is None or mine.shown != its.shown:
            yield Difference(
                "position",
                f"{name}: {_told(mine)} in the live state, recomputed {_told(its)}",
                name,
                None if mine is None else mine.shown,
                None if its is None else its.shown,
            )
        elif _later(mine.since_ms, floor_ms) != _later(its.since_ms, floor_ms):
            detail = f"{name}: {_told(mine)} in the live state, recomputed since {_instant(its.since_ms)}"
            yield Difference("position", detail, name, mine.shown, its.shown)
        elif _later(mine.failing_ms, floor_ms) != _later(its.failing_ms, floor_ms):
            shown = words.position(mine.shown)
            detail = f"{name}: {shown} is {_failing(mine)} in the live state, recomputed {_failing(its)}"
            yield Difference("position", detail, name, mine.shown, its.shown)


def _stands(customer: Customer) -> dict[str, Stand]:
    failing = {mover.dimension.name: standing.failing_ms for mover, standing in customer.life.placed()}
    return {name: Stand(value, since_ms, failing.get(name)) for name, (_, value, since_ms) in customer.shown().items()}


def _later(at_ms: int | None, floor_ms: int) -> int | None:
    """What lies before the floor of a folded ledger is alike to us."""
    return None if at_ms is None else max(at_ms, floor_ms)


def _floor_ms(*customers: Customer) -> int:
    return max((c.frozen.floor_ms for c in customers if c.frozen is not None), default=-(1 << 62))


def _told(stand: Stand | None) -> str:
    if stand is None:
        return "unknown"
    return f"{words.position(stand.shown)} since {_instant(stand.since_ms)}"


def _failing(stand: Stand) -> str:
    return "earned" if stand.failing_ms is None else f"not earned since {_instant(stand.failing_ms)}"


def _instant(at_ms: int | None) -> str:
    return "the beginning" if at_ms is None else words.instant(to_datetime(at_ms))


# -- merges and erasures


def _identities(live: Customer, again: Customer) -> Iterable[Difference]:
    ours, theirs = ({s: j.into for s, j in joined(c).items()} for c in (live, again))
    if ours != theirs:
        detail = f"holds {_names(ours)} merged in, in the live state; recomputed {_names(theirs)}"
        yield Difference("identity", detail)
    if _erased(live) != _erased(again):
        detail = f"erased up to {_until(live)} in the live state, recomputed {_until(again)}"
        yield Difference("identity", detail)


def _erased(customer: Customer) -> dict[str, int]:
    return customer.rare.erased if customer.rare else {}


def _until(customer: Customer) -> str:
    return (
        ", ".join(
            f"{_instant(at_ms)}{f' as {origin!r}' if origin else ''}"
            for origin, at_ms in sorted(_erased(customer).items())
        )
        or "no instant"
    )


def _names(of: Iterable[str]) -> str:
    return ", ".join(repr(name) for name in sorted(of)) or "nobody"


# -- entries


def _entries(live: Customer, again: Customer, *, exact: bool) -> Iterable[Difference]:
    floor_ms = _floor_ms(live, again)
    ours, theirs = (Counter(e for e in _all(c) if not _folds(e, floor_ms, exact=exact)) for c in (live, again))
    missing, many = theirs - ours, ours - theirs
    if missing:
        yield Difference("entries", f"{_counted(missing)} missing: {_named(missing.elements())}")
    if many:
        yield Difference("entries", f"{_counted(many)} too many: {_named(many.elements())}")
    if exact:
        yield from _hours(live, again, floor_ms)
    if {_place(e) for e in _shadowed(live)} != {_place(e) for e in _shadowed(again)} and exact:
        detail = f"kept aside in the live state: {_named(_shadowed(live))}; recomputed: {_named(_shadowed(again))}"
        yield Difference("entries", detail)


def _all(customer: Customer) -> list[Entry]:
    """Those that count, and those that will when their time has come; of each what the policies name, though a rebuild
    may have asked for more, and a long record keeps no other texts."""
    policies = customer.life.policies
    entries = (*customer.ledger.entries, *(w.entry for w in customer.waiting))
    return without_texts([_as_named(e, policies.fields) for e in entries], policies.texts)


def _as_named(entry: Entry, fields: Collection[str]) -> Entry:
    profile = read_profile(entry.profile)
    named = tuple(field for field in profile.fields if field[0] in fields)
    if profile.kind == kinds.OVERRIDE or len(named) == len(profile.fields):
        return entry
    named_only = msgspec.structs.replace(profile, fields=named)
    return msgspec.structs.replace(entry, profile=write_profile(named_only))


def _folds(entry: Entry, floor_ms: int, *, exact: bool) -> bool:
    """Whether one of the two may know the entry by the hour only."""
    return entry.kind in TOUCHES and (entry.time_ms <= floor_ms or not exact)


def _hours(live: Customer, again: Customer, floor_ms: int) -> Iterable[Difference]:
    """Clicks and interactions up to the floor: how many there were in each hour."""
    ours, theirs = _by_the_hour(live, floor_ms), _by_the_hour(again, floor_ms)
    if ours != theirs:
        missing, many = (theirs - ours).total(), (ours - theirs).total()
        detail = f"of the clicks and interactions known by the hour {missing:,} are missing and {many:,} too many"
        yield Difference("entries", detail)


def _by_the_hour(customer: Customer, floor_ms: int) -> Counter[tuple[str, int]]:
    found: Counter[tuple[str, int]] = Counter()
    for entry in _all(customer):
        if _folds(entry, floor_ms, exact=True):
            found[entry.profile, entry.time_ms // _HOUR_MS] += max(1, entry.amount)
    return found


def _shadowed(customer: Customer) -> list[Entry]:
    return customer.rare.shadowed if customer.rare else []


def _place(entry: Entry) -> tuple[int, int, str]:
    return entry.time_ms, entry.id, origin_of(entry)


def _counted(entries: Counter[Entry]) -> str:
    total = entries.total()
    return f"{total:,} {'entry is' if total == 1 else 'entries are'}"


def _named(entries: Iterable[Entry]) -> str:
    """The first of them, and how many more."""
    every = sorted(entries, key=lambda e: (e.time_ms, e.id))
    named = ", ".join(map(_word, every[:_NAMED])) or "nothing"
    return named + (f" and {len(every) - _NAMED:,} more" if len(every) > _NAMED else "")


def _word(entry: Entry) -> str:
    """`purchase of 60.00 EUR at 2026-03-01T00:00:00.000Z`."""
    profile = read_profile(entry.profile)
    text = _KINDS[profile.kind]
    if profile.currency in money.DIGITS and entry.amount != REST:
        text += f" of {money.to_major(entry.amount, money.DIGITS[profile.currency])} {profile.currency}"
    if profile.origin:
        text += f" of {profile.origin!r}"
    return f"{text} at {_instant(entry.time_ms)}"

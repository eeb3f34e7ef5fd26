"""Two identities become one customer, are parted again, a person is erased (rules 11 and 12), or is made anew.

Entries keep the subject they were filed under as their origin, so that a merge can be undone. What two identities both
have counts once: the other entry is kept aside, in the shadow of the one that counts.
"""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from schemas.decisions import Value
from services.scorer.domain.entries import TOUCHES, Entry, read_profile, write_profile
from services.scorer.domain.eras import Policies
from services.scorer.domain.folding import LARGE
from services.scorer.domain.frozen import Frozen
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.outcomes import Change
from services.scorer.domain.packing import decode, encode
from services.scorer.domain.shadows import origin_of
from services.scorer.domain.state import Customer, Joined, Rare, Waiting
from services.scorer.domain.turns import Turn


class Merged(NamedTuple):
    """The changes of the customer that goes on, and of the one that has become another name for it."""

    changes: list[Change]
    of_alias: list[Change]


class Departed(NamedTuple):
    """What changes for one who becomes another name; their record as it stood, and what is kept for the day they are
    parted again."""

    changes: list[Change]
    record: bytes
    joined: Joined


class Parted(NamedTuple):
    """The two customers again, each with the changes that brings out."""

    customer: Customer
    changes: list[Change]
    other: Customer
    of_other: list[Change]


class Freed(NamedTuple):
    """One who was merged into somebody erased and stands for themselves again; nothing up to the erasure is known."""

    customer: Customer
    changes: list[Change]


class Erased(NamedTuple):
    """What changes for the customer, whose records no longer say what was; and by subject those that are freed."""

    changes: list[Change]
    freed: dict[str, Freed]


class MergeError(Exception):
    """The two cannot be merged or parted; str() says why in one line."""


def merge(
    into: Customer, other: Customer, policies: Policies, *, subject: str, other_subject: str, at_ms: int
) -> Merged:
    """Let `into` (of `subject`) take `other` in, at `at_ms`; both are changed in place, `other` is left empty.

    MergeError if they are one already.
    """
    if other_subject == subject or other_subject in joined(into) or subject in joined(other):
        raise MergeError(f"{other_subject!r} and {subject!r} are one customer already")
    departed = depart(other, policies, subject=other_subject, into=subject, at_ms=at_ms)
    came = decode(departed.record, policies)
    changes = receive(into, came, departed.joined, policies, subject=subject, other_subject=other_subject, at_ms=at_ms)
    return Merged(changes, departed.changes)


def depart(customer: Customer, policies: Policies, *, subject: str, into: str, at_ms: int) -> Departed:
    """The first half of a merge: become another name for `into`; `customer` is changed in place and left empty."""
    turn = Turn(customer, policies)
    turn.advance(at_ms)
    record, left, is_folded = encode(customer), _left(customer), customer.frozen is not None
    customer.waiting, customer.rare = [], Rare(left=left)
    turn.rebase([], subject, at_ms, "merge", None, whole=is_folded)
    return Departed(turn.changes, record, Joined(into, _revisions(customer), _left(customer)))


def receive(
    into: Customer,
    other: Customer,
    departed: Joined,
    policies: Policies,
    *,
    subject: str,
    other_subject: str,
    at_ms: int,
) -> list[Change]:
    """The second half: let `into` (of `subject`) take in what has departed; it is changed in place."""
    turn = Turn(into, policies)
    turn.advance(at_ms)
    theirs = [_filed(e, other_subject) for e in _all(other)]
    rare, others = into.rarely(), other.rare or Rare()
    rare.erased |= {origin or other_subject: at for origin, at in others.erased.items()}
    into.waiting = _in_order([*into.waiting, *(_waits_for(w, other_subject) for w in other.waiting)])
    turn.rebase([*_all(into), *theirs], subject, at_ms, "merge", _higher(into.frozen, others.frozen))
    into.rarely().joined |= {other_subject: departed} | others.joined
    if into.size + other.size > LARGE:
        turn.forget_texts()
    return turn.changes


def unmerge(customer: Customer, policies: Policies, *, subject: str, other_subject: str, at_ms: int) -> Parted:
    """Part what came in with `other_subject`; `customer` is changed in place. MergeError if it was not merged in."""
    if other_subject not in joined(customer):
        raise MergeError(f"{other_subject!r} is not merged into {subject!r}")
    turn = Turn(customer, policies)
    turn.advance(at_ms)
    rare = customer.rarely()
    gone = _with_theirs(rare.joined, other_subject)
    entries, frozen = _all(customer), rare.frozen
    other = Customer.new(policies)
    other.life.known, other.life.retired = customer.life.known, dict(rare.joined[other_subject].revisions)
    others = other.rarely()
    others.left = rare.joined[other_subject].left
    others.joined = {s: j for s, j in rare.joined.items() if s in gone and s != other_subject}
    others.erased = {"" if o == other_subject else o: at for o, at in rare.erased.items() if o in gone}
    rare.joined = {s: j for s, j in rare.joined.items() if s not in gone}
    rare.erased = {o: at for o, at in rare.erased.items() if o not in gone}
    other.waiting = [_waits_for(w, "", other_subject) for w in customer.waiting if origin_of(w.entry) in gone]
    customer.waiting = [w for w in customer.waiting if origin_of(w.entry) not in gone]
    theirs = [_filed(e, "", other_subject) for e in entries if origin_of(e) in gone]
    of_other = Turn(other, policies)
    forgotten = None if frozen is None else Frozen(frozen.floor_ms, {}, {}, 0)
    turn.rebase([e for e in entries if origin_of(e) not in gone], subject, at_ms, "merge", forgotten)
    of_other.rebase(theirs, other_subject, at_ms, "merge", forgotten)
    return Parted(customer, turn.changes, other, of_other.changes)


def erase(customer: Customer, policies: Policies, *, subject: str, at_ms: int) -> Erased:
    """Forget everything up to and with `at_ms`, of the customer and of all merged into it; `customer` is changed in
    place. What came under another name and is later than that, or still ahead of the clock, begins that one's new life.
    """
    turn = Turn(customer, policies)
    turn.advance(at_ms)
    later = [e for e in _all(customer) if e.time_ms > at_ms]
    ahead = [w for w in customer.waiting if w.entry.time_ms > at_ms]
    freed = {}
    for alias, known in joined(customer).items():
        other = Customer.new(policies)
        other.life.known, other.life.retired = customer.life.known, dict(known.revisions)
        other.rare = Rare(left=known.left)
        of_other = Turn(other, policies)
        _begin_anew(of_other, other, later, ahead, at_ms, subject=alias, origin=alias)
        freed[alias] = Freed(other, of_other.changes)
    _begin_anew(turn, customer, later, ahead, at_ms, subject=subject, origin="")
    forgotten = [msgspec.structs.replace(change, retracts=[], conditions=[], next=None) for change in turn.changes]
    return Erased(forgotten, freed)


def _begin_anew(
    turn: Turn,
    customer: Customer,
    later: Iterable[Entry],
    ahead: Iterable[Waiting],
    at_ms: int,
    *,
    subject: str,
    origin: str,
) -> None:
    """Live on with what was filed under `origin` after the erasure."""
    customer.waiting = [_waits_for(w, "", origin) for w in ahead if origin_of(w.entry) == origin]
    before = customer.rare.erased.get("", at_ms) if customer.rare else at_ms
    is_folded = customer.frozen is not None
    customer.rare = Rare(erased={"": max(at_ms, before)}, left=_left(customer))
    mine = [_filed(e, "", origin) for e in later if origin_of(e) == origin]
    turn.rebase(mine, subject, at_ms, "manual", None, whole=is_folded)


def renew(
    customer: Customer, anew: Customer, policies: Policies, *, subject: str, origin: str, at_ms: int, whole: bool
) -> list[Change] | None:
    """Let what was filed under `origin` ("" is the customer's own) be what became of it in `anew`, who has lived on
    those events alone; `customer` is changed in place. None if there is no difference, and nothing is done.

    whole: `anew` knows all of those events. Otherwise what it does not know stays, but for what is kept by the hour
    """
    erased_ms = customer.rare.erased.get(origin, -NEVER) if customer.rare else -NEVER
    theirs = [_filed(e, origin) for e in _all(anew) if e.time_ms > erased_ms]
    ahead = [_waits_for(w, origin) for w in anew.waiting if w.entry.time_ms > erased_ms]
    mine = [e for e in _all(customer) if origin_of(e) == origin]
    waiting = [w for w in customer.waiting if origin_of(w.entry) == origin]
    if not whole:
        known = {e.id for e in (*theirs, *(w.entry for w in ahead))}
        theirs += [e for e in mine if e.id not in known and not (e.kind in TOUCHES and e.amount)]
        ahead += [w for w in waiting if w.entry.id not in known]
    frozen = _renewed(customer, anew.frozen, origin, erased_ms)
    before, after = (*mine, *(w.entry for w in waiting)), (*theirs, *(w.entry for w in ahead))
    if frozen == customer.frozen and set(before) == set(after):
        return None
    turn = Turn(customer, policies)
    turn.advance(at_ms)
    others = [e for e in _all(customer) if origin_of(e) != origin]
    customer.waiting = _in_order([*(w for w in customer.waiting if origin_of(w.entry) != origin), *ahead])
    floors = [f.floor_ms for f in (frozen, customer.frozen) if f is not None]
    turn.rebase([*others, *theirs], subject, at_ms, "rebuild", frozen, max(floors, default=-NEVER))
    if customer.size + anew.size > LARGE:
        turn.forget_texts()
    return turn.changes


def _renewed(customer: Customer, anew: Frozen | None, origin: str, erased_ms: int) -> Frozen | None:
    """Where the ledger is folded once the entries of `origin` are those of one who is folded like `anew`."""
    if anew is not None and anew.floor_ms <= erased_ms:
        anew = None
    old = customer.frozen
    if all(origin_of(e) == origin for e in _all(customer)):
        return anew
    if anew is None or (old is not None and old.floor_ms >= anew.floor_ms):
        return old
    return _higher(old, anew)


def joined(customer: Customer) -> dict[str, Joined]:
    """The subjects merged into the customer."""
    return customer.rare.joined if customer.rare else {}


def _all(customer: Customer) -> list[Entry]:
    return [*customer.ledger.entries, *(customer.rare.shadowed if customer.rare else ())]


def _filed(entry: Entry, origin: str, only: str = "") -> Entry:
    """The entry as filed under another origin, if it is now filed under `only`."""
    profile = read_profile(entry.profile)
    if profile.origin != only:
        return entry
    return msgspec.structs.replace(entry, profile=write_profile(msgspec.structs.replace(profile, origin=origin)))


def _waits_for(waiting: Waiting, origin: str, only: str = "") -> Waiting:
    return msgspec.structs.replace(waiting, entry=_filed(waiting.entry, origin, only))


def _in_order(waiting: Iterable[Waiting]) -> list[Waiting]:
    return sorted(waiting, key=lambda w: (w.entry.time_ms, w.entry.id))


def _with_theirs(known: dict[str, Joined], subject: str) -> set[str]:
    """The subject and all that came in through it."""
    found = {subject}
    while more := {s for s, j in known.items() if j.into in found and s not in found}:
        found |= more
    return found


def _revisions(customer: Customer) -> dict[str, int]:
    standing = {mover.dimension.name: s.revision for mover, s in customer.life.placed() if s.revision}
    return {**customer.life.retired, **standing}


def _left(customer: Customer) -> dict[str, Value]:
    return customer.rare.left if customer.rare else {}


def _higher(one: Frozen | None, other: Frozen | None) -> Frozen | None:
    """Where either is folded: the higher floor, and no memory there."""
    floors = [frozen.floor_ms for frozen in (one, other) if frozen is not None]
    return Frozen(max(floors), {}, {}, 0) if floors else None

"""A customer's state, and a partition's position: what the changelog topic holds (`packing.py` has the bytes)."""

from typing import Any

import msgspec

from schemas.decisions import Kind, Value
from services.scorer.domain.entries import Entry
from services.scorer.domain.eras import Policies
from services.scorer.domain.frozen import Frozen
from services.scorer.domain.ledger import NEVER, Extra, Ledger
from services.scorer.domain.life import Life, Override
from services.scorer.domain.standing import Standing


class Waiting(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """An event ahead of the clock: it enters the ledger when its time has come."""

    entry: Entry
    type: str
    id: str
    source: str
    received_ms: int | None


class Joined(msgspec.Struct, array_like=True, frozen=True):
    """A subject that was merged into `into`; by dimension its revisions and what was announced last, for the day it is
    parted again."""

    into: str
    revisions: dict[str, int]
    left: dict[str, Value] = {}


class Rare(msgspec.Struct, array_like=True):
    """What most customers do not have.

    overrides: in force.  retired: revisions of dimensions that the policy in force does not know
    shadowed:  after a merge, entries in the place of which one of another origin counts
    erased:    per origin ("" is the customer's own) the instant of its erasure
    joined:    the subjects merged into this one, at any time before
    left:      what was announced last of dimensions that no policy in force knows; of one without any event, who had
               some before a merge or an erasure, of all
    """

    overrides: list[Override] = []
    retired: dict[str, int] = {}
    shadowed: list[Entry] = []
    erased: dict[str, int] = {}
    joined: dict[str, Joined] = {}
    frozen: Frozen | None = None
    left: dict[str, Value] = {}


class Customer:
    """One customer's state.

    life:       the ledger and how far it has been played
    changed_ms: the last instant at which any position changed; an event later than it is in order
    waiting:    events ahead of the clock, by time
    rare:       what most customers do not have, None without any of it; of `life.overrides` and `life.retired` it is
                the encoded form only
    size:       bytes of the record it was read from
    """

    __slots__ = ("changed_ms", "life", "rare", "size", "waiting")

    def __init__(self, life: Life, changed_ms: int = -NEVER) -> None:
        self.life, self.changed_ms = life, changed_ms
        self.waiting: list[Waiting] = []
        self.rare: Rare | None = None
        self.size = 0

    @classmethod
    def new(cls, policies: Policies) -> "Customer":
        """One not known before."""
        return cls(Life.new(policies, Ledger.empty(), 1))

    def shown(self) -> dict[str, tuple[Kind, Value, int | None]]:
        """By dimension its kind, the value shown, and since when the rules have said so (None where everyone began)."""
        life = self.life
        movers = life.machine.movers
        standings = life.standings or [Standing(mover.initial) for mover in movers]  # before the first event
        return {
            m.dimension.name: (m.dimension.kind, m.values[s.shown], s.since_ms)
            for m, s in zip(movers, standings, strict=True)
        }

    def rarely(self) -> Rare:
        """What most customers do not have, made if this one has not."""
        if self.rare is None:
            self.rare = Rare()
        return self.rare

    def is_frozen_at(self, at_ms: int) -> bool:
        """Whether the instant is not after the floor of a very long ledger."""
        return self.rare is not None and self.rare.frozen is not None and at_ms <= self.rare.frozen.floor_ms

    @property
    def frozen(self) -> Frozen | None:
        return None if self.rare is None else self.rare.frozen

    @property
    def ledger(self) -> Ledger:
        return self.life.ledger

    @property
    def due_ms(self) -> int:
        """A lower bound of the next instant at which anything can change without an event; NEVER if none."""
        due_ms = self.life.due_ms
        if self.waiting:
            due_ms = min(due_ms, self.waiting[0].entry.time_ms)
        eras = self.life.policies.eras
        if self.life.known < len(eras) and self.life.era >= 0:
            due_ms = min(due_ms, max(eras[self.life.known].effective_ms, eras[self.life.known].activated_ms))
        return due_ms


class Position(msgspec.Struct, array_like=True, frozen=True, kw_only=True):
    """How far a partition is.

    events_offset: the next offset of `events` to take
    sequence:      how many records the partition has written to `decisions`, markers included
    appended_ms:   the broker's append time of the last event taken, the newest so far
    identities:    the newest operation of topic `identities` that this partition has done its part of
    transfers:     the next offset of `transfers` to take
    rebuilt:       the newest rebuild that this partition has done
    """

    events_offset: int
    sequence: int
    policy: str
    policy_digest: str
    appended_ms: int = 0
    caught_up: bool = True
    identities: int = 0
    transfers: int = 0
    rebuilt: int = 0


class Body(msgspec.Struct, array_like=True, gc=False):
    """The record behind its header. `played` and `changed` are ms before the last entry's time.

    Standings stay packed until something moves, and are written back as they were if nothing did.
    """

    rows: bytes
    profiles: list[str]
    registers: list[Any]
    truths: int | bytes
    standings: msgspec.Raw
    played: int = 0
    changed: int | None = None
    extras: dict[int, Extra] = {}
    waiting: list[Waiting] = []
    rare: Rare | None = None

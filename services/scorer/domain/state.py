"""A customer's state and its bytes, and a partition's position: what the changelog topic holds.

A record begins with a fixed header, so that a restore reads when a customer is next due and which policies it has
been decided under without decoding the rest. Bytes are not canonical: two records may say the same with other bytes.
"""

import struct
from typing import Any

import msgspec

from schemas.decisions import Kind, Value
from services.scorer.domain.entries import Entry
from services.scorer.domain.eras import Policies
from services.scorer.domain.frozen import Frozen
from services.scorer.domain.ledger import NEVER, Extra, Ledger
from services.scorer.domain.life import Life, Override
from services.scorer.domain.positions import Standing

VERSION = 3
POSITION_KEY = b"\x00"
"""The changelog key of a partition's position; no subject can be it."""

_HEADER = struct.Struct(">Bq8s")  # version, due (ms), mark of the newest era decided under
_pack, _header, _BEGIN = _HEADER.pack, _HEADER.unpack_from, _HEADER.size


class StateError(Exception):
    """The bytes are not a record this version reads."""


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
    left:      of one without any event, who had some before a merge or an erasure: what was announced last
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
    """

    __slots__ = ("changed_ms", "life", "rare", "waiting")

    def __init__(self, life: Life, changed_ms: int = -NEVER) -> None:
        self.life, self.changed_ms = life, changed_ms
        self.waiting: list[Waiting] = []
        self.rare: Rare | None = None

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
    """

    events_offset: int
    sequence: int
    policy: str
    policy_digest: str
    appended_ms: int = 0
    caught_up: bool = True


class _Body(msgspec.Struct, array_like=True):
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


_body = msgspec.msgpack.Decoder(_Body).decode
_position = msgspec.msgpack.Decoder(Position).decode
_bytes = msgspec.msgpack.Encoder().encode
_WIDEST = 1 << 63  # truths up to here are a number, above bytes, little endian


Opened = tuple[int, int, _Body]
"""Of a record: how many eras it knows, when it is due (ms), and what is behind its header."""


def packed(
    due_ms: int,
    mark: bytes,
    ledger: Ledger,
    registers: list[Any],
    truths: int,
    standings: msgspec.Raw,
    changed: int | None,
    played: int = 0,
) -> bytes:
    """The record of one without anything rare. `changed`, `played`: ms before the last entry's time."""
    held = truths if truths < _WIDEST else truths.to_bytes((truths.bit_length() + 7) >> 3, "little")
    body: list[Any] = [ledger.rows, ledger.profiles, registers, held, standings, played]
    if ledger.extras:
        body += [changed, ledger.extras]
    elif changed is not None:
        body.append(changed)
    return _pack(VERSION, due_ms, mark) + _bytes(body)


def encode(customer: Customer) -> bytes:
    life, rare, waiting = customer.life, customer.rare, customer.waiting
    ledger, truths, mark = life.ledger, life.truths, life.policies.marks[life.known - 1]
    last_ms = ledger.last_ms
    standings = life.packed if life.unpacked is None else life.packed_standings()
    changed = None if customer.changed_ms == -NEVER else last_ms - customer.changed_ms
    if life.overrides or life.retired:
        rare = msgspec.structs.replace(rare or Rare(), overrides=life.overrides, retired=life.retired)
    played, due_ms = last_ms - life.played_ms, customer.due_ms
    if rare is None and not waiting:
        return packed(due_ms, mark, ledger, life.registers, truths, standings, changed, played)
    whole = _Body(
        ledger.rows, ledger.profiles, life.registers, truths, standings, played, changed, ledger.extras, waiting, rare
    )
    if truths >= _WIDEST:
        whole.truths = truths.to_bytes((truths.bit_length() + 7) >> 3, "little")
    return _pack(VERSION, due_ms, mark) + _bytes(whole)


def opened(record: bytes, policies: Policies) -> Opened:
    """StateError if the bytes are no record of this version, or one decided under policies that are not known."""
    try:
        version, due_ms, mark = _header(record)
        known, body = policies.known[mark], _body(record[_BEGIN:])
    except (struct.error, KeyError, msgspec.DecodeError) as error:
        raise _refusal(record, policies, error) from error
    if version != VERSION:
        raise _refusal(record, policies, None)
    return known, due_ms, body


def resumed(
    policies: Policies, opened: Opened, ledger: Ledger, era: int, played_ms: int, due_ms: int, changed: int | None
) -> Customer:
    """One with nothing rare, on this ledger. `changed`: ms before the last entry's time."""
    known, _, body = opened
    truths = body.truths
    if isinstance(truths, bytes):
        truths = int.from_bytes(truths, "little")
    machine, registers = policies.machines[era], body.registers
    life = Life(policies, ledger, known, era, machine, truths, registers, body.standings, played_ms, due_ms)
    return Customer(life, -NEVER if changed is None else ledger.last_ms - changed)


def revived(opened: Opened, policies: Policies) -> Customer:
    """The customer of a record."""
    known, due_ms, body = opened
    ledger = Ledger(body.rows, body.profiles, body.extras)
    if body.rows:
        ledger.entered = len(ledger)
        played_ms = ledger.last_ms - body.played
        era = policies.at(played_ms, known) if known > 1 else 0
        customer = resumed(policies, opened, ledger, era, played_ms, due_ms, body.changed)
    else:
        customer = Customer(Life.new(policies, ledger, known))
    if body.waiting:
        customer.waiting = body.waiting
    if body.rare is not None:
        life = customer.life
        life.overrides, life.retired = body.rare.overrides, body.rare.retired
        rest = msgspec.structs.replace(body.rare, overrides=[], retired={})
        customer.rare = rest if rest != Rare() else None
    return customer


def decode(record: bytes, policies: Policies) -> Customer:
    """StateError as `opened`."""
    return revived(opened(record, policies), policies)


def due_ms(record: bytes) -> int | None:
    """From the header alone: the next instant this customer must be looked at, None if never."""
    _check(record)
    due: int = _header(record)[1]
    return None if due == NEVER else due


def mark(record: bytes) -> bytes:
    """From the header alone: the mark of the newest era the record was decided under."""
    _check(record)
    found: bytes = _header(record)[2]
    return found


def encode_position(position: Position) -> bytes:
    return _HEADER.pack(VERSION, NEVER, bytes.fromhex(position.policy_digest)) + _bytes(position)


def decode_position(record: bytes) -> Position:
    _check(record)
    try:
        return _position(record[_BEGIN:])
    except msgspec.DecodeError as error:
        raise StateError(f"a state record cannot be decoded: {error}") from error


def _check(record: bytes) -> None:
    if len(record) < _BEGIN or record[0] != VERSION:
        raise StateError(f"not a state record of version {VERSION}; its first bytes are {record[:4]!r}")


def _refusal(record: bytes, policies: Policies, error: Exception | None) -> StateError:
    """Why the record is none of ours."""
    try:
        _check(record)
    except StateError as other:
        return other
    if mark(record) not in policies.known:
        return StateError("a state record was decided under a policy that is not among those activated")
    return StateError(f"a state record cannot be decoded: {error}")

"""A customer's record, and a partition's position, as bytes.

A record begins with a fixed header, so that a restore reads when a customer is next due and which policies it has
been decided under without decoding the rest. Bytes are not canonical: two records may say the same with other bytes.
"""

import struct
from typing import Any, Final

import msgspec

from schemas.unreadable import UNREADABLE
from services.scorer.domain.eras import Policies
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.life import Life
from services.scorer.domain.state import Body, Customer, Position, Rare

VERSION: Final = 6

_HEADER: Final = struct.Struct(">Bq8s")  # version, due (ms), mark of the newest era decided under
_BEGIN: Final = 17  # its size, as a number: the compiler writes it into the code
_pack: Final = _HEADER.pack
_header: Final = _HEADER.unpack_from


class StateError(Exception):
    """The bytes are not a record this version reads."""


_body: Final = msgspec.msgpack.Decoder(Body).decode
_position: Final = msgspec.msgpack.Decoder(Position).decode
_bytes: Final = msgspec.msgpack.Encoder().encode
_WIDEST: Final = 1 << 63  # truths up to here are a number, above bytes, little endian


Opened = tuple[int, int, Body]
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
    whole = Body(
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
    except (struct.error, KeyError, *UNREADABLE) as error:
        raise _refusal(record, policies, error) from error
    if version != VERSION:
        raise _refusal(record, policies, None)
    return known, due_ms, body


def revived(opened: Opened, policies: Policies) -> Customer:
    """The customer of a record."""
    known, due_ms, body = opened
    ledger = Ledger(body.rows, body.profiles, body.extras)
    if body.rows:
        ledger.entered = len(ledger)
        last_ms, truths = ledger.last_ms, body.truths
        played_ms = last_ms - body.played
        if isinstance(truths, bytes):
            truths = int.from_bytes(truths, "little")
        era = policies.at(played_ms, known) if known > 1 else 0
        machine, registers = policies.machines[era], body.registers
        life = Life(policies, ledger, known, era, machine, truths, registers, body.standings, played_ms, due_ms)
        customer = Customer(life, -NEVER if body.changed is None else last_ms - body.changed)
    else:
        customer = Customer(Life.new(policies, ledger, known))
    if body.waiting:
        customer.waiting = body.waiting
    if body.rare is not None:
        life = customer.life
        life.overrides, life.retired, life.frozen = body.rare.overrides, body.rare.retired, body.rare.frozen
        rest = msgspec.structs.replace(body.rare, overrides=[], retired={})
        customer.rare = rest if rest != Rare() else None
    return customer


def decode(record: bytes, policies: Policies) -> Customer:
    """StateError as `opened`."""
    customer = revived(opened(record, policies), policies)
    customer.size = len(record)
    return customer


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


ALIAS: Final = 0x41
"""In the place of the version: this subject is another name for somebody."""


def encode_alias(into: str) -> bytes:
    return _HEADER.pack(ALIAS, NEVER, bytes(8)) + into.encode()


def alias_of(record: bytes) -> str | None:
    """Whom the subject of this record stands for; None if it is a customer's."""
    return record[_BEGIN:].decode() if record[:1] == b"A" else None


def encode_position(position: Position) -> bytes:
    return _HEADER.pack(VERSION, NEVER, bytes.fromhex(position.policy_digest)) + _bytes(position)


def decode_position(record: bytes) -> Position:
    _check(record)
    try:
        return _position(record[_BEGIN:])
    except UNREADABLE as error:
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

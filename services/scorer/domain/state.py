"""A customer's state and its bytes, and a partition's position: what the changelog topic holds.

A record begins with a fixed header, so that a restore reads when a customer is next due and under which policy it
was decided without decoding the rest.
"""

import struct
from typing import Any

import msgspec

from schemas.decisions import Value
from services.scorer.domain.entries import Entry
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.policy import Policy

VERSION = 1
POSITION_KEY = b"\x00"
"""The changelog key of a partition's position; no subject can be it."""

_HEADER = struct.Struct(">Bq8s")  # version, due (ms), policy digest


class StateError(Exception):
    """The bytes are not a record this version reads."""


class Standing(msgspec.Struct, array_like=True, gc=False):
    """Where a customer stands in one dimension.

    since_ms: event time from which the value has held; None where everyone began
    revision: of the last decision about this dimension, 0 if there was none
    """

    value: Value
    since_ms: int | None = None
    revision: int = 0


class Waiting(msgspec.Struct, array_like=True, gc=False, frozen=True):
    """An event ahead of the clock: kept in the ledger, named here until its time has come."""

    time_ms: int
    type: str
    id: str
    source: str
    received_ms: int | None


class Customer(msgspec.Struct, array_like=True):
    """One customer's state; `Customer()` is one not known before.

    entries:    the ledger, in event-time order, ties by id hash
    standings:  per dimension of the policy, by index; empty before the first event
    changed_ms: the last instant at which any position changed; an event later than it is in order
    due_ms:     a lower bound of the next instant at which anything can change without an event; NEVER if none
    waiting:    events ahead of the clock
    """

    entries: list[Entry] = []
    standings: list[Standing] = []
    changed_ms: int = -1
    due_ms: int = NEVER
    waiting: list[Waiting] = []


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


_customers = msgspec.msgpack.Decoder(Customer)
_positions = msgspec.msgpack.Decoder(Position)
_encoder = msgspec.msgpack.Encoder()


def encode(customer: Customer, policy: Policy) -> bytes:
    header = _HEADER.pack(VERSION, customer.due_ms, bytes.fromhex(policy.digest))
    return header + _encoder.encode(customer)


def decode(record: bytes) -> Customer:
    _check(record)
    customer: Customer = _read(_customers, record)
    return customer


def due_ms(record: bytes) -> int | None:
    """From the header alone: the next instant this customer must be looked at, None if never."""
    _check(record)
    due: int = _HEADER.unpack_from(record)[1]
    return None if due == NEVER else due


def policy_digest(record: bytes) -> str:
    """From the header alone: the digest of the policy the record was decided under."""
    _check(record)
    digest: bytes = _HEADER.unpack_from(record)[2]
    return digest.hex()


def encode_position(position: Position) -> bytes:
    header = _HEADER.pack(VERSION, NEVER, bytes.fromhex(position.policy_digest))
    return header + _encoder.encode(position)


def decode_position(record: bytes) -> Position:
    _check(record)
    position: Position = _read(_positions, record)
    return position


def _check(record: bytes) -> None:
    if len(record) < _HEADER.size or record[0] != VERSION:
        raise StateError(f"not a state record of version {VERSION}; its first bytes are {record[:4]!r}")


def _read(decoder: Any, record: bytes) -> Any:
    try:
        return decoder.decode(memoryview(record)[_HEADER.size :])
    except msgspec.DecodeError as error:
        raise StateError(f"a state record cannot be decoded: {error}") from error

"""What one poll brought, decoded as far as needed: the work of one database transaction."""

from collections.abc import Iterable, Sequence
from typing import NamedTuple, Protocol

import msgspec

from schemas.subjects import POSITION_KEY
from schemas.unreadable import UNREADABLE
from services.notifier.domain.turns import Marker, Turn
from services.scorer.domain.packing import StateError, decode_position
from services.scorer.domain.state import Position


class Unreadable(Exception):
    """A record that this version cannot read. It is not skipped: the database would be wrong without a word."""


class Record(Protocol):
    """Of a Kafka record what we use."""

    @property
    def key(self) -> bytes | None: ...
    @property
    def value(self) -> bytes | None: ...
    @property
    def offset(self) -> int: ...


class Move(NamedTuple):
    """A partition's offset, from what we expect in the database to what it is after this batch."""

    topic: str
    partition: int
    expected: int
    next: int


class Kept(NamedTuple):
    """A decision and its bytes as they came."""

    partition: int
    turn: Turn
    record: bytes


class Batch(msgspec.Struct):
    """One poll's records.

    states:    per customer the newest changelog record only, None where it is a tombstone
    positions: per partition the newest position record
    decisions: in the order of each partition
    markers, sequences: per partition the newest caught_up marker's sequence, and the newest of any record
    """

    moves: list[Move] = []
    states: dict[str, tuple[int, bytes | None]] = {}
    positions: dict[int, Position] = {}
    decisions: list[Kept] = []
    markers: dict[int, int] = {}
    sequences: dict[int, int] = {}
    records: int = 0

    @property
    def partitions(self) -> list[int]:
        return sorted({move.partition for move in self.moves})


_decode = msgspec.json.Decoder(Turn | Marker).decode


def take_changelog(batch: Batch, topic: str, partition: int, expected: int, records: Sequence[Record]) -> None:
    """Add a run of changelog records; Unreadable."""
    states = batch.states
    for record in records:
        key, value = record.key, record.value
        try:
            if key == POSITION_KEY:
                if value is not None:
                    batch.positions[partition] = decode_position(value)
            elif key is not None:
                states[key.decode()] = (partition, value)
        except (StateError, UnicodeDecodeError) as error:
            raise _unreadable(topic, partition, record, error) from error
    _moved(batch, topic, partition, expected, records)


def take_decisions(batch: Batch, topic: str, partition: int, expected: int, records: Sequence[Record]) -> None:
    """Add a run of decision records; Unreadable."""
    decisions, decoded = batch.decisions, None
    for record in records:
        value = record.value or b""
        try:
            decoded = _decode(value)
        except UNREADABLE as error:
            raise _unreadable(topic, partition, record, error) from error
        if type(decoded) is Turn:
            decisions.append(Kept(partition, decoded, value))
        else:
            batch.markers[partition] = decoded.sequence
    if decoded is not None:
        batch.sequences[partition] = decoded.sequence
    _moved(batch, topic, partition, expected, records)


def subjects(decisions: Iterable[Kept]) -> set[str]:
    return {kept.turn.subject for kept in decisions}


def _moved(batch: Batch, topic: str, partition: int, expected: int, records: Sequence[Record]) -> None:
    if records:
        batch.moves.append(Move(topic, partition, expected, records[-1].offset + 1))
        batch.records += len(records)


def _unreadable(topic: str, partition: int, record: Record, error: Exception) -> Unreadable:
    return Unreadable(f"{topic}, partition {partition}, offset {record.offset}: {error}")

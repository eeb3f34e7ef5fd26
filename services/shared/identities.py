"""Topic `identities`: read to its end, and written by one writer at a time, who has read all before what it writes.

Blocks.
"""

import threading
from collections.abc import Callable, Iterable
from datetime import UTC, datetime, timedelta
from typing import Any, Final

import msgspec
from confluent_kafka import Consumer, KafkaException, Message, Producer

from schemas.identities import Erasure, Identity, Merge, Unmerge
from schemas.topics import IDENTITIES
from schemas.unreadable import UNREADABLE
from services.shared import single_writer
from services.shared.connection import for_librdkafka
from services.shared.foreign import ForeignRecord
from services.shared.kafka import KafkaUnavailable
from services.shared.settings import KafkaSettings

KEY = b"identity"
AHEAD: Final = timedelta(minutes=1)
"""So much an operation's instant may lie ahead of the broker's clock: events that ingest has stamped by the same clock,
a little ahead, just before an erasure, are not to outlive it."""

_BEGINNING = datetime.fromtimestamp(0, UTC)
_WITHIN_S = 10.0
_IN_LINE_S = 2.0
_ATTEMPTS = 5

_decode = msgspec.json.Decoder(Identity).decode
_encode = msgspec.json.Encoder().encode


class Conflict(Exception):
    """What is asked for cannot be, as things stand. str() is one line."""


class AlreadyMerged(Conflict):
    """`from` is merged into another customer, or the merge would be a circle."""


class NotMerged(Conflict):
    """There is nothing to part."""


class InLine(Exception):
    """Others are being written, and that takes too long; nothing of ours was or will be. str() is one line."""


class Directory:
    """Who is whose other name, after the operations taken so far."""

    def __init__(self) -> None:
        self._into: dict[str, str] = {}
        self._through: dict[str, set[str]] = {}
        self.sequence = 0
        self.at = _BEGINNING

    def survivor(self, subject: str) -> str:
        """Who answers for the subject: itself, or whom it has been merged into."""
        while subject in self._into:
            subject = self._into[subject]
        return subject

    def members(self, subject: str) -> frozenset[str]:
        """All who were merged into the subject, and into those."""
        found: set[str] = set()
        left = [subject]
        while left:
            for other in self._through.get(left.pop(), ()):
                found.add(other)
                left.append(other)
        return frozenset(found)

    def take(self, operation: Identity) -> None:
        self.sequence, self.at = operation.sequence, operation.at
        match operation:
            case Merge(from_=other, into=into):
                self._into[other] = into
                self._through.setdefault(into, set()).add(other)
            case Unmerge(from_=other):
                self._part(other)
            case Erasure(subject=subject):
                for other in self.members(subject):
                    self._part(other)

    def _part(self, other: str) -> None:
        into = self._into.pop(other, None)
        if into is not None:
            self._through[into].discard(other)
            if not self._through[into]:
                del self._through[into]

    # -- what may follow

    def merge(self, other: str, asked: str, at: datetime) -> Merge | None:
        """The next operation; None if they are one by that very merge already. AlreadyMerged."""
        into = self.survivor(asked)
        if other in self._into:
            if self.survivor(other) == into:
                return None
            raise AlreadyMerged(f"{other!r} is merged into {self.survivor(other)!r} already; unmerge it first")
        if other == into:
            raise AlreadyMerged(f"{asked!r} is {other!r} itself: nobody can be merged into one of their own names")
        return Merge(**self._next(at), from_=other, into=into, asked=None if asked == into else asked)

    def unmerge(self, other: str, asked: str, at: datetime) -> Unmerge:
        """NotMerged."""
        into = self.survivor(asked)
        if other not in self._into or self.survivor(other) != into:
            raise NotMerged(f"{other!r} is not merged into {into!r}")
        return Unmerge(**self._next(at), from_=other, into=into, asked=None if asked == into else asked)

    def erase(self, asked: str, at: datetime) -> Erasure:
        subject = self.survivor(asked)
        return Erasure(**self._next(at), subject=subject, asked=None if asked == subject else asked)

    def _next(self, at: datetime) -> dict[str, Any]:
        return {"sequence": self.sequence + 1, "at": max(at, self.at)}


class Reading:
    """The topic's records, from the first one on, as everybody has to understand them.

    Their `at` is of the clock of an ingest, which may have been an hour ahead. It counts for no more than AHEAD after
    the broker's append time, so that nothing has to wait for it, and never runs back. Every record says the same to
    every reader.
    """

    def __init__(self) -> None:
        self._at = _BEGINNING

    def read(self, value: bytes, appended_ms: int) -> Identity:
        """One of UNREADABLE if it is none."""
        return self.understood(_decode(value), appended_ms)

    def read_message(self, message: Message) -> Identity:
        """ForeignRecord."""
        try:
            return self.read(message.value() or b"", message.timestamp()[1])
        except UNREADABLE as error:
            raise ForeignRecord.at(message, error) from None

    def understood(self, operation: Identity, appended_ms: int) -> Identity:
        latest = datetime.fromtimestamp(appended_ms / 1000, UTC) + AHEAD
        self._at = max(self._at, min(operation.at, latest))
        return operation if operation.at == self._at else msgspec.structs.replace(operation, at=self._at)


class Sequencer:
    """Writes what may follow. One at a time in a process; of several processes one wins, and the others try again."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._topic, self._writer = settings.topic(IDENTITIES.name), settings.topic("identities-writer")
        self._bootstrap = settings.kafka_bootstrap
        self._connection = for_librdkafka(settings)
        self._lock = threading.Lock()
        self._reader: Consumer | None = None
        self._producer: Producer | None = None
        self._directory, self._reading, self._next_offset = Directory(), Reading(), 0

    def append(self, following: Callable[[Directory], Identity | None]) -> Identity | None:
        """Write what `following` makes of all operations so far; nothing if that is None, or if it raises.

        KafkaUnavailable: it is not known whether it was written. InLine, ForeignRecord.
        """
        if not self._lock.acquire(timeout=_IN_LINE_S):
            raise InLine(f"Kafka at {self._bootstrap} is slow to take what was asked for before")
        try:
            for attempt in range(_ATTEMPTS):
                try:
                    return self._append(following)
                except ForeignRecord:
                    self._drop()
                    raise
                except KafkaException as error:
                    self._drop()
                    if not single_writer.was_fenced(error) or attempt == _ATTEMPTS - 1:
                        raise KafkaUnavailable(f"Kafka at {self._bootstrap}: {error.args[0].str()}") from error
        finally:
            self._lock.release()
        raise AssertionError("unreachable")

    def close(self) -> None:
        with self._lock:
            self._drop()

    def _append(self, following: Callable[[Directory], Identity | None]) -> Identity | None:
        if self._producer is None:
            self._producer = single_writer.open_writer(self._connection, self._writer, within_s=_WITHIN_S)
        self._read_on()
        operation = following(self._directory)
        if operation is None:
            return None
        [appended_ms] = single_writer.write(self._producer, self._topic, KEY, [_encode(operation)], within_s=_WITHIN_S)
        operation = self._reading.understood(operation, appended_ms)
        self._directory.take(operation)
        return operation

    def _read_on(self) -> None:
        """Take all that was written since the last time, by whomever."""
        if self._reader is None:
            self._reader = single_writer.open_reader(self._connection, self._writer)
        for message in single_writer.to_the_end(self._reader, self._topic, self._next_offset, within_s=_WITHIN_S):
            self._next_offset = (message.offset() or 0) + 1
            operation = self._reading.read_message(message)
            if operation.sequence > self._directory.sequence:
                self._directory.take(operation)

    def _drop(self) -> None:
        """A producer that failed, and what was read with it: all is read again before anything is written."""
        if self._reader is not None:
            self._reader.close()
        self._reader = self._producer = None
        self._directory, self._reading, self._next_offset = Directory(), Reading(), 0


def operations(messages: Iterable[Message]) -> list[Identity]:
    """Of all records of the topic. ForeignRecord."""
    return [*map(Reading().read_message, messages)]

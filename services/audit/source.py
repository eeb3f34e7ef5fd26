"""The topics as an audit reads them: committed records, belonging to no group. Everything here blocks.

KafkaException if the broker stays away.
"""

from collections.abc import Iterator

import msgspec
from confluent_kafka import Consumer, Message

from schemas import topics
from schemas.control import Activation
from schemas.decisions import DeadLetterReason
from schemas.identities import Identity
from schemas.unreadable import UNREADABLE
from services.audit.pace import Pace
from services.scorer.engine import changelog, eventlog
from services.scorer.engine.changelog import Restored
from services.shared.control import Control
from services.shared.foreign import ForeignRecord
from services.shared.identities import operations
from services.shared.portions import portions
from services.shared.settings import KafkaSettings


class _Letter(msgspec.Struct):
    """What is asked of a dead letter."""

    reason: DeadLetterReason
    partition: int
    offset: int


_letter = msgspec.json.Decoder(_Letter)


class Source:
    def __init__(self, settings: KafkaSettings, pace: Pace) -> None:
        self._settings, self._pace = settings, pace
        self._consumer: Consumer = changelog.reader(settings, settings.topic("audit"))
        self._of_all: Consumer = changelog.reader(settings, settings.topic("audit"), "read_uncommitted")

    def close(self) -> None:
        self._consumer.close()
        self._of_all.close()

    def identities(self) -> list[Identity]:
        """All merges, unmerges and erasures so far."""
        return operations(m for portion in self.records(topics.IDENTITIES, 0, 0, None) for m in portion)

    def activations(self) -> list[Activation]:
        """All policies so far."""
        return Control(self._settings).read()

    def state(self, partition: int, told: changelog.Progress) -> Restored:
        """The newest record of each key. A turn's records and its position are one transaction, so they fit."""

        def progress(read: int, left: int) -> None:
            told(read, left)
            if left:  # what comes while this is read is read at full speed, or the end would not be reached
                self._pace.took(read)

        return changelog.restore(self._consumer, self._settings.topic(topics.SCORER_STATE.name), partition, progress)

    def poison(self, partition: int) -> Iterator[tuple[bytes, tuple[int, int]]]:
        """Of the events at which the core failed, so that they count for nothing, key and place on topic `events`."""
        for portion in self.records(topics.DEAD_LETTERS, partition, 0, None):
            for message in portion:
                try:
                    letter = _letter.decode(message.value() or b"")
                except UNREADABLE as error:
                    raise ForeignRecord.at(message, error) from None
                if letter.reason == "poison":
                    yield message.key() or b"", (letter.partition, letter.offset)

    def on_transfers(self, partition: int, start: int) -> Iterator[bytes]:
        """Whom those records are for that stand there from offset `start` on, committed or not: one that is not hides
        what is committed behind it."""
        topic = self._settings.topic(topics.TRANSFERS.name)
        end = eventlog.bounds(self._of_all, topic, partition)[1]
        if start >= end:
            return
        try:
            for portion in portions(self._of_all, topic, partition, start, end):
                yield from (message.key() or b"" for message in portion)
        finally:
            self._of_all.unassign()

    def bounds(self, topic: topics.Topic, partition: int) -> tuple[int, int]:
        """The first offset kept, and the one the next record will get."""
        return eventlog.bounds(self._consumer, self._settings.topic(topic.name), partition)

    def records(self, topic: topics.Topic, partition: int, start: int, end: int | None) -> Iterator[list[Message]]:
        """In portions, from offset `start` on up to `end`, that one not included; None for all there is."""
        if end is not None and start >= end:
            return
        try:
            for portion in portions(self._consumer, self._settings.topic(topic.name), partition, start, end):
                yield portion
                self._pace.took(len(portion))
        finally:
            self._consumer.unassign()

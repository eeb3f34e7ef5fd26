"""Dead letters, and what was done about them, read from their topics and written there. Everything here blocks."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from schemas.decisions import LETTER_BYTES, DeadLetter
from schemas.letters import Handling
from schemas.topics import DEAD_LETTERS, DEAD_LETTERS_HANDLED
from schemas.unreadable import UNREADABLE
from services.shared.connection import SILENT, for_librdkafka
from services.shared.foreign import ForeignRecord
from services.shared.kafka import KafkaRefused, KafkaUnavailable, verify_topics
from services.shared.settings import KafkaSettings

_WITHIN_S = 30.0
_AT_ONCE = 1_000

_letter = msgspec.json.Decoder(DeadLetter).decode
_handling = msgspec.json.Decoder(Handling).decode
_encode = msgspec.json.Encoder().encode


class Place(NamedTuple):
    """Where a dead letter stands on `dead-letters`; written `partition:offset`, it is the letter's id for ever."""

    partition: int
    offset: int

    def __str__(self) -> str:
        return f"{self.partition}:{self.offset}"

    @classmethod
    def read(cls, text: str) -> "Place":
        """ValueError if it is no place."""
        partition, _, offset = text.partition(":")
        if not (partition.isascii() and partition.isdigit() and offset.isascii() and offset.isdigit()):
            raise ValueError(f"{text!r} is no letter's id, which is as 0:17")
        return cls(int(partition), int(offset))


class Letters:
    """KafkaUnavailable if the broker stays away, TopicMissing or TopicMismatch if a topic isn't as it has to be."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._letters = settings.topic(DEAD_LETTERS.name)
        self._handled = settings.topic(DEAD_LETTERS_HANDLED.name)
        self._connection = for_librdkafka(settings)
        verify_topics(settings, [DEAD_LETTERS, DEAD_LETTERS_HANDLED])

    def read(self) -> list[tuple[Place, DeadLetter]]:
        """All dead letters there are now, each partition's in order. ForeignRecord."""
        return [self._letter_of(message) for message in self._all(self._letters, self._settings.partitions)]

    def one(self, place: Place) -> DeadLetter | None:
        """The letter that stands there; None if none does. ForeignRecord."""
        if place.partition >= self._settings.partitions:
            return None
        message = self._at(self._letters, place.partition, place.offset)
        return None if message is None else self._letter_of(message)[1]

    def original(self, letter: DeadLetter) -> bytes | None:
        """The event's bytes, all of them; None if they were cut and do not stand on `events` any more."""
        if len(letter.event) < LETTER_BYTES:
            return letter.event
        message = self._at(letter.topic, letter.partition, letter.offset)
        return None if message is None else message.value()

    def handled(self) -> dict[Place, Handling]:
        """What was done, letter by letter. ForeignRecord."""
        found: dict[Place, Handling] = {}
        for message in self._all(self._handled, 1):
            value = message.value()
            try:
                place = Place.read((message.key() or b"").decode())
                if value is None:
                    found.pop(place, None)
                else:
                    found[place] = _handling(value)
            except (ValueError, *UNREADABLE) as error:
                raise ForeignRecord.at(message, error) from None
        return found

    def note(self, done: Sequence[Handling]) -> None:
        """Write down what was done; once it returns, it is kept. KafkaRefused if one takes more than a record may."""
        most = DEAD_LETTERS_HANDLED.longest_bytes
        for one in done:
            if (size := len(_encode(one))) > most:
                raise KafkaRefused(f"letter {one.letter}: the event and what was done take {size:,} of {most:,} bytes")
        settings = {"acks": "all", "enable.idempotence": True, "message.max.bytes": DEAD_LETTERS_HANDLED.written_bytes}
        producer = Producer(self._connection | settings, logger=SILENT)
        failed: list[KafkaError] = []

        def delivered(error: KafkaError | None, _: Message) -> None:
            if error is not None:
                failed.append(error)

        for one in done:
            producer.produce(self._handled, _encode(one), one.letter.encode(), 0, on_delivery=delivered)
        if producer.flush(_WITHIN_S) or failed:
            raise self._away(KafkaException(failed[0] if failed else KafkaError(KafkaError._TIMED_OUT)))

    def _letter_of(self, message: Message) -> tuple[Place, DeadLetter]:
        place = Place(message.partition() or 0, message.offset() or 0)
        try:
            return place, _letter(message.value() or b"")
        except UNREADABLE as error:
            raise ForeignRecord.at(message, error) from None

    def _consumer(self) -> Consumer:
        return Consumer(
            self._connection
            | {
                "group.id": self._letters,  # asked for by the library; nothing is joined or committed
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "error",
                "fetch.wait.max.ms": 50,
            },
            logger=SILENT,
        )

    def _all(self, topic: str, partitions: int) -> Iterator[Message]:
        """Every record of the topic, each partition's in order."""
        consumer = self._consumer()
        try:
            consumer.assign([TopicPartition(topic, partition, OFFSET_BEGINNING) for partition in range(partitions)])
            left = set(range(partitions))
            while left:
                first = consumer.poll(_WITHIN_S)
                if first is None:
                    raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing of {topic}"))
                for message in (first, *consumer.consume(_AT_ONCE, timeout=0)):
                    if self._is_end(message):
                        left.discard(message.partition() or 0)
                    else:
                        yield message
        except KafkaException as error:
            raise self._away(error) from error
        finally:
            consumer.close()

    def _at(self, topic: str, partition: int, offset: int) -> Message | None:
        """The committed record at exactly this offset."""
        consumer = self._consumer()
        try:
            first, end = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_WITHIN_S)
            if not first <= offset < end:
                return None
            consumer.assign([TopicPartition(topic, partition, offset)])
            message = consumer.poll(_WITHIN_S)
            if message is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing of {topic}-{partition}"))
            return None if self._is_end(message) or message.offset() != offset else message
        except KafkaException as error:
            raise self._away(error) from error
        finally:
            consumer.close()

    def _is_end(self, message: Message) -> bool:
        error = message.error()
        if error is not None and error.code() != KafkaError._PARTITION_EOF:
            raise KafkaException(error)
        return error is not None

    def _away(self, error: KafkaException) -> KafkaUnavailable:
        return KafkaUnavailable(f"Kafka at {self._settings.kafka_bootstrap}: {error.args[0].str()}")

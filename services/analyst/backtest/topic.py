"""A history out of topic `events`: every partition from its beginning to where it ends now; and out of `identities` who
has been merged, parted and erased."""

from collections.abc import Iterator

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, Message, TopicPartition

from schemas.topics import EVENTS, IDENTITIES
from services.analyst.backtest.history import Told
from services.analyst.backtest.spill import Spill
from services.scorer.engine.changelog import reader
from services.scorer.engine.eventlog import bounds
from services.shared.identities import operations
from services.shared.kafka import KafkaUnavailable, verify_topics
from services.shared.settings import KafkaSettings

_AT_ONCE = 10_000
_SILENCE_S = 30.0


class Topic:
    """KafkaUnavailable if the broker stays away, TopicMissing or TopicMismatch if a topic isn't as it has to be.

    Everything here blocks.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        verify_topics(settings, [EVENTS, IDENTITIES])
        self._name, self._bootstrap = settings.topic(EVENTS.name), settings.kafka_bootstrap
        self._identities = settings.topic(IDENTITIES.name)
        self._consumer: Consumer = reader(settings, settings.topic("backtest"))
        try:
            self._bounds = [bounds(self._consumer, self._name, number) for number in range(settings.partitions)]
        except KafkaException as error:
            raise self._away(error) from error

    @property
    def size(self) -> int:
        """How many records there are, about."""
        return sum(high - low for low, high in self._bounds)

    def read(self, spill: Spill, told: Told) -> None:
        """Merges, unmerges and erasures first, so that whoever is one customer comes to one part of the spill."""
        try:
            identities = (m for portion in self._records(self._identities, 0, None) for m in portion)
            spill.relate(operations(message.value() or b"" for message in identities))
            for number, (low, high) in enumerate(self._bounds):
                if high > low:
                    for portion in self._records(self._name, number, high):
                        for message in portion:
                            spill.put(message.key() or b"", message.timestamp()[1], message.value() or b"")
                        told(len(portion))
        except KafkaException as error:
            raise self._away(error) from error
        finally:
            self._consumer.close()

    def _records(self, topic: str, number: int, end: int | None) -> Iterator[list[Message]]:
        """A partition in portions, up to offset `end`, that one not included; None for all there is."""
        self._consumer.assign([TopicPartition(topic, number, OFFSET_BEGINNING)])
        reading = True
        while reading:
            first = self._consumer.poll(_SILENCE_S)
            if first is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing of {topic}-{number}"))
            found: list[Message] = []
            for message in (first, *self._consumer.consume(_AT_ONCE, timeout=0)):
                error = message.error()
                if error is not None and error.code() != KafkaError._PARTITION_EOF:
                    raise KafkaException(error)
                if error is not None or (end is not None and (message.offset() or 0) >= end):
                    reading = False
                    break
                found.append(message)
            yield found

    def _away(self, error: KafkaException) -> KafkaUnavailable:
        return KafkaUnavailable(f"Kafka at {self._bootstrap}: {error.args[0].str()}")

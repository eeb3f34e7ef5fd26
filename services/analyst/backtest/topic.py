"""A history out of topic `events`: every partition from its beginning to where it ends now."""

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from schemas.topics import EVENTS
from services.analyst.backtest.history import Told
from services.analyst.backtest.spill import Spill
from services.scorer.engine.changelog import reader
from services.scorer.engine.eventlog import bounds
from services.shared.kafka import KafkaUnavailable, verify_topics
from services.shared.settings import KafkaSettings

_AT_ONCE = 10_000
_SILENCE_S = 30.0


class Topic:
    """KafkaUnavailable if the broker stays away, TopicMissing or TopicMismatch if the topic isn't as it has to be.

    Everything here blocks.
    """

    def __init__(self, settings: KafkaSettings) -> None:
        verify_topics(settings, [EVENTS])
        self._name, self._bootstrap = settings.topic(EVENTS.name), settings.kafka_bootstrap
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
        try:
            for number, (low, high) in enumerate(self._bounds):
                if high > low:
                    self._partition(number, high, spill, told)
        except KafkaException as error:
            raise self._away(error) from error
        finally:
            self._consumer.close()

    def _partition(self, number: int, end: int, spill: Spill, told: Told) -> None:
        self._consumer.assign([TopicPartition(self._name, number, OFFSET_BEGINNING)])
        while True:
            first = self._consumer.poll(_SILENCE_S)
            if first is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing of {self._name}-{number}"))
            messages = [first, *self._consumer.consume(_AT_ONCE, timeout=0)]
            for message in messages:
                error = message.error()
                if error is not None:
                    if error.code() == KafkaError._PARTITION_EOF:
                        return
                    raise KafkaException(error)
                if (message.offset() or 0) >= end:
                    return
                spill.put(message.key() or b"", message.timestamp()[1], message.value() or b"")
            told(len(messages))

    def _away(self, error: KafkaException) -> KafkaUnavailable:
        return KafkaUnavailable(f"Kafka at {self._bootstrap}: {error.args[0].str()}")

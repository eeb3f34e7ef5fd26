"""A history out of topic `events`: every partition from its beginning to where it ends now; and out of `identities` who
has been merged, parted and erased."""

from functools import lru_cache

import msgspec
from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaException

from schemas.subjects import nobodys
from schemas.topics import EVENTS, IDENTITIES
from schemas.unreadable import UNREADABLE
from services.analyst.backtest.history import Told
from services.analyst.backtest.spill import Spill
from services.scorer.engine.changelog import reader
from services.scorer.engine.eventlog import bounds
from services.shared.identities import operations
from services.shared.kafka import KafkaUnavailable, verify_topics
from services.shared.partitioner import partition_of
from services.shared.portions import portions
from services.shared.settings import KafkaSettings


class _Named(msgspec.Struct):
    subject: str


_named = msgspec.json.Decoder(_Named).decode
_home_of = lru_cache(maxsize=1 << 16)(partition_of)


def dead(key: bytes, partition: int, partitions: int, value: bytes) -> str:
    """Why a scorer does not take a record of this key in this partition; empty if it does, as far as that shows."""
    try:
        subject = _named(value).subject.encode()
    except UNREADABLE:
        return "unreadable"
    if key != subject or nobodys(key):
        return "unreadable"
    return "" if _home_of(key, partitions) == partition else "wrong_partition"


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
            identities = portions(self._consumer, self._identities, 0, OFFSET_BEGINNING, None)
            spill.relate(operations(message for portion in identities for message in portion))
            for number, (low, high) in enumerate(self._bounds):
                if high > low:
                    for portion in portions(self._consumer, self._name, number, OFFSET_BEGINNING, high):
                        for message in portion:
                            key, value = message.key() or b"", message.value() or b""
                            spill.put(key, message.timestamp()[1], value, dead(key, number, len(self._bounds), value))
                        told(len(portion))
        except KafkaException as error:
            raise self._away(error) from error
        finally:
            self._consumer.close()

    def _away(self, error: KafkaException) -> KafkaUnavailable:
        return KafkaUnavailable(f"Kafka at {self._bootstrap}: {error.args[0].str()}")

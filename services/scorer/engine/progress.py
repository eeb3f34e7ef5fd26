"""How far partitions are, out of topic `scorer-state`: of each its newest position, looked for from the end backwards.

Everything here blocks.
"""

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas import topics
from schemas.subjects import POSITION_KEY
from services.scorer.domain.packing import decode_position
from services.scorer.domain.state import Position
from services.scorer.engine import changelog, eventlog
from services.shared.kafka import KafkaUnavailable
from services.shared.settings import KafkaSettings

_BACK = 1_000  # every transaction ends with a position
_FARTHER = 20
_AT_ONCE = 10_000
_SILENCE_S = 30.0


def positions(settings: KafkaSettings) -> dict[int, Position]:
    """By partition; those that no scorer has ever had are missing. KafkaUnavailable, StateError."""
    topic = settings.topic(topics.SCORER_STATE.name)
    consumer = changelog.reader(settings, settings.topic("rebuild"))
    try:
        found = {number: _newest(consumer, topic, number) for number in range(settings.partitions)}
    except KafkaException as error:
        raise KafkaUnavailable(f"Kafka at {settings.kafka_bootstrap}: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return {number: position for number, position in found.items() if position is not None}


def _newest(consumer: Consumer, topic: str, partition: int) -> Position | None:
    first, end = eventlog.bounds(consumer, topic, partition)
    back = _BACK
    while True:
        begin = max(first, end - back)
        record = _last_from(consumer, topic, partition, begin)
        if record is not None or begin == first:
            return None if record is None else decode_position(record)
        back *= _FARTHER


def _last_from(consumer: Consumer, topic: str, partition: int, begin: int) -> bytes | None:
    """The record of the last position at or after the offset."""
    consumer.assign([TopicPartition(topic, partition, begin)])
    found = None
    while True:
        head = consumer.poll(_SILENCE_S)
        if head is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing of {topic}-{partition}"))
        for message in (head, *consumer.consume(_AT_ONCE, timeout=0)):
            error = message.error()
            if error is None:
                found = message.value() if message.key() == POSITION_KEY else found
            elif error.code() == KafkaError._PARTITION_EOF:
                return found
            else:
                raise KafkaException(error)

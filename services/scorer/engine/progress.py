"""How far partitions are, out of topic `scorer-state`: of each its newest position, looked for from the end backwards.

Everything here blocks.
"""

from confluent_kafka import KafkaException

from schemas import topics
from schemas.subjects import POSITION_KEY
from services.scorer.domain.packing import decode_position
from services.scorer.domain.state import Position
from services.scorer.engine import changelog, eventlog
from services.shared.kafka import KafkaUnavailable
from services.shared.settings import KafkaSettings


def positions(settings: KafkaSettings) -> dict[int, Position]:
    """By partition; those that no scorer has ever had are missing. KafkaUnavailable, StateError."""
    topic = settings.topic(topics.SCORER_STATE.name)
    consumer = changelog.reader(settings, settings.topic("rebuild"))
    try:
        numbers = range(settings.partitions)
        found = {number: eventlog.newest(consumer, topic, number, POSITION_KEY) for number in numbers}
    except KafkaException as error:
        raise KafkaUnavailable(f"Kafka at {settings.kafka_bootstrap}: {error.args[0].str()}") from error
    finally:
        consumer.close()
    return {number: decode_position(record) for number, record in found.items() if record is not None}

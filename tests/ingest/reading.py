"""What stands on a topic, as any consumer sees it."""

import asyncio

from aiokafka import AIOKafkaConsumer, ConsumerRecord, TopicPartition
from confluent_kafka import OFFSET_BEGINNING, Consumer
from confluent_kafka import TopicPartition as Place

from services.shared.settings import IngestSettings
from tests.topic_ends import ends_with_what_is_open


async def records(settings: IngestSettings) -> list[ConsumerRecord]:
    """All of `events`, by partition and offset."""
    consumer = AIOKafkaConsumer(
        bootstrap_servers=settings.kafka_bootstrap, enable_auto_commit=False, auto_offset_reset="earliest"
    )
    await consumer.start()
    try:
        partitions = [TopicPartition(settings.topic("events"), n) for n in range(settings.partitions)]
        consumer.assign(partitions)
        ends = await consumer.end_offsets(partitions)
        found: list[ConsumerRecord] = []
        while len(found) < sum(ends.values()):
            for batch in (await consumer.getmany(timeout_ms=500)).values():
                found += batch
        return sorted(found, key=lambda record: (record.partition, record.offset))
    finally:
        await consumer.stop()


async def values(settings: IngestSettings, topic: str) -> list[bytes]:
    """Of a topic of one partition that is written in transactions, what is committed."""
    return await asyncio.to_thread(_values, settings, topic)


def _values(settings: IngestSettings, topic: str) -> list[bytes]:
    consumer = Consumer(
        {
            "bootstrap.servers": settings.kafka_bootstrap,
            "group.id": settings.topic("reader"),
            "isolation.level": "read_committed",
            "enable.partition.eof": True,
        }
    )
    place = Place(settings.topic(topic), 0, OFFSET_BEGINNING)
    [end] = ends_with_what_is_open(settings.kafka_bootstrap, [place]).values()
    consumer.assign([place])
    found = []
    try:
        while (message := consumer.poll(20)) is not None:
            error = message.error()
            if error is None:
                found.append(message.value() or b"")
            elif (message.offset() or 0) >= end:
                break
    finally:
        consumer.close()
    return found

"""A topic of one partition whose records are each written by somebody who has read all before it.

All writers have the same transactional id: whoever begins to write ends what another has begun, so of two who write at
once one fails, with an error that `was_fenced` knows. Everything here blocks and raises KafkaException.
"""

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, Producer, TopicPartition

from services.shared.connection import SILENT

_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}


def open_writer(connection: Mapping[str, Any], transactional_id: str, *, within_s: float) -> Producer:
    """Whoever wrote before cannot any more from here on, so nothing comes behind what is read now."""
    producer = Producer({**connection, "transactional.id": transactional_id}, logger=SILENT)
    producer.init_transactions(within_s)
    return producer


def write(producer: Producer, topic: str, key: bytes, values: Iterable[bytes], *, within_s: float) -> list[int]:
    """All of them in one transaction; when the broker appended each, in ms."""
    appended: list[int] = []

    def told(error: KafkaError | None, message: Message) -> None:
        if error is None:
            appended.append(message.timestamp()[1])

    producer.begin_transaction()
    for value in values:
        producer.produce(topic, value, key, 0, on_delivery=told)
    producer.commit_transaction(within_s)
    return appended


def open_reader(connection: Mapping[str, Any], group: str) -> Consumer:
    """Of committed records. group: asked for by the library; nothing is joined or committed."""
    return Consumer(
        {
            **connection,
            "group.id": group,
            "isolation.level": "read_committed",
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 20,
        },
        logger=SILENT,
    )


def to_the_end(consumer: Consumer, topic: str, offset: int, *, within_s: float) -> Iterator[Message]:
    """The records from this offset on, up to where the topic ends now."""
    # Assigned anew each time: the end of a partition is told once only to who stands there.
    consumer.assign([TopicPartition(topic, 0, offset)])
    while True:
        message = consumer.poll(within_s)
        if message is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing of {topic}"))
        error = message.error()
        if error is None:
            yield message
        elif error.code() == KafkaError._PARTITION_EOF:
            return
        else:
            raise KafkaException(error)


def was_fenced(error: KafkaException) -> bool:
    """Whether somebody else has begun to write."""
    return error.args[0].code() in _FENCED

"""A partition read in portions, from one offset to another. Blocks."""

from collections.abc import Iterator

from confluent_kafka import Consumer, KafkaError, KafkaException, Message, TopicPartition

_AT_ONCE = 5_000
_SILENCE_S = 30.0


def portions(consumer: Consumer, topic: str, partition: int, start: int, end: int | None) -> Iterator[list[Message]]:
    """The records from offset `start` on up to `end`, that one not included; None for all there is.

    KafkaException, also if the broker is silent. consumer: with `enable.partition.eof`
    """
    consumer.assign([TopicPartition(topic, partition, start)])
    reading = True
    while reading:
        first = consumer.poll(_SILENCE_S)
        if first is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing of {topic}-{partition}"))
        found: list[Message] = []
        for message in (first, *consumer.consume(_AT_ONCE, timeout=0)):
            error = message.error()
            if error is not None and error.code() != KafkaError._PARTITION_EOF:
                raise KafkaException(error)
            if error is not None or (end is not None and (message.offset() or 0) >= end):
                reading = False
                break
            found.append(message)
        yield found

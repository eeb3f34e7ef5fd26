"""Questions to the topics themselves, past Faust: where a partition ends, what really comes next, what was said last.

Everything here blocks and belongs into a thread.
"""

from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

_TIMEOUT_S = 10.0
_BACK, _FARTHER = 1_000, 20
_AT_ONCE = 10_000
_SILENCE_S = 30.0


def bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """The first offset kept, and the one the next record will get."""
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S, cached=False)
    return low, high


class Next(NamedTuple):
    """record: whether there is a committed record; at `offset` then, else there is none before `offset`."""

    record: bool
    offset: int


def what_follows(consumer: Consumer, topic: str, partition: int, offset: int) -> Next:
    """What really comes first at or after `offset`.

    Offsets may be missing in a log (markers of transactions), and records may be missing in what a consumer was handed:
    only the log can tell the two apart. `consumer` is made by `changelog.reader`.
    """
    consumer.assign([TopicPartition(topic, partition, offset)])
    try:
        message = consumer.poll(_TIMEOUT_S)
    finally:
        consumer.unassign()
    if message is None:
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing of {topic}-{partition}"))
    error = message.error()
    if error is not None and error.code() != KafkaError._PARTITION_EOF:
        raise KafkaException(error)
    return Next(error is None, message.offset() or 0)


def newest(consumer: Consumer, topic: str, partition: int, key: bytes) -> bytes | None:
    """The last committed record of the key, looked for from the end backwards. `consumer` as above."""
    first, end = bounds(consumer, topic, partition)
    back = _BACK
    while True:
        begin = max(first, end - back)
        record = _last_from(consumer, TopicPartition(topic, partition, begin), key)
        if record is not None or begin == first:
            return record
        back *= _FARTHER


def _last_from(consumer: Consumer, place: TopicPartition, key: bytes) -> bytes | None:
    """The key's last record at or after the place."""
    consumer.assign([place])
    found = None
    try:
        while True:
            head = consumer.poll(_SILENCE_S)
            if head is None:
                raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing of {place.topic}-{place.partition}"))
            for message in (head, *consumer.consume(_AT_ONCE, timeout=0)):
                error = message.error()
                if error is None:
                    found = message.value() if message.key() == key else found
                elif error.code() == KafkaError._PARTITION_EOF:
                    return found
                else:
                    raise KafkaException(error)
    finally:
        consumer.unassign()

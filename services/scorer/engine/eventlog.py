"""Questions to the topics themselves, past Faust: where a partition ends, and what really comes next.

Everything here blocks and belongs into a thread.
"""

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

_TIMEOUT_S = 10.0


def bounds(consumer: Consumer, topic: str, partition: int) -> tuple[int, int]:
    """The first offset kept, and the one the next record will get."""
    low, high = consumer.get_watermark_offsets(TopicPartition(topic, partition), timeout=_TIMEOUT_S, cached=False)
    return low, high


def next_offset(consumer: Consumer, topic: str, partition: int, offset: int) -> int | None:
    """The offset of the first committed record at or after `offset`; None if there is none yet.

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
    if error is None:
        found: int | None = message.offset()
        return found
    if error.code() == KafkaError._PARTITION_EOF:
        return None
    raise KafkaException(error)

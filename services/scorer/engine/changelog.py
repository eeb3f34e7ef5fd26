"""Restore: a partition's changelog, read to its end, is its state.

Nothing is decoded: records are kept as the bytes they are, and only the last one of each customer stays. The reader
sees committed records only. It runs in a thread and blocks.
"""

from collections.abc import Callable
from typing import NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, KafkaException, TopicPartition

from schemas.subjects import POSITION_KEY
from services.scorer.domain.packing import alias_of, decode_position
from services.scorer.domain.state import Position
from services.shared.connection import SILENT, for_librdkafka
from services.shared.settings import KafkaSettings

_AT_ONCE = 10_000
_SILENCE_S = 30.0


class Restored(NamedTuple):
    """aliases: by subject whom it stands for.  position: None if the changelog has never had one

    read: how many records were read
    """

    records: dict[bytes, bytes]
    aliases: dict[bytes, str]
    position: Position | None
    read: int


Progress = Callable[[int, int], None]
"""Told the number of records just read, and about how many offsets are left."""


def reader(settings: KafkaSettings, group: str, isolation: str = "read_committed") -> Consumer:
    """A consumer of committed records, or of all, that belongs to no group and tells of a partition's end."""
    return Consumer(
        for_librdkafka(settings)
        | {
            "group.id": group,  # asked for by the library; nothing is joined or committed
            "isolation.level": isolation,
            "enable.auto.commit": False,
            "enable.partition.eof": True,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 50,
            "fetch.queue.backoff.ms": 5,  # by default a second whenever we are slower than the broker
        },
        logger=SILENT,
    )


def restore(consumer: Consumer, topic: str, partition: int, progress: Progress) -> Restored:
    """Read the partition from its beginning to its end.

    `consumer` is made by `reader`. KafkaException if the broker stays away.
    """
    place = TopicPartition(topic, partition, OFFSET_BEGINNING)
    _, end = consumer.get_watermark_offsets(place, timeout=_SILENCE_S, cached=False)
    consumer.assign([place])
    records: dict[bytes, bytes] = {}
    read = 0
    while True:
        first = consumer.poll(_SILENCE_S)
        if first is None:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, f"nothing of {topic}-{partition}"))
        messages = [first, *consumer.consume(_AT_ONCE, timeout=0)]  # with a timeout it would wait for all of them
        last = messages[-1]
        at_end, before = False, read
        for message in messages:
            error = message.error()
            if error is not None:
                at_end = error.code() == KafkaError._PARTITION_EOF
                if not at_end:
                    raise KafkaException(error)
                continue
            read += 1
            key, value = message.key() or b"", message.value()
            if value is None:
                records.pop(key, None)
            else:
                records[key] = value
        progress(read - before, 0 if at_end else max(0, end - (last.offset() or 0) - 1))
        if at_end:
            break
    consumer.unassign()
    position = records.pop(POSITION_KEY, None)
    aliases = {key: into for key, record in records.items() if (into := alias_of(record)) is not None}
    for key in aliases:
        del records[key]
    return Restored(records, aliases, None if position is None else decode_position(position), read)

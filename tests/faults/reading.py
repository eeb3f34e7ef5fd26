"""What stands on an installation's topics, read in bulk, partition by partition in order. Everything here blocks."""

import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import NamedTuple

from confluent_kafka import Consumer, KafkaError, TopicPartition

from schemas import topics
from tests.scorer.engine.installation import Installation

OUTPUTS = (
    topics.SCORER_STATE,
    topics.DECISIONS,
    topics.TIER_CHANGES,
    topics.SEGMENT_CHANGES,
    topics.CHURN_ALERTS,
    topics.DEAD_LETTERS,
    topics.TRANSFERS,
)
"""What the scorer writes, all of it in transactions."""

_SILENCE_S = 30.0


class Record(NamedTuple):
    partition: int
    offset: int
    at_ms: int
    key: bytes
    value: bytes


def read(installation: Installation, topic: str, *, committed: bool = True) -> list[Record]:
    """All there is now."""
    found: list[Record] = []
    with _consumer(installation, committed=committed) as consumer:
        places = _places(installation, topic)
        # Asked for their beginnings the client learns who leads them: else it would rest for half a second.
        consumer.assign([TopicPartition(p.topic, p.partition, _beginning(consumer, p)) for p in places])
        ended: set[int | None] = set()  # a partition's end is told again if something has come after all
        while len(ended) < len(places):
            first = consumer.poll(_SILENCE_S)
            assert first is not None, f"{topic} cannot be read"
            for message in [first, *consumer.consume(10_000, timeout=0)]:
                error = message.error()
                if error is None:
                    place = (message.partition() or 0, message.offset() or 0, message.timestamp()[1])
                    found.append(Record(*place, message.key() or b"", message.value() or b""))
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    ended.add(message.partition())
    found.sort()
    return found


def ends(installation: Installation, topic: str) -> dict[int, int]:
    """By partition the offset the next record gets."""
    with _consumer(installation, committed=False) as consumer:
        return {p.partition: _end(consumer, p) for p in _places(installation, topic)}


def wait_for_markers(installation: Installation, *, within: float = 30.0) -> None:
    """Returns once no transaction is open on any output: readers of committed records then see to the end.

    The broker tells of a commit before it has marked its records. AssertionError after `within` seconds.
    """
    deadline = time.monotonic() + within
    with _consumer(installation, committed=True) as stable, _consumer(installation, committed=False) as all_of_it:
        for topic in OUTPUTS:
            for place in _places(installation, topic.name):
                while (reaches := _end(stable, place)) < _end(all_of_it, place):
                    assert time.monotonic() < deadline, f"a transaction is open on {place.topic}-{place.partition}"
                    time.sleep(0.05)
                assert reaches >= 0


def extra(installation: Installation) -> int:
    """How many records of the outputs a reader of uncommitted ones sees and a reader of committed ones does not."""
    return sum(
        len(read(installation, topic.name, committed=False)) - len(read(installation, topic.name)) for topic in OUTPUTS
    )


@contextmanager
def _consumer(installation: Installation, *, committed: bool) -> Iterator[Consumer]:
    consumer = Consumer(
        {
            "bootstrap.servers": installation.bootstrap,
            "group.id": installation.prefix + "reading",
            "isolation.level": "read_committed" if committed else "read_uncommitted",
            "enable.partition.eof": True,
            "enable.auto.commit": False,
            "auto.offset.reset": "earliest",
            "fetch.wait.max.ms": 10,
            "fetch.queue.backoff.ms": 5,
        }
    )
    try:
        yield consumer
    finally:
        consumer.close()


def _places(installation: Installation, topic: str) -> list[TopicPartition]:
    return [TopicPartition(installation.settings.topic(topic), p) for p in range(installation.partitions)]


def _beginning(consumer: Consumer, place: TopicPartition) -> int:
    beginning, _ = consumer.get_watermark_offsets(place, timeout=_SILENCE_S, cached=False)
    return int(beginning)


def _end(consumer: Consumer, place: TopicPartition) -> int:
    """For a reader of committed records: where the first open transaction begins."""
    _, end = consumer.get_watermark_offsets(place, timeout=_SILENCE_S, cached=False)
    return int(end)

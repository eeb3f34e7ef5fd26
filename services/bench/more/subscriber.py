"""A subscriber of announcements, who notes when each could be read: committed records only, as they come."""

import threading
import time
from collections.abc import Callable

import msgspec
from confluent_kafka import OFFSET_END, Consumer, TopicPartition

from schemas.decisions import Announcement

Seen = Callable[[Announcement, float], None]
_decode = msgspec.json.Decoder(Announcement).decode


class Subscriber:
    """Calls `seen` in a thread of its own with each announcement and the time (s since 1970) it could be read."""

    def __init__(self, bootstrap: str, topic: str, partitions: int, seen: Seen) -> None:
        self._consumer = Consumer(
            {
                "bootstrap.servers": bootstrap,
                "group.id": "subscriber",
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "fetch.wait.max.ms": 20,
            }
        )
        self._consumer.assign([TopicPartition(topic, number, OFFSET_END) for number in range(partitions)])
        self._seen, self._closing = seen, threading.Event()
        self._thread = threading.Thread(target=self._read, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self._consumer.close()

    def _read(self) -> None:
        while not self._closing.is_set():
            for message in self._consumer.consume(1000, 0.01):
                if message.error() is None:
                    self._seen(_decode(message.value() or b""), time.time())


def percentile(figures: list[float], share: float) -> float:
    """The figure below which that share of all lies; NaN of none."""
    ordered = sorted(figures)
    return ordered[min(len(ordered) - 1, int(len(ordered) * share))] if ordered else float("nan")

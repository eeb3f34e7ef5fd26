"""Reads topic `transfers` for the partitions a worker owns, each from where its own position stands."""

import asyncio
import threading
from collections.abc import Callable
from queue import Empty, SimpleQueue

from confluent_kafka import Consumer, TopicPartition

from schemas import topics
from services.shared.connection import SILENT, for_librdkafka
from services.shared.settings import ScorerSettings

_POLL_S = 0.05
_AT_ONCE = 500
_MOST_HANDED_OVER = 20_000  # not yet seen by the event loop


class TransferFeed:
    """One consumer in a thread of its own, which begins with the first partition to read for.

    on_record:  partition, offset, value; called in the event loop
    on_failure: called in the event loop if the thread cannot go on
    """

    def __init__(
        self,
        settings: ScorerSettings,
        on_record: Callable[[int, int, bytes], None],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._settings, self._topic = settings, settings.topic(topics.TRANSFERS.name)
        self._on_record, self._on_failure = on_record, on_failure
        self._wanted: SimpleQueue[tuple[int, int | None, int]] = SimpleQueue()
        self._numbers: dict[int, int] = {}  # of what was asked for last, by partition: what came before is stale
        self._free = threading.Semaphore(_MOST_HANDED_OVER)
        self._stopping = threading.Event()
        self._thread: threading.Thread | None = None

    def read_from(self, partition: int, offset: int | None) -> None:
        """From now on the partition is told what stands from `offset` on; None: nothing any more."""
        number = self._numbers[partition] = self._numbers.get(partition, 0) + 1
        self._wanted.put((partition, offset, number))
        if self._thread is None and offset is not None and not self._stopping.is_set():
            loop = asyncio.get_running_loop()
            self._thread = threading.Thread(target=self._run, args=(loop,), name="transfers", daemon=True)
            self._thread.start()

    def close(self) -> None:
        """Returns when the thread has ended."""
        self._stopping.set()
        if self._thread is not None:
            self._thread.join()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        consumer = Consumer(
            for_librdkafka(self._settings)
            | {
                "group.id": self._settings.topic(self._settings.group),  # nothing is joined or committed
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 100,
                "fetch.queue.backoff.ms": 5,
            },
            logger=SILENT,
        )
        reading: dict[int, int] = {}
        try:
            while not self._stopping.is_set():
                self._follow(consumer, reading)
                if not reading:
                    self._stopping.wait(_POLL_S)
                    continue
                for message in consumer.consume(_AT_ONCE, _POLL_S):
                    if message.error() is None:  # whatever else it is, the library tries again by itself
                        partition, offset = message.partition() or 0, message.offset() or 0
                        while not self._free.acquire(timeout=_POLL_S):
                            if self._stopping.is_set():
                                return
                        number = reading.get(partition, 0)
                        loop.call_soon_threadsafe(self._tell, partition, number, offset, message.value() or b"")
        except Exception as error:  # noqa: BLE001  # a thread has nobody to raise it to
            if not self._stopping.is_set():
                loop.call_soon_threadsafe(self._on_failure, error)
        finally:
            consumer.close()

    def _follow(self, consumer: Consumer, reading: dict[int, int]) -> None:
        """Read what is wanted by now."""
        while True:
            try:
                partition, offset, number = self._wanted.get_nowait()
            except Empty:
                return
            if partition in reading:
                del reading[partition]
                consumer.incremental_unassign([TopicPartition(self._topic, partition)])
            if offset is not None:
                reading[partition] = number
                consumer.incremental_assign([TopicPartition(self._topic, partition, offset)])

    def _tell(self, partition: int, number: int, offset: int, value: bytes) -> None:
        self._free.release()
        if number == self._numbers.get(partition):
            self._on_record(partition, offset, value)

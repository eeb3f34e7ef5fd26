"""Reads topic `transfers` for the partitions a worker owns, each from where its own position stands."""

import asyncio
import threading
from collections.abc import Callable
from dataclasses import dataclass
from queue import Empty, SimpleQueue

from confluent_kafka import Consumer, Message, TopicPartition

from schemas import topics
from services.shared.connection import SILENT, for_librdkafka
from services.shared.settings import ScorerSettings

_POLL_S = 0.05
_AT_ONCE = 500
_MOST_ON_WAY = 8 * 1024 * 1024  # bytes handed over and not yet seen by the event loop


@dataclass(slots=True)
class _Place:
    """Of a partition that is read.  number: of what was asked for.  offset: the next to hand over

    flows: whether it is read now; not while what has come waits
    """

    number: int
    offset: int
    flows: bool


class TransferFeed:
    """One consumer in a thread of its own, which begins with the first partition to read for.

    on_record:  partition, offset, value; called in the event loop
    has_room:   whether a partition is to be told more now; called in the thread, again and again
    on_failure: called in the event loop if the thread cannot go on
    """

    def __init__(
        self,
        settings: ScorerSettings,
        on_record: Callable[[int, int, bytes], None],
        has_room: Callable[[int], bool],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._settings, self._topic = settings, settings.topic(topics.TRANSFERS.name)
        self._on_record, self._has_room, self._on_failure = on_record, has_room, on_failure
        self._wanted: SimpleQueue[tuple[int, int | None, int]] = SimpleQueue()
        self._numbers: dict[int, int] = {}  # of what was asked for last, by partition: what came before is stale
        self._on_way, self._arrived = 0, threading.Condition()
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
                "queued.max.messages.kbytes": 8 * 1024,
            },
            logger=SILENT,
        )
        reading: dict[int, _Place] = {}
        try:
            while not self._stopping.is_set():
                self._follow(consumer, reading)
                self._pace(consumer, reading)
                if not reading:
                    self._stopping.wait(_POLL_S)
                    continue
                for message in consumer.consume(_AT_ONCE, _POLL_S):
                    place = reading.get(message.partition() or 0)
                    if message.error() is not None or place is None:  # of an error the library tries again by itself
                        continue
                    self._hand_over(loop, place, message)
        except Exception as error:  # noqa: BLE001  # a thread has nobody to raise it to
            if not self._stopping.is_set():
                loop.call_soon_threadsafe(self._on_failure, error)
        finally:
            consumer.close()

    def _hand_over(self, loop: asyncio.AbstractEventLoop, place: _Place, message: Message) -> None:
        partition, offset, value = message.partition() or 0, message.offset() or 0, message.value() or b""
        if offset < place.offset:
            return  # it was here before the partition was let go
        place.offset = offset + 1
        with self._arrived:
            while self._on_way > _MOST_ON_WAY and not self._stopping.is_set():
                self._arrived.wait(_POLL_S)
            self._on_way += len(value)
        if not self._stopping.is_set():
            loop.call_soon_threadsafe(self._tell, partition, place.number, offset, value)

    def _follow(self, consumer: Consumer, reading: dict[int, _Place]) -> None:
        """Read what is wanted by now."""
        while True:
            try:
                partition, offset, number = self._wanted.get_nowait()
            except Empty:
                return
            place = reading.pop(partition, None)
            if place is not None and place.flows:
                consumer.incremental_unassign([TopicPartition(self._topic, partition)])
            if offset is not None:
                reading[partition] = _Place(number, offset, flows=True)
                consumer.incremental_assign([TopicPartition(self._topic, partition, offset)])

    def _pace(self, consumer: Consumer, reading: dict[int, _Place]) -> None:
        """Let go of the partitions where much waits, and go on where there is room again."""
        for partition, place in reading.items():
            has_room = self._has_room(partition)
            if has_room and not place.flows:
                consumer.incremental_assign([TopicPartition(self._topic, partition, place.offset)])
            elif place.flows and not has_room:
                consumer.incremental_unassign([TopicPartition(self._topic, partition)])
            place.flows = has_room

    def _tell(self, partition: int, number: int, offset: int, value: bytes) -> None:
        with self._arrived:
            self._on_way -= len(value)
            self._arrived.notify()
        if number == self._numbers.get(partition):
            self._on_record(partition, offset, value)

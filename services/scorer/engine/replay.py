"""A partition's events once more, from the beginning: read in a thread, a little ahead of whoever takes them."""

import asyncio
import threading
import time
from collections.abc import Callable
from queue import Empty, Full, Queue
from typing import NamedTuple, Protocol

from confluent_kafka import Consumer, KafkaError, KafkaException, TopicPartition

from schemas import topics
from services.scorer.engine import changelog, eventlog
from services.shared.settings import ScorerSettings

_AT_ONCE = 2_000
_AHEAD = 4  # times that
_POLL_S = 0.2
_SILENCE_S = 1.0


class Past(NamedTuple):
    """A record of topic `events`. timestamp: ms, the broker's append time"""

    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None


class CutOff(Exception):
    """The topic does not begin at its beginning any more; str() is one line."""


class Replay(Protocol):
    """What has been read of a partition."""

    def more(self) -> list[Past]:
        """The next records, empty if they are not here yet. CutOff; whatever else went wrong."""

    def close(self) -> None:
        """Read no more; does not wait."""


class TopicReplay:
    """on_more: called in the event loop when there is more, or something to raise."""

    def __init__(self, settings: ScorerSettings, partition: int, on_more: Callable[[], None]) -> None:
        self._settings, self._partition, self._on_more = settings, partition, on_more
        self._topic = settings.topic(topics.EVENTS.name)
        self._read: Queue[list[Past] | Exception] = Queue(_AHEAD)
        self._stopping = threading.Event()
        loop = asyncio.get_running_loop()
        threading.Thread(target=self._run, args=(loop,), name=f"replay-{partition}", daemon=True).start()

    def more(self) -> list[Past]:
        try:
            read = self._read.get_nowait()
        except Empty:
            return []
        if isinstance(read, Exception):
            raise read
        return read

    def close(self) -> None:
        self._stopping.set()

    def _run(self, loop: asyncio.AbstractEventLoop) -> None:
        consumer = changelog.reader(self._settings, self._settings.topic(self._settings.group))
        try:
            consumer.assign([TopicPartition(self._topic, self._partition, 0)])
            following, looked_s = 0, time.monotonic()
            while not self._stopping.is_set():
                records = self._some(consumer)
                missing = first_missing(records, following)
                if not records and time.monotonic() - looked_s > _SILENCE_S:
                    missing = following  # of what was deleted up to the end nothing comes that could be missed
                if missing is not None:
                    self._check_nothing_is_gone(consumer, missing)
                    looked_s = time.monotonic()
                if records:
                    following = records[-1].offset + 1
                    self._hand_over(records, loop)
        except Exception as error:  # noqa: BLE001  # a thread has nobody to raise it to
            self._hand_over(error, loop)
        finally:
            consumer.close()

    def _some(self, consumer: Consumer) -> list[Past]:
        first = consumer.poll(_POLL_S)
        messages = [] if first is None else [first, *consumer.consume(_AT_ONCE, timeout=0)]
        # An error is the end of what there is, or one after which the library tries again by itself.
        return [
            Past(message.offset() or 0, message.timestamp()[1], message.key(), message.value())
            for message in messages
            if message.error() is None
        ]

    def _check_nothing_is_gone(self, consumer: Consumer, missing: int) -> None:
        """Offsets from this one on are missing: no records stood there, or they were deleted before they were read."""
        while not self._stopping.is_set():
            try:
                first, _ = eventlog.bounds(consumer, self._topic, self._partition)
            except KafkaException as error:
                if error.args[0].code() not in (KafkaError._TRANSPORT, KafkaError._TIMED_OUT):
                    raise
                continue
            if first > missing:
                raise CutOff(f"{self._topic}-{self._partition} begins at offset {first}: what came before is gone")
            return

    def _hand_over(self, read: list[Past] | Exception, loop: asyncio.AbstractEventLoop) -> None:
        while not self._stopping.is_set():
            try:
                self._read.put(read, timeout=_POLL_S)
            except Full:
                continue
            loop.call_soon_threadsafe(self._on_more)
            return


def first_missing(records: list[Past], following: int) -> int | None:
    """The first offset from `following` on that the records pass over; None if they are all there."""
    if records and records[-1].offset - following + 1 == len(records):
        return None
    for record in records:
        if record.offset > following:
            return following
        following = record.offset + 1
    return None

"""A topic of one partition, followed as it grows: in a thread of its own, committed records only."""

import threading
from collections.abc import Callable
from typing import Any, NamedTuple

from confluent_kafka import OFFSET_BEGINNING, Consumer, KafkaError, Message, TopicPartition

from schemas.unreadable import UNREADABLE
from services.shared.connection import SILENT
from services.shared.foreign import ForeignRecord

_POLL_S = 0.5


class Told(NamedTuple):
    """A record.  appended_ms: the broker's time of its append."""

    offset: int
    appended_ms: int
    value: bytes


class Following:
    """From `start` to `stop` every record of the topic is told, the first one first.

    on_record: called in the thread; if it raises one of UNREADABLE, that is a ForeignRecord
    on_end:    called in the thread whenever all there is has been told, so also once if there is nothing
    """

    def __init__(
        self,
        connection: dict[str, Any],
        topic: str,
        *,
        on_record: Callable[[Told], None],
        on_end: Callable[[], None],
        on_failure: Callable[[Exception], None],
    ) -> None:
        self._connection, self._topic = connection, topic
        self._on_record, self._on_end, self._on_failure = on_record, on_end, on_failure
        self._stopping = threading.Event()
        self._thread = threading.Thread(target=self._run, name=f"following-{topic}", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def stop(self) -> None:
        """Returns when the thread has ended."""
        self._stopping.set()
        if self._thread.is_alive():
            self._thread.join()

    def _run(self) -> None:
        consumer = Consumer(
            self._connection
            | {
                "group.id": self._topic,  # asked for by the library; nothing is joined or committed
                "isolation.level": "read_committed",
                "enable.auto.commit": False,
                "enable.partition.eof": True,
                "auto.offset.reset": "earliest",
                # What is committed wakes no reader of committed records who waits: by default half a second.
                "fetch.wait.max.ms": 50,
            },
            logger=SILENT,
        )
        try:
            consumer.assign([TopicPartition(self._topic, 0, OFFSET_BEGINNING)])
            while not self._stopping.is_set():
                message = consumer.poll(_POLL_S)
                if message is None:
                    continue
                error = message.error()
                if error is None:
                    self._tell(message)
                elif error.code() == KafkaError._PARTITION_EOF:
                    self._on_end()
                # Whatever else it is, the library tries again by itself.
        except Exception as error:  # noqa: BLE001  # a thread has nobody to raise it to
            self._on_failure(error)
        finally:
            consumer.close()

    def _tell(self, message: Message) -> None:
        try:
            self._on_record(Told(message.offset() or 0, message.timestamp()[1], message.value() or b""))
        except UNREADABLE as error:
            raise ForeignRecord.at(message, error) from None

"""A lane is one partition's way into a producer: parcels leave in order, and those that wait together leave together.

aiokafka's `send_batch` holds one batch of a partition in line and lets all others race for the next place; a request
that loses the race often enough times out. So only one batch of a partition stands in that line, made of whatever has
come by the time it can be made; many small requests at once cost one batch, not one each.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError, ProducerClosed

BATCH_BYTES = 512 * 1024
_OVERHEAD_BYTES = 32  # of a record in a batch, at most, beyond its key and value


class Record(NamedTuple):
    key: bytes
    value: bytes


class Parcel:
    """Records of one request for one partition, at most BATCH_BYTES of them.

    indices:   where each stands in the request
    offset:    resolves to the first one's offset, the others follow without gaps; -1 if the broker knows the batch as a
               repetition whose place it has forgotten. A KafkaError if they were not, or perhaps not, kept.
    abandoned: nobody waits any more: not to be sent if that has not happened yet
    """

    def __init__(self, indices: Sequence[int], records: Sequence[Record], size: int) -> None:
        self.indices = indices
        self.records = records
        self.size = size
        self.offset: asyncio.Future[int] = asyncio.get_running_loop().create_future()
        self.abandoned = False


def size_of(record: Record) -> int:
    """Bytes it takes in a batch, at most."""
    return len(record.key) + len(record.value) + _OVERHEAD_BYTES


def parcels(indices: Sequence[int], records: Sequence[Record]) -> Iterator[Parcel]:
    """The records at `indices`, all of one partition, in parcels that keep their order."""
    begin, size = 0, 0
    for end, index in enumerate(indices):
        more = size_of(records[index])
        if size + more > BATCH_BYTES:
            yield Parcel(indices[begin:end], [records[i] for i in indices[begin:end]], size)
            begin, size = end, 0
        size += more
    yield Parcel(indices[begin:], [records[i] for i in indices[begin:]], size)


class Lane:
    def __init__(self, producer: AIOKafkaProducer, topic: str, partition: int) -> None:
        self._producer = producer
        self._topic = topic
        self._partition = partition
        self._waiting: deque[Parcel] = deque()
        self._runner: asyncio.Task[None] | None = None
        self._closed = False

    def put(self, parcel: Parcel) -> None:
        """Get in line; `parcel.offset` tells the outcome."""
        if self._closed:
            parcel.offset.set_exception(ProducerClosed())
            return
        self._waiting.append(parcel)
        if self._runner is None:
            self._runner = asyncio.create_task(self._run())

    def close(self) -> None:
        """What has not been handed to the producer will not be."""
        self._closed = True
        for parcel in self._waiting:
            parcel.offset.set_exception(ProducerClosed())
        self._waiting.clear()

    async def _run(self) -> None:
        try:
            while leaving := self._next():
                batch = self._producer.create_batch()
                for parcel in leaving:
                    for key, value in parcel.records:
                        batch.append(key=key, value=value, timestamp=None)
                batch.close()
                try:
                    # Returns as soon as the batch before it is on its way.
                    sent = await self._producer.send_batch(batch, self._topic, partition=self._partition)
                except KafkaError as error:
                    for parcel in leaving:
                        parcel.offset.set_exception(error)
                else:
                    sent.add_done_callback(partial(_settle, leaving))
        finally:
            self._runner = None

    def _next(self) -> list[Parcel]:
        """The parcels of the next batch, empty if none waits."""
        leaving: list[Parcel] = []
        size = 0
        while self._waiting:
            parcel = self._waiting[0]
            if parcel.abandoned:
                parcel.offset.cancel()
            elif leaving and size + parcel.size > BATCH_BYTES:
                break
            else:
                leaving.append(parcel)
                size += parcel.size
            self._waiting.popleft()
        return leaving


def _settle(leaving: Sequence[Parcel], sent: asyncio.Future[Any]) -> None:
    error = ProducerClosed() if sent.cancelled() else sent.exception()
    first = -1 if error else sent.result().offset
    for parcel in leaving:
        if error:
            parcel.offset.set_exception(error)
        else:
            parcel.offset.set_result(first)
            first += len(parcel.records) if first >= 0 else 0

"""Runs of records: how Faust hands over a partition's whole fetched run at once, and how runs become micro-batches.

Faust passes every message through several asyncio tasks, which costs ten times what deciding it does. Two of its public
extension points let one message stand for a run: a ConsumerScheduler that yields it, and a Schema that reads nothing.
"""

import asyncio
from collections import deque
from collections.abc import Iterator, Mapping, Sequence
from typing import Any, NamedTuple, Protocol

import faust


class Record(Protocol):
    """As aiokafka fetches it. timestamp: ms, on topic `events` the broker's append time."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    key: bytes | None
    value: bytes | None


Run = Sequence[Record]
"""Consecutive records of one partition, never empty."""


class RunMessage(NamedTuple):
    """What Faust takes for one message: a run as its value, under the offset and time of the run's last record."""

    topic: str
    partition: int
    offset: int
    timestamp: int
    timestamp_type: int
    headers: Any
    key: None
    value: Run
    checksum: None
    serialized_key_size: int
    serialized_value_size: int


class RunScheduler:
    """Faust's ConsumerScheduler: one message a fetched run."""

    def iterate(self, records: Mapping[Any, Run]) -> Iterator[tuple[Any, RunMessage]]:
        for partition, run in records.items():
            last = run[-1]
            place = (last.topic, last.partition, last.offset, last.timestamp, last.timestamp_type)
            yield partition, RunMessage(*place, (), None, run, None, 0, 0)


class RawRun(faust.Schema[Any, Any]):
    """Faust's Schema: keys and values as they are."""

    def loads_key(self, app: Any, message: Any, **options: Any) -> Any:
        return message.key

    def loads_value(self, app: Any, message: Any, **options: Any) -> Any:
        return message.value


class Pace:
    """How many records a micro-batch takes, so that deciding it holds up the event loop for about `target_s`.

    That is CPU time: by the wall, a machine that is busy with other work would make batches small, and small ones cost
    more a record.
    """

    def __init__(self, *, most: int, target_s: float = 0.05) -> None:
        self._most, self._target_s = most, target_s
        self.records = min(most, 500)

    def took(self, records: int, seconds: float) -> None:
        """A batch of `records` was decided in `seconds` of CPU time: grow at most twofold, shrink at once."""
        if records:
            fitting = int(records * self._target_s / max(seconds, 1e-6))
            if fitting < self.records or records >= self.records:
                self.records = max(1, min(self._most, fitting, self.records * 2))


class Room:
    """What all partitions' inboxes may hold together; while it is full, nothing more is fetched."""

    def __init__(self, most_bytes: int) -> None:
        self._most_bytes, self._held = most_bytes, 0
        self._free = asyncio.Event()
        self._free.set()

    def change(self, by_bytes: int) -> None:
        self._held += by_bytes
        if self._held < self._most_bytes:
            self._free.set()
        else:
            self._free.clear()

    @property
    def empty(self) -> bool:
        return self._held == 0

    async def wait(self) -> None:
        """Until there is room."""
        await self._free.wait()


class Inbox:
    """Runs that wait for their partition's turn."""

    MOST_BYTES = 4 * 1024 * 1024  # of one micro-batch

    def __init__(self, room: Room) -> None:
        self._runs: deque[Run] = deque()
        self._room = room
        self._bytes = 0

    def __bool__(self) -> bool:
        return bool(self._runs)

    def put(self, run: Run) -> None:
        self._runs.append(run)
        self._holds(_size(run))

    def clear(self) -> None:
        self._runs.clear()
        self._holds(-self._bytes)

    def first_offset(self) -> int:
        """The offset that comes next; there is one."""
        return self._runs[0][0].offset

    def skip_below(self, offset: int) -> int:
        """Drop what was taken already; how many records that was."""
        skipped = 0
        while self._runs and self._runs[0][0].offset < offset:
            run = self._runs.popleft()
            left = [record for record in run if record.offset >= offset]
            skipped += len(run) - len(left)
            self._holds(_size(left) - _size(run))
            if left:
                self._runs.appendleft(left)
        return skipped

    def take(self, most: int) -> list[Record]:
        """At most `most` records and about MOST_BYTES, at least one, consecutive as far as runs are so."""
        batch: list[Record] = []
        size = 0
        while self._runs and len(batch) < most and size < self.MOST_BYTES:
            run = self._runs.popleft()
            if batch and run[0].offset != batch[-1].offset + 1:
                self._runs.appendleft(run)
                break
            room = most - len(batch)
            if len(run) > room:
                self._runs.appendleft(run[room:])
                run = run[:room]
            batch.extend(run)
            size += _size(run)
        self._holds(-size)
        return batch

    def give_back(self, run: Run) -> None:
        """The last of what was taken, not empty."""
        self._runs.appendleft(run)
        self._holds(_size(run))

    def _holds(self, more: int) -> None:
        self._bytes += more
        self._room.change(more)


def _size(run: Run) -> int:
    return sum(len(record.value) for record in run if record.value is not None)

"""What has come in for a partition, and whether it is what comes next.

Runs may be handed over twice or not at all (a rebalance, a takeover under way, a group without offsets), so each is
held against the partition's own position: what lies below it is skipped; where something is missing, the log is asked.
"""

import time
from typing import Protocol

import structlog
from confluent_kafka import KafkaException

from services.scorer.engine.batches import Inbox, Record, Room, Run
from services.scorer.engine.eventlog import Next

log = structlog.get_logger()

_SILENCE_S = 2.0  # events are known to wait, and none has come for so long: ask the log


class Feed(Protocol):
    """Where a partition's runs come from."""

    def end(self, partition: int) -> int:
        """The end of the partition as far as it is known; 0 if it is not."""

    async def seek(self, partition: int, offset: int) -> None:
        """Go on with `offset`."""

    async def what_follows(self, partition: int, offset: int) -> Next:
        """What the log itself says comes first at or after `offset`. KafkaException."""


class Arrivals:
    def __init__(self, partition: int, feed: Feed, room: Room) -> None:
        self._partition, self._feed, self._room = partition, feed, room
        self._inbox = Inbox(room)
        self._least_end = 0
        self._clear_to = 0  # no record stands between the position and this offset
        self._heard_s = 0.0
        self._sought = -1  # the last position that had to be sought because nothing came

    def begin(self, least_end: int) -> None:
        """A takeover: `events` is known to reach up to `least_end`."""
        self.clear()
        self._least_end, self._clear_to = least_end, 0

    def put(self, run: Run) -> None:
        self._heard_s = time.monotonic()
        self._inbox.put(run)

    def clear(self) -> None:
        """Drop what waits: it will come again."""
        self._heard_s = time.monotonic()
        self._inbox.clear()

    @property
    def end(self) -> int:
        """Where `events` ends, as far as is known."""
        return max(self._least_end, self._feed.end(self._partition))

    @property
    def here(self) -> bool:
        """Whether something has come and was not taken."""
        return bool(self._inbox)

    def reaches(self, position: int, offset: int) -> bool:
        """Whether nothing stands between `position` and `offset`, which is beyond it."""
        return max(position, self._clear_to) >= offset

    def behind(self, position: int) -> bool:
        """Whether events from `position` on are known to wait."""
        return not self.reaches(position, self.end)

    async def seek(self, position: int) -> None:
        """Have everything from `position` on handed over again."""
        self.clear()
        await self._feed.seek(self._partition, position)

    async def waiting(self, position: int) -> bool:
        """Whether what comes at `position` is here. KafkaException if the log had to be asked and does not answer."""
        if self._inbox.skip_below(position) and not self._inbox:
            # A group without offsets begins at the beginning: do not read all of it again.
            await self.seek(position)
        if not self._inbox:
            return False
        first = self._inbox.first_offset()
        if first == position or self.reaches(position, first):
            return True
        follows = await self._feed.what_follows(self._partition, position)
        if not self._inbox or self._inbox.first_offset() != first:
            return False  # dropped meanwhile: a rebalance has begun
        if follows.record and follows.offset == first:
            self._clear_to = first
            return True
        log.info("records were missed, seeking back", partition=self._partition, position=position, handed_over=first)
        await self.seek(position)
        return False

    def take(self, most: int) -> list[Record]:
        """The next records, at most `most`; only after `waiting`."""
        return self._inbox.take(most)

    def give_back(self, run: Run) -> None:
        """The last of what was taken, not empty: it comes first again."""
        self._inbox.give_back(run)

    async def look_for_missing(self, position: int) -> None:
        """Events seem to wait, but none come: they were lost on the way, or nothing but markers stands there.

        Not asked while other partitions keep the worker busy: then ours may be waiting behind them.
        """
        if time.monotonic() - self._heard_s < _SILENCE_S or not self._room.empty:
            return
        self._heard_s = time.monotonic()
        try:
            follows = await self._feed.what_follows(self._partition, position)
        except KafkaException as error:
            log.warning("the log does not answer", partition=self._partition, error=str(error))
            return
        if follows.record:
            tell = log.warning if position == self._sought else log.info  # again: seeking does not help
            tell("events wait but do not come, seeking back", partition=self._partition, position=position)
            self._sought = position
            await self.seek(position)
        else:
            self._clear_to = follows.offset

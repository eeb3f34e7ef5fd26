"""A worker: the partitions it owns, and what a rebalance does to them.

It knows nothing of Faust: host.py brings runs, assignments and revocations to it.
"""

import asyncio
import functools
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress

import structlog

from services.scorer.domain.eras import Policies
from services.scorer.engine.arrivals import Feed
from services.scorer.engine.batches import Room, Run
from services.scorer.engine.clock import Clock
from services.scorer.engine.failpoints import FailPoints
from services.scorer.engine.gauges import PartitionMetrics
from services.scorer.engine.kinship import Kinship
from services.scorer.engine.partition import Partition
from services.scorer.engine.rebuilding import Rebuilds
from services.scorer.engine.replay import TopicReplay
from services.scorer.engine.sweep import RestingLane
from services.scorer.engine.takeover import Takeover
from services.scorer.engine.transactions import GroupOffsets
from services.scorer.engine.transferfeed import TransferFeed
from services.scorer.sequence import Book
from services.shared.metrics import ScorerMetrics
from services.shared.settings import ScorerSettings

log = structlog.get_logger()

_INBOX_BYTES = 32 * 1024 * 1024  # of all partitions together
_TAKEOVERS_AT_ONCE = 4
_COMMITS_AT_ONCE = 32
_CLOSE_S = 25.0


class Worker:
    """kinship: the merges, unmerges and erasures to do.  book: the policies to decide by

    reread:     adds to the book what topic `control` holds by now; blocks
    on_failure: told once of what ends the worker: a Refusal, or a fault
    """

    def __init__(
        self,
        settings: ScorerSettings,
        book: Book,
        kinship: Kinship,
        metrics: ScorerMetrics,
        *,
        clock: Clock,
        reread: Callable[[], Policies],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self._settings, self._book, self._metrics, self._clock = settings, book, metrics, clock
        self._on_failure = on_failure
        self._offsets = GroupOffsets(settings)
        self._takeovers = ThreadPoolExecutor(_TAKEOVERS_AT_ONCE, "takeover")
        self._commits = ThreadPoolExecutor(_COMMITS_AT_ONCE, "commit")
        self._take_over = Takeover(settings, lambda: book.policies, reread, metrics, self._offsets, clock, FailPoints())
        self._feed: Feed | None = None
        self._partitions: dict[int, Partition] = {}
        self._tasks: dict[int, asyncio.Task[None]] = {}
        self._assigned = self._failed = self._stopping = False
        self._kinship, self._lane = kinship, RestingLane()
        self._rebuilds = Rebuilds(settings.partitions, functools.partial(TopicReplay, settings), kinship.erased)
        self._transfers = TransferFeed(settings, self._transferred, self._has_room, on_failure)
        self.room = Room(_INBOX_BYTES)

    def feed_from(self, feed: Feed) -> None:
        """Say where runs come from, before the first rebalance."""
        self._feed = feed

    def hand_over(self, partition: int, run: Run) -> None:
        """A fetched run. What is not ours is dropped: its owner reads it."""
        owned = self._partitions.get(partition)
        if owned is not None:
            owned.hand_over(run)

    def has_to_begin(self, partition: int) -> None:
        """There is another merge, unmerge or erasure for the partition to begin."""
        owned = self._partitions.get(partition)
        if owned is not None:
            owned.wake()

    def policies_changed(self) -> None:
        """There is another policy in the book."""
        for partition in self._partitions.values():
            partition.wake()

    async def revoked(self) -> None:
        """A rebalance has begun, any partition may be going elsewhere: returns when no transaction is under way."""
        await asyncio.gather(*(partition.hold() for partition in self._partitions.values()))

    async def assigned(self, numbers: set[int]) -> None:
        """The rebalance has ended. Returns when each new partition was taken over (or its first attempt failed)."""
        await self._let_go(self._partitions.keys() - numbers)
        if self._stopping or self._failed:
            return
        for partition in self._partitions.values():
            partition.go_on()
        new = [self._own(number) for number in sorted(numbers - self._partitions.keys())]
        self._metrics.owned.set(len(self._partitions))
        await asyncio.gather(*(partition.settled.wait() for partition in new))
        self._assigned = True
        log.info("partitions owned", partitions=sorted(self._partitions))

    async def drain(self) -> None:
        """End the turns that run and begin no others; the worker still is a member of the group."""
        self._stopping = True
        await self.revoked()

    async def close(self) -> None:
        """Let everything go."""
        self._stopping = True
        await self._let_go(set(self._partitions))
        await asyncio.to_thread(self._transfers.close)
        self._takeovers.shutdown(wait=False, cancel_futures=True)
        self._commits.shutdown(wait=False, cancel_futures=True)
        self._offsets.close()

    @property
    def alive(self) -> bool:
        """False once something has failed that only a new process mends."""
        return not self._failed

    @property
    def ready(self) -> bool:
        """Whether every owned partition is restored and has caught up."""
        waiting = any(partition.status != "ready" for partition in self._partitions.values())
        return self._assigned and self.alive and not self._stopping and not waiting

    def detail(self) -> dict[str, object]:
        """For people: each owned partition."""
        return {str(number): partition.detail() for number, partition in sorted(self._partitions.items())}

    def _own(self, number: int) -> Partition:
        assert self._feed is not None, "feed_from() comes first"
        partition = Partition(
            number,
            clock=self._clock,
            feed=self._feed,
            room=self.room,
            take_over=self._take_over,
            policies=lambda: self._book.policies,
            kinship=self._kinship,
            lane=self._lane,
            rebuilds=self._rebuilds,
            on_position=functools.partial(self._transfers.read_from, number),
            takeovers=self._takeovers,
            commits=self._commits,
            metrics=PartitionMetrics(self._metrics, number),
            max_batch=self._settings.max_poll_records,
            # A member that is out hears of it at its next heartbeat (a quarter of the session); twice that, and some.
            fenced_pause_s=self._settings.session_timeout_s / 2 + 1,
            letter_share=self._settings.dead_letter_share,
        )
        self._partitions[number] = partition
        self._tasks[number] = asyncio.create_task(partition.run(), name=f"partition-{number}")
        self._tasks[number].add_done_callback(self._ended)
        return partition

    def _transferred(self, partition: int, offset: int, value: bytes) -> None:
        owned = self._partitions.get(partition)
        if owned is not None:
            owned.transferred(offset, value)

    def _has_room(self, partition: int) -> bool:
        owned = self._partitions.get(partition)
        return owned is None or owned.has_room

    async def _let_go(self, numbers: set[int]) -> None:
        tasks = [self._tasks.pop(number) for number in numbers]
        for number in numbers:
            self._partitions.pop(number).close()
        if tasks:
            _, left = await asyncio.wait(tasks, timeout=_CLOSE_S)
            for task in left:
                task.cancel()
            await asyncio.gather(*left, return_exceptions=True)
        self._metrics.owned.set(len(self._partitions))

    def _ended(self, task: asyncio.Task[None]) -> None:
        with suppress(asyncio.CancelledError):
            error = task.exception()
            if error is not None and not self._failed:
                self._failed = True
                self._on_failure(error)

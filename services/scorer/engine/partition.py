"""One partition's actor: it alone touches the partition's state, and micro-batches and timers take turns in it.

It lives as long as this worker owns the partition. When a transaction fails, everything in memory is thrown away and
the partition is taken over again. While a rebalance is under way it is held: the turn that runs ends, none begins.
"""

import asyncio
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal, Protocol

import structlog
from confluent_kafka import KafkaError, KafkaException
from msgspec.structs import replace

from services.scorer.domain.policy import Policy
from services.scorer.domain.state import Position
from services.scorer.engine.batches import Inbox, Pace, Record, Room, Run
from services.scorer.engine.clock import Clock, Playback
from services.scorer.engine.gauges import PartitionMetrics
from services.scorer.engine.takeover import Taken
from services.scorer.engine.turn import Turn

log = structlog.get_logger()

Status = Literal["restoring", "catching_up", "ready"]

_TIMERS_A_TURN = 1_000
_TICK_S = 1.0
_SILENCE_S = 2.0  # events are known to wait, and none has come for so long: ask the log
_HOLD_S = 15.0  # below Faust's rebalance timeout
_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}


class Feed(Protocol):
    """Where a partition's runs come from."""

    def end(self, partition: int) -> int:
        """The end of the partition as far as it is known; 0 if it is not."""

    async def seek(self, partition: int, offset: int) -> None:
        """Go on with `offset`."""

    async def next_offset(self, partition: int, offset: int) -> int | None:
        """What the log itself says comes first at or after `offset`; None if nothing. KafkaException."""


class Partition:
    """take_over:      blocks; see takeover.Takeover
    fenced_pause_s: after being fenced, how long to wait for the rebalance that most likely was the reason
    """

    def __init__(
        self,
        number: int,
        *,
        policy: Policy,
        clock: Clock,
        feed: Feed,
        room: Room,
        take_over: Callable[[int], Taken],
        takeovers: ThreadPoolExecutor,
        commits: ThreadPoolExecutor,
        metrics: PartitionMetrics,
        max_batch: int,
        fenced_pause_s: float,
    ) -> None:
        self.number = number
        self._policy, self._clock, self._feed, self._metrics = policy, clock, feed, metrics
        self._take_over_blocking, self._takeovers, self._commits = take_over, takeovers, commits
        self._fenced_pause_s = fenced_pause_s
        self._room = room
        self._inbox = Inbox(room)
        self._pace, self._timer_pace = Pace(most=max_batch), Pace(most=_TIMERS_A_TURN)
        self._taken: Taken | None = None
        self._playback = Playback(clock, 0)
        self._more_due = False
        self._clear_to = 0  # no record stands between the position and this offset
        self._heard_s = 0.0
        self._closing = False
        self._free, self._idle, self._wake, self.settled = (asyncio.Event() for _ in range(4))
        self._free.set()
        self._idle.set()

    # What the worker does with it

    async def run(self) -> None:
        """Until `close`. Refusal if the partition must not be taken over; any other error is a fault of ours."""
        try:
            await self._acquire(first=True)
            while not self._closing:
                try:
                    await self._work()
                except KafkaException as error:
                    await self._lose(error)
        finally:
            self.settled.set()
            self._idle.set()
            await self._release()

    def hand_over(self, run: Run) -> None:
        """A fetched run. Dropped while there is no state to put it to: it is asked for again once there is."""
        if self._taken is not None and self._free.is_set() and not self._closing:
            self._heard_s = time.monotonic()
            self._inbox.put(run)
            self._wake.set()

    async def hold(self) -> None:
        """Begin no turn until `go_on`; returns when the running one has ended, or it has taken too long."""
        self._free.clear()
        self._inbox.clear()
        try:
            async with asyncio.timeout(_HOLD_S):
                await self._idle.wait()
        except TimeoutError:
            log.warning("a turn did not end in time for the rebalance", partition=self.number)

    def go_on(self) -> None:
        self._free.set()

    def close(self) -> None:
        """Let `run` end after the turn it is in."""
        self._closing = True
        self._inbox.clear()
        self._free.set()
        self._wake.set()

    @property
    def status(self) -> Status:
        if self._taken is None:
            return "restoring"
        return "catching_up" if self._taken.catching_up else "ready"

    def detail(self) -> dict[str, object]:
        """For people: where the partition stands."""
        taken = self._taken
        if taken is None:
            return {"status": self.status}
        return {
            "status": self.status,
            "position": taken.position.events_offset,
            "end": self._end(taken),
            "customers": len(taken.shard.records),
        }

    # Taking over, and losing

    async def _acquire(self, *, first: bool = False) -> None:
        """Take the partition over, however often it takes; only the first attempt is waited for by `settled`."""
        pause_s = 0.5
        while not self._closing:
            await self._free.wait()
            self._idle.clear()
            try:
                taken = await self._in_thread(self._takeovers, self._take_over_blocking, self.number)
                break
            except KafkaException as error:
                log.warning("takeover failed", partition=self.number, error=_text(error), again_in_s=pause_s)
                first = False
            finally:
                self._idle.set()
                if not first:
                    self.settled.set()
            await self._pause(pause_s)
            pause_s = min(10.0, pause_s * 2)
        else:
            return
        self._taken = taken
        self._playback = Playback(self._clock, taken.position.appended_ms)
        self._more_due, self._clear_to, self._heard_s = False, 0, time.monotonic()
        self._measure(taken)
        self.settled.set()
        if not first:
            await self._feed.seek(self.number, taken.position.events_offset)

    async def _lose(self, error: KafkaException) -> None:
        """A transaction failed: whether it got through only the changelog knows."""
        self._metrics.failed()
        fenced = error.args[0].code() in _FENCED
        log.warning("transaction failed, the partition is taken over again", partition=self.number, error=_text(error))
        await self._release()
        if fenced:
            # Most likely another worker owns the partition and we have not heard of it. Fencing it in return would
            # help nobody; if no rebalance comes, the partition is still ours.
            await self._pause(self._fenced_pause_s)
        await self._acquire()

    async def _release(self) -> None:
        taken, self._taken = self._taken, None
        self._inbox.clear()
        self._metrics.clear()
        if taken is not None:
            await self._in_thread(self._commits, taken.transactions.drop)

    async def _pause(self, seconds: float) -> None:
        self._wake.clear()
        try:
            async with asyncio.timeout(seconds):
                while not self._closing:
                    await self._wake.wait()
                    self._wake.clear()
        except TimeoutError:
            pass

    # Turns

    async def _work(self) -> None:
        while not self._closing and self._taken is not None:
            await self._free.wait()
            self._wake.clear()
            self._idle.clear()
            try:
                worked = not self._closing and await self._turn(self._taken)
            finally:
                self._idle.set()
            if not worked:
                await self._until_something_comes(self._taken)

    async def _until_something_comes(self, taken: Taken) -> None:
        self._measure(taken)
        next_ms = taken.shard.timers.next_ms()
        wait_s = _TICK_S if next_ms is None else min(_TICK_S, (next_ms - self._clock.now_ms()) / 1000)
        try:
            async with asyncio.timeout(max(0.001, wait_s)):
                await self._wake.wait()
        except TimeoutError:
            pass

    async def _turn(self, taken: Taken) -> bool:
        """One transaction at most; False if there was nothing to do."""
        if self._inbox.skip_below(taken.position.events_offset) and not self._inbox:
            # A group without offsets begins at the beginning: do not read all of it again.
            await self._seek(taken.position.events_offset)
        if self._inbox and not await self._follows(taken):
            return True
        behind = self._behind(taken, taken.position.events_offset)
        # While working off a backlog all that is due comes before the next events; live events do not wait for it.
        batch: list[Record] = []
        if self._inbox and not (self._more_due and behind):
            batch = self._inbox.take(self._pace.records)
        elif behind and not self._more_due:
            return await self._ask_the_log(taken)
        return await self._decide(taken, batch)

    async def _decide(self, taken: Taken, batch: list[Record]) -> bool:
        began_s = time.perf_counter()
        offset = taken.position.events_offset
        if batch:
            offset = batch[-1].offset + 1
            self._playback.taken(max(record.timestamp for record in batch))
        behind = self._behind(taken, offset)
        until_ms = self._playback.until_ms(behind=behind)
        turn = Turn(self._policy, taken.position.sequence, self._clock.now_ms(), taken.catching_up)
        if batch:
            taken.shard.take(turn, batch, until_ms)
            taken_s = time.perf_counter()
            self._pace.took(len(batch), taken_s - began_s)
        fired = self._fire(taken, turn, until_ms)
        if turn.catching_up and max(offset, self._clear_to) >= taken.backlog_end and not self._more_due:
            turn.caught_up(self.number)
        if not turn.writes:
            await asyncio.sleep(0)
            return fired > 0
        decided_s = time.perf_counter()
        position = replace(
            taken.position,
            events_offset=offset,
            sequence=turn.sequence,
            appended_ms=self._playback.appended_ms,
            caught_up=not turn.catching_up,
        )
        await self._in_thread(self._commits, taken.transactions.commit, position, turn)
        self._committed(taken, turn, position, live=not behind and not taken.catching_up)
        self._metrics.batch(turn, decided_s - began_s, time.perf_counter() - decided_s)
        return True

    def _fire(self, taken: Taken, turn: Turn, until_ms: int) -> int:
        began_s, limit = time.perf_counter(), self._timer_pace.records
        fired = taken.shard.fire(turn, until_ms, limit)
        self._more_due = fired == limit
        self._timer_pace.took(fired, time.perf_counter() - began_s)
        return fired

    def _committed(self, taken: Taken, turn: Turn, position: Position, *, live: bool) -> None:
        if taken.catching_up and position.caught_up:
            log.info("partition caught up", partition=self.number, position=position.events_offset)
        taken.position = position
        taken.catching_up = not position.caught_up
        self._metrics.committed(turn, self._clock.now_ms(), live=live)
        self._measure(taken)

    def _measure(self, taken: Taken) -> None:
        offset = taken.position.events_offset
        self._metrics.state(taken.shard, self._end(taken) - offset if self._behind(taken, offset) else 0)

    # Where the partition ends, and what comes next

    def _end(self, taken: Taken) -> int:
        return max(taken.backlog_end, self._feed.end(self.number))

    def _behind(self, taken: Taken, offset: int) -> bool:
        """Whether events from `offset` on are known to wait."""
        return max(offset, self._clear_to) < self._end(taken)

    async def _follows(self, taken: Taken) -> bool:
        """Whether what lies in the inbox comes next. If records are missing, they are asked for again."""
        position, first = taken.position.events_offset, self._inbox.first_offset()
        if first == position or first <= self._clear_to:
            return True
        found = await self._feed.next_offset(self.number, position)
        if found == first:
            self._clear_to = first
            return True
        log.info("records were missed, seeking back", partition=self.number, position=position, handed_over=first)
        await self._seek(position)
        return False

    async def _ask_the_log(self, taken: Taken) -> bool:
        """Events seem to wait, but none come: they were lost on the way, or nothing but markers stands there.

        Not asked while other partitions keep the worker busy: then ours may be waiting behind them.
        """
        if time.monotonic() - self._heard_s < _SILENCE_S or not self._room.empty:
            return False
        position, end = taken.position.events_offset, self._end(taken)
        self._heard_s = time.monotonic()
        try:
            found = await self._feed.next_offset(self.number, position)
        except KafkaException as error:
            log.warning("the log does not answer", partition=self.number, error=_text(error))
            return False
        if found is None:
            self._clear_to = end
            return True
        log.info("events wait but do not come, seeking back", partition=self.number, position=position, end=end)
        await self._seek(position)
        return False

    async def _seek(self, offset: int) -> None:
        self._inbox.clear()
        self._heard_s = time.monotonic()
        await self._feed.seek(self.number, offset)

    async def _in_thread(self, pool: ThreadPoolExecutor, call: Callable[..., Any], *args: Any) -> Any:
        return await asyncio.get_running_loop().run_in_executor(pool, call, *args)


def _text(error: KafkaException) -> str:
    cause: KafkaError = error.args[0]
    return f"{cause.name()}: {cause.str()}"

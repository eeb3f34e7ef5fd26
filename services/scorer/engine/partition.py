"""One partition's actor: it alone touches the partition's state, and micro-batches and timers take turns in it.

It lives as long as this worker owns the partition. When a transaction fails, everything in memory is thrown away and
the partition is taken over again; it halts where that would not help. While a rebalance is under way it is held: the
turn that runs ends, none begins.
"""

import asyncio
import contextlib
import contextvars
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, Literal

import structlog
from confluent_kafka import KafkaError, KafkaException
from msgspec.structs import replace

from schemas.unreadable import UNREADABLE
from services.scorer.domain.eras import Policies
from services.scorer.domain.state import Position
from services.scorer.engine.arrivals import Arrivals, Feed
from services.scorer.engine.batches import Pace, Room, Run
from services.scorer.engine.clock import Clock, Playback
from services.scorer.engine.gauges import PartitionMetrics
from services.scorer.engine.kinship import Kinship
from services.scorer.engine.letter_limit import LetterLimit, TooManyDeadLetters
from services.scorer.engine.rebuilding import Rebuilding, Rebuilds
from services.scorer.engine.relating import Relating, RelationFailed
from services.scorer.engine.sweep import RestingLane
from services.scorer.engine.takeover import Taken
from services.scorer.engine.transactions import HANGS_S
from services.scorer.engine.turn import Turn

log = structlog.get_logger()

Status = Literal["restoring", "catching_up", "ready", "halted"]

_TIMERS_A_TURN = 1_000
_SWEPT_A_TURN = 500
_SWEEP_S = 0.005  # of a slice: so long live events may have to wait for it
_LANE_S = 0.02  # until it is tried again whether the next slice may be made
_READ_S = 0.02  # until it is looked again whether all operations have been read that there were at the takeover
_TICK_S = 1.0
_PAUSE_S, _MOST_PAUSE_S = 0.5, 10.0  # between attempts: the first, doubled up to the last
_HOLD_S = 15.0  # below Faust's rebalance timeout
_FENCED = {KafkaError._FENCED, KafkaError.PRODUCER_FENCED, KafkaError.INVALID_PRODUCER_EPOCH}
_FOR_GOOD = {
    *(KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.RECORD_LIST_TOO_LARGE, KafkaError.INVALID_RECORD),
    *(KafkaError.POLICY_VIOLATION, KafkaError.UNSUPPORTED_FOR_MESSAGE_FORMAT),
}
"""What Kafka will refuse whenever it is written. A right that is missing is not among them: it may be given."""
_REMEDY = (
    "let `tierline setup` say whether the topics' settings are as they have to be, then restart; if they are, it is a "
    "fault of ours or of who writes topic events: the events from the position on show which"
)


class Partition:
    """take_over:      blocks; see takeover.Takeover
    policies:       those to decide by now; asked before each turn
    kinship:        the merges, unmerges and erasures to do
    lane, rebuilds: shared by all partitions of the worker
    on_position:    told from which offset of `transfers` on to hand over; None when nothing is to come any more
    fenced_pause_s: after being fenced, how long to wait for the rebalance that most likely was the reason
    letter_share:   see LetterLimit
    """

    def __init__(
        self,
        number: int,
        *,
        clock: Clock,
        feed: Feed,
        room: Room,
        take_over: Callable[[int], Taken],
        policies: Callable[[], Policies],
        kinship: Kinship,
        lane: RestingLane,
        rebuilds: Rebuilds,
        on_position: Callable[[int | None], None],
        takeovers: ThreadPoolExecutor,
        commits: ThreadPoolExecutor,
        metrics: PartitionMetrics,
        max_batch: int,
        fenced_pause_s: float,
        letter_share: float,
    ) -> None:
        self.number = number
        self._clock, self._metrics = clock, metrics
        self._take_over_blocking, self._takeovers, self._commits = take_over, takeovers, commits
        self._policies, self._lane, self._on_position = policies, lane, on_position
        self._fenced_pause_s = fenced_pause_s
        self._arrivals = Arrivals(number, feed, room)
        self._relating = Relating(number, kinship)
        self._letter_share = letter_share
        self._limit, self._halted = LetterLimit(letter_share), ""
        self._rebuilding = Rebuilding(number, rebuilds, self.wake)
        self._pace, self._timer_pace = Pace(most=max_batch), Pace(most=_TIMERS_A_TURN)
        self._sweep_pace = Pace(most=_SWEPT_A_TURN, target_s=_SWEEP_S)
        self._taken: Taken | None = None
        self._playback = Playback(clock, 0)
        self._more_due = self._closing = self._unproven = False
        self._pause_s = 0.0  # before the next takeover, should the next transaction fail
        self._free, self._idle, self._wake, self._news, self.settled = (asyncio.Event() for _ in range(5))
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
                except (TooManyDeadLetters, RelationFailed) as error:
                    await self._halt(str(error), error.__cause__)
        finally:
            self.settled.set()
            self._idle.set()
            self._release()

    def hand_over(self, run: Run) -> None:
        """A fetched run. Dropped while there is no state to put it to: it is asked for again once there is."""
        if self._taken is not None and self._free.is_set() and not self._closing:
            self._arrivals.put(run)
            self._wake.set()

    def transferred(self, offset: int, value: bytes) -> None:
        """A record of `transfers`, in order from where `on_position` said."""
        if self._taken is None:
            return
        try:
            self._relating.put(offset, value)
        except UNREADABLE as error:
            log.error(
                "a record of topic transfers is none of ours: passed over",
                partition=self.number,
                offset=offset,
                error=str(error),
            )
        self._wake.set()

    @property
    def has_room(self) -> bool:
        """Whether more of `transfers` may come."""
        return self._relating.has_room

    def wake(self) -> None:
        """Something has changed that a turn may have to look at, as another policy."""
        self._wake.set()

    async def hold(self) -> None:
        """Begin no turn until `go_on`; returns when the running one has ended, or it has taken too long."""
        self._free.clear()
        self._arrivals.clear()
        try:
            async with asyncio.timeout(_HOLD_S):
                await self._idle.wait()
        except TimeoutError:
            log.warning("a turn did not end in time for the rebalance", partition=self.number)

    def go_on(self) -> None:
        """The rebalance has ended and the partition is ours; a transaction will tell whether it always was."""
        self._unproven = True
        self._begin()

    def close(self) -> None:
        """Let `run` end after the turn it is in."""
        self._closing = True
        self._arrivals.clear()
        self._begin()

    def _begin(self) -> None:
        for event in (self._free, self._news, self._wake):
            event.set()

    @property
    def status(self) -> Status:
        if self._taken is None:
            return "halted" if self._halted else "restoring"
        return "catching_up" if self._taken.catching_up else "ready"

    def detail(self) -> dict[str, object]:
        """For people: where the partition stands."""
        taken = self._taken
        if taken is None:
            return {"status": self.status} | ({"reason": self._halted} if self._halted else {})
        return {
            "status": self.status,
            "position": taken.position.events_offset,
            "end": self._arrivals.end,
            "customers": len(taken.shard.records),
            "policies": taken.shard.policies.count,
            "transfers_waiting": self._relating.waiting,
            "identities": taken.position.identities,
            "to_look_at_again": taken.shard.sweep.left,
            "rebuilt": taken.position.rebuilt,
            "rebuild": self._rebuilding.detail(),
        }

    # Taking over, and losing

    async def _acquire(self, *, first: bool = False) -> None:
        """Take the partition over, however often it takes; only the first attempt is waited for by `settled`."""
        pause_s = _PAUSE_S
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
            pause_s = min(_MOST_PAUSE_S, pause_s * 2)
        else:
            return
        self._taken, self._limit = taken, LetterLimit(self._letter_share)
        self._arrivals.begin(taken.backlog_end)
        self._relating.begin(taken.position.transfers)
        self._on_position(taken.position.transfers)
        self._playback = Playback(self._clock, taken.position.appended_ms)
        self._more_due = self._unproven = False
        self._measure(taken)
        self.settled.set()
        # A group without offsets would not begin by itself until it is seen that nothing comes.
        await self._arrivals.seek(taken.position.events_offset)

    async def _prove(self, taken: Taken) -> None:
        """Another worker may have had the partition while we were thought dead: then this fails as fenced."""
        await self._commit(taken, taken.position, None)
        self._unproven = False

    async def _lose(self, error: KafkaException) -> None:
        """A transaction failed: whether it got through only the changelog knows."""
        self._metrics.failed()
        cause: KafkaError = error.args[0]
        if cause.code() in _FOR_GOOD:
            await self._halt(f"Kafka refuses it for good: {_text(error)}; {_REMEDY}")
            return
        # Not at once where it fails again and again: a takeover is much to ask of a broker that has something.
        pause_s, self._pause_s = self._pause_s, min(_MOST_PAUSE_S, max(_PAUSE_S, self._pause_s * 2))
        if cause.code() in _FENCED and not self._unproven:
            # Most likely another worker owns the partition and we have not heard of it. Fencing it in return would
            # help nobody; if no rebalance comes, the partition is still ours.
            pause_s = max(pause_s, self._fenced_pause_s)
        log.warning(
            "transaction failed, the partition is taken over again",
            partition=self.number,
            error=_text(error),
            in_s=pause_s,
        )
        self._release()
        if pause_s:
            await self._pause(pause_s)
        await self._acquire()

    async def _halt(self, reason: str, cause: BaseException | None = None) -> None:
        """Nothing more is taken until somebody takes the partition over anew; the turn that went too far is gone."""
        assert self._taken is not None
        self._halted = reason
        log.error(
            "partition halted: nothing of it is decided until the scorer is restarted, with a remedy",
            partition=self.number,
            position=self._taken.position.events_offset,
            reason=self._halted,
            exc_info=cause,
        )
        self._release()
        self._metrics.halted()
        while not self._closing:
            self._news.clear()
            await self._news.wait()

    def _release(self) -> None:
        taken, self._taken = self._taken, None
        self._lane.leave(self.number)
        self._rebuilding.stop()
        self._on_position(None)
        self._arrivals.clear()
        self._metrics.clear()
        if taken is not None:
            self._commits.submit(taken.transactions.drop)  # nobody waits for it

    async def _pause(self, seconds: float) -> None:
        """Shorter if a rebalance confirms that the partition is ours, or takes it away."""
        self._news.clear()
        if not self._closing:
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(self._news.wait(), seconds)

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
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(self._wake.wait(), max(0.001, self._idle_s(taken)))

    def _idle_s(self, taken: Taken) -> float:
        """How long nothing is to be done by itself, at most."""
        if not self._relating.knows(taken.operation):
            return _READ_S
        if self._arrivals.here:
            return 0.0
        if self._arrivals.behind(taken.position.events_offset):
            return _TICK_S  # time stands still until they come
        now_ms = self._clock.now_ms()
        next_ms, begins_ms = taken.shard.timers.next_ms(), taken.shard.sweep.begins_ms()
        wait_s = _TICK_S if next_ms is None else min(_TICK_S, (next_ms - now_ms) / 1000)
        related_ms = self._relating.due_ms(taken.position.identities)
        if related_ms is not None and related_ms > now_ms:
            wait_s = min(wait_s, (related_ms - now_ms) / 1000)
        rest_s = self._relating.rest_s
        if rest_s > 0:
            wait_s = min(wait_s, rest_s)
        if begins_ms is not None:
            wait_s = min(wait_s, max(_LANE_S, (begins_ms - now_ms) / 1000))
        return wait_s

    async def _turn(self, taken: Taken) -> bool:
        """One transaction at most; False if there was nothing to do."""
        if self._unproven:
            await self._prove(taken)
        if taken.shard.policies is not self._policies():
            taken.shard.follow(self._policies())
        position = taken.position.events_offset
        if not self._relating.knows(taken.operation):
            return False  # an event of after an erasure that is not known yet would be taken for one of before it
        waiting = await self._arrivals.waiting(position)
        behind = self._arrivals.behind(position)
        if behind and not waiting and not self._more_due:
            await self._arrivals.look_for_missing(position)
            return False
        # While working off a backlog all that is due comes before the next events; live events do not wait for it.
        return await self._decide(taken, with_events=waiting and not (self._more_due and behind))

    async def _decide(self, taken: Taken, *, with_events: bool) -> bool:
        began_s, began_cpu_s = time.perf_counter(), time.thread_time()
        offset = taken.position.events_offset
        batch = self._arrivals.take(self._pace.records) if with_events else []
        newest_ms = max((record.timestamp for record in batch), default=0)
        behind = self._arrivals.behind(batch[-1].offset + 1 if batch else offset)
        until_ms = self._playback.until_ms(behind=behind, newest_ms=newest_ms)
        # The clock may have been set back since, but no decision is of before what it decides.
        turn = Turn(taken.position.sequence, max(until_ms, self._clock.now_ms()), taken.catching_up)
        if batch:
            self._lane.heard()
        worked = self._relating.work(taken.shard, turn, batch, until_ms, taken.position.identities)
        if worked.events < len(batch):
            self._arrivals.give_back(batch[worked.events :])
            batch = batch[: worked.events]
        if batch:
            offset = batch[-1].offset + 1
            self._playback.taken(max(record.timestamp for record in batch))
            self._pace.took(len(batch), time.thread_time() - began_cpu_s - worked.spent_s)
        behind = self._arrivals.behind(offset)
        until_ms = until_ms if worked.short_ms is None else worked.short_ms
        self._playback.played(until_ms)
        fired = self._fire(taken, turn, until_ms)
        swept = self._sweep(taken, turn, until_ms)
        rebuilt = self._rebuilding.work(taken.shard, turn, batch, taken.position, offset, until_ms)
        self._limit.check(batch, turn)
        more_due = self._more_due or worked.short_ms is not None
        if turn.catching_up and self._arrivals.reaches(offset, taken.backlog_end) and not more_due:
            turn.caught_up(self.number)
        if not turn.writes:
            self._lane.leave(self.number)
            await asyncio.sleep(0)
            return fired > 0 or swept or rebuilt
        decided_s = time.perf_counter()
        position = replace(
            taken.position,
            events_offset=offset,
            sequence=turn.sequence,
            policy=taken.shard.policies.newest.name,
            policy_digest=taken.shard.policies.newest.digest,
            appended_ms=self._playback.appended_ms,
            caught_up=not turn.catching_up,
            identities=worked.begun,
            transfers=self._relating.position,
            rebuilt=max(taken.position.rebuilt, turn.rebuilt),
        )
        await self._commit(taken, position, turn)
        self._lane.leave(self.number)
        self._committed(taken, turn, position, live=not behind and not taken.catching_up)
        self._metrics.batch(turn, decided_s - began_s, time.perf_counter() - decided_s)
        return True

    async def _commit(self, taken: Taken, position: Position, turn: Turn | None) -> None:
        """KafkaException; also if the library does not come back long after its own time limits.

        Seen while a broker was away for minutes. Its thread is left to it: the takeover fences what it may still do.
        """
        try:
            async with asyncio.timeout(HANGS_S):
                await self._in_thread(self._commits, taken.transactions.commit, position, turn)
        except TimeoutError:
            raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the commit does not come back")) from None

    def _fire(self, taken: Taken, turn: Turn, until_ms: int) -> int:
        """One slice of the timers due; how many there were."""
        began_s, limit = time.thread_time(), self._timer_pace.records
        fired = taken.shard.fire(turn, until_ms, limit)
        self._more_due = fired == limit
        self._timer_pace.took(fired, time.thread_time() - began_s)
        return fired

    def _sweep(self, taken: Taken, turn: Turn, until_ms: int) -> bool:
        """One slice of those a policy has to be put to; whether it was our turn and there may be more."""
        sweep = taken.shard.sweep
        begins_ms = sweep.begins_ms()
        if begins_ms is None or begins_ms > until_ms or not self._lane.take(self.number):
            return False
        began_s = time.thread_time()
        swept = taken.shard.look_again(turn, until_ms, self._sweep_pace.records)
        self._sweep_pace.took(swept, time.thread_time() - began_s)
        if not sweep.left:
            log.info("all customers are decided under the newest policy", partition=self.number)
        return True

    def _committed(self, taken: Taken, turn: Turn, position: Position, *, live: bool) -> None:
        if taken.catching_up and position.caught_up:
            log.info("partition caught up", partition=self.number, position=position.events_offset)
        taken.position = position
        taken.catching_up = not position.caught_up
        self._pause_s = 0.0
        self._metrics.committed(turn, self._clock.now_ms(), live=live)
        self._measure(taken)

    def _measure(self, taken: Taken) -> None:
        offset = taken.position.events_offset
        lag = self._arrivals.end - offset if self._arrivals.behind(offset) else 0
        self._metrics.state(taken.shard, lag, self._rebuilding)

    async def _in_thread(self, pool: ThreadPoolExecutor, call: Callable[..., Any], *args: Any) -> Any:
        run = contextvars.copy_context().run  # so that logs name the service
        return await asyncio.get_running_loop().run_in_executor(pool, run, call, *args)


def _text(error: KafkaException) -> str:
    cause: KafkaError = error.args[0]
    return f"{cause.name()}: {cause.str()}"

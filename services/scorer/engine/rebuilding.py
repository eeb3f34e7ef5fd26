"""A partition's rebuilds: replay, then switch, a slice at a time between its other turns.

Nothing of it is kept but the number of the rebuild that was done: whoever takes the partition over in the middle begins
again, and finds no difference any more where the new generation had taken its place already.
"""

import time
from collections.abc import Callable, Iterable, Mapping

import structlog

from services.scorer.domain.state import Position
from services.scorer.engine.batches import Pace, Record
from services.scorer.engine.generation import Generation
from services.scorer.engine.replay import CutOff, Past, Replay
from services.scorer.engine.shard import Shard
from services.scorer.engine.sweep import Lane
from services.scorer.engine.turn import Turn

log = structlog.get_logger()

_SLICE_S = 0.005  # so long live events may have to wait for it
_REPLAYED_A_TURN, _SWITCHED_A_TURN = 5_000, 500
_TOLD_EVERY_S = 5.0


class Rebuilds:
    """What all partitions of a worker have in common; one of them rebuilds at a time, since it holds both generations.

    replay: reads the events of a partition again, and calls what it is given, in the event loop, when there are more
    erased: by name the instant up to which its events are forgotten, as far as is known at any time
    """

    def __init__(
        self,
        partitions: int,
        replay: Callable[[int, Callable[[], None]], Replay],
        erased: Callable[[], Mapping[str, int]],
    ) -> None:
        self.partitions, self.replay, self.erased = partitions, replay, erased
        self.lane = Lane()


class Rebuilding:
    """on_more: called when there is something to do again.  remaining: records and customers still to go"""

    def __init__(self, partition: int, rebuilds: Rebuilds, on_more: Callable[[], None]) -> None:
        self._partition, self._rebuilds, self._on_more = partition, rebuilds, on_more
        self._generation: Generation | None = None
        self._replay: Replay | None = None
        self._read: list[Past] = []
        self._number = self._refused = 0
        self._began_s = self._told_s = 0.0
        self._replay_pace = Pace(most=_REPLAYED_A_TURN, target_s=_SLICE_S)
        self._switch_pace = Pace(most=_SWITCHED_A_TURN, target_s=_SLICE_S)
        self.remaining = 0

    def work(
        self, shard: Shard, turn: Turn, batch: Iterable[Record], position: Position, offset: int, until_ms: int
    ) -> bool:
        """A slice of the newest rebuild asked for, if it is not done; whether there is more to do at once.

        batch: what the turn has taken of `events`, from the position up to `offset`
        """
        wanted = shard.policies.rebuild
        if position.rebuilt >= wanted or self._refused == wanted or turn.catching_up:
            self.stop()
            return False
        if self._number != wanted:
            self.stop()
            if not self._rebuilds.lane.take(self._partition):
                self.remaining = offset
                return False
            self._begin(shard, wanted, offset)
        generation = self._generation
        assert generation is not None, "it has begun"
        if generation.replayed == position.events_offset:
            generation.take(Past(r.offset, r.timestamp, r.key, r.value) for r in batch)
        try:
            more = self._go_on(generation, turn, offset, until_ms)
        except CutOff as error:
            log.error("rebuild refused", partition=self._partition, number=wanted, why=str(error))
            self._refused = wanted
            self.stop()
            return False
        self.remaining = max(0, offset - generation.replayed) + generation.left
        self._tell(generation)
        return more

    def stop(self) -> None:
        """Let go of what there is; it begins again if it is not done."""
        if self._replay is not None:
            self._replay.close()
        self._generation = self._replay = None
        self._read, self._number, self.remaining = [], 0, 0
        self._rebuilds.lane.leave(self._partition)

    @property
    def is_refused(self) -> bool:
        """Whether the newest one asked for was refused."""
        return self._refused > 0

    def detail(self) -> str:
        """For people: what it does."""
        if self._refused:
            return f"{self._refused} refused: events no longer reach back"
        if self._generation is None:
            return f"waiting, {self.remaining} records" if self.remaining else "none"
        return f"{self._number} {'switching' if self._generation.switching else 'replaying'}, {self.remaining} to go"

    def _begin(self, shard: Shard, number: int, records: int) -> None:
        self._generation = Generation(shard, self._rebuilds.partitions, self._rebuilds.erased())
        self._replay = self._rebuilds.replay(self._partition, self._on_more)
        self._number, self._refused = number, 0
        self._began_s = self._told_s = time.monotonic()
        log.info("rebuild begins", partition=self._partition, number=number, records=records)

    def _go_on(self, generation: Generation, turn: Turn, offset: int, until_ms: int) -> bool:
        """Replay a slice up to `offset`, or switch one once all has been replayed; whether there is more at once."""
        if generation.replayed < offset:
            return self._replay_some(generation, offset)
        began_s = time.thread_time()
        switched = generation.switch(turn, until_ms, self._switch_pace.records)
        self._switch_pace.took(switched, time.thread_time() - began_s)
        if not generation.left:
            turn.rebuilt = self._number
            log.info(
                "rebuild done",
                partition=self._partition,
                number=self._number,
                renewed=generation.renewed,
                seconds=round(time.monotonic() - self._began_s, 1),
            )
        return True

    def _replay_some(self, generation: Generation, offset: int) -> bool:
        assert self._replay is not None, "it has begun"
        if not self._read:
            self._read = self._replay.more()
        limit = self._replay_pace.records
        records = [record for record in self._read[:limit] if record.offset < offset]
        self._read = self._read[len(records) :]
        began_s = time.thread_time()
        generation.take(records)
        self._replay_pace.took(len(records), time.thread_time() - began_s)
        return bool(records)

    def _tell(self, generation: Generation) -> None:
        if time.monotonic() - self._told_s > _TOLD_EVERY_S:
            self._told_s = time.monotonic()
            doing = "switching" if generation.switching else "replaying"
            log.info("rebuilding", partition=self._partition, doing=doing, remaining=self.remaining)

"""A log in memory instead of Kafka, and a partition's actor on it."""

import asyncio
from collections.abc import AsyncIterator, Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from contextlib import asynccontextmanager

import msgspec
from confluent_kafka import KafkaError, KafkaException
from prometheus_client import CollectorRegistry

from schemas.decisions import CaughtUp, Decision, DecisionRecord
from services.scorer.domain.eras import Policies
from services.scorer.domain.state import Position
from services.scorer.engine.batches import Room
from services.scorer.engine.clock import Clock
from services.scorer.engine.eventlog import Next
from services.scorer.engine.gauges import PartitionMetrics
from services.scorer.engine.kinship import Kinship
from services.scorer.engine.partition import Partition
from services.scorer.engine.rebuilding import Rebuilds
from services.scorer.engine.replay import CutOff, Past
from services.scorer.engine.shard import Shard
from services.scorer.engine.sweep import RestingLane
from services.scorer.engine.takeover import Taken
from services.scorer.engine.turn import Turn
from services.shared.metrics import ScorerMetrics
from tests.scorer.engine.installation import policy
from tests.scorer.engine.records import Fetched

POLICY = policy(window="60s")
POLICIES = Policies.only(POLICY)
START = Position(events_offset=0, sequence=0, policy=POLICY.name, policy_digest=POLICY.digest)


class Log:
    """Topic `events`, the changelog's position and what was committed.

    missing: offsets that the log does not have.  operation: the newest on topic `identities` at a takeover
    """

    def __init__(self, records: Iterable[Fetched] = (), *, missing: int = 0) -> None:
        self.records = list(records)
        self.missing = missing
        self.position = START
        self.state: dict[bytes, bytes] = {}
        self.turns: list[Turn] = []
        self.seeks: list[int] = []
        self.takeovers = 0
        self.fail: list[Exception] = []
        self.refuse: Exception | None = None
        self.hold_commits = self.cut = False
        self.on_commit: Callable[[], object] = lambda: None
        self.policies = POLICIES
        self.operation = 0

    # as the feed

    def end(self, partition: int) -> int:
        return self.records[-1].offset + 1 + self.missing if self.records else self.missing

    async def seek(self, partition: int, offset: int) -> None:
        self.seeks.append(offset)

    async def what_follows(self, partition: int, offset: int) -> Next:
        for record in self.records:
            if record.offset >= offset:
                return Next(True, record.offset)
        return Next(False, self.end(partition))

    # as what is read again for a rebuild

    def replay(self, partition: int, on_more: Callable[[], None]) -> "Again":
        return Again(self, on_more)

    # as the takeover and the transactions

    def take_over(self, partition: int) -> Taken:
        if self.refuse is not None:
            raise self.refuse
        self.takeovers += 1
        if self.fail and self.fail[0].args[0].code() == KafkaError._TRANSPORT:
            raise self.fail.pop(0)
        shard = Shard(self.policies, number=0, partitions=1, topic="events", records=dict(self.state))
        backlog = self.end(partition)
        catching_up = self.position.events_offset < backlog or not self.position.caught_up
        return Taken(self, shard, self.position, backlog, catching_up, self.operation)  # type: ignore[arg-type]

    def commit(self, position: Position, turn: Turn | None = None) -> None:
        if self.fail:
            raise self.fail.pop(0)
        self.position = position
        if turn is not None:
            self.turns.append(turn)
            self.state |= turn.customers
            self.on_commit()

    def drop(self) -> None:
        pass

    # what came out

    def said(self) -> list[Decision | CaughtUp]:
        values = [value for turn in self.turns for _, value in turn.decisions]
        return [msgspec.json.decode(value, type=DecisionRecord) for value in values]


class Again:
    """A hundred records at a time, each time not at once."""

    def __init__(self, log: Log, on_more: Callable[[], None]) -> None:
        self._log, self._on_more, self._next, self._is_here = log, on_more, 0, False

    def more(self) -> list[Past]:
        if self._log.cut:
            raise CutOff("events-0 begins at offset 7: what came before is gone")
        self._is_here = not self._is_here
        if self._is_here:
            asyncio.get_running_loop().call_later(0.001, self._on_more)
            return []
        found = [r for r in self._log.records if r.offset >= self._next][:100]
        self._next += len(found)
        return [Past(r.offset, r.timestamp, r.key, r.value) for r in found]

    def close(self) -> None:
        pass


def kafka_error(code: int) -> KafkaException:
    return KafkaException(KafkaError(code, "made up"))


@asynccontextmanager
async def actor(
    log: Log,
    *,
    max_batch: int = 5000,
    clock: Clock | None = None,
    letter_share: float = 0.2,
    kinship: Kinship | None = None,
) -> AsyncIterator[Partition]:
    """A running partition over `log`; a failure of it is raised at the end."""
    registry = CollectorRegistry()
    with ThreadPoolExecutor(2) as pool:
        partition = Partition(
            0,
            clock=clock or Clock(),
            feed=log,
            room=Room(1_000_000),
            take_over=log.take_over,
            policies=lambda: log.policies,
            kinship=kinship or Kinship(1),
            lane=RestingLane(),
            rebuilds=Rebuilds(1, log.replay, dict),
            on_position=lambda _: None,
            takeovers=pool,
            commits=pool,
            metrics=PartitionMetrics(ScorerMetrics(registry), 0),
            max_batch=max_batch,
            fenced_pause_s=30.0,
            letter_share=letter_share,
        )
        task = asyncio.create_task(partition.run())
        await asyncio.wait_for(partition.settled.wait(), 5)
        try:
            yield partition
        finally:
            partition.close()
            await asyncio.wait_for(task, 5)

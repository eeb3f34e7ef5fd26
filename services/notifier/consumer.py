"""Reads the scorer's changelog and decisions, and puts each poll's records into the database in one transaction.

The offsets live in the database. Kafka's group only says which instance reads which partitions, both topics' alike.
Whatever goes wrong - the database away, a commit whose answer was lost, another instance that took a partition - the
way back is the same: read the offsets from the database, seek there, go on.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable
from datetime import datetime

import structlog
from aiokafka import AIOKafkaConsumer, ConsumerRebalanceListener, ConsumerRecord, TopicPartition
from aiokafka.coordinator.assignors.range import RangePartitionAssignor
from aiokafka.errors import (
    IllegalStateError,
    KafkaConnectionError,
    KafkaError,
    NoOffsetForPartitionError,
    OffsetOutOfRangeError,
)

from schemas.topics import DECISIONS, SCORER_STATE
from services.notifier.apply import Applied, Applier
from services.notifier.deciding import Deciding
from services.notifier.domain.turns import Turn
from services.notifier.intake import Batch, take_changelog, take_decisions
from services.notifier.store import offsets
from services.notifier.store.database import Database, DatabaseAway
from services.notifier.store.offsets import OffsetConflict
from services.shared.connection import for_aiokafka
from services.shared.kafka import KafkaRefused, KafkaUnavailable, verify
from services.shared.metrics import NotifierMetrics
from services.shared.settings import NotifierSettings

log = structlog.get_logger(__name__)

POLL_MS = 200
RETRY_S = 1.0


class NotReady(Exception):
    """Why nothing can come to the database at the moment, in one line."""


class OffsetsGone(Exception):
    """The topics do not hold what the database wants to read next; str() is one line with the remedy."""


class Consumer(ConsumerRebalanceListener):  # type: ignore[misc]  # aiokafka says nothing of its types
    """One instance of the group. `run` it in a task; `stop` ends it after the transaction in progress."""

    def __init__(
        self,
        settings: NotifierSettings,
        database: Database,
        deciding: Deciding,
        metrics: NotifierMetrics,
        clock: Callable[[], datetime],
    ) -> None:
        self._settings = settings
        self._database = database
        self._deciding, self._applier = deciding, Applier(deciding)
        self._metrics = metrics
        self._clock = clock
        self._take = {
            settings.topic(SCORER_STATE.name): take_changelog,
            settings.topic(DECISIONS.name): take_decisions,
        }
        self._kafka: AIOKafkaConsumer | None = None
        self._stopping = asyncio.Event()
        self._turn = asyncio.Lock()
        self._next: dict[TopicPartition, int] = {}
        self._placed = False
        self._owed: set[int] = set()

    async def run(self) -> None:
        """Until `stop`. What no retry mends is raised, and nothing of it was kept: OtherPolicy, Unreadable,
        OffsetsGone, TopicMissing, TopicMismatch, KafkaRefused."""
        kafka = await self._start()
        if kafka is None:
            return
        try:
            while not self._stopping.is_set():
                try:
                    await self._step(kafka)
                except DatabaseAway as error:
                    self._placed = False
                    log.warning("the database is away, trying again", error=str(error))
                    await self._pause()
                except KafkaUnavailable as error:
                    log.warning("topic control cannot be read, trying again", error=str(error))
                    self._placed = False
                    await self._pause()
                except OffsetConflict as error:
                    self._placed = False
                    self._metrics.zombies.inc()
                    log.warning("a transaction was refused, reading the offsets again", error=str(error))
        finally:
            await kafka.stop()

    def stop(self) -> None:
        self._stopping.set()

    async def probe(self) -> str:
        """For /readyz: asks the broker; raises if it does not answer or our place is not known."""
        if self._kafka is None:
            raise NotReady("not connected to Kafka yet")
        await self._kafka.end_offsets([TopicPartition(self._settings.topic(DECISIONS.name), 0)])
        if not self._placed:
            raise NotReady("waiting for partitions, or for their offsets from the database")
        return f"{len(self._next) // 2} partitions are ours"

    async def lag(self) -> dict[TopicPartition, int]:
        """Records committed by the scorer and not yet handed to the database, of the partitions that are ours."""
        lags = {}
        kafka = self._kafka
        if kafka is not None and self._placed:
            for partition in list(self._next):
                with contextlib.suppress(IllegalStateError):
                    end = kafka.last_stable_offset(partition)
                    if end is not None:
                        lags[partition] = max(0, end - await kafka.position(partition))
        return lags

    # -- the group's changes
    async def on_partitions_revoked(self, revoked: Iterable[TopicPartition]) -> None:
        """Let the transaction in progress end before another instance may have the partitions."""
        async with self._turn:
            self._next, self._placed = {}, False

    async def on_partitions_assigned(self, assigned: Iterable[TopicPartition]) -> None:
        """Take nothing until the place is known from the database: the group keeps no offsets to begin at."""
        self._next, self._placed = {}, False

    # -- one step
    async def _step(self, kafka: AIOKafkaConsumer) -> None:
        if not self._placed:
            async with self._turn:
                await self._place(kafka)
        if self._owed:
            await self._release()
        try:
            wait_ms = 0 if self._owed else POLL_MS
            polled = await kafka.getmany(timeout_ms=wait_ms, max_records=self._settings.batch_records)
        except NoOffsetForPartitionError:
            return  # the group keeps no offsets; we place ourselves
        except OffsetOutOfRangeError as error:
            raise OffsetsGone(_gone(f"cannot read on: {error}")) from error
        if not polled:
            return
        async with self._turn:
            batch = self._batch(polled)
            if batch.moves:
                await self._deciding.know(batch)
                await self._commit(batch)

    def _batch(self, polled: dict[TopicPartition, list[ConsumerRecord]]) -> Batch:
        """The polled records of partitions whose place we know."""
        batch = Batch()
        for partition, records in polled.items():
            expected = self._next.get(partition)
            if expected is not None and records[0].offset >= expected:
                self._take[partition.topic](batch, partition.topic, partition.partition, expected, records)
        return batch

    async def _commit(self, batch: Batch) -> None:
        with self._metrics.batch_time.time():
            async with self._database.transaction() as connection:
                applied = await self._applier.apply(connection, batch)
        for move in batch.moves:
            self._next[TopicPartition(move.topic, move.partition)] = move.next
        self._observe(batch, applied)
        if applied.more:
            self._owed.update(batch.partitions)

    async def _release(self) -> None:
        """Run playbooks that were held back and are free, a bounded number at a time."""
        async with self._turn:
            async with self._database.transaction() as connection:
                more = await self._applier.release(connection, sorted(self._owed))
            if not more:
                self._owed.clear()

    def _observe(self, batch: Batch, applied: Applied) -> None:
        self._metrics.batch.observe(batch.records)
        now = self._clock()
        # One request's events were taken off the wire at one instant: they are observed once.
        for received_at in {_received_at(turn) for turn in applied.turns} - {None}:
            self._metrics.latency.observe(max(0.0, (now - received_at).total_seconds()))  # type: ignore[operator]

    # -- where to read
    async def _place(self, kafka: AIOKafkaConsumer) -> None:
        """Seek to the database's offsets in all partitions that are ours. DatabaseAway, OffsetsGone."""
        ours = sorted(kafka.assignment())
        if not ours:
            return
        async with self._database.transaction() as connection:
            found = await offsets.load(connection, [(p.topic, p.partition) for p in ours])
        places = {p: found[p.topic, p.partition] for p in ours}
        try:
            begins, ends = await kafka.beginning_offsets(ours), await kafka.end_offsets(ours)
        except KafkaError as error:
            log.warning("Kafka does not tell its offsets, trying again", error=str(error))
            await self._pause()
            return
        for partition, place in places.items():
            where = f"{partition.topic}, partition {partition.partition}"
            if place > ends[partition]:
                raise OffsetsGone(_gone(f"{where} ends at offset {ends[partition]}, the database has read {place}"))
            if place < begins[partition]:
                raise OffsetsGone(_gone(f"{where} begins at offset {begins[partition]}, the database wants {place}"))
        if set(ours) != kafka.assignment():
            return  # the group has changed meanwhile
        for partition, place in places.items():
            kafka.seek(partition, place)
        self._next, self._placed = places, True
        self._owed = {partition.partition for partition in ours}  # whoever had them may not have got round to it

    async def _start(self) -> AIOKafkaConsumer | None:
        """Join the group, however long Kafka is away; None if stopped before."""
        connection = for_aiokafka(self._settings)
        while not self._stopping.is_set():
            kafka = AIOKafkaConsumer(
                **connection,
                group_id=self._settings.topic(self._settings.group),
                isolation_level="read_committed",
                enable_auto_commit=False,
                auto_offset_reset="none",
                # Both topics' partitions of one number go to one instance; round robin would part them.
                partition_assignment_strategy=[RangePartitionAssignor],
                check_crcs=False,
                max_poll_interval_ms=300_000,
            )
            self._kafka = kafka
            kafka.subscribe(list(self._take), listener=self)
            try:
                await verify(self._settings, (SCORER_STATE, DECISIONS), within_s=3.0)
                await kafka.start()
                return kafka
            except KafkaRefused:
                raise  # waiting is of no use
            except (KafkaConnectionError, KafkaUnavailable) as error:
                self._kafka = None
                log.warning("Kafka is away, trying again", error=str(error))
                await kafka.stop()
                await self._pause()
        return None

    async def _pause(self) -> None:
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(RETRY_S):
                await self._stopping.wait()


def _received_at(turn: Turn) -> datetime | None:
    return None if turn.trigger is None else turn.trigger.received_at


def _gone(what: str) -> str:
    return (
        f"{what}: the database was filled from other topics than these; give the notifier the Kafka it belongs to, "
        "or an empty database, which it fills anew"
    )

"""Taking a partition over (DESIGN.md section 5). The order is what makes it exact:

1. open the transactional producer: the former owner is fenced, what it left open is aborted;
2. restore the changelog to its end: nobody can write to it any more, so this is the newest state;
3. take the position from the changelog: the group's offset is advisory;
4. write that position, and the offset to the group, in a first transaction.

Blocks; runs in a thread, before Faust lets the partition flow.
"""

import time
from collections.abc import Callable
from dataclasses import dataclass

import structlog
from confluent_kafka import KafkaError, KafkaException
from msgspec.structs import replace

from schemas import topics
from services.scorer.domain.eras import Policies
from services.scorer.domain.packing import StateError, mark
from services.scorer.domain.policy import PolicyError
from services.scorer.domain.state import Position
from services.scorer.engine import changelog, eventlog
from services.scorer.engine.clock import Clock
from services.scorer.engine.failpoints import FailPoints
from services.scorer.engine.shard import Shard
from services.scorer.engine.transactions import GroupOffsets, Transactions
from services.shared.control import Unreadable
from services.shared.kafka import KafkaUnavailable
from services.shared.metrics import ScorerMetrics
from services.shared.settings import ScorerSettings

log = structlog.get_logger()


class Refusal(Exception):
    """What is on Kafka and what was asked for do not go together. str() is one line with the remedy; exit code 2."""


@dataclass(slots=True)
class Taken:
    """A partition that is ours.

    backlog_end: the end of `events` when it was taken over; what lies below it had piled up
    catching_up: whether there is such a backlog, or an earlier one whose end was never marked
    """

    transactions: Transactions
    shard: Shard
    position: Position
    backlog_end: int
    catching_up: bool


class Takeover:
    """Takes partitions over, any number at once, each call in a thread of its own.

    policies: those known.  reread: the same with what topic `control` holds by now; blocks
    """

    def __init__(
        self,
        settings: ScorerSettings,
        policies: Callable[[], Policies],
        reread: Callable[[], Policies],
        metrics: ScorerMetrics,
        offsets: GroupOffsets,
        clock: Clock,
        failpoints: FailPoints,
    ) -> None:
        self._settings, self._policies, self._metrics = settings, policies, metrics
        self._reread, self._offsets, self._clock, self._failpoints = reread, offsets, clock, failpoints
        self._events = settings.topic(topics.EVENTS.name)
        self._state = settings.topic(topics.SCORER_STATE.name)
        self._decisions = settings.topic(topics.DECISIONS.name)

    def __call__(self, partition: int) -> Taken:
        """Take `partition` over. Refusal if it must not be; KafkaException if the broker does not answer."""
        try:
            return self._take_over(partition)
        except StateError as error:
            raise Refusal(
                f"{self._state}-{partition}: {error}; start the version you had. This one takes none of it over: "
                "to have it decided anew, start with --fresh and send the events again"
            ) from error
        except (PolicyError, Unreadable) as error:
            raise Refusal(str(error)) from error
        except KafkaUnavailable as error:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, str(error))) from error

    def _take_over(self, partition: int) -> Taken:
        began = time.monotonic()
        transactions = Transactions(self._settings, partition, self._offsets, self._clock, self._failpoints)
        transactions.open()
        consumer = changelog.reader(self._settings, self._settings.topic(self._settings.group))
        try:
            restored = changelog.restore(consumer, self._state, partition, self._progress(partition))
            first, end = eventlog.bounds(consumer, self._events, partition)
            _, decided = eventlog.bounds(consumer, self._decisions, partition)
        finally:
            consumer.close()
        policies = self._decided_by(restored)
        position = self._position(partition, restored, policies, first, end, decided)
        # A position that had not caught up is behind still, even if nothing has come since.
        catching_up = position.events_offset < end or not position.caught_up
        position = replace(position, caught_up=not catching_up)
        shard = Shard(
            policies,
            number=partition,
            partitions=self._settings.partitions,
            topic=self._events,
            records=restored.records,
            aliases=restored.aliases,
        )
        transactions.commit(position)
        self._metrics.takeovers.inc()
        log.info(
            "partition taken over",
            partition=partition,
            position=position.events_offset,
            backlog=max(0, end - position.events_offset),
            customers=len(shard.records),
            records_read=restored.read,
            seconds=round(time.monotonic() - began, 2),
        )
        return Taken(transactions, shard, position, end, catching_up)

    def _decided_by(self, restored: changelog.Restored) -> Policies:
        """The policies to decide by; the former owner may have known more than we do."""
        policies = self._policies()
        named = set(map(mark, restored.records.values()))
        position = restored.position
        if position is not None and position.policy_digest not in _digests(policies):
            return self._reread()
        if position is not None and position.rebuilt > policies.rebuild:
            return self._reread()
        return policies if named <= policies.known.keys() else self._reread()

    def _progress(self, partition: int) -> changelog.Progress:
        restored, left = self._metrics.restored, self._metrics.restoring.labels(str(partition))
        told = time.monotonic()

        def progress(read: int, remaining: int) -> None:
            nonlocal told
            restored.inc(read)
            left.set(remaining)
            if time.monotonic() - told > 2:
                told = time.monotonic()
                log.info("restoring", partition=partition, records_left=remaining)

        return progress

    def _position(
        self, partition: int, restored: changelog.Restored, policies: Policies, first: int, end: int, decided: int
    ) -> Position:
        """Where to go on; at the first start, where topic `events` begins."""
        position = restored.position
        state, events = f"{self._state}-{partition}", f"{self._events}-{partition}"
        if position is None:
            if decided or restored.records or restored.aliases:
                raise Refusal(
                    f"{state} holds no position, but {self._decisions}-{partition} is not empty: the state was lost. "
                    "Restore the topic, or start with --fresh"
                )
            newest = policies.newest
            return Position(
                events_offset=first,
                sequence=0,
                policy=newest.name,
                policy_digest=newest.digest,
                rebuilt=policies.rebuild,
            )
        if position.policy_digest not in _digests(policies):
            raise Refusal(
                f"{state} was decided under policy {position.policy} ({position.policy_digest}), which is not on topic "
                f"{self._settings.topic(topics.CONTROL.name)}: that topic was lost or made anew. Restore it, or start "
                "with --fresh"
            )
        if position.rebuilt > policies.rebuild:
            raise Refusal(
                f"{state} has done rebuild {position.rebuilt}, which is not on topic "
                f"{self._settings.topic(topics.CONTROL.name)}: that topic was lost or made anew. Restore it, or start "
                "with --fresh"
            )
        if position.events_offset > end:
            raise Refusal(
                f"{state} stands at offset {position.events_offset}, but {events} ends at {end}: the topic was made "
                "anew. Start with --fresh"
            )
        if position.events_offset < first:
            log.error("events are lost", partition=partition, position=position.events_offset, first_kept=first)
            return replace(position, events_offset=first)
        return position


def _digests(policies: Policies) -> set[str]:
    return {era.policy.digest for era in policies.eras}

"""Taking a partition over. The order is what makes it exact:

1. open the transactional producer: the former owner is fenced, what it left open is aborted;
2. restore the changelog to its end: nobody can write to it any more, so this is the newest state;
3. take the position from the changelog: the group's offset is advisory;
4. write that position, and the offset to the group, in a first transaction.

Blocks; runs in a thread, before Faust lets the partition flow.
"""

import threading
import time
from collections.abc import Callable
from concurrent.futures import Future
from dataclasses import dataclass
from typing import Final, NamedTuple

import msgspec
import structlog
from confluent_kafka import Consumer, KafkaError, KafkaException
from msgspec.structs import replace

from schemas import topics
from schemas.identities import Identity
from schemas.unreadable import UNREADABLE
from services.scorer.domain.eras import Policies
from services.scorer.domain.packing import StateError, mark
from services.scorer.domain.policy import PolicyError
from services.scorer.domain.state import Position
from services.scorer.engine import changelog, eventlog
from services.scorer.engine.clock import Clock
from services.scorer.engine.failpoints import FailPoints
from services.scorer.engine.shard import Shard
from services.scorer.engine.transactions import HANGS_S, GroupOffsets, Transactions
from services.shared import identities
from services.shared.foreign import ForeignRecord
from services.shared.kafka import KafkaUnavailable
from services.shared.metrics import ScorerMetrics
from services.shared.settings import ScorerSettings

log = structlog.get_logger()

_read_identity: Final[Callable[[bytes], Identity]] = msgspec.json.Decoder(Identity).decode


class Refusal(Exception):
    """What is on Kafka and what was asked for do not go together. str() is one line with the remedy; exit code 2."""


@dataclass(slots=True)
class Taken:
    """A partition that is ours.

    backlog_end: the end of `events` when it was taken over; what lies below it had piled up
    catching_up: whether there is such a backlog, or an earlier one whose end was never marked
    operation:   the newest merge, unmerge or erasure there was then
    """

    transactions: Transactions
    shard: Shard
    position: Position
    backlog_end: int
    catching_up: bool
    operation: int


class _Found(NamedTuple):
    """What there is beside the state: of topics the first offset kept and the end.

    operation: the number of the newest merge, unmerge or erasure
    """

    events: tuple[int, int]
    transfers: tuple[int, int]
    decisions: tuple[int, int]
    operation: int


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
        self._identities = settings.topic(topics.IDENTITIES.name)
        self._transfers = settings.topic(topics.TRANSFERS.name)

    def __call__(self, partition: int) -> Taken:
        """Take `partition` over. Refusal if it must not be; KafkaException if the broker does not answer."""
        try:
            return self._take_over(partition)
        except StateError as error:
            raise Refusal(
                f"{self._state}-{partition}: {error}; start the version you had. This one takes none of it over: "
                "to have it decided anew, start with --fresh and send the events again"
            ) from error
        except (PolicyError, ForeignRecord) as error:
            raise Refusal(str(error)) from error
        except KafkaUnavailable as error:
            raise KafkaException(KafkaError(KafkaError._TRANSPORT, str(error))) from error

    def _take_over(self, partition: int) -> Taken:
        began = time.monotonic()
        transactions = Transactions(self._settings, partition, self._offsets, self._clock, self._failpoints)
        _in_time(transactions, transactions.open)
        consumer = changelog.reader(self._settings, self._settings.topic(self._settings.group))
        try:
            restored = changelog.restore(consumer, self._state, partition, self._progress(partition))
            found = self._found(consumer, partition)
        finally:
            consumer.close()
        policies = self._decided_by(restored)
        position = self._position(partition, restored, policies, found)
        end = found.events[1]
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
        _in_time(transactions, transactions.commit, position)
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
        return Taken(transactions, shard, position, end, catching_up, found.operation)

    def _found(self, consumer: Consumer, partition: int) -> _Found:
        newest = eventlog.newest(consumer, self._identities, 0, identities.KEY)
        try:
            operation = 0 if newest is None else _read_identity(newest).sequence
        except UNREADABLE as error:
            raise Refusal(f"{self._identities} ends with a record that cannot be read: {error}") from error
        return _Found(
            events=eventlog.bounds(consumer, self._events, partition),
            transfers=eventlog.bounds(consumer, self._transfers, partition),
            decisions=eventlog.bounds(consumer, self._decisions, partition),
            operation=operation,
        )

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

    def _position(self, partition: int, restored: changelog.Restored, policies: Policies, found: _Found) -> Position:
        """Where to go on; at the first start, where topic `events` begins."""
        position = restored.position
        state, (first, _) = f"{self._state}-{partition}", found.events
        if position is None:
            if found.decisions[1] or restored.records or restored.aliases:
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
                caught_up=False,  # so that a marker is written: by that a state that is lost is known above
            )
        control = self._settings.topic(topics.CONTROL.name)
        if position.policy_digest not in _digests(policies):
            raise _lost(f"{state} was decided under policy {position.policy} ({position.policy_digest})", control)
        if position.rebuilt > policies.rebuild:
            raise _lost(f"{state} has done rebuild {position.rebuilt}", control)
        if position.identities > found.operation:
            raise _lost(f"{state} has done merge, unmerge or erasure {position.identities}", self._identities)
        for offset, topic, (_, end) in (
            (position.events_offset, self._events, found.events),
            (position.transfers, self._transfers, found.transfers),
        ):
            if offset > end:
                raise Refusal(
                    f"{state} stands at offset {offset}, but {topic}-{partition} ends at {end}: the topic was made "
                    "anew. Start with --fresh"
                )
        if position.events_offset < first:
            log.error("events are lost", partition=partition, position=position.events_offset, first_kept=first)
            position = replace(position, events_offset=first)
        first = found.transfers[0]
        if position.transfers < first:
            log.error(
                "transfers are lost",
                partition=partition,
                position=position.transfers,
                first_kept=first,
                remedy="`tierline audit` names the customers it concerns",
            )
            position = replace(position, transfers=first)
        return position


def _in_time(transactions: Transactions, call: Callable[..., None], *args: Position) -> None:
    """What the call raises; KafkaException also if the library does not come back long after its own time limits.

    Its thread is left to it, so that those of takeovers stay free; the next takeover fences what it may still do.
    """
    done, lock, given_up = Future[None](), threading.Lock(), False

    def run() -> None:
        try:
            call(*args)
        except BaseException as error:  # noqa: BLE001  # raised where it is waited for
            done.set_exception(error)
        else:
            done.set_result(None)
        with lock:
            if given_up:
                transactions.drop()

    threading.Thread(target=run, name="takeover-transaction", daemon=True).start()
    try:
        done.result(HANGS_S)
    except TimeoutError:
        with lock:
            given_up = True
            if done.done():
                transactions.drop()
        raise KafkaException(KafkaError(KafkaError._TIMED_OUT, "the broker's answer does not come back")) from None


def _lost(what: str, topic: str) -> Refusal:
    return Refusal(
        f"{what}, which is not on topic {topic}: that topic was lost or made anew. Restore it, or start with --fresh"
    )


def _digests(policies: Policies) -> set[str]:
    return {era.policy.digest for era in policies.eras}

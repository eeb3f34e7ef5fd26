"""The transactional producer of one partition: a turn and the offset it brings the partition to, all or nothing.

The transactional id belongs to the partition, so opening the producer fences whoever wrote for it before and ends what
they left open. Everything here blocks and belongs into a thread. Any KafkaException means: drop the producer, throw
the partition's memory away and take it over again; whether the transaction got through, the changelog will say.
"""

import contextlib
import warnings

from confluent_kafka import (
    TIMESTAMP_LOG_APPEND_TIME,
    Consumer,
    KafkaError,
    KafkaException,
    Message,
    Producer,
    TopicPartition,
)

from schemas import topics
from schemas.subjects import POSITION_KEY
from services.scorer.domain.packing import encode_position
from services.scorer.domain.state import Position
from services.scorer.engine.clock import Clock
from services.scorer.engine.failpoints import FailPoints
from services.scorer.engine.turn import Turn
from services.shared.connection import SILENT, for_librdkafka
from services.shared.settings import ScorerSettings

warnings.filterwarnings("ignore", message="Producer abort_transaction failed during close")

TRANSACTION_TIMEOUT_MS = 15_000
_OPEN_S = 30.0
_COMMIT_S = 20.0
HANGS_S = 90.0
"""When whoever waits for `open` or `commit` gives up: the library was seen not to come back at all, long after its own
time limits, while a broker was away for minutes."""


class GroupOffsets:
    """The scorer's consumer group, to which offsets are written inside transactions. They are advisory only: what
    counts is the position in the changelog, but a partition kept through a rebalance goes on at them.

    The metadata comes from a consumer that never subscribes, hence names no generation: it is the transactional id
    that fences a zombie.
    """

    def __init__(self, settings: ScorerSettings) -> None:
        self._consumer = Consumer(
            for_librdkafka(settings) | {"group.id": settings.topic(settings.group)}, logger=SILENT
        )
        self.metadata = self._consumer.consumer_group_metadata()

    def close(self) -> None:
        self._consumer.close()


class Transactions:
    """clock: told the broker's time with each commit"""

    def __init__(
        self, settings: ScorerSettings, partition: int, offsets: GroupOffsets, clock: Clock, failpoints: FailPoints
    ) -> None:
        self._settings, self._partition, self._offsets = settings, partition, offsets
        self._clock, self._failpoints = clock, failpoints
        self._events = TopicPartition(settings.topic(topics.EVENTS.name), partition)
        self._state = settings.topic(topics.SCORER_STATE.name)
        self._decisions = settings.topic(topics.DECISIONS.name)
        self._dead_letters = settings.topic(topics.DEAD_LETTERS.name)
        self._transfers = settings.topic(topics.TRANSFERS.name)
        self._announcements = {
            topic.name: settings.topic(topic.name)
            for topic in (topics.TIER_CHANGES, topics.SEGMENT_CHANGES, topics.CHURN_ALERTS)
        }
        self._producer: Producer | None = None

    def open(self) -> None:
        """Fence the partition's former owner and end its open transaction; returns once that is done.

        KafkaException if the broker does not answer.
        """
        producer = Producer(
            for_librdkafka(self._settings)
            | {
                "transactional.id": f"{self._settings.topic(self._settings.group)}-{self._partition}",
                "transaction.timeout.ms": TRANSACTION_TIMEOUT_MS,
                "linger.ms": 2,
                # A transaction that follows at once is told to wait for the markers of the one before: by default it
                # would ask again after 100 ms.
                "retry.backoff.ms": 10,
                "batch.size": 1024 * 1024,
                "message.max.bytes": topics.SCORER_STATE.written_bytes,
                "queue.buffering.max.messages": 1_000_000,
            },
            logger=SILENT,
        )
        producer.init_transactions(_OPEN_S)
        self._producer = producer

    def commit(self, position: Position, turn: Turn | None = None) -> None:
        """Write a turn and the position after it; without a turn (at takeover) the position alone."""
        producer = self._producer
        assert producer is not None, "open() comes first"
        producer.begin_transaction()
        if turn is not None:
            self._produce(producer, turn)
        sent_ticks_ms = self._clock.ticks_ms()

        def appended(error: KafkaError | None, message: Message) -> None:
            kind, at_ms = message.timestamp()
            if error is None and kind == TIMESTAMP_LOG_APPEND_TIME:
                self._clock.told(at_ms, sent_ticks_ms)

        producer.produce(self._state, encode_position(position), POSITION_KEY, self._partition, on_delivery=appended)
        self._failpoints.passing("after_produce", producer.flush)
        offset = TopicPartition(self._events.topic, self._partition, position.events_offset)
        producer.send_offsets_to_transaction([offset], self._offsets.metadata, _COMMIT_S)
        self._failpoints.passing("after_offsets", producer.flush)
        self._failpoints.passing("in_commit")
        producer.commit_transaction(_COMMIT_S)
        self._failpoints.passing("after_commit")

    def drop(self) -> None:
        """Let go of the producer, whatever it holds; what is left open is ended by the next one to open."""
        producer, self._producer = self._producer, None
        if producer is not None:
            with contextlib.suppress(KafkaException):  # that it cannot end its transaction is why it is dropped
                producer.purge()
                producer.close()

    def _produce(self, producer: Producer, turn: Turn) -> None:
        produce, partition = producer.produce, self._partition
        for key, value in turn.customers.items():
            produce(self._state, value, key, partition)
        for key, value in turn.decisions:
            produce(self._decisions, value, key, partition)
        for to, key, value in turn.transfers:
            produce(self._transfers, value, key, to)
        for topic, key, value in turn.announcements:
            produce(self._announcements[topic], value, key, partition)
        for of_key, value in turn.dead_letters:
            produce(self._dead_letters, value, of_key, partition)

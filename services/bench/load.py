"""The load: one stream of events, written in the form each system reads.

Customers are drawn uniformly. Half of the events are interactions, 30 % purchases (median 148 units, mean 457), 20 %
clicks. They happened in order over `days` days that end now, but for a share that comes late by up to 30 days; the
broker's append times are those of their coming, as if the topic had been filled by life. So windows move, timers come
due and tiers change while a backlog of it is worked off.
"""

import random
import time
from collections.abc import Iterable, Iterator
from datetime import UTC, datetime
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaException, Producer, TopicPartition
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from schemas import events
from schemas.topics import CATALOGUE, EVENTS
from services.shared.connection import SILENT
from services.shared.kafka import create_topics
from services.shared.settings import KafkaSettings

DAY_MS = 86_400_000
LATEST_MS = 30 * DAY_MS
_SHARES = {"interaction": 0.5, "purchase": 0.8, "click": 1.0}
_encode = msgspec.json.Encoder().encode


class Load(NamedTuple):
    """late: share of the events that come up to 30 days after they happened."""

    events: int
    customers: int
    days: float
    late: float
    seed: int = 1


class Happening(NamedTuple):
    """at_ms: when it happened.  came_ms: when it was appended.  amount_minor: 0 for all but purchases."""

    number: int
    kind: str
    customer: str
    at_ms: int
    came_ms: int
    amount_minor: int


def happenings(load: Load, now_ms: int) -> Iterator[Happening]:
    rng = random.Random(load.seed)
    draw, customers = rng.random, load.customers
    span_ms = load.days * DAY_MS
    for number in range(load.events):
        came_ms = int(now_ms - span_ms + span_ms * number / load.events)
        at_ms = came_ms - (int(draw() * LATEST_MS) if draw() < load.late else int(draw() * 1000))
        share = draw()
        kind = next(kind for kind, up_to in _SHARES.items() if share < up_to)
        amount = int(100 * rng.lognormvariate(5, 1.5)) if kind == "purchase" else 0
        yield Happening(number, kind, f"c{int(draw() * customers):07d}", at_ms, came_ms, amount)


def simple(happening: Happening) -> bytes:
    """As the peers read it."""
    event = {
        "event_id": f"e{happening.number:012d}",
        "type": happening.kind,
        "customer_id": happening.customer,
        "occurred_at": happening.at_ms,
        "channel": "web",
    }
    if happening.kind == "purchase":
        event |= {"amount": happening.amount_minor / 100, "currency": "USD"}
    return _encode(event)


def accepted(happening: Happening) -> bytes:
    """As ingest writes it."""
    common: dict[str, Any] = {
        "id": f"e{happening.number:012d}",
        "source": "shop",
        "subject": happening.customer,
        "time": _instant(happening.at_ms),
        "receivedtime": _instant(happening.came_ms),
    }
    match happening.kind:
        case "purchase":
            return _encode(events.Purchase(**common, data=events.PurchaseData(happening.amount_minor, "USD")))
        case "interaction":
            return _encode(events.Interaction(**common, data=events.InteractionData(channel="web")))
        case _:
            return _encode(events.Click(**common, data=events.ClickData(channel="web")))


def _instant(ms: int) -> datetime:
    return datetime.fromtimestamp(ms / 1000, UTC)


class Topics:
    """Topics on the broker at `bootstrap`, each with `partitions` partitions."""

    def __init__(self, bootstrap: str, partitions: int) -> None:
        self.partitions = partitions
        self.bootstrap = bootstrap
        self._admin = AdminClient({"bootstrap.servers": bootstrap}, logger=SILENT)

    def create(self, *names: str) -> None:
        kept = {"retention.ms": "-1"}  # the load's records may be older than what is kept by default
        made = [NewTopic(name, num_partitions=self.partitions, replication_factor=1, config=kept) for name in names]
        for future in self._admin.create_topics(made).values():
            future.result(30)

    def delete_of_run(self, name: str) -> None:
        """Whatever the run of that name has made: peers name their own topics in their own way, after it."""
        self._delete([topic for topic in self._admin.list_topics(timeout=30).topics if name in topic])

    def delete_tierline(self, prefix: str) -> None:
        """All topics of that installation but `events`."""
        self._delete([prefix + topic.name for topic in CATALOGUE if topic is not EVENTS])

    def _delete(self, names: list[str]) -> None:
        for future in (self._admin.delete_topics(names) if names else {}).values():
            future.result(30)

    def fill_simple(self, topic: str, load: Load) -> None:
        """`topic` holds the load as the peers read it."""
        self.create(topic)
        self.fill(topic, ((h.customer, simple(h), h.came_ms) for h in happenings(load, _now_ms())))

    def create_tierline(self, prefix: str) -> None:
        create_topics(self.settings(prefix), CATALOGUE)

    def fill_accepted(self, prefix: str, load: Load) -> None:
        """Topic `events` of that installation holds the load as ingest would have written it when it came.

        The broker's clock cannot be turned: the topic takes the writer's time stamps while it is filled.
        """
        topic = prefix + EVENTS.name
        self._stamp(topic, "CreateTime")
        self.fill(topic, ((h.customer, accepted(h), h.came_ms) for h in happenings(load, _now_ms())))
        self._stamp(topic, "LogAppendTime")

    def ends(self, prefix: str) -> dict[int, int]:
        """Where topic `events` of that installation ends: partition -> the offset of the next record."""
        topic = prefix + EVENTS.name
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": "bench"})
        try:
            return {
                n: consumer.get_watermark_offsets(TopicPartition(topic, n), timeout=30)[1]
                for n in range(self.partitions)
            }
        finally:
            consumer.close()

    def settings(self, prefix: str) -> KafkaSettings:
        return KafkaSettings(kafka_bootstrap=self.bootstrap, topic_prefix=prefix, partitions=self.partitions)

    def _stamp(self, topic: str, kind: str) -> None:
        entry = ConfigEntry("message.timestamp.type", kind, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
        for future in self._admin.incremental_alter_configs([resource]).values():
            future.result(30)

    def producer(self) -> Producer:
        """One that puts a key where the Java client would."""
        return Producer(
            {
                "bootstrap.servers": self.bootstrap,
                "partitioner": "murmur2_random",
                "linger.ms": 20,
                "batch.size": 262_144,
                "queue.buffering.max.messages": 1_000_000,
            },
            logger=SILENT,
        )

    def fill(self, topic: str, records: Iterable[tuple[str | bytes, bytes, int]]) -> None:
        """Write key, value and time stamp (ms; 0 for now); returns once the broker has them."""
        producer = self.producer()
        for key, value, at_ms in records:
            while True:
                try:
                    producer.produce(topic, value, key, timestamp=at_ms)
                    break
                except BufferError:
                    producer.poll(0.1)
        if producer.flush(60):
            raise KafkaException(f"{topic} could not be filled")


def _now_ms() -> int:
    return int(time.time() * 1000)

"""A small installation of its own for a test: topics with a prefix, an upstream that writes, readers of the rest.

Everything here blocks (confluent-kafka); tests of processes call it through a thread.
"""

import itertools
import time
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, NamedTuple

import msgspec
from confluent_kafka import Consumer, KafkaError, KafkaException, Producer, TopicPartition

from schemas import topics
from schemas.decisions import CaughtUp, DeadLetter, Decision, DecisionRecord
from schemas.events import Event, Interaction, Purchase, PurchaseData
from schemas.subjects import POSITION_KEY
from services.scorer.domain.eras import Policies
from services.scorer.domain.packing import alias_of, decode, decode_position
from services.scorer.domain.policy import Policy, parse
from services.scorer.domain.state import Customer, Position
from services.shared.connection import SILENT
from services.shared.kafka import create_topics
from services.shared.partitioner import partition_of
from services.shared.settings import ScorerSettings
from tests.topic_ends import ends_with_what_is_open

POLICY = """
policy: {name}
currency: EUR
zone: UTC
features:
  spend:  {{sum: purchase.amount}}
  recent: {{count: interaction, window: {window}}}
  quiet:  {{since_last: purchase}}
ladders:
  tier:
    - {{name: gold,   when: "spend >= 1_000"}}
    - {{name: silver, when: "spend >= {silver}"}}
    - {{name: basic}}
segments:
  active: "recent >= 2"
churn:
  at_risk: "quiet >= {quiet}"
"""

_encode = msgspec.json.Encoder().encode
_decisions = msgspec.json.Decoder(DecisionRecord)
_dead_letters = msgspec.json.Decoder(DeadLetter)


class Stored(NamedTuple):
    partition: int
    offset: int
    key: bytes | None
    value: bytes


def policy_text(*, window: str = "30d", quiet: str = "90d", silver: int = 100, name: str = "test") -> str:
    return POLICY.format(window=window, quiet=quiet, silver=silver, name=name)


def policy(**changed: Any) -> Policy:
    return parse(policy_text(**changed), "test.yaml")


def now() -> datetime:
    """This instant, in whole ms as events have it."""
    at = datetime.now(UTC)
    return at.replace(microsecond=at.microsecond // 1000 * 1000)


_ids = itertools.count(1)


def purchase(subject: str, euros: int = 60, *, at: datetime | None = None, id: str | None = None) -> Event:
    at = at or now()
    data = PurchaseData(amount_minor=euros * 100, currency="EUR")
    return Purchase(id=id or f"e{next(_ids)}", source="test", subject=subject, time=at, receivedtime=now(), data=data)


def interaction(subject: str, *, at: datetime | None = None) -> Event:
    return Interaction(id=f"e{next(_ids)}", source="test", subject=subject, time=at or now(), receivedtime=now())


def ago(seconds: float) -> datetime:
    return now() - timedelta(seconds=seconds)


class Installation:
    """Topics named after `prefix`, with `partitions` partitions each, and a policy file."""

    def __init__(
        self, bootstrap: str, prefix: str, folder: Path, *, partitions: int = 2, text: str = "", **changed: Any
    ) -> None:
        """text: the policy, if it is not the small one above with something changed"""
        self.bootstrap, self.prefix, self.partitions = bootstrap, prefix, partitions
        self.policy_file = folder / "policy.yaml"
        text = text or policy_text(**changed)
        self.policy_file.write_text(text)
        self.policy = parse(text, "test.yaml")
        self.policies = Policies.only(self.policy)
        given: dict[str, Any] = {
            "KAFKA_BOOTSTRAP": bootstrap,
            "TIERLINE_TOPIC_PREFIX": prefix,
            "TIERLINE_PARTITIONS": partitions,
            "TIERLINE_POLICY": self.policy_file,
            "TIERLINE_SCORER_SESSION_TIMEOUT_S": 2,
        }
        self.settings = ScorerSettings(**given)
        create_topics(self.settings)
        self._until_topics_have_leaders()
        self._producer = Producer(
            {"bootstrap.servers": bootstrap, "partitioner": "murmur2_random", "acks": "all", "linger.ms": 5},
            logger=SILENT,
        )

    def _until_topics_have_leaders(self) -> None:
        """A topic made a moment ago may not be led yet: who asks then is told to ask again."""
        consumer = Consumer({"bootstrap.servers": self.bootstrap, "group.id": self.prefix + "leaders"})
        deadline = time.monotonic() + 20
        try:
            for topic in topics.CATALOGUE:
                for partition in range(topic.partitions or self.partitions):
                    while not self._is_led(consumer, TopicPartition(self.settings.topic(topic.name), partition)):
                        assert time.monotonic() < deadline, f"{topic.name} is not led"
        finally:
            consumer.close()

    @staticmethod
    def _is_led(consumer: Consumer, place: TopicPartition) -> bool:
        try:
            return consumer.get_watermark_offsets(place, timeout=5) is not None
        except KafkaException:
            return False

    @property
    def env(self) -> Mapping[str, str]:
        return {
            "KAFKA_BOOTSTRAP": self.bootstrap,
            "TIERLINE_TOPIC_PREFIX": self.prefix,
            "TIERLINE_PARTITIONS": str(self.partitions),
            "TIERLINE_POLICY": str(self.policy_file),
            "TIERLINE_SCORER_SESSION_TIMEOUT_S": "2",
        }

    def customers(self, partition: int, count: int) -> list[str]:
        """Subjects that live in `partition`."""
        names = (f"c{n}" for n in itertools.count())
        there = (name for name in names if partition_of(name.encode(), self.partitions) == partition)
        return list(itertools.islice(there, count))

    def send(self, events: Iterable[Event]) -> int:
        """Append events; returns when the broker has them, with how many they were."""
        count = 0
        for event in events:
            self._producer.produce(self.settings.topic("events"), _encode(event), event.subject.encode())
            count += 1
        assert self._producer.flush(20) == 0
        return count

    def send_raw(self, value: bytes | None, key: bytes | None, partition: int) -> None:
        self._producer.produce(self.settings.topic("events"), value, key, partition)
        assert self._producer.flush(20) == 0

    def write(self, topic: str, value: bytes | None, key: bytes, partition: int) -> None:
        """Append to any topic, as somebody who should not."""
        self._producer.produce(self.settings.topic(topic), value, key, partition)
        assert self._producer.flush(20) == 0

    def read(self, topic: str, *, committed: bool = True) -> list[Stored]:
        """All there is now, partition by partition in order.

        An open transaction keeps a reader of what is committed waiting.
        """
        consumer = Consumer(
            {
                "bootstrap.servers": self.bootstrap,
                "group.id": self.prefix + "reader",
                "isolation.level": "read_committed" if committed else "read_uncommitted",
                "enable.partition.eof": True,
                "enable.auto.commit": False,
                "auto.offset.reset": "earliest",
                "fetch.wait.max.ms": 10,
            }
        )
        found: list[Stored] = []
        try:
            places = [TopicPartition(self.settings.topic(topic), p, 0) for p in range(self.partitions)]
            for place in places:  # so the client learns who leads it: else it would rest for half a second
                consumer.get_watermark_offsets(place, timeout=20, cached=False)
            ends = ends_with_what_is_open(self.bootstrap, places)
            consumer.assign(places)
            ended = set()  # a partition's end is told again if something has come after all
            while len(ended) < self.partitions:
                message = consumer.poll(20)
                assert message is not None, f"{topic} cannot be read"
                error = message.error()
                if error is None:
                    found.append(Stored(message.partition(), message.offset(), message.key(), message.value() or b""))
                else:
                    assert error.code() == KafkaError._PARTITION_EOF, error
                    if (message.offset() or 0) >= ends[message.partition()]:
                        ended.add(message.partition())
        finally:
            consumer.close()
        return sorted(found)

    def decision_records(self, *, committed: bool = True) -> list[Decision | CaughtUp]:
        return [_decisions.decode(record.value) for record in self.read(topics.DECISIONS.name, committed=committed)]

    def decisions(self) -> list[Decision]:
        return [record for record in self.decision_records() if isinstance(record, Decision)]

    def dead_letters(self) -> list[DeadLetter]:
        return [_dead_letters.decode(record.value) for record in self.read(topics.DEAD_LETTERS.name)]

    def state(self) -> tuple[dict[str, Customer], dict[int, Position]]:
        """The newest record of every customer, and every partition's position."""
        customers: dict[str, Customer] = {}
        positions: dict[int, Position] = {}
        for record in self.read(topics.SCORER_STATE.name):
            if record.key == POSITION_KEY:
                positions[record.partition] = decode_position(record.value)
                continue
            subject = (record.key or b"").decode()
            customers.pop(subject, None)
            if alias_of(record.value) is None:
                customers[subject] = decode(record.value, self.policies)
        return customers, positions

    def ends(self) -> dict[int, int]:
        """The end of topic `events`, by partition."""
        return {p: len([r for r in self.read("events") if r.partition == p]) for p in range(self.partitions)}

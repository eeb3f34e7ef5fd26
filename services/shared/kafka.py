"""The catalogue's topics on a broker: created once, and verified at every start.

A topic that is not what the catalogue says would lose data quietly (retention), split customers (partitions) or
change the clock of every decision (timestamp type), so it is an error that names what was found and what mends it.
"""

import asyncio
import time
from collections.abc import Callable, Iterator, Sequence
from typing import Any, NamedTuple, TypeVar

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from schemas.topics import CATALOGUE, Topic
from services.shared.connection import SILENT, for_librdkafka
from services.shared.refusals import absence, refusal
from services.shared.settings import KafkaSettings

Answer = TypeVar("Answer")

_AT_LEAST = {"retention.ms", "retention.bytes", "max.message.bytes", "min.insync.replicas"}
"""Settings of which more does no harm; -1 is without an end."""
_AT_MOST = {"max.compaction.lag.ms"}
_FREE = {"min.cleanable.dirty.ratio"}
"""Settings that are the operator's once the topic is there: they cost the broker more or less, and no data."""
_FORBIDDEN = {KafkaError.TOPIC_AUTHORIZATION_FAILED, KafkaError.CLUSTER_AUTHORIZATION_FAILED}


class TopicMismatch(Exception):
    """A topic is not what the catalogue says. str() is one line: topic, setting, found, wanted, and what mends it."""

    exit_code = 2

    def __init__(self, topic: str, setting: str, found: object, wanted: object, remedy: str) -> None:
        super().__init__(f"topic {topic}: {setting} is {found}, wanted {wanted}; {remedy}")


class TopicMissing(Exception):
    """A topic of the catalogue does not exist. str() is one line with the remedy."""

    exit_code = 1

    def __init__(self, topic: str) -> None:
        super().__init__(
            f"topic {topic} does not exist; run `tierline setup` to create it, or if it is there, let us Describe it"
        )


class KafkaUnavailable(Exception):
    """The broker did not answer in time. str() is one line."""

    exit_code = 1


class KafkaRefused(KafkaUnavailable):
    """The broker does not want us, or we not the broker: other settings mend that, waiting does not."""

    exit_code = 2


class Difference(NamedTuple):
    """A setting of a topic that does not do as it was found."""

    topic: str
    setting: str
    found: str | None
    wanted: str


def create_topics(settings: KafkaSettings, topics: Sequence[Topic] = CATALOGUE, *, within_s: float = 30.0) -> list[str]:
    """Create the topics that are missing, then verify all with their settings; the names created. Blocks.

    May run at the same time elsewhere. KafkaUnavailable, TopicMismatch.
    """
    broker = _Broker(settings)
    deadline = time.monotonic() + within_s
    present = broker.replicas(within_s)
    wanted = [
        NewTopic(
            settings.topic(topic.name),
            num_partitions=topic.partitions or settings.partitions,
            replication_factor=settings.replication,
            config=_wanted(settings, topic),
        )
        for topic in topics
        if settings.topic(topic.name) not in present
    ]
    created = []
    for name, future in (broker.admin.create_topics(wanted, operation_timeout=within_s) if wanted else {}).items():
        try:
            future.result(timeout=within_s)
            created.append(name)
        except KafkaException as error:
            code, why = error.args[0].code(), f"topic {name} cannot be created: {error.args[0].str()}"
            if code in _FORBIDDEN:
                raise KafkaRefused(f"{why}; {broker.us} needs the right to Create and Describe topics") from error
            if code != KafkaError.TOPIC_ALREADY_EXISTS:
                raise KafkaUnavailable(why) from error
    while True:
        try:
            verify_topics(settings, topics, within_s=max(1.0, deadline - time.monotonic()))
        except TopicMissing:
            # A broker may answer from metadata that is a moment old.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return created


def verify_topics(settings: KafkaSettings, topics: Sequence[Topic] = CATALOGUE, *, within_s: float = 10.0) -> None:
    """Hold the topics' partitions, replicas and settings against the catalogue. Blocks.

    KafkaUnavailable, TopicMissing, TopicMismatch.
    """
    broker = _Broker(settings)
    present = broker.replicas(within_s)
    for topic in topics:
        if settings.topic(topic.name) not in present:
            raise TopicMissing(settings.topic(topic.name))
        _count(settings, topic, present[settings.topic(topic.name)])
    for name, setting, found, value in broker.differences(topics, within_s):
        least = "at least " if setting in _AT_LEAST else "at most " if setting in _AT_MOST else ""
        raise TopicMismatch(name, setting, found, f"{least}{value}", "`tierline setup --repair` sets it")


def repair_topics(
    settings: KafkaSettings, topics: Sequence[Topic] = CATALOGUE, *, within_s: float = 30.0
) -> list[Difference]:
    """Give the topics there are the settings they are to have; what was different. Blocks.

    What was lost under the old ones does not come back. KafkaUnavailable; TopicMismatch if it is not settings alone.
    """
    broker = _Broker(settings)
    deadline = time.monotonic() + within_s
    present = broker.replicas(within_s)
    there = [topic for topic in topics if settings.topic(topic.name) in present]
    for topic in there:
        _count(settings, topic, present[settings.topic(topic.name)])
    different = list(broker.differences(there, within_s))
    for name, setting, _, value in different:
        entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
        resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
        try:
            broker.admin.incremental_alter_configs([resource])[resource].result(within_s)
        except KafkaException as error:
            why = f"{setting} of topic {name} cannot be set: {error.args[0].str()}"
            forbidden = error.args[0].code() in _FORBIDDEN
            raise (KafkaRefused if forbidden else KafkaUnavailable)(why) from error
    while any(broker.differences(there, within_s)) and time.monotonic() < deadline:
        time.sleep(0.05)  # what was set is told a moment later
    return different


async def verify(settings: KafkaSettings, topics: Sequence[Topic] = CATALOGUE, *, within_s: float = 10.0) -> None:
    """What a service does at its start: `verify_topics`, off the event loop."""
    await asyncio.to_thread(verify_topics, settings, topics, within_s=within_s)


def _count(settings: KafkaSettings, topic: Topic, replicas: Sequence[int]) -> None:
    """TopicMismatch if there are too few replicas, or another number of partitions. replicas: of each partition"""
    name, wanted, fewest = settings.topic(topic.name), topic.partitions or settings.partitions, min(replicas)
    if len(replicas) != wanted:
        other = "" if topic.partitions else f"set TIERLINE_PARTITIONS={len(replicas)}, or "
        remedy = f"their number is for ever: {other}begin anew under another TIERLINE_TOPIC_PREFIX"
        raise TopicMismatch(name, "partitions", len(replicas), wanted, remedy)
    if fewest < settings.replication:
        remedy = f"give it more by kafka-reassign-partitions, or set TIERLINE_REPLICATION={fewest}"
        raise TopicMismatch(name, "replicas", fewest, f"at least {settings.replication}", remedy)


class _Broker:
    """An admin client, and what it tells of its connections while it is asked. KafkaRefused if it can't be made."""

    def __init__(self, settings: KafkaSettings) -> None:
        self._settings = settings
        self._heard: list[KafkaError] = []
        self.us = f"user {settings.sasl_username!r}" if settings.sasl_username else "we"
        config: dict[str, Any] = {
            **for_librdkafka(settings),
            "socket.connection.setup.timeout.ms": 5000,
            "error_cb": self._heard.append,
        }
        try:
            self.admin = AdminClient(config, logger=SILENT)
        except KafkaException as error:
            raise KafkaRefused(f"Kafka cannot be called: {error.args[0].str()}") from error

    def replicas(self, within_s: float) -> dict[str, list[int]]:
        """Topic -> how many replicas each of its partitions has, of all topics: to ask for one may create it."""
        metadata = self._until_answered(lambda timeout: self.admin.list_topics(timeout=timeout), within_s)
        return {
            name: [len(partition.replicas) for partition in topic.partitions.values()]
            for name, topic in metadata.topics.items()
            if topic.error is None
        }

    def differences(self, topics: Sequence[Topic], within_s: float) -> Iterator[Difference]:
        """KafkaUnavailable, TopicMissing."""
        by_name = {self._settings.topic(topic.name): topic for topic in topics}
        resources = {name: ConfigResource(ResourceType.TOPIC, name) for name in by_name}
        answers = self.admin.describe_configs(list(resources.values()), request_timeout=within_s) if resources else {}
        for name, topic in by_name.items():
            try:
                entries = answers[resources[name]].result(timeout=within_s)
            except KafkaException as error:
                raise self._untold(name, error.args[0]) from error
            for setting, value in _wanted(self._settings, topic).items():
                found = entries[setting].value if setting in entries else None
                if not _does(setting, found, value):
                    yield Difference(name, setting, found, value)

    def _untold(self, topic: str, error: KafkaError) -> Exception:
        if error.code() == KafkaError.UNKNOWN_TOPIC_OR_PART:
            return TopicMissing(topic)
        where = f"Kafka at {self._settings.kafka_bootstrap}"
        if refused := self._refusal():  # by the broker asked, which is not the one that was called first
            return KafkaRefused(f"{where} {refused}")
        if error.code() in _FORBIDDEN:
            return KafkaRefused(
                f"{where} does not tell the settings of topic {topic}, which have to be looked at before it is used: "
                f"{self.us} needs the right to DescribeConfigs"
            )
        return KafkaUnavailable(f"{where}: {error.str()}")

    def _refusal(self) -> str | None:
        self.admin.poll(0)  # brings what was heard
        return refusal(self._settings, self._heard)

    def _until_answered(self, ask: Callable[[float], Answer], within_s: float) -> Answer:
        """The answer, asked for with ever more patience, and given up as soon as it is known that none will come."""
        where = f"Kafka at {self._settings.kafka_bootstrap}"
        deadline, patience = time.monotonic() + within_s, 0.25
        while True:
            try:
                return ask(max(0.05, min(patience, deadline - time.monotonic())))
            except KafkaException as error:
                if refused := self._refusal():
                    raise KafkaRefused(f"{where} {refused}") from error
                if time.monotonic() >= deadline:
                    raise KafkaUnavailable(f"{where} {absence(self._settings, self._heard)}") from error
            patience *= 2


def _wanted(settings: KafkaSettings, topic: Topic) -> dict[str, str]:
    """The settings a topic of this installation is created with."""
    return {**topic.config(), "min.insync.replicas": str(settings.in_sync)}


def _does(setting: str, found: str | None, wanted: str) -> bool:
    """Whether a topic may be used with what was found."""
    if setting in _FREE or found == wanted:
        return True
    if found is None:
        return False
    if setting in _AT_MOST:
        return int(found) <= int(wanted)
    return setting in _AT_LEAST and (found == "-1" or (wanted != "-1" and int(found) >= int(wanted)))

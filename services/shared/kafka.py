"""The catalogue's topics on a broker: created once, and verified at every start.

A topic that is not what the catalogue says would lose data quietly (retention), split customers (partitions) or
change the clock of every decision (timestamp type), so it is an error that names what was found.
"""

import asyncio
import logging
import time
from collections.abc import Sequence
from typing import Any

from confluent_kafka import KafkaError, KafkaException
from confluent_kafka.admin import (  # type: ignore[attr-defined]  # the package marks no name as exported
    AdminClient,
    ConfigResource,
    NewTopic,
    ResourceType,
)

from schemas.topics import CATALOGUE, Topic
from services.shared.settings import KafkaSettings

_DROPPED = logging.getLogger("librdkafka")
_DROPPED.addHandler(logging.NullHandler())
_DROPPED.propagate = False


class TopicMismatch(Exception):
    """A topic is not what the catalogue says. str() is one line: topic, setting, found and wanted."""

    def __init__(self, topic: str, setting: str, found: object, wanted: object) -> None:
        super().__init__(f"topic {topic}: {setting} is {found}, wanted {wanted}")


class TopicMissing(Exception):
    """A topic of the catalogue does not exist. str() is one line with the remedy."""

    def __init__(self, topic: str) -> None:
        super().__init__(f"topic {topic} does not exist; run `tierline setup` to create it")


class KafkaUnavailable(Exception):
    """The broker did not answer in time. str() is one line."""


def create_topics(settings: KafkaSettings, topics: Sequence[Topic] = CATALOGUE, *, within_s: float = 30.0) -> list[str]:
    """Create the topics that are missing, then verify all with their settings; the names created. Blocks.

    May run at the same time elsewhere. KafkaUnavailable, TopicMismatch.
    """
    admin = _admin(settings)
    deadline = time.monotonic() + within_s
    present = _partitions(admin, settings, within_s)
    wanted = [
        NewTopic(
            settings.topic(topic.name),
            num_partitions=topic.partitions or settings.partitions,
            replication_factor=settings.replication,
            config=topic.config(),
        )
        for topic in topics
        if settings.topic(topic.name) not in present
    ]
    created = []
    for name, future in (admin.create_topics(wanted, operation_timeout=within_s) if wanted else {}).items():
        try:
            future.result(timeout=within_s)
            created.append(name)
        except KafkaException as error:
            if error.args[0].code() != KafkaError.TOPIC_ALREADY_EXISTS:
                raise KafkaUnavailable(f"topic {name} cannot be created: {error.args[0].str()}") from error
    while True:
        try:
            verify_topics(settings, topics, with_settings=True, within_s=max(1.0, deadline - time.monotonic()))
        except TopicMissing:
            # A broker may answer from metadata that is a moment old.
            if time.monotonic() > deadline:
                raise
            time.sleep(0.05)
        else:
            return created


def verify_topics(
    settings: KafkaSettings,
    topics: Sequence[Topic] = CATALOGUE,
    *,
    with_settings: bool = False,
    within_s: float = 10.0,
) -> None:
    """Hold the topics' partition counts, and with_settings their settings too, against the catalogue. Blocks.

    KafkaUnavailable, TopicMissing, TopicMismatch.
    """
    admin = _admin(settings)
    present = _partitions(admin, settings, within_s)
    for topic in topics:
        name = settings.topic(topic.name)
        if name not in present:
            raise TopicMissing(name)
        wanted = topic.partitions or settings.partitions
        if present[name] != wanted:
            raise TopicMismatch(name, "partitions", present[name], wanted)
    if not with_settings:
        return
    resources = {ConfigResource(ResourceType.TOPIC, settings.topic(topic.name)): topic for topic in topics}
    try:
        answers = admin.describe_configs(list(resources), request_timeout=within_s)
        for resource, topic in resources.items():
            entries = answers[resource].result(timeout=within_s)
            for setting, value in topic.config().items():
                found = entries[setting].value if setting in entries else None
                if found != value:
                    raise TopicMismatch(settings.topic(topic.name), setting, found, value)
    except KafkaException as error:
        raise KafkaUnavailable(f"Kafka at {settings.kafka_bootstrap}: {error.args[0].str()}") from error


async def verify(settings: KafkaSettings, topics: Sequence[Topic] = CATALOGUE, *, within_s: float = 10.0) -> None:
    """What a service does at its start: `verify_topics`, partition counts only, off the event loop."""
    await asyncio.to_thread(verify_topics, settings, topics, within_s=within_s)


def _admin(settings: KafkaSettings) -> AdminClient:
    # Its own log lines (a refused connection, again and again) say less than what is raised here.
    config: dict[str, Any] = {"bootstrap.servers": settings.kafka_bootstrap, "socket.connection.setup.timeout.ms": 5000}
    return AdminClient(config, logger=_DROPPED)


def _partitions(admin: AdminClient, settings: KafkaSettings, within_s: float) -> dict[str, int]:
    """Topic -> how many partitions, of all topics: to ask for one by name may create it."""
    try:
        metadata = admin.list_topics(timeout=within_s)
    except KafkaException as error:
        raise KafkaUnavailable(f"Kafka at {settings.kafka_bootstrap} does not answer: {error.args[0].str()}") from error
    return {name: len(topic.partitions) for name, topic in metadata.topics.items() if topic.error is None}

"""The catalogue's topics on a real broker."""

import asyncio
import re

import msgspec
import pytest
from confluent_kafka.admin import AdminClient, AlterConfigOpType, ConfigEntry, ConfigResource, ResourceType

from schemas import topics
from services.local.ports import free_port
from services.shared import kafka as shared
from services.shared.settings import KafkaSettings
from tests.fixtures.broker import Broker


@pytest.fixture
def settings(kafka: Broker, topic_prefix: str) -> KafkaSettings:
    return KafkaSettings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=3)


async def test_creates_the_whole_catalogue_once_and_then_finds_nothing_to_do(settings: KafkaSettings) -> None:
    created = await asyncio.to_thread(shared.create_topics, settings)
    assert sorted(created) == sorted(settings.topic(topic.name) for topic in topics.CATALOGUE)
    assert await asyncio.to_thread(shared.create_topics, settings) == []
    await shared.verify(settings)


async def test_two_setups_at_once_agree(settings: KafkaSettings) -> None:
    both = await asyncio.gather(*(asyncio.to_thread(shared.create_topics, settings) for _ in range(2)))
    assert sorted(both[0] + both[1]) == sorted(settings.topic(topic.name) for topic in topics.CATALOGUE)


async def test_another_number_of_partitions_is_refused_at_every_start(settings: KafkaSettings) -> None:
    await asyncio.to_thread(shared.create_topics, settings, [topics.EVENTS])
    settings.partitions = 4
    expected = re.escape(f"topic {settings.topic('events')}: partitions is 3, wanted 4")
    with pytest.raises(shared.TopicMismatch, match=expected):
        await shared.verify(settings, [topics.EVENTS])
    with pytest.raises(shared.TopicMismatch, match=expected):
        await asyncio.to_thread(shared.create_topics, settings, [topics.EVENTS])


async def test_a_changed_setting_is_named_with_what_was_found_and_wanted(settings: KafkaSettings) -> None:
    await asyncio.to_thread(shared.create_topics, settings, [topics.EVENTS])
    name = settings.topic("events")
    entry = ConfigEntry("message.timestamp.type", "CreateTime", incremental_operation=AlterConfigOpType.SET)
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    resource = ConfigResource(ResourceType.TOPIC, name, incremental_configs=[entry])
    await asyncio.to_thread(admin.incremental_alter_configs([resource])[resource].result, 10)
    with pytest.raises(shared.TopicMismatch, match=f"topic {name}: message.timestamp.type is CreateTime, wanted Log"):
        await asyncio.to_thread(shared.create_topics, settings, [topics.EVENTS])


async def test_a_missing_topic_says_how_to_create_it(settings: KafkaSettings) -> None:
    unknown = msgspec.structs.replace(topics.EVENTS, name="nobody-made-this")
    with pytest.raises(shared.TopicMissing, match=r"nobody-made-this does not exist; run `tierline setup`"):
        await shared.verify(settings, [unknown])


async def test_a_broker_that_is_away_is_one_clear_line() -> None:
    settings = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}")
    with pytest.raises(shared.KafkaUnavailable, match=r"^Kafka at 127\.0\.0\.1:\d+ does not answer: [^\n]+$"):
        await shared.verify(settings, within_s=0.5)

"""The catalogue's topics on a real broker."""

import asyncio
import re
import time

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


def change(settings: KafkaSettings, topic: str, **wrong: str) -> None:
    """Give a topic other settings. wrong: with `_` for each `.`"""
    entries = [
        ConfigEntry(name.replace("_", "."), value, incremental_operation=AlterConfigOpType.SET)
        for name, value in wrong.items()
    ]
    admin = AdminClient({"bootstrap.servers": settings.kafka_bootstrap})
    of = ConfigResource(ResourceType.TOPIC, settings.topic(topic))
    resource = ConfigResource(ResourceType.TOPIC, settings.topic(topic), incremental_configs=entries)
    admin.incremental_alter_configs([resource])[resource].result(10)
    deadline = time.monotonic() + 10
    while any(admin.describe_configs([of])[of].result(10)[entry.name].value != entry.value for entry in entries):
        assert time.monotonic() < deadline, "what was set is told a moment later"


@pytest.mark.parametrize(
    ("topic", "setting", "found", "wanted"),
    [
        (topics.EVENTS, "message.timestamp.type", "CreateTime", "LogAppendTime"),
        (topics.EVENTS, "cleanup.policy", "compact", "delete"),
        (topics.EVENTS, "retention.ms", "604800000", "at least -1"),
        (topics.EVENTS, "retention.bytes", "1073741824", "at least -1"),
        (topics.EVENTS, "max.message.bytes", "1048576", "at least 1114112"),
        (topics.TIER_CHANGES, "retention.ms", "2591999999", "at least 2592000000"),
        (topics.SCORER_STATE, "cleanup.policy", "compact,delete", "compact"),
        (topics.SCORER_STATE, "max.compaction.lag.ms", "86400001", "at most 86400000"),
    ],
)
async def test_a_setting_that_would_lose_data_is_refused_with_what_mends_it(
    settings: KafkaSettings, topic: topics.Topic, setting: str, found: str, wanted: str
) -> None:
    await asyncio.to_thread(shared.create_topics, settings, [topic])
    await asyncio.to_thread(change, settings, topic.name, **{setting.replace(".", "_"): found})
    line = f"topic {settings.topic(topic.name)}: {setting} is {found}, wanted {wanted}; `tierline setup --repair` sets"
    for refuse in (shared.verify(settings, [topic]), asyncio.to_thread(shared.create_topics, settings, [topic])):
        with pytest.raises(shared.TopicMismatch, match=f"^{re.escape(line)}"):
            await refuse


async def test_more_than_is_wanted_and_what_costs_only_the_broker_is_left_alone(settings: KafkaSettings) -> None:
    of = [topics.TIER_CHANGES, topics.SCORER_STATE]
    await asyncio.to_thread(shared.create_topics, settings, of)
    more = {"retention_ms": "-1", "max_message_bytes": "9999999", "min_insync_replicas": "2"}
    await asyncio.to_thread(change, settings, "tier-changes", **more)
    less = {"max_compaction_lag_ms": "3600000", "min_cleanable_dirty_ratio": "0.5"}
    await asyncio.to_thread(change, settings, "scorer-state", **less)
    await shared.verify(settings, of)
    assert await asyncio.to_thread(shared.repair_topics, settings, of) == []


async def test_fewer_replicas_in_sync_or_at_all_than_asked_for_are_refused(settings: KafkaSettings) -> None:
    of = [topics.EVENTS]
    await asyncio.to_thread(shared.create_topics, settings, of)
    several = settings.model_copy(update={"replication": 3})
    with pytest.raises(shared.TopicMismatch, match="replicas is 1, wanted at least 3; give it more by kafka-reassign"):
        await shared.verify(several, of)
    strict = settings.model_copy(update={"min_insync_replicas": 2})
    with pytest.raises(shared.TopicMismatch, match=r"min\.insync\.replicas is 1, wanted at least 2; `tierline setup"):
        await shared.verify(strict, of)


async def test_repair_sets_what_is_wrong_of_the_topics_there_are_and_says_what_it_was(settings: KafkaSettings) -> None:
    of = [topics.EVENTS, topics.SCORER_STATE, topics.DECISIONS]
    await asyncio.to_thread(shared.create_topics, settings, of[:2])
    await asyncio.to_thread(change, settings, "events", cleanup_policy="compact", retention_ms="1000")
    await asyncio.to_thread(change, settings, "scorer-state", max_compaction_lag_ms="86400001")
    repaired = await asyncio.to_thread(shared.repair_topics, settings, of)
    assert sorted(repaired) == [
        (settings.topic("events"), "cleanup.policy", "compact", "delete"),
        (settings.topic("events"), "retention.ms", "1000", "-1"),
        (settings.topic("scorer-state"), "max.compaction.lag.ms", "86400001", "86400000"),
    ]
    await shared.verify(settings, of[:2])


async def test_repair_leaves_partitions_and_replicas_to_people_and_sets_nothing(settings: KafkaSettings) -> None:
    await asyncio.to_thread(shared.create_topics, settings, [topics.EVENTS, topics.CONTROL])
    several = settings.model_copy(update={"replication": 3})
    # min.insync.replicas of 2 on its one replica: nothing could be written any more.
    with pytest.raises(shared.TopicMismatch, match="replicas is 1, wanted at least 3"):
        await asyncio.to_thread(shared.repair_topics, several)
    await shared.verify(settings, [topics.EVENTS])
    settings.partitions = 4
    with pytest.raises(shared.TopicMismatch, match="for ever: set TIERLINE_PARTITIONS=3, or begin anew under another"):
        await asyncio.to_thread(shared.repair_topics, settings)
    of_more = [msgspec.structs.replace(topics.CONTROL, partitions=2)]
    with pytest.raises(shared.TopicMismatch, match="partitions is 1, wanted 2; their number is for ever: begin anew"):
        await shared.verify(settings, of_more)


async def test_a_missing_topic_says_how_to_create_it(settings: KafkaSettings) -> None:
    unknown = msgspec.structs.replace(topics.EVENTS, name="nobody-made-this")
    with pytest.raises(shared.TopicMissing, match=r"nobody-made-this does not exist; run `tierline setup`"):
        await shared.verify(settings, [unknown])


async def test_a_broker_that_is_away_is_one_clear_line() -> None:
    settings = KafkaSettings(kafka_bootstrap=f"127.0.0.1:{free_port()}")
    line = r"^Kafka at 127\.0\.0\.1:\d+ does not answer: Connect to ipv4#127\.0\.0\.1:\d+ failed: Connection refused$"
    with pytest.raises(shared.KafkaUnavailable, match=line) as error:
        await shared.verify(settings, within_s=0.5)
    assert not isinstance(error.value, shared.KafkaRefused), "it is only away"

"""A topic with wrong settings is refused at the start of each service that uses it."""

import asyncio
import json
from pathlib import Path

import pytest
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    NewPartitions,
    ResourceType,
)

from services.local.prepare import prepare
from services.shared.settings import KafkaSettings
from tests.fixtures.broker import Broker
from tests.whole.programs import run

pytestmark = [pytest.mark.whole, pytest.mark.timeout(180)]

USES = {"ingest": "events", "scorer": "events", "notifier": "decisions"}
"""A topic of each service; of these two, both are given the wrong setting."""


REPAIR = "`tierline setup --repair` sets it"
POLICY = Path("policies/retail.yaml").absolute()


def spoil(bootstrap: str, topic: str, setting: str, value: str) -> None:
    admin = AdminClient({"bootstrap.servers": bootstrap})
    if setting == "partitions":
        admin.create_partitions([NewPartitions(topic, int(value))])[topic].result(20)
        return
    entry = ConfigEntry(setting, value, incremental_operation=AlterConfigOpType.SET)
    resource = ConfigResource(ResourceType.TOPIC, topic, incremental_configs=[entry])
    admin.incremental_alter_configs([resource])[resource].result(20)


@pytest.mark.parametrize(
    ("setting", "found", "wanted", "remedy"),
    [
        ("cleanup.policy", "compact", "delete", REPAIR),
        ("retention.ms", "604800000", "at least -1", REPAIR),
        ("partitions", "3", "2", "their number is for ever: set TIERLINE_PARTITIONS=3, or begin anew"),
    ],
)
async def test_no_service_starts_on_it_and_setup_repairs_what_it_can(
    kafka: Broker, topic_prefix: str, database_url: str, setting: str, found: str, wanted: str, remedy: str
) -> None:
    settings = KafkaSettings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=2)
    await prepare(settings, database_url)
    for topic in sorted(set(USES.values())):
        await asyncio.to_thread(spoil, kafka.bootstrap, topic_prefix + topic, setting, found)
    environment = {
        "KAFKA_BOOTSTRAP": kafka.bootstrap,
        "DATABASE_URL": database_url,
        "TIERLINE_TOPIC_PREFIX": topic_prefix,
        "TIERLINE_PARTITIONS": "2",
        "TIERLINE_POLICY": str(POLICY),
        "TIERLINE_LOG_LEVEL": "warning",
        **{f"TIERLINE_{service.upper()}_PORT": "0" for service in USES},
    }
    ends = await asyncio.gather(*(run(service, env=environment) for service in USES))
    for (service, topic), (code, lines) in zip(USES.items(), ends, strict=True):
        assert (code, len(lines)) == (2, 1), (service, lines)
        assert f"topic {topic_prefix}{topic}: {setting} is {found}, wanted {wanted}; {remedy}" in lines[0]
    code, lines = await run("setup", "--repair", env=environment)
    if remedy == REPAIR:
        assert code == 0
        assert f"topic {topic_prefix}events: {setting} was {found}, is {wanted.removeprefix('at least ')}" in lines
        code, lines = await run("setup", "--repair", "--json", env=environment)
        assert (code, [json.loads(line) for line in lines]) == (0, [{"created": [], "repaired": []}])
    else:
        assert (code, len(lines)) == (2, 1)
        assert remedy in lines[0]


async def test_setup_says_what_it_made_as_json(kafka: Broker, topic_prefix: str, database_url: str) -> None:
    environment = {
        "KAFKA_BOOTSTRAP": kafka.bootstrap,
        "DATABASE_URL": database_url,
        "TIERLINE_TOPIC_PREFIX": topic_prefix,
        "TIERLINE_PARTITIONS": "2",
    }
    code, lines = await run("setup", "--json", env=environment)
    assert code == 0
    [told] = [json.loads(line) for line in lines]
    assert (topic_prefix + "events" in told["created"], told["repaired"]) == (True, [])
    await asyncio.to_thread(spoil, kafka.bootstrap, topic_prefix + "events", "retention.ms", "604800000")
    code, lines = await run("setup", "--repair", "--json", env=environment)
    [told] = [json.loads(line) for line in lines]
    one = {"topic": f"{topic_prefix}events", "setting": "retention.ms", "found": "604800000", "wanted": "-1"}
    assert (code, told) == (0, {"created": [], "repaired": [one]})

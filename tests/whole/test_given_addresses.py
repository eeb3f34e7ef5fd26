"""KAFKA_BOOTSTRAP and DATABASE_URL in the place of the embedded ones."""

import pytest

from tests.fixtures.broker import Broker
from tests.fixtures.places import open_folder
from tests.whole.machine import tierline_up

pytestmark = pytest.mark.whole


async def test_a_given_kafka_and_database_are_used_and_none_are_started(
    kafka: Broker, topic_prefix: str, database_url: str
):
    environment = {
        "KAFKA_BOOTSTRAP": kafka.bootstrap,
        "DATABASE_URL": database_url,
        "TIERLINE_TOPIC_PREFIX": topic_prefix,
        "TIERLINE_PARTITIONS": "2",
    }
    with open_folder() as folder:
        async with tierline_up(folder / "data", "--demo", "--once", "--sample", "100", **environment) as machine:
            await machine.says("ready:")
            machine.remember_family()
            assert len(machine.family) == 3, machine.family
            assert not set(machine.family.values()) & {"java", "postgres"}
            await machine.says("other commands beside it")
            assert f"TIERLINE_TOPIC_PREFIX={topic_prefix} TIERLINE_PARTITIONS=2 " in machine.exports()
            assert await machine.ended() == 0, machine.log()
            assert any("All 236 customers are" in line for line in machine.stdout)
        assert sorted(path.name for path in machine.data.iterdir()) == [".tierline", "demo.json"]

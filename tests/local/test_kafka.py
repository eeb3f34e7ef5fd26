"""Apache Kafka on this machine: what was acknowledged stays, whatever happens to the broker."""

import asyncio
import secrets
from pathlib import Path

import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from aiokafka.errors import KafkaTimeoutError, UnknownTopicOrPartitionError

from services.local.errors import CannotStart
from services.local.kafka import EmbeddedKafka
from tests.fixtures.broker import Broker, embedded_kafka
from tests.local.programs import has_ended


async def create(bootstrap: str, topic: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    finally:
        await admin.close()


async def send(bootstrap: str, topic: str, values: list[bytes]) -> None:
    """Returns once all are acknowledged."""
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all", enable_idempotence=True) as producer:
        for sent in [await producer.send(topic, value) for value in values]:
            await sent


async def read(bootstrap: str, topic: str, count: int) -> list[bytes]:
    async with (
        asyncio.timeout(20),
        AIOKafkaConsumer(topic, bootstrap_servers=bootstrap, auto_offset_reset="earliest") as consumer,
    ):
        return [(await consumer.getone()).value for _ in range(count)]


async def test_acknowledged_records_survive_kill_9_and_a_move_to_other_ports() -> None:
    values = [str(number).encode() for number in range(2000)]
    async with embedded_kafka() as kafka:
        await create(kafka.bootstrap, "numbers")
        await send(kafka.bootstrap, "numbers", values)
        before = kafka.bootstrap
        await kafka.kill()
        assert has_ended(kafka.pid)

        await kafka.start()
        assert kafka.bootstrap == before  # clients find it again
        assert await read(kafka.bootstrap, "numbers", 2000) == values

        await kafka.stop()
        elsewhere = EmbeddedKafka(kafka.data_dir)  # as after a restart of the whole machine: ports are chosen anew
        try:
            await elsewhere.start()
            assert elsewhere.bootstrap != before
            await send(elsewhere.bootstrap, "numbers", [b"last"])
            assert await read(elsewhere.bootstrap, "numbers", 2001) == [*values, b"last"]
        finally:
            await elsewhere.stop()


async def test_a_misspelt_topic_is_not_created(kafka: Broker, topic_prefix: str) -> None:
    async with AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, request_timeout_ms=1000) as producer:
        with pytest.raises((UnknownTopicOrPartitionError, KafkaTimeoutError)):
            await producer.send_and_wait(f"{topic_prefix}evnets", b"")


async def test_a_port_in_use_is_one_clear_line(data_folder: Path, kafka: Broker) -> None:
    port = int(kafka.bootstrap.rpartition(":")[2])
    with pytest.raises(CannotStart) as refused:
        await EmbeddedKafka(data_folder / "kafka", port=port).start()
    assert str(refused.value) == f"Apache Kafka: port {port} cannot be used (Address already in use)"
    assert refused.value.exit_code == 2


async def test_why_the_broker_did_not_start_is_said(data_folder: Path) -> None:
    kafka = EmbeddedKafka(data_folder / "kafka")
    folder = data_folder / "kafka" / "log"
    folder.mkdir(parents=True)
    (folder / "meta.properties").write_text(f"version=1\nnode.id=7\ncluster.id={secrets.token_hex(11)}\n")
    with pytest.raises(CannotStart, match=r"Apache Kafka ended while starting: exit code 1, .*node.id") as died:
        await kafka.start()
    assert "\n" not in str(died.value)
    assert has_ended(kafka.pid)


async def test_a_start_that_takes_too_long_leaves_nothing_running(data_folder: Path) -> None:
    kafka = EmbeddedKafka(data_folder / "kafka")
    with pytest.raises(CannotStart, match="did not answer within 0 s"):
        await kafka.start(within=0.3)
    assert has_ended(kafka.pid)

"""The fixtures the other tests stand on."""

import asyncpg
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer
from aiokafka.admin import AIOKafkaAdminClient, NewTopic
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from tests.fixtures.broker import Broker
from tests.fixtures.database import Server, fresh_database


async def test_a_record_goes_through_the_broker(kafka: Broker, topic_prefix: str) -> None:
    topic = f"{topic_prefix}greetings"
    admin = AIOKafkaAdminClient(bootstrap_servers=kafka.bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(topic, num_partitions=1, replication_factor=1)])
    await admin.close()
    async with (
        AIOKafkaProducer(bootstrap_servers=kafka.bootstrap, acks="all", enable_idempotence=True) as producer,
        AIOKafkaConsumer(topic, bootstrap_servers=kafka.bootstrap, auto_offset_reset="earliest") as consumer,
    ):
        await producer.send_and_wait(topic, b"hello")
        assert (await consumer.getone()).value == b"hello"


async def test_each_test_has_an_empty_database(database_url: str) -> None:
    engine = create_async_engine(database_url)
    async with engine.begin() as connection:
        await connection.execute(text("CREATE TABLE mine (id int)"))  # fails if another test left it here
    await engine.dispose()


async def test_a_database_is_dropped_even_while_somebody_is_connected(postgres: Server) -> None:
    async with fresh_database(postgres) as url:
        plain = url.replace("+asyncpg", "")
        connection = await asyncpg.connect(plain)
    try:
        await asyncpg.connect(plain)
    except asyncpg.InvalidCatalogNameError:
        gone = True
    else:
        gone = False
    assert gone
    connection.terminate()

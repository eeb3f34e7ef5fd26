"""Fixtures of the notifier's tests: a policy, a scribe, a database with tables, and ways to deliver to it."""

import asyncio
from collections.abc import AsyncIterator

import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer

from schemas import topics as catalogue
from services.notifier.consumer import Consumer
from services.notifier.store.database import Database
from services.notifier.store.migrate import migrate
from services.scorer.domain.policy import Policy
from services.shared.kafka import create_topics
from services.shared.settings import NotifierSettings
from tests.fixtures.database import Server, fresh_database
from tests.notifier import scribe as scribes
from tests.notifier import serving
from tests.notifier.asking import Clock
from tests.notifier.consuming import PARTITIONS, Instance, Topics
from tests.notifier.desk import Desk, contents
from tests.notifier.scribe import Scribe


@pytest.fixture(scope="session")
def policy() -> Policy:
    return scribes.policy()


@pytest.fixture
def scribe(policy: Policy) -> Scribe:
    return Scribe(policy)


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def tables(postgres: Server) -> AsyncIterator[str]:
    """The name of a database with the notifier's tables, to be copied: quicker than to migrate each time."""
    async with fresh_database(postgres) as url:
        await migrate(url)
        yield url.rpartition("/")[2]


@pytest_asyncio.fixture(loop_scope="session")
async def migrated_url(postgres: Server, tables: str) -> AsyncIterator[str]:
    """A database of the test's own with the notifier's tables, empty."""
    async with fresh_database(postgres, template=tables) as url:
        yield url


@pytest_asyncio.fixture(loop_scope="session")
async def database(migrated_url: str) -> AsyncIterator[Database]:
    database = Database(migrated_url)
    yield database
    await database.close()


@pytest.fixture
def desk(database: Database, policy: Policy, scribe: Scribe) -> Desk:
    return Desk(database, policy, scribe)


# -- the query API, nothing consumed


@pytest.fixture
def clock():
    return Clock()


@pytest_asyncio.fixture(loop_scope="session")
async def http(migrated_url, policy, clock, monkeypatch):
    monkeypatch.setattr(Consumer, "run", serving.idle)
    async with serving.client(serving.app(serving.settings(migrated_url), policy, clock)) as client:
        yield client


# -- the consumer on a real Kafka


@pytest_asyncio.fixture(loop_scope="session")
async def settings(kafka, topic_prefix, migrated_url):
    settings = NotifierSettings.model_construct(
        kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=PARTITIONS, database_url=migrated_url
    )
    await asyncio.to_thread(create_topics, settings, (catalogue.SCORER_STATE, catalogue.DECISIONS))
    return settings


@pytest_asyncio.fixture(loop_scope="session")
async def topics(settings):
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, transactional_id=f"{settings.topic_prefix}scribe"
    )
    await producer.start()
    yield Topics(settings, producer)
    await producer.stop()


@pytest_asyncio.fixture(loop_scope="session")
async def run(settings, database, policy):
    instances = []

    def start(**changes):
        instances.append(Instance(settings.model_copy(update=changes), database, policy))
        return instances[-1]

    yield start
    for instance in instances:
        instance.consumer.stop()
    await asyncio.gather(*(instance.task for instance in instances), return_exceptions=True)


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def expected(postgres, policy):
    """What should stand in the database after a varied life: delivered in peace, without Kafka."""
    async with fresh_database(postgres) as url:
        await migrate(url)
        desk = Desk(Database(url), policy, Scribe(policy))
        desk.scribe.varied_life()
        await desk.deliver()
        yield await contents(desk, without="consumed")
        await desk.database.close()

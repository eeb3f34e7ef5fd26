"""A topic of the test's own on the session's broker, and ingest's parts on it."""

import asyncio
import secrets
from collections.abc import AsyncIterator, Callable
from typing import NamedTuple

import httpx
import pytest
import pytest_asyncio

from schemas import topics
from services.ingest.app import build
from services.local.kafka import EmbeddedKafka
from services.shared.kafka import create_topics
from services.shared.serving import Running
from services.shared.settings import IngestSettings
from tests.fixtures.broker import Broker, embedded_kafka

MakeSettings = Callable[..., IngestSettings]


@pytest_asyncio.fixture(loop_scope="session")
async def make_settings(kafka: Broker, topic_prefix: str) -> MakeSettings:
    """Settings for topic `events` of this test, which exists with 3 partitions."""

    def make(**changes: object) -> IngestSettings:
        given = {"kafka_bootstrap": kafka.bootstrap, "topic_prefix": topic_prefix, "partitions": 3, "port": 0}
        return IngestSettings.model_validate(given | changes)

    await asyncio.to_thread(create_topics, make(), [topics.EVENTS, topics.IDENTITIES])
    return make


@pytest.fixture
def settings(make_settings: MakeSettings) -> IngestSettings:
    return make_settings()


@pytest_asyncio.fixture(loop_scope="session")
async def client(settings: IngestSettings) -> AsyncIterator[httpx.AsyncClient]:
    """A client of ingest itself, served on a free port."""
    async with Running(build(settings)) as server, httpx.AsyncClient(base_url=server.url, timeout=30) as http:
        yield http


@pytest_asyncio.fixture(scope="session", loop_scope="session")
async def own_broker() -> AsyncIterator[EmbeddedKafka]:
    async with embedded_kafka() as broker:
        yield broker


class Mortal(NamedTuple):
    """A broker that the test may stop or kill, and leaves running. settings: as above, on that broker."""

    broker: EmbeddedKafka
    settings: IngestSettings


@pytest_asyncio.fixture(loop_scope="session")
async def mortal(own_broker: EmbeddedKafka) -> Mortal:
    settings = IngestSettings.model_validate(
        {"kafka_bootstrap": own_broker.bootstrap, "topic_prefix": f"t{secrets.token_hex(4)}-", "partitions": 3}
        | {"port": 0, "ack_timeout_ms": 1000}
    )
    await asyncio.to_thread(create_topics, settings, [topics.EVENTS, topics.IDENTITIES])
    return Mortal(own_broker, settings)

"""Fixtures of the notifier's tests: a policy, a scribe, a database with tables, and a way to deliver to it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.notifier.store.database import Database
from services.notifier.store.migrate import migrate
from services.scorer.domain.policy import Policy
from tests.notifier import scribe as scribes
from tests.notifier.desk import Desk
from tests.notifier.scribe import Scribe


@pytest.fixture(scope="session")
def policy() -> Policy:
    return scribes.policy()


@pytest.fixture
def scribe(policy: Policy) -> Scribe:
    return Scribe(policy)


@pytest_asyncio.fixture(loop_scope="session")
async def migrated_url(database_url: str) -> str:
    await migrate(database_url)
    return database_url


@pytest_asyncio.fixture(loop_scope="session")
async def database(migrated_url: str) -> AsyncIterator[Database]:
    database = Database(migrated_url)
    yield database
    await database.close()


@pytest.fixture
def desk(database: Database, policy: Policy, scribe: Scribe) -> Desk:
    return Desk(database, policy, scribe)

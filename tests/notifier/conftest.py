"""Fixtures of the notifier's tests: a policy, a scribe, a database with tables, and a way to deliver to it."""

from collections.abc import AsyncIterator

import pytest
import pytest_asyncio

from services.notifier.store.database import Database
from services.notifier.store.migrate import migrate
from services.scorer.domain.policy import Policy
from tests.fixtures.database import Server, fresh_database
from tests.notifier import scribe as scribes
from tests.notifier.desk import Desk
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

"""The tables that migrations make are those the code works on."""

import asyncio

import pytest
from alembic.autogenerate import compare_metadata
from alembic.runtime.migration import MigrationContext
from sqlalchemy import text
from sqlalchemy.ext.asyncio import create_async_engine

from services.notifier.store.database import Database, DatabaseAway, WrongSchema
from services.notifier.store.migrate import migrate
from services.notifier.store.tables import METADATA, VERSION


async def test_migrations_make_the_tables_the_code_knows(migrated_url):
    engine = create_async_engine(migrated_url)
    async with engine.connect() as connection:
        difference = await connection.run_sync(
            lambda sync: compare_metadata(MigrationContext.configure(sync), METADATA)
        )
    await engine.dispose()
    assert [d for d in difference if not _is_alembics(d)] == []


async def test_migrating_again_or_at_once_changes_nothing(database_url):
    await asyncio.gather(*(migrate(database_url) for _ in range(3)))
    await migrate(database_url)
    database = Database(database_url)
    await database.check()
    await database.close()


async def test_customers_known_before_there_were_classes_stand_in_none(database_url):
    engine = create_async_engine(database_url)
    await migrate(database_url, "0001")
    async with engine.begin() as connection:
        await connection.execute(
            text("INSERT INTO customers (subject, partition, state, tier, segments) VALUES ('c1', 0, '', 'gold', '{}')")
        )
    await migrate(database_url)
    async with engine.connect() as connection:
        assert (await connection.execute(text("SELECT subject, classes FROM customers"))).all() == [("c1", {})]
    await engine.dispose()


async def test_a_database_without_tables_is_told_in_one_line(database_url):
    database = Database(database_url)
    with pytest.raises(WrongSchema, match=rf"no tables, this notifier needs version {VERSION}: run `tierline setup`"):
        await database.check()
    await database.close()


async def test_a_database_that_is_not_there_is_away():
    database = Database("postgresql+asyncpg://nobody@127.0.0.1:1/nothing")
    with pytest.raises(DatabaseAway):
        await database.check()
    await database.close()


def _is_alembics(difference):
    return difference[0] == "remove_table" and difference[1].name == "alembic_version"

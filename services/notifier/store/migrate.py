"""Bring a database to the newest tables. Run by `tierline setup`, before any notifier starts."""

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text
from sqlalchemy.ext.asyncio import create_async_engine
from sqlalchemy.pool import NullPool

SCRIPTS = "services.notifier.store:migrations"
_LOCK = 0x7469_6572  # "tier": one migration of a database at a time


async def migrate(database_url: str, revision: str = "head") -> None:
    """Make or change the tables, in one transaction, up to `revision`; changes nothing if they are current.

    Instances that start at once wait for each other. Errors of the database are passed on.
    """
    engine = create_async_engine(database_url, poolclass=NullPool)
    try:
        async with engine.begin() as connection:
            await connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            await connection.run_sync(_upgrade, revision)
    finally:
        await engine.dispose()


def _upgrade(connection: Connection, revision: str) -> None:
    config = _config()
    config.attributes["connection"] = connection
    command.upgrade(config, revision)


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", SCRIPTS)
    config.set_main_option("path_separator", "os")
    return config

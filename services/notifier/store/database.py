"""The connection to PostgreSQL: one engine a process, one transaction a step, and what it is when it is away."""

import contextlib
from collections.abc import AsyncIterator, Iterable, Sequence
from typing import Any

import asyncpg
from sqlalchemy import text
from sqlalchemy.exc import DBAPIError, InterfaceError
from sqlalchemy.exc import TimeoutError as PoolTimeout
from sqlalchemy.ext.asyncio import AsyncConnection, AsyncEngine, create_async_engine

from services.notifier.store.tables import VERSION

_CONNECT_S = 5
_STATEMENT_S = 60
_POOL = 10

# Classes and codes of PostgreSQL's errors that go away by themselves: connection, resources, shutdown, conflicts.
_PASSING = ("08", "53", "57P", "40001", "40P01")


class DatabaseAway(Exception):
    """PostgreSQL does not answer, or gave up this transaction for a reason that passes; str() is one line."""


class WrongSchema(Exception):
    """The tables are not those this version of the code works on; str() is one line with the remedy."""


class Database:
    """url: SQLAlchemy's, with asyncpg. Connects when first used."""

    def __init__(self, url: str) -> None:
        self._engine: AsyncEngine = create_async_engine(
            url,
            pool_size=_POOL,
            max_overflow=_POOL,
            pool_pre_ping=True,
            pool_timeout=_CONNECT_S,
            connect_args={
                "timeout": _CONNECT_S,
                "command_timeout": _STATEMENT_S,
                "server_settings": {"application_name": "tierline-notifier", "jit": "off"},
            },
        )

    @property
    def dsn(self) -> str:
        """For asyncpg itself, whose `sslmode` is what SQLAlchemy hands it as `ssl`; holds the password."""
        url = self._engine.url
        query = {"sslmode" if name == "ssl" else name: value for name, value in url.query.items()}
        return url.set(drivername="postgresql", query=query).render_as_string(hide_password=False)

    @contextlib.asynccontextmanager
    async def transaction(self) -> AsyncIterator[AsyncConnection]:
        """All or nothing; DatabaseAway if it is not known to have been committed for a reason that passes."""
        with passing_errors():
            async with self._engine.begin() as connection:
                yield connection

    @contextlib.asynccontextmanager
    async def reading(self) -> AsyncIterator[AsyncConnection]:
        """Several reads as of one instant."""
        with passing_errors():
            async with self._engine.connect() as connection:
                await connection.execution_options(isolation_level="REPEATABLE READ", postgresql_readonly=True)
                async with connection.begin():
                    yield connection

    async def check(self) -> None:
        """WrongSchema unless the tables are there and current; DatabaseAway."""
        async with self.transaction() as connection:
            if await connection.scalar(text("SELECT to_regclass('alembic_version')")) is None:
                found = None
            else:
                found = await connection.scalar(text("SELECT version_num FROM alembic_version"))
        if found != VERSION:
            raise WrongSchema(
                f"the database has {f'tables of version {found}' if found else 'no tables'}, "
                f"this notifier needs version {VERSION}: run `tierline setup`"
            )

    async def close(self) -> None:
        await self._engine.dispose()


@contextlib.contextmanager
def passing_errors() -> Any:
    """Turn every error of a database that is away into DatabaseAway; others go through."""
    try:
        yield
    except (OSError, TimeoutError, PoolTimeout, asyncpg.InterfaceError, InterfaceError) as error:
        raise DatabaseAway(_line(error)) from error
    except (asyncpg.PostgresError, DBAPIError) as error:
        code = getattr(error, "sqlstate", None) or getattr(getattr(error, "orig", None), "sqlstate", None) or ""
        if code.startswith(_PASSING) or getattr(error, "connection_invalidated", False):
            raise DatabaseAway(_line(error)) from error
        raise


async def copy(connection: AsyncConnection, table: str, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """COPY rows into a table, a tenth of the cost of INSERT. The transaction must have begun with another statement:
    SQLAlchemy opens it lazily, and does not see this one."""
    driver = (await connection.get_raw_connection()).driver_connection
    assert driver is not None
    assert driver.is_in_transaction()
    await driver.copy_records_to_table(table, columns=list(columns), records=rows)


def lines(values: Sequence[str]) -> str:
    """Texts as one, for `string_to_array(..., chr(10))`: a twentieth of the cost of an array. ValueError if one of
    them has a line feed, which no name and no subject has."""
    joined = "\n".join(values)
    if joined.count("\n") != len(values) - 1:
        raise ValueError("a line feed in a name")
    return joined


def _line(error: BaseException) -> str:
    text = str(error).strip()
    return text.splitlines()[0] if text else type(error).__name__

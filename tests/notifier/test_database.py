"""Which errors pass by themselves, and what a column of texts may hold."""

import asyncpg
import pytest
from sqlalchemy.exc import DBAPIError

from services.notifier.store.database import Database, DatabaseAway, lines, passing_errors

PASSING = [
    ConnectionRefusedError("refused"),
    TimeoutError(),
    asyncpg.ConnectionDoesNotExistError("gone"),
    asyncpg.CannotConnectNowError("starting up"),
    asyncpg.AdminShutdownError("shutting down"),
    asyncpg.DeadlockDetectedError("deadlock"),
    asyncpg.TooManyConnectionsError("too many"),
    asyncpg.InterfaceError("connection is closed"),
]


@pytest.mark.parametrize("error", PASSING, ids=lambda error: type(error).__name__)
def test_what_passes_by_itself_is_the_database_being_away(error):
    with pytest.raises(DatabaseAway), passing_errors():
        raise error


@pytest.mark.parametrize("error", [asyncpg.UniqueViolationError("twice"), asyncpg.UndefinedTableError("what?")])
def test_what_does_not_pass_is_raised_as_it_is(error):
    with pytest.raises(type(error)), passing_errors():
        raise error
    wrapped = DBAPIError("INSERT", None, error)
    with pytest.raises(DBAPIError), passing_errors():
        raise wrapped


def test_who_listens_asks_for_tls_as_all_others_do():
    database = Database("postgresql+asyncpg://li:secret@db/tierline?ssl=verify-full")
    assert database.dsn == "postgresql://li:secret@db/tierline?sslmode=verify-full"


def test_texts_go_as_one_column_unless_one_breaks_the_line():
    assert lines(["a", "", "b c"]) == "a\n\nb c"
    with pytest.raises(ValueError, match="line feed"):
        lines(["a\nb"])

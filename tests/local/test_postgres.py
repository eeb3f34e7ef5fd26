"""PostgreSQL on this machine: what was committed stays; as root it runs as nobody."""

import os
import pwd
import socket
from pathlib import Path

import asyncpg
import psutil
import pytest

from services.local import postgres_home
from services.local.errors import CannotStart
from services.local.postgres import EmbeddedPostgres
from services.local.postgres_home import clear, is_open_to_all, settle
from services.local.process import Process
from tests.fixtures.database import embedded_postgres
from tests.local.programs import has_ended

as_root = pytest.mark.skipif(os.geteuid() != 0, reason="only root has to change the user")


async def execute(url: str, statement: str) -> object:
    """Run one statement; the first value of its answer."""
    connection = await asyncpg.connect(url.replace("+asyncpg", ""))
    try:
        return await connection.fetchval(statement)
    finally:
        await connection.close()


async def test_committed_rows_survive_kill_9_and_a_move_to_another_port() -> None:
    async with embedded_postgres() as postgres:
        await execute(postgres.url, "CREATE TABLE kept (id int)")
        await execute(postgres.url, "INSERT INTO kept SELECT generate_series(1, 1000)")
        before = postgres.url
        backends = psutil.Process(postgres.pid).children()
        await postgres.kill()
        assert has_ended(postgres.pid)

        await postgres.start()
        assert postgres.url == before
        assert all(has_ended(backend.pid) for backend in backends)
        assert await execute(postgres.url, "SELECT count(*) FROM kept") == 1000

        await postgres.stop()
        elsewhere = EmbeddedPostgres(postgres.data_dir, durable=False)
        try:
            await elsewhere.start()
            assert elsewhere.url != before
            assert await execute(elsewhere.url, "SELECT count(*) FROM kept") == 1000
        finally:
            await elsewhere.stop()


async def test_nobody_gets_in_without_the_password(data_folder: Path) -> None:
    postgres = EmbeddedPostgres(data_folder / "postgres", durable=False)
    try:
        await postgres.start()
        password = (data_folder / "postgres" / "password").read_text()
        with pytest.raises(asyncpg.InvalidPasswordError):
            await execute(postgres.url.replace(password, "guess"), "SELECT 1")
        assert (data_folder / "postgres" / "password").stat().st_mode & 0o777 == 0o600
    finally:
        await postgres.stop()


async def test_data_is_safe_unless_a_test_says_otherwise(data_folder: Path) -> None:
    postgres = EmbeddedPostgres(data_folder / "postgres")
    try:
        await postgres.start()
        assert await execute(postgres.url, "SHOW fsync") == "on"
        assert await execute(postgres.url, "SHOW synchronous_commit") == "on"
    finally:
        await postgres.stop()


async def test_a_port_in_use_is_one_clear_line(data_folder: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        postgres = EmbeddedPostgres(data_folder / "postgres", port=other.getsockname()[1], durable=False)
        with pytest.raises(CannotStart, match=r"^PostgreSQL: port \d+ cannot be used") as refused:
            await postgres.start()
    assert refused.value.exit_code == 2


async def test_a_lock_file_that_names_some_other_process_is_no_obstacle(data_folder: Path) -> None:
    postgres = EmbeddedPostgres(data_folder / "postgres", durable=False)
    # As after a reboot: the id in the file is by now that of another process of the same user.
    other = await Process.spawn(["sleep", "60"], user=settle(data_folder / "postgres").user)
    try:
        await postgres.start()
        await postgres.kill()
        lock = data_folder / "postgres" / "cluster" / "postmaster.pid"
        _, *rest = lock.read_text().splitlines()
        lock.write_text("\n".join([str(other.pid), *rest]))
        await postgres.start()
        assert other.exit_code is None
    finally:
        await postgres.stop()
        await other.kill()


async def test_a_server_left_running_is_ended_first(data_folder: Path) -> None:
    left = EmbeddedPostgres(data_folder / "postgres", durable=False)
    postgres = EmbeddedPostgres(data_folder / "postgres", durable=False)
    try:
        await left.start()
        await postgres.start()
        assert has_ended(left.pid)
    finally:
        await postgres.stop()
        await left.stop()


async def test_an_interrupted_first_start_is_begun_again(data_folder: Path) -> None:
    postgres = EmbeddedPostgres(data_folder / "postgres", durable=False)
    unfinished = settle(data_folder / "postgres").data / "cluster.new"
    unfinished.mkdir()
    (unfinished / "PG_VERSION").write_text("18\n")
    try:
        await postgres.start()
        assert not unfinished.exists()
    finally:
        await postgres.stop()


@as_root
async def test_as_root_the_server_runs_as_nobody_and_not_even_a_closed_parent_is_touched(data_folder: Path) -> None:
    closed = data_folder / "closed"
    closed.mkdir(mode=0o700)
    data, own_place = closed / "postgres", data_folder / "own"
    postgres = EmbeddedPostgres(data, durable=False, own_place=own_place)
    try:
        await postgres.start()
        assert psutil.Process(postgres.pid).username() == "nobody"
        assert closed.stat().st_mode & 0o777 == 0o700
        assert data.is_symlink()
        assert data.readlink().parent == own_place
        assert (data / "belongs-to").read_text() == f"{data}\n"
        assert data.stat().st_mode & 0o777 == 0o700
        assert data.stat().st_uid == pwd.getpwnam("nobody").pw_uid
    finally:
        await postgres.stop()
    place = data.readlink()
    clear(data, own_place=own_place)
    assert not data.is_symlink()
    assert not place.exists()


def identity(path: Path) -> tuple[int, int]:
    found = path.stat()
    return found.st_ino, found.st_mtime_ns


@as_root
async def test_as_root_programs_nobody_can_reach_are_copied_once(
    data_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(postgres_home, "is_open_to_all", lambda path: path != PROGRAM and is_open_to_all(path))
    own_place = data_folder / "own"
    postgres = EmbeddedPostgres(data_folder / "postgres", durable=False, own_place=own_place)
    try:
        await postgres.start()
        program = Path(psutil.Process(postgres.pid).exe())
        assert program.is_relative_to(own_place)
        made = identity(program)
        await postgres.stop()
        await postgres.start()
        assert identity(program) == made
    finally:
        await postgres.stop()


PROGRAM = postgres_home.packaged_programs() / "postgres"


@as_root
def test_data_of_another_user_is_refused_in_one_line(data_folder: Path) -> None:
    place = data_folder / "postgres"
    place.mkdir()
    os.chown(place, 12345, 12345)
    with pytest.raises(CannotStart, match="belongs to user 12345") as refused:
        settle(place)
    assert refused.value.exit_code == 2

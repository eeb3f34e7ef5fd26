"""PostgreSQL itself on this machine: one server on 127.0.0.1, from the programs of a Python package.

We run `initdb` and `postgres` as our own children, as postgres_home says, not through the package's handle, which
makes users, widens modes and can leave its server running. No Unix socket; a random password, kept beside the data.
"""

import asyncio
import os
import secrets
import shutil
import signal
from pathlib import Path

import asyncpg
import psutil

from services.local.child import OneProcess
from services.local.errors import MISUSED, CannotStart, Died
from services.local.ports import HOST, claim
from services.local.postgres_home import OWN_PLACE, Home, settle
from services.local.process import OnLine, Process, describe_exit

USER = "tierline"
DATABASE = "tierline"

SETTINGS = {
    "listen_addresses": HOST,
    "unix_socket_directories": "",
    "shared_buffers": "64MB",
    "io_method": "sync",  # no processes of its own for reading ahead
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_checkpoints": "off",
}
# For data that nobody will miss after a crash of the machine. kill -9 of the server loses nothing even so, which
# synchronous_commit=off would not keep.
NOT_DURABLE = {"fsync": "off", "full_page_writes": "off"}


class EmbeddedPostgres(OneProcess):
    """One server with its data in `data_dir`.

    port: where clients connect, 0 for any free one, which is then kept over restarts of this object.
    durable: False trades safety over a crash of the machine for speed (tests).
    on_line: gets what the server says of errors and worse. own_place: see postgres_home.
    """

    def __init__(
        self,
        data_dir: Path,
        *,
        port: int = 0,
        durable: bool = True,
        on_line: OnLine | None = None,
        own_place: Path = OWN_PLACE,
    ) -> None:
        # A "fast" shutdown: it ends its sessions and writes a checkpoint. Killed, its own children end by themselves.
        super().__init__("postgres", stop_signal=signal.SIGINT)
        self.data_dir = data_dir
        self.port = port
        self._own_place = own_place
        self._durable = durable
        self._on_line = on_line
        self._password = ""
        self._up = False

    @property
    def url(self) -> str:
        """For SQLAlchemy with asyncpg; holds the password. Known once started."""
        return f"postgresql+asyncpg://{USER}:{self._password}@{HOST}:{self.port}/{DATABASE}"

    async def start(self, *, within: float = 60.0) -> None:
        """Make the cluster if there is none, run; returns when the database `tierline` answers.

        CannotStart if the port is taken or the folder is another user's (exit code 2), or it isn't up in `within` s.
        """
        home = settle(self.data_dir, own_place=self._own_place)
        try:
            async with asyncio.timeout(within):
                await _end_leftover(home.data / "cluster")
                self.port = claim(self.port, "PostgreSQL")
                if not (home.data / "cluster").exists():
                    await self._initdb(home)
                self._password = (home.data / "password").read_text()
                self._up = False
                self._process = await self._run(home)
                await self._serving(self._process)
                self._up = True
        except TimeoutError:
            await self.kill()
            raise CannotStart(f"PostgreSQL did not answer within {within:.0f} s") from None
        except BaseException:
            await self.kill()
            raise

    async def _initdb(self, home: Home) -> None:
        """Make `cluster` beside `password`, by way of another name: an interrupted one is never taken for whole."""
        unfinished = home.data / "cluster.new"
        if unfinished.exists():
            shutil.rmtree(unfinished)
        password = home.data / "password"
        password.unlink(missing_ok=True)
        handle = os.open(password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(handle, "w") as file:
            file.write(secrets.token_urlsafe(24))
            if home.user is not None:
                os.fchown(file.fileno(), *home.user)
        initdb = await Process.spawn(
            [
                *(home.programs / "initdb", "--pgdata", unfinished, "--username", USER),
                *("--auth=scram-sha-256", "--pwfile", password, "--encoding=UTF8", "--locale=C"),
                *([] if self._durable else ["--no-sync"]),
            ],
            env=_environment(home),
            cwd=home.data,
            user=home.user,
        )
        try:
            code = await initdb.wait()
        finally:
            await initdb.kill()
        if code != 0:
            raise CannotStart(f"PostgreSQL cannot make its data in {home.data}: {_reason(initdb, code)}")
        unfinished.rename(home.data / "cluster")

    async def _run(self, home: Home) -> Process:
        settings = SETTINGS | {"port": str(self.port)} | ({} if self._durable else NOT_DURABLE)
        return await Process.spawn(
            [
                *(home.programs / "postgres", "-D", home.data / "cluster"),
                *(word for name, value in settings.items() for word in ("-c", f"{name}={value}")),
            ],
            env=_environment(home),
            cwd=home.data,
            user=home.user,
            on_line=self._pass_on,
            # If we are killed it shuts down at once, as after a crash, but leaves no shared memory behind.
            death_signal=signal.SIGQUIT,
        )

    async def _serving(self, process: Process) -> None:
        """Returns once our database is there and answers; raises Died if the server ends before that."""
        while True:
            if process.exit_code is not None:
                code = await process.wait()
                raise Died(f"PostgreSQL ended while starting: {_reason(process, code)}")
            try:
                await self._make_database()
                return
            except asyncpg.InvalidPasswordError as error:
                raise CannotStart("PostgreSQL refuses the password kept beside its data", exit_code=MISUSED) from error
            except (OSError, asyncpg.CannotConnectNowError, asyncpg.ConnectionDoesNotExistError):
                await asyncio.sleep(0.02)  # not listening yet, or still going through its log

    async def _make_database(self) -> None:
        connection = await asyncpg.connect(
            host=HOST, port=self.port, user=USER, password=self._password, database="postgres", timeout=5.0
        )
        try:
            if not await connection.fetchval("SELECT true FROM pg_database WHERE datname = $1", DATABASE):
                await connection.execute(f'CREATE DATABASE "{DATABASE}"')
        finally:
            await connection.close()

    def _pass_on(self, line: str) -> None:
        """The server's news of its own life (LOG) stays here, and what it tells our probes; errors go on."""
        is_error = any(level in line for level in (" ERROR: ", " FATAL: ", " PANIC: "))
        if self._on_line is not None and self._up and is_error:
            self._on_line(line)


def _environment(home: Home) -> dict[str, str]:
    """Nothing of ours: PGPORT, PGOPTIONS or a foreign locale would change what we start."""
    return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC", "HOME": str(home.data), "TMPDIR": str(home.data)}


async def _end_leftover(cluster: Path, within: float = 5.0) -> None:
    """Make way if a server of an earlier life still has the cluster, or only its lock file does.

    The caller holds the data folder's lock, so whoever runs here is an orphan. PostgreSQL itself goes by the process
    id in its lock file alone, and refuses to start if any other process has that id by now.
    """
    lock = cluster / "postmaster.pid"
    try:
        process = psutil.Process(int(lock.read_text().split()[0]))
        if process.name() == "postgres" and str(cluster) in process.cmdline():
            process.send_signal(signal.SIGINT)
            await asyncio.to_thread(process.wait, within)
        else:
            lock.unlink()
    except (FileNotFoundError, psutil.NoSuchProcess, ValueError, IndexError):
        return
    except psutil.TimeoutExpired as error:
        raise CannotStart(f"an earlier PostgreSQL (pid {error.pid}) still has {cluster} and does not end") from error


def _reason(process: Process, code: int) -> str:
    """Why it ended, in one line: its last FATAL or PANIC line, else its last line."""
    said = [line for line in process.last_lines if line.strip()]
    fatal = [line for line in said if " FATAL: " in line or " PANIC: " in line]
    return f"{describe_exit(code)}, {(fatal or said)[-1].strip()}" if said else describe_exit(code)

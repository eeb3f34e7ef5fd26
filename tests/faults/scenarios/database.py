"""PostgreSQL away: the scorer neither needs nor notices it, the notifier goes on where it was, exactly once."""

import asyncio
import contextlib
import os
import sys
from collections.abc import AsyncIterator
from typing import Any

import asyncpg
import httpx
import psutil
from sqlalchemy.engine import make_url

from schemas import topics
from services.local.ports import free_port
from services.local.postgres import EmbeddedPostgres
from services.local.process import Process
from services.notifier.store.migrate import migrate
from tests.faults.reading import ends, read
from tests.faults.scenario import Scenario
from tests.faults.stage import FAILED, Stage
from tests.fixtures.database import embedded_postgres
from tests.scorer.engine.workers import ROOT
from tests.waiting import until


class PostgresAway(Scenario):
    """The worker's environment names no database. Each time the database is killed, the worker must come to the end of
    what has been sent before it is started again, without a single failed transaction."""

    name = "postgres-away"
    about = "kill -9 of PostgreSQL under load: the scorer goes on, the notifier catches up exactly once"
    records = 15_000

    async def play(self, stage: Stage) -> None:
        async with embedded_postgres() as postgres:
            await migrate(postgres.url)
            async with _notifier(stage, postgres) as (notifier, address):
                worker = await stage.start(DATABASE_URL="none")
                await worker.ready()
                for _ in range(self.times):
                    async with stage.upstream.flowing(1_000):
                        await stage.further()
                        await _rows_beyond(postgres, 0)
                        await postgres.kill()
                        stage.strike()
                        await stage.further()
                    await stage.everything_taken()
                    assert not _connections(worker.process.pid, postgres.port), "the worker talks to the database"
                    await until(lambda: _not_ready(address), what="the notifier says that it is not ready")
                    assert notifier.exit_code is None, "the notifier has ended"
                    await postgres.start()
                    await self._arrived(stage, postgres)
                assert await worker.metric(FAILED) == 0, "a transaction of the worker failed"
                await stage.upstream.send(max(0, stage.records - stage.upstream.sent))
                await stage.everything_taken()
                await stage.timers_fired()
                await stage.stop()
                await self._arrived(stage, postgres)
                await self._hold_against_topic(stage, postgres)

    async def _arrived(self, stage: Stage, postgres: EmbeddedPostgres) -> None:
        """Wait until the database knows of everything the topics hold now."""
        wanted = {
            (stage.installation.settings.topic(topic), partition): end
            for topic in (topics.DECISIONS.name, topics.SCORER_STATE.name)
            for partition, end in (await asyncio.to_thread(ends, stage.installation, topic)).items()
        }

        async def there() -> bool:
            rows = await _rows(postgres, "SELECT topic, partition, next_offset FROM consumed")
            found = {(row[0], row[1]): row[2] for row in rows}
            # At the end of a partition stands a transaction's marker, which is no record.
            return all(found.get(place, 0) >= end - 1 for place, end in wanted.items())

        await until(there, within=60, what=f"the database has come to {wanted}")

    async def _hold_against_topic(self, stage: Stage, postgres: EmbeddedPostgres) -> None:
        """The primary key keeps a decision from standing there twice; `position` and `tallies` count what was done."""
        said = await asyncio.to_thread(read, stage.installation, topics.DECISIONS.name)
        wanted = {record.value for record in said if b'"record":"decision"' in record.value}
        rows = await _rows(postgres, "SELECT record, position FROM decisions")
        assert len(rows) == len(wanted), f"{len(rows)} decisions are in the database, {len(wanted)} on the topic"
        assert {row[0] for row in rows} == wanted, "the database holds other decisions than the topic"
        positions = sorted(row[1] for row in rows if row[1] is not None)
        assert positions == list(range(1, len(positions) + 1)), "the feed has gaps"
        [[tallied]] = await _rows(postgres, "SELECT sum(transitions)::bigint FROM tallies")
        assert tallied == len(positions), f"{tallied} transitions are counted, {len(positions)} were announced"
        stage.facts["in the database"] = len(rows)


@contextlib.asynccontextmanager
async def _notifier(stage: Stage, postgres: EmbeddedPostgres) -> AsyncIterator[tuple[Process, str]]:
    """The service as a process of its own, and its address."""
    port = free_port()
    lines: list[str] = []
    environment = {
        **os.environ,
        **stage.installation.env,
        "DATABASE_URL": postgres.url,
        "TIERLINE_NOTIFIER_PORT": str(port),
        "TIERLINE_LOG_FORMAT": "json",
        "PYTHONPATH": str(ROOT),
    }
    process = await Process.spawn(
        [sys.executable, "-m", "services.notifier"], env=environment, cwd=ROOT, on_line=lines.append
    )
    try:
        yield process, f"http://127.0.0.1:{port}"
    except BaseException:
        print("notifier:", *lines[-25:], sep="\n")
        raise
    finally:
        await process.stop(within=20)


async def _not_ready(address: str) -> bool:
    async with httpx.AsyncClient(trust_env=False, timeout=10) as client:
        try:
            return (await client.get(f"{address}/readyz")).status_code == 503
        except httpx.HTTPError:
            return False


async def _rows_beyond(postgres: EmbeddedPostgres, count: int) -> None:
    async def there() -> bool:
        [[found]] = await _rows(postgres, "SELECT count(*) FROM decisions")
        return bool(found > count)

    await until(there, within=60, what="decisions come into the database")


async def _rows(postgres: EmbeddedPostgres, query: str) -> list[Any]:
    dsn = make_url(postgres.url).set(drivername="postgresql").render_as_string(hide_password=False)
    connection = await asyncpg.connect(dsn, timeout=10)
    try:
        return list(await connection.fetch(query))
    finally:
        await connection.close()


def _connections(pid: int, port: int) -> list[Any]:
    return [one for one in psutil.Process(pid).net_connections() if one.raddr and one.raddr.port == port]

"""Nothing is left behind: no process, no folder, whether we end well or are killed."""

import asyncio
import subprocess
import sys
from pathlib import Path

import psutil

from services.local.kafka import EmbeddedKafka
from services.local.postgres import EmbeddedPostgres
from tests.fixtures.broker import embedded_kafka
from tests.fixtures.database import embedded_postgres
from tests.local.programs import has_ended
from tests.local.test_kafka import create, read, send
from tests.local.test_postgres import execute
from tests.waiting import until

RUNS_BOTH = """
import asyncio, sys
from pathlib import Path
from services.local.kafka import EmbeddedKafka
from services.local.postgres import EmbeddedPostgres
async def main():
    kafka, postgres = EmbeddedKafka(Path(sys.argv[1]) / 'kafka'), EmbeddedPostgres(Path(sys.argv[1]) / 'postgres')
    await asyncio.gather(kafka.start(), postgres.start())
    print(kafka.pid, postgres.pid, kafka.bootstrap, postgres.url, flush=True)
    await asyncio.Event().wait()
asyncio.run(main())
"""


def run_both(folder: Path) -> subprocess.Popen[bytes]:
    """A process that runs a broker and a database; its one line: their ids, then their addresses."""
    return subprocess.Popen([sys.executable, "-c", RUNS_BOTH, str(folder)], stdout=subprocess.PIPE)


async def test_kill_9_of_the_parent_ends_broker_and_database_and_the_data_can_be_used_again(data_folder: Path) -> None:
    #   parent ──● records and rows acknowledged ──╳ kill -9
    #   broker ────────────────────────────────────┴╳ ended by the kernel        ●── same data, new parent
    with run_both(data_folder) as parent:
        assert parent.stdout is not None
        line = await asyncio.to_thread(parent.stdout.readline)
        kafka_pid, postgres_pid, bootstrap, url = line.decode().split()
        await create(bootstrap, "numbers")
        await send(bootstrap, "numbers", [b"1", b"2"])
        await execute(url, "CREATE TABLE kept AS SELECT 1 AS id")
        parent.kill()
    await until(lambda: has_ended(int(kafka_pid)) and has_ended(int(postgres_pid)), within=5.0)

    kafka, postgres = EmbeddedKafka(data_folder / "kafka"), EmbeddedPostgres(data_folder / "postgres")
    try:
        await asyncio.gather(kafka.start(), postgres.start())
        assert await read(kafka.bootstrap, "numbers", 2) == [b"1", b"2"]
        assert await execute(postgres.url, "SELECT count(*) FROM kept") == 1
    finally:
        await asyncio.gather(kafka.stop(), postgres.stop())


async def test_a_database_that_ends_well_leaves_no_process_and_no_folder() -> None:
    async with embedded_postgres() as postgres:
        folder, pids = postgres.data_dir.parent, [process.pid for process in psutil.Process(postgres.pid).children()]
        assert folder.exists()
        assert pids
    assert not folder.exists()
    assert has_ended(postgres.pid)
    assert all(has_ended(pid) for pid in pids)


async def test_a_broker_that_ends_well_leaves_no_process_and_no_folder() -> None:
    async with embedded_kafka() as kafka:
        folder = kafka.data_dir.parent
        assert folder.exists()
    assert not folder.exists()
    assert has_ended(kafka.pid)

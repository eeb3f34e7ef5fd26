"""`python -m services.ingest` as an operator sees it: its log lines and exit codes."""

import asyncio
import os
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx

from services.local.ports import free_port
from services.local.process import Process
from tests.ingest.conftest import Mortal
from tests.ingest.posting import shorthand
from tests.waiting import until


@asynccontextmanager
async def ingest(port: int, **environment: str) -> AsyncIterator[tuple[Process, list[str]]]:
    lines: list[str] = []
    given = {"TIERLINE_INGEST_PORT": str(port), "TIERLINE_INGEST_ACK_TIMEOUT_MS": "1000", "TIERLINE_PARTITIONS": "3"}
    process = await Process.spawn(
        [sys.executable, "-m", "services.ingest"], env={**os.environ, **given, **environment}, on_line=lines.append
    )
    try:
        yield process, lines
    finally:
        await process.stop(within=0)


async def ended(process: Process) -> int:
    async with asyncio.timeout(20):
        return await process.wait()


async def test_kafka_away_and_back_is_one_line_each_and_a_signal_ends_it_in_order(mortal: Mortal) -> None:
    port = free_port()
    environment = {
        "KAFKA_BOOTSTRAP": mortal.settings.kafka_bootstrap,
        "TIERLINE_TOPIC_PREFIX": mortal.settings.topic_prefix,
    }
    async with (
        ingest(port, **environment) as (process, lines),
        httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
    ):

        async def status() -> int:
            return (await client.post("/v1/events", json=shorthand())).status_code

        def said(words: str) -> int:
            return sum(words in line for line in lines)

        await until(lambda: said('"serving"'))
        assert await status() == 202
        await mortal.broker.kill()
        assert [await status() for _ in range(3)] == [503] * 3
        await mortal.broker.start()

        async def taken() -> bool:
            return await status() == 202

        await until(taken)
        process.send(signal.SIGTERM)
        assert await ended(process) == 0
    assert (said("connected to kafka"), said("kafka is away"), said("kafka is back")) == (1, 1, 1)
    assert said("serving") == said("stopped") == 1
    assert len(lines) == 5, "nothing but that"


async def test_a_port_in_use_and_a_setting_that_makes_no_sense_are_one_line_and_exit_code_2() -> None:
    nowhere = f"127.0.0.1:{free_port()}"
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with ingest(port, KAFKA_BOOTSTRAP=nowhere) as (process, lines):
            assert await ended(process) == 2
    assert len(lines) == 1
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in lines[0]
    async with ingest(port, TIERLINE_INGEST_MAX_BODY_BYTES="lots") as (process, lines):
        assert await ended(process) == 2
    assert len(lines) == 1
    assert "TIERLINE_INGEST_MAX_BODY_BYTES='lots'" in lines[0]

"""A service in a process of its own: a signal lets requests finish, an address in use is one line and exit code 2."""

import asyncio
import signal
import socket
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import httpx
import pytest

from services.local.ports import free_port, is_open
from services.local.process import Process
from services.shared.serving import CannotServe, Running
from tests.waiting import until

PROGRAM = """
import asyncio, sys
from contextlib import asynccontextmanager
from fastapi import FastAPI
from services.shared import logging
from services.shared.serving import CannotServe, serve

@asynccontextmanager
async def lifespan(app):
    if "unable" in sys.argv:
        raise CannotServe("the topic is not ours", exit_code=2)
    yield
    print("lifespan ended", flush=True)

app = FastAPI(version="9.9", lifespan=lifespan)

@app.get("/slow")
async def slow():
    print("slow began", flush=True)
    await asyncio.sleep(0.5)
    return "done"

@app.get("/endless")
async def endless():
    print("endless began", flush=True)
    await asyncio.Event().wait()

logging.configure("test", log_format="json", level="info")
sys.exit(serve(app, "127.0.0.1", int(sys.argv[1]), drain_s=float(sys.argv[2])))
"""


@asynccontextmanager
async def program(port: int, *args: str, drain_s: float = 10) -> AsyncIterator[Process]:
    process = await Process.spawn([sys.executable, "-c", PROGRAM, str(port), str(drain_s), *args])
    try:
        yield process
    finally:
        await process.stop(within=0)


async def ended(process: Process) -> int:
    async with asyncio.timeout(20):
        return await process.wait()


def said(process: Process, words: str) -> bool:
    return any(words in line for line in process.last_lines)


async def test_the_first_line_says_address_and_version_and_a_signal_ends_it_with_0() -> None:
    port = free_port()
    async with program(port) as process:
        await until(lambda: said(process, '"serving"'))
        assert f'"address": "http://127.0.0.1:{port}"' in process.last_lines[0]
        assert '"version": "9.9"' in process.last_lines[0]
        process.send(signal.SIGTERM)
        assert await ended(process) == 0
        assert said(process, "lifespan ended")


@pytest.mark.parametrize("sig", [signal.SIGTERM, signal.SIGINT])
async def test_a_request_in_progress_is_finished_after_the_signal(sig: signal.Signals) -> None:
    port = free_port()
    async with program(port) as process, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await until(lambda: is_open(port))
        asked = asyncio.create_task(client.get("/slow"))
        await until(lambda: said(process, "slow began"))
        process.send(sig)
        assert (await asked).json() == "done"
        assert await ended(process) == 0
        assert not said(process, "Traceback")


async def test_a_request_without_end_holds_it_up_only_so_long() -> None:
    port = free_port()
    async with program(port, drain_s=1) as process, httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client:
        await until(lambda: is_open(port))
        asked = asyncio.create_task(client.get("/endless"))
        await until(lambda: said(process, "endless began"))
        process.send(signal.SIGTERM)
        assert await ended(process) == 0
        assert said(process, "lifespan ended")
        await asyncio.wait([asked])


async def test_an_address_in_use_is_one_line_and_exit_code_2() -> None:
    with socket.create_server(("127.0.0.1", 0)) as other:
        port = other.getsockname()[1]
        async with program(port) as process:
            assert await ended(process) == 2
    (line,) = process.last_lines
    assert f"cannot listen on 127.0.0.1:{port}: Address already in use" in line


async def test_a_service_that_cannot_start_is_one_line_and_its_exit_code() -> None:
    port = free_port()
    async with program(port, "unable") as process:
        assert await ended(process) == 2
    (line,) = process.last_lines
    assert "the topic is not ours" in line


async def test_an_address_that_is_not_ours_is_refused() -> None:
    from fastapi import FastAPI

    with pytest.raises(CannotServe, match=r"cannot listen on 192\.0\.2\.1:0"):
        async with Running(FastAPI(), "192.0.2.1"):
            pytest.fail("must not serve")

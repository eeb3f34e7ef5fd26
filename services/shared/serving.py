"""Run an ASGI app on uvicorn until a signal, then let requests in progress finish.

`serve` is for a service's main program, `Running` for a program that has more to do, such as a test.
"""

import asyncio
import contextlib
import gc
import signal
import socket
from collections.abc import Iterator
from types import TracebackType

import structlog
import uvicorn
import uvloop
from fastapi import FastAPI

log = structlog.get_logger(__name__)

STOPPED = 0
FAILED = 1
MISUSED = 2


class CannotServe(Exception):
    """The service cannot begin to serve; also for an app's lifespan to raise.

    str() is one clear line, exit_code what the program ends with.
    """

    def __init__(self, message: str, *, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


def serve(app: FastAPI, host: str, port: int, *, drain_s: float = 15.0) -> int:
    """Serve until SIGINT or SIGTERM; the exit code: 0 after a graceful end, 2 if the address cannot be had.

    drain_s: how long requests in progress may take after the signal. What went wrong has been logged in one line.
    """
    server = Running(app, host, port, drain_s=drain_s)

    async def run() -> None:
        loop = asyncio.get_running_loop()
        for sig in (signal.SIGINT, signal.SIGTERM):
            loop.add_signal_handler(sig, server.request_stop)
        async with server:
            await server.stopped()

    _spare_the_collector()
    try:
        with asyncio.Runner(loop_factory=uvloop.new_event_loop) as runner:
            runner.run(run())
    except CannotServe as error:
        log.error(str(error))
        return error.exit_code
    return STOPPED


def _spare_the_collector() -> None:
    """A request or a batch may make thousands of objects without cycles; with the usual thresholds the garbage
    collector would walk all that was ever imported for them, time and again: 40 % of the time of a replay."""
    gc.collect()
    gc.freeze()
    gc.set_threshold(50_000, 20, 20)


class _Server(uvicorn.Server):
    """uvicorn's server without its own signal handlers: it would end the process by the signal after draining.

    up:       set once connections are taken
    draining: set once the end has begun; answers without an end of their own are to end then
    """

    def __init__(self, config: uvicorn.Config, draining: asyncio.Event) -> None:
        super().__init__(config)
        self.up = asyncio.Event()
        self._draining = draining

    async def startup(self, sockets: list[socket.socket] | None = None) -> None:
        await super().startup(sockets)
        self.up.set()

    async def shutdown(self, sockets: list[socket.socket] | None = None) -> None:
        self._draining.set()
        await super().shutdown(sockets)

    @contextlib.contextmanager
    def capture_signals(self) -> Iterator[None]:
        yield


class Running:
    """An app being served while the context is open; CannotServe on entering if it can't be.

    url: where it is, with the port that was found if 0 was asked for
    """

    def __init__(self, app: FastAPI, host: str = "127.0.0.1", port: int = 0, *, drain_s: float = 15.0) -> None:
        self._app = app
        self._host = host
        self._port = port
        self._server = _Server(
            uvicorn.Config(
                app,
                http="httptools",
                lifespan="off",
                ws="none",
                access_log=False,
                log_config=None,
                log_level="warning",
                server_header=False,
                timeout_graceful_shutdown=int(drain_s),
                timeout_keep_alive=30,
            ),
            getattr(app.state, "draining", asyncio.Event()),
        )

    @property
    def url(self) -> str:
        host = f"[{self._host}]" if ":" in self._host else self._host
        return f"http://{host}:{self._port}"

    def request_stop(self) -> None:
        """Take no more connections, finish what is in progress; asked a second time, don't even finish that."""
        self._server.force_exit = self._server.should_exit
        self._server.should_exit = True

    async def stopped(self) -> None:
        """Returns when the last request is answered after `request_stop`."""
        await self._task

    async def __aenter__(self) -> "Running":
        listener = _listen(self._host, self._port)
        self._port = listener.getsockname()[1]
        async with contextlib.AsyncExitStack() as stack:
            stack.callback(listener.close)
            # Not by uvicorn: where a lifespan fails it ends the process with a traceback and an exit code of its own.
            await stack.enter_async_context(self._app.router.lifespan_context(self._app))
            self._task = asyncio.create_task(self._server.serve(sockets=[listener]))
            up = asyncio.create_task(self._server.up.wait())
            await asyncio.wait([up, self._task], return_when=asyncio.FIRST_COMPLETED)
            up.cancel()
            self._stack = stack.pop_all()
        log.info("serving", address=self.url, version=self._app.version)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, where: TracebackType | None
    ) -> None:
        async with self._stack:
            self._server.should_exit = True
            await self._task
        log.info("stopped", address=self.url)


def _listen(host: str, port: int) -> socket.socket:
    """A socket bound to the address; CannotServe (exit code 2) in one line if it cannot be had."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listener = socket.socket(family, socket.SOCK_STREAM)
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        listener.bind((host, port))
        listener.listen(2048)
    except OSError as error:
        listener.close()
        raise CannotServe(f"cannot listen on {host}:{port}: {error.strerror or error}", exit_code=MISUSED) from error
    return listener

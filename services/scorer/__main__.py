"""Run one scorer worker: `python -m services.scorer`. It ends on SIGTERM or SIGINT after the turns that run.

Exit codes: 0 stopped, 1 failed, 2 misused (settings, policy, a port in use, state that does not fit).
"""

import asyncio
import contextlib
import os
import signal
import sys
from collections.abc import Callable
from typing import NoReturn

import structlog
from pydantic import ValidationError

from services.scorer.app import CannotRun, create_app, reason
from services.scorer.engine.host import App
from services.shared import logging
from services.shared.settings import ScorerSettings, unusable

log = structlog.get_logger()

_STOP_S = 5.0  # a worker that is killed instead loses nothing, the next owner only waits for the session to end


async def run(settings: ScorerSettings) -> None:
    """Until a signal or a failure. CannotRun, or whatever went wrong."""
    loop = asyncio.get_running_loop()
    ended: asyncio.Future[None] = loop.create_future()

    def failed(error: BaseException) -> None:
        if not ended.done():
            ended.set_exception(error)

    def signalled() -> None:
        if not ended.done():
            ended.set_result(None)

    app = create_app(settings, failed)
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, signalled)
    running = asyncio.create_task(_faust(app, failed))
    try:
        await ended
    finally:
        with contextlib.suppress(TimeoutError):
            await asyncio.wait_for(app.stop(), _STOP_S)
        running.cancel()


async def _faust(app: App, failed: Callable[[BaseException], None]) -> None:
    """Start Faust and stay until it is stopped; when it crashes by itself, that is a failure."""
    try:
        await app.start()
        await app.wait_until_stopped()
    except Exception as error:  # noqa: BLE001  # whatever it is, `run` raises it
        failed(error)
    else:
        failed(app.crash_reason or RuntimeError("Faust has ended"))


def for_faust() -> App:
    """The app for Faust's command line; a failure ends the process with one line, as it does here."""
    try:
        return create_app(_settings(), _leave)
    except CannotRun as error:
        _leave(error)


def _leave(error: BaseException) -> NoReturn:
    sys.exit(_tell(error))


def _tell(error: BaseException) -> int:
    """One line for what people can mend, a traceback for what they can't; the exit code."""
    told = reason(error)
    if told is None:
        log.error("the scorer failed", exc_info=error)
        return 1
    print(f"scorer: {told}", file=sys.stderr, flush=True)
    return told.exit_code


def _settings() -> ScorerSettings:
    try:
        return ScorerSettings()
    except ValidationError as error:
        raise CannotRun(unusable(error), 2) from error


def main() -> None:
    code = 0
    try:
        settings = _settings()
        logging.configure("scorer", log_format=settings.log_format, level=settings.log_level)
        asyncio.run(run(settings))
    except Exception as error:  # noqa: BLE001  # the last place where anything is told
        code = _tell(error)
    # Not sys.exit: it waits for threads, and one may hang in a client that waits for a broker which is gone.
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(code)


if __name__ == "__main__":
    main()

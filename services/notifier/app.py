"""Composition root of the notifier: settings and policy in, an app out. `python -m services.notifier` serves it."""

import asyncio
import contextlib
import signal
import threading
import time
from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime

import structlog
from fastapi import FastAPI, Request
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry
from sqlalchemy.exc import DBAPIError
from starlette.responses import Response

from schemas.problems import DATABASE_UNAVAILABLE, Refused
from schemas.publish import VERSION
from schemas.topics import CONTROL
from services.notifier import gauges
from services.notifier.api import alerts, customers, documentation, overview, stream, tasks
from services.notifier.api.subjects import RawSubjects
from services.notifier.consumer import Consumer, OffsetsGone
from services.notifier.deciding import Deciding, OtherPolicy
from services.notifier.feed import Feed
from services.notifier.intake import Unreadable
from services.notifier.store import progress
from services.notifier.store.database import Database, DatabaseAway, WrongSchema
from services.scorer.domain.policy import Policy
from services.shared import control
from services.shared.connection import for_librdkafka
from services.shared.following import Following
from services.shared.foreign import ForeignRecord
from services.shared.kafka import KafkaRefused, KafkaUnavailable, TopicMismatch, TopicMissing
from services.shared.metrics import NotifierMetrics
from services.shared.serving import FAILED, MISUSED, CannotServe
from services.shared.settings import NotifierSettings
from services.shared.web import create_app, refusal

log = structlog.get_logger(__name__)

DATABASE_WITHIN_S = 60.0
RETRY_AFTER_S = 1


def end_process() -> None:
    """As an operator would, so that requests in progress are answered."""
    signal.raise_signal(signal.SIGTERM)


def build(
    settings: NotifierSettings,
    policy: Policy,
    *,
    clock: Callable[[], datetime] = lambda: datetime.now(UTC),
    end: Callable[[], None] = end_process,
) -> FastAPI:
    """The app. It connects when it begins to serve, not before; CannotServe if the database is not ours.

    end: called when the consumer cannot go on; `app.state.failure` then is a CannotServe that says why.
    """
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    metrics = NotifierMetrics(registry)
    database = Database(settings.database_url)
    deciding = Deciding(policy, str(settings.policy), lambda: control.Control(settings).read())
    consumer = Consumer(settings, database, deciding, metrics, clock)
    feed = Feed(database)

    @contextlib.asynccontextmanager
    async def lifespan(app: FastAPI) -> AsyncIterator[None]:
        async with contextlib.AsyncExitStack() as stack:
            stack.push_async_callback(database.close)
            await _check_database(database, deciding)
            for work in (
                feed.listen(),
                _close_when(app.state.draining, feed),
                gauges.keep_current(database, consumer, metrics),
            ):
                stack.push_async_callback(_cancel, asyncio.create_task(work))
            following = _following_control(settings, deciding)
            stack.push_async_callback(asyncio.to_thread, following.stop)
            following.start()
            consuming = asyncio.create_task(_consume(app, consumer, end))
            stack.push_async_callback(_finish, consumer, consuming)
            yield

    async def database_probe() -> str:
        await database.check()
        return "answers"

    app = create_app(
        title=documentation.TITLE,
        version=VERSION,
        description=documentation.DESCRIPTION,
        registry=registry,
        requests=metrics.requests,
        dependencies={"database": database_probe, "kafka": consumer.probe},
        types=documentation.TYPES,
        lifespan=lifespan,
    )
    app.state.failure = None
    app.add_middleware(RawSubjects)

    @app.exception_handler(DatabaseAway)
    async def database_away(_: Request, error: DatabaseAway) -> Response:
        return refusal(Refused(DATABASE_UNAVAILABLE, str(error), retry_after_s=RETRY_AFTER_S))

    app.include_router(customers.router(database, deciding, clock))
    app.include_router(tasks.router(database, clock))
    app.include_router(alerts.router(database))
    app.include_router(stream.router(database, feed, settings.stream_keep, metrics.streams))
    app.include_router(overview.router(database))
    return app


async def _check_database(database: Database, deciding: Deciding) -> None:
    """Returns once the database answers and is ours; CannotServe if it is not, or is away for a minute."""
    deadline = time.monotonic() + DATABASE_WITHIN_S
    while True:
        try:
            await database.check()
            async with database.transaction() as connection:
                rows = await progress.read(connection)
            break
        except DBAPIError as error:  # refused for a reason that stays, as a wrong password
            raise CannotServe(f"the database cannot be used: {error.orig}", exit_code=MISUSED) from error
        except WrongSchema as error:
            raise CannotServe(str(error), exit_code=MISUSED) from error
        except DatabaseAway as error:
            if time.monotonic() > deadline:
                raise CannotServe(f"the database does not answer: {error}") from error
            log.warning("the database is away, trying again", error=str(error))
            await asyncio.sleep(RETRY_AFTER_S)
    try:
        await deciding.know_digests({row.policy_digest: row.policy for row in rows})
    except OtherPolicy as error:
        raise CannotServe(str(error), exit_code=MISUSED) from error
    except (KafkaUnavailable, TopicMissing, TopicMismatch) as error:
        raise CannotServe(f"the policies cannot be read: {error}", exit_code=error.exit_code) from error


def _following_control(settings: NotifierSettings, deciding: Deciding) -> Following:
    """Has every policy known as soon as it stands on topic `control`: a forecast is to know of one still to come."""
    loop, has_grown = asyncio.get_running_loop(), threading.Event()

    async def learn() -> None:
        try:
            await deciding.learn()
        except (OtherPolicy, KafkaUnavailable, TopicMissing, TopicMismatch, ForeignRecord) as error:
            log.warning("a policy cannot be read yet; it will be when a customer's record names it", error=str(error))

    def on_end() -> None:
        if has_grown.is_set():
            has_grown.clear()
            asyncio.run_coroutine_threadsafe(learn(), loop)

    return Following(
        for_librdkafka(settings),
        settings.topic(CONTROL.name),
        on_record=lambda _: has_grown.set(),
        on_end=on_end,
        on_failure=lambda error: log.error("topic control is not followed any more", exc_info=error),
    )


async def _consume(app: FastAPI, consumer: Consumer, end: Callable[[], None]) -> None:
    """Run the consumer; if it cannot go on, say why and end the service."""
    try:
        await consumer.run()
    except (OtherPolicy, OffsetsGone, TopicMissing, TopicMismatch, KafkaRefused, Unreadable) as error:
        log.error(str(error))
        app.state.failure = CannotServe(str(error), exit_code=FAILED if isinstance(error, Unreadable) else MISUSED)
        end()
    except Exception as error:
        log.exception("the consumer failed")
        app.state.failure = CannotServe(f"the consumer failed: {error}")
        end()


async def _close_when(draining: asyncio.Event, feed: Feed) -> None:
    await draining.wait()
    feed.close()


async def _finish(consumer: Consumer, consuming: asyncio.Task[None]) -> None:
    """Let the transaction in progress end."""
    consumer.stop()
    await consuming


async def _cancel(task: asyncio.Task[None]) -> None:
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task

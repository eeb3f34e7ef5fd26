"""The scorer's composition root: settings in, a Faust app out that owns everything else."""

import asyncio
import os
from collections.abc import Callable

import structlog
from prometheus_client import CollectorRegistry

from schemas.control import Activation, Record
from schemas.topics import CONTROL, IDENTITIES
from services.scorer import policies, sequence
from services.scorer.domain.eras import Policies
from services.scorer.domain.policy import PolicyError, parse
from services.scorer.endpoints import Server
from services.scorer.engine.clock import Clock
from services.scorer.engine.host import App
from services.scorer.engine.kinship import Kinship
from services.scorer.engine.takeover import Refusal
from services.scorer.engine.worker import Worker
from services.scorer.sequence import Book
from services.shared import kafka, logging
from services.shared.connection import for_librdkafka
from services.shared.control import Control, Overtaken, decode
from services.shared.following import Following, Told
from services.shared.foreign import ForeignRecord
from services.shared.identities import Reading
from services.shared.metrics import ScorerMetrics
from services.shared.settings import ScorerSettings

log = structlog.get_logger()


class CannotRun(Exception):
    """The scorer can't be started or can't go on. str() is one line; exit_code as everywhere: 1 failed, 2 misused."""

    def __init__(self, line: str, exit_code: int) -> None:
        super().__init__(line)
        self.exit_code = exit_code


def create_app(settings: ScorerSettings, on_failure: Callable[[BaseException], None]) -> App:
    """A worker, not yet started. CannotRun if the policy can't be used.

    on_failure: told once, from the event loop, why the worker cannot go on; the app is then to be stopped.
    """
    try:
        text = policies.text(settings.policy)
        policy = parse(text, str(settings.policy))
    except PolicyError as error:
        raise CannotRun(str(error), 2) from error
    registry = CollectorRegistry()
    book = Book()

    def reread() -> Policies:
        return book.learned(Control(settings).records())

    kinship = Kinship(settings.partitions)
    worker = Worker(
        settings, book, kinship, ScorerMetrics(registry), clock=Clock(), reread=reread, on_failure=on_failure
    )
    server = Server(settings.metrics_host, settings.metrics_port, registry, worker)

    following: list[Following] = []  # once there is an event loop for what it tells

    async def starting() -> None:
        logging.configure("scorer", log_format=settings.log_format, level=settings.log_level)
        try:
            await server.start()
        except OSError as error:
            where = f"{settings.metrics_host}:{settings.metrics_port}"
            why = os.strerror(error.errno) if error.errno else str(error)
            raise CannotRun(f"cannot listen on {where} ({why}); TIERLINE_SCORER_PORT names another", 2) from error
        try:
            await kafka.verify(settings)
        except kafka.KafkaUnavailable as error:
            raise CannotRun(str(error), error.exit_code) from error
        except (kafka.TopicMissing, kafka.TopicMismatch) as error:
            raise CannotRun(str(error), 2) from error
        try:
            await asyncio.to_thread(_begin, settings, book, text)
        except kafka.KafkaUnavailable as error:
            raise CannotRun(str(error), error.exit_code) from error
        except (PolicyError, Overtaken, ForeignRecord) as error:
            raise CannotRun(str(error), 2) from error
        following.append(_following_policies(settings, book, worker, on_failure))
        following.append(_following_identities(settings, kinship, worker, on_failure))
        for one in following:
            one.start()
        newest = book.policies.newest
        if policy.digest not in {one.digest for one in book.activations}:
            log.warning(
                "the policy file is not what decides; `tierline policy activate` makes it hold",
                file=str(settings.policy),
                digest=policy.digest,
                deciding=newest.name,
                deciding_digest=newest.digest,
                number=len(book.activations),
            )
        log.info(
            "scorer starting",
            policy=newest.name,
            digest=newest.digest,
            partitions=settings.partitions,
            http=f"http://{server.host}:{server.port}",
        )

    async def stopping() -> None:
        for one in following:
            await asyncio.to_thread(one.stop)
        await server.stop()
        log.info("scorer stopped")

    return App(settings, worker, starting=starting, stopping=stopping, on_failure=on_failure)


def _begin(settings: ScorerSettings, book: Book, text: str) -> None:
    book.learn(sequence.begun(Control(settings), text, str(settings.policy)))


def _following_policies(
    settings: ScorerSettings, book: Book, worker: Worker, on_failure: Callable[[BaseException], None]
) -> Following:
    """Topic `control` as it grows, into the book; to be called from the event loop."""
    loop = asyncio.get_running_loop()
    known: list[Record] = []

    def on_record(told: Told) -> None:
        known.append(decode(told.value))

    def on_end() -> None:
        news = known[len(book.records) :]
        book.learn(known)
        for one in news:
            if isinstance(one, Activation):
                log.info("a policy was activated", number=one.sequence, policy=one.policy, digest=one.digest)
            else:
                log.info("a rebuild was asked for", number=one.sequence, fields=one.fields)
        loop.call_soon_threadsafe(worker.policies_changed)

    def failed(error: Exception) -> None:
        loop.call_soon_threadsafe(on_failure, error)

    return Following(
        for_librdkafka(settings),
        settings.topic(CONTROL.name),
        on_record=on_record,
        on_end=on_end,
        on_failure=failed,
    )


def _following_identities(
    settings: ScorerSettings, kinship: Kinship, worker: Worker, on_failure: Callable[[BaseException], None]
) -> Following:
    """Topic `identities` as it grows; to be called from the event loop."""
    loop, reading = asyncio.get_running_loop(), Reading()

    def on_record(told: Told) -> None:
        home = kinship.learn(reading.read(told.value, told.appended_ms))
        if home is not None:
            loop.call_soon_threadsafe(worker.has_to_begin, home)

    def failed(error: Exception) -> None:
        loop.call_soon_threadsafe(on_failure, error)

    return Following(
        for_librdkafka(settings),
        settings.topic(IDENTITIES.name),
        on_record=on_record,
        on_end=lambda: None,
        on_failure=failed,
    )


def reason(error: BaseException) -> CannotRun | None:
    """What to tell people of a failure, None if it is a fault that needs its traceback."""
    if isinstance(error, CannotRun):
        return error
    return CannotRun(str(error), 2) if isinstance(error, (Refusal, ForeignRecord)) else None

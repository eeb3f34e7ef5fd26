"""The scorer's composition root: settings in, a Faust app out that owns everything else."""

import os
from collections.abc import Callable

import structlog
from prometheus_client import CollectorRegistry

from services.scorer import policies
from services.scorer.domain.policy import PolicyError
from services.scorer.endpoints import Server
from services.scorer.engine.clock import Clock
from services.scorer.engine.host import App
from services.scorer.engine.takeover import Refusal
from services.scorer.engine.worker import Worker
from services.shared import kafka, logging
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
        policy = policies.read(settings.policy)
    except PolicyError as error:
        raise CannotRun(str(error), 2) from error
    registry = CollectorRegistry()
    worker = Worker(settings, policy, ScorerMetrics(registry), clock=Clock(), on_failure=on_failure)
    server = Server(settings.metrics_host, settings.metrics_port, registry, worker)

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
            raise CannotRun(str(error), 1) from error
        except (kafka.TopicMissing, kafka.TopicMismatch) as error:
            raise CannotRun(str(error), 2) from error
        log.info(
            "scorer starting",
            policy=policy.name,
            digest=policy.digest,
            partitions=settings.partitions,
            http=f"http://{server.host}:{server.port}",
        )

    async def stopping() -> None:
        await server.stop()
        log.info("scorer stopped")

    return App(settings, worker, starting=starting, stopping=stopping, on_failure=on_failure)


def reason(error: BaseException) -> CannotRun | None:
    """What to tell people of a failure, None if it is a fault that needs its traceback."""
    if isinstance(error, CannotRun):
        return error
    return CannotRun(str(error), 2) if isinstance(error, Refusal) else None

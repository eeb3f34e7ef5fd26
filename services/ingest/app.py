"""Composition root of ingest: settings in, an app out. `python -m services.ingest` serves it."""

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator
from datetime import UTC, datetime

from fastapi import FastAPI
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from schemas.publish import VERSION
from services.ingest import documentation, endpoints, identities
from services.ingest.acceptance import Acceptance, Clock
from services.ingest.budget import Budget
from services.ingest.normalise import Normaliser
from services.ingest.publisher import Publisher
from services.shared.identities import Sequencer
from services.shared.kafka import KafkaRefused, TopicMismatch
from services.shared.metrics import IngestMetrics
from services.shared.serving import MISUSED, CannotServe
from services.shared.settings import IngestSettings
from services.shared.web import create_app


def build(settings: IngestSettings, *, clock: Clock = lambda: datetime.now(UTC)) -> FastAPI:
    """The app. It connects to Kafka when it begins to serve, not before; CannotServe if the topic is not ours
    or Kafka will not have us."""
    registry = CollectorRegistry()
    for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
        registry.register(collector)
    metrics = IngestMetrics(registry)
    budget = Budget(settings.max_in_flight_bytes, metrics.in_flight)
    publisher = Publisher(settings, metrics, budget)
    normaliser = Normaliser(allow_personal_subjects=settings.allow_personal_subjects)
    acceptance = Acceptance(normaliser, publisher, metrics, clock)
    writing = identities.Writing(Sequencer(settings))
    if settings.log_level != "debug":
        # It reports every attempt to reconnect; the publisher says once that Kafka is away and once that it is back.
        logging.getLogger("aiokafka").setLevel(logging.CRITICAL)

    @contextlib.asynccontextmanager
    async def lifespan(_: FastAPI) -> AsyncIterator[None]:
        try:
            await publisher.__aenter__()
        except (TopicMismatch, KafkaRefused) as error:
            raise CannotServe(str(error), exit_code=MISUSED) from error
        try:
            yield
        finally:
            await publisher.__aexit__()
            await asyncio.to_thread(writing.close)

    app = create_app(
        title=documentation.TITLE,
        version=VERSION,
        description=documentation.DESCRIPTION,
        registry=registry,
        requests=metrics.requests,
        dependencies={"kafka": publisher.probe},
        types=documentation.TYPES,
        lifespan=lifespan,
    )
    app.include_router(endpoints.router(settings, acceptance, budget, metrics))
    app.include_router(identities.router(settings, writing, clock))
    return app

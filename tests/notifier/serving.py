"""The notifier's app served on a port of its own, with the consumer left out: tests deliver by hand."""

import contextlib
from collections.abc import AsyncIterator, Callable
from datetime import datetime
from pathlib import Path

import httpx
from fastapi import FastAPI

from services.notifier.app import build
from services.notifier.consumer import Consumer
from services.scorer.domain.policy import Policy
from services.shared.serving import Running
from services.shared.settings import NotifierSettings


def settings(database_url: str, **more: object) -> NotifierSettings:
    return NotifierSettings.model_construct(
        database_url=database_url, kafka_bootstrap="127.0.0.1:1", policy=Path("corner_shop.yaml"), **more
    )


def app(settings: NotifierSettings, policy: Policy, clock: Callable[[], datetime]) -> FastAPI:
    return build(settings, policy, clock=clock, end=lambda: None)


@contextlib.asynccontextmanager
async def client(app: FastAPI) -> AsyncIterator[httpx.AsyncClient]:
    """A client of the app, served as in production."""
    async with Running(app) as running, httpx.AsyncClient(base_url=running.url, timeout=20) as client:
        yield client


async def idle(consumer: Consumer) -> None:
    """In place of `Consumer.run`: reads nothing until it is stopped."""
    await consumer._stopping.wait()

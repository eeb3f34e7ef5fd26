"""A second scorer worker joins in the middle of a replay and leaves again: every customer stands where they should."""

import contextlib
import os
import sys
from collections.abc import AsyncIterator
from datetime import UTC, datetime
from pathlib import Path

import httpx
import pytest
from rich.console import Console

from services.demo.arrival import ACCEPTED, DECIDED, STORED, arrival
from services.demo.bookmark import Bookmark
from services.demo.cdnow import purchases, shift_to
from services.demo.notifier import Notifier
from services.demo.recompute import begins, recompute
from services.demo.replay import replay
from services.demo.tracks import Tracks
from services.demo.verify import disagreements
from services.local.command import Command
from services.local.ports import free_port
from services.local.prepare import prepare
from services.shared.settings import KafkaSettings
from tests.fixtures.broker import Broker
from tests.waiting import until

pytestmark = pytest.mark.whole

POLICY = Path("policies/retail.yaml").absolute()
RULES = POLICY.read_text("utf-8")
SOME = purchases(10)
THIRD = len(SOME) // 3
PARTITIONS = 4


class Worker:
    """A service as a process of its own."""

    def __init__(self, service: str, environment: dict[str, str], said: list[str]) -> None:
        port = free_port()
        self.url = f"http://127.0.0.1:{port}"
        self._child = Command(
            service,
            [sys.executable, "-m", "services.cli.main", service],
            env={**environment, f"TIERLINE_{service.upper()}_PORT": str(port)},
            on_line=lambda line: said.append(f"{service}: {line}"),
        )

    async def __aenter__(self) -> "Worker":
        await self._child.start()
        return self

    async def __aexit__(self, *exc_info: object) -> None:
        await self.stop()

    async def stop(self) -> None:
        await self._child.stop()

    async def get(self, path: str) -> httpx.Response | None:
        try:
            async with httpx.AsyncClient(trust_env=False) as client:
                return await client.get(self.url + path)
        except httpx.TransportError:
            return None

    async def ready(self) -> bool:
        answer = await self.get("/readyz")
        return answer is not None and answer.is_success

    async def partitions(self) -> set[str]:
        """Of a scorer: those it owns and has restored."""
        answer = await self.get("/readyz")
        return set() if answer is None else {p for p, d in answer.json()["partitions"].items() if "position" in d}


@pytest.fixture
async def environment(kafka: Broker, topic_prefix: str, database_url: str) -> dict[str, str]:
    """What the services of one installation of their own read their settings from."""
    settings = KafkaSettings(kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=PARTITIONS)
    await prepare(settings, database_url)
    return os.environ | {
        "KAFKA_BOOTSTRAP": kafka.bootstrap,
        "DATABASE_URL": database_url,
        "TIERLINE_TOPIC_PREFIX": topic_prefix,
        "TIERLINE_PARTITIONS": str(PARTITIONS),
        "TIERLINE_POLICY": str(POLICY),
        "TIERLINE_LOG_FORMAT": "text",
    }


@contextlib.asynccontextmanager
async def client_of(worker: Worker) -> AsyncIterator[httpx.AsyncClient]:
    async with httpx.AsyncClient(base_url=worker.url, trust_env=False, timeout=30) as client:
        yield client


async def test_a_worker_that_joins_and_leaves_changes_nothing(environment: dict[str, str]):
    said: list[str] = []
    try:
        await _join_and_leave(environment, said)
    except BaseException:
        print("\n".join(said))
        raise


async def _join_and_leave(environment: dict[str, str], said: list[str]) -> None:
    async with contextlib.AsyncExitStack() as stack:
        ingest, scorer, notifier = [
            await stack.enter_async_context(Worker(name, environment, said))
            for name in ("ingest", "scorer", "notifier")
        ]
        for worker in (ingest, scorer, notifier):
            await until(worker.ready, within=60, what=f"{worker.url} is ready")
        entry, first, api = [await stack.enter_async_context(client_of(w)) for w in (ingest, scorer, notifier)]
        bookmark = Bookmark(shift_to(datetime.now(UTC).date()), sample=10)

        async def post_until(line: int) -> None:
            """The replay, cut off behind so many purchases."""
            bookmark.done = False
            await replay(entry, SOME[:line], bookmark, lambda: None, size=100)

        await post_until(THIRD)
        second = await stack.enter_async_context(Worker("scorer", environment, said))
        await until(second.partitions, within=60, what="the second worker owns partitions")
        shared = await second.partitions()
        assert shared < {str(p) for p in range(PARTITIONS)}
        await post_until(2 * THIRD)
        await second.stop()
        await post_until(len(SOME))

        with Tracks(Console(quiet=True), [ACCEPTED, DECIDED, STORED], len(SOME)) as tracks:
            await arrival(Notifier(api), first, bookmark, tracks, stuck_s=60)
        now = datetime.now(UTC)
        expected = recompute(RULES, SOME, bookmark.shift_days, now)
        assert await disagreements(Notifier(api), expected, now, begins=begins(RULES)) == []
        assert len(expected) == 2_357
        assert len(await scorer.partitions()) == PARTITIONS

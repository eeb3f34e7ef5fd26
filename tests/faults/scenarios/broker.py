"""The broker killed, and away for minutes."""

import asyncio
import contextlib
import time
from collections.abc import AsyncIterator

from confluent_kafka import ConsumerGroupState
from confluent_kafka.admin import AdminClient

from services.shared.connection import SILENT
from tests.faults.recovery import Commit, commits, pauses
from tests.faults.scenario import Scenario
from tests.faults.stage import Options, Stage
from tests.waiting import until

_RATE = 1_000
_RATE_AWAY = 100  # what piles up in five minutes is to be worked off in seconds
_AWAY_S = 45.0  # longer than a worker waits for an answer to a request


class BrokerDown(Scenario):
    """It bit if commits that had been going on paused for as long as the broker was down."""

    own_broker = True
    bites = True

    async def prepare(self, stage: Stage) -> None:
        self._down: list[tuple[int, int]] = []
        self._before: set[Commit] = set()  # a broker that has come back compacts its changelog sooner than we read it

    async def down(self, stage: Stage, seconds: float) -> None:
        """Kill the broker, for at least so long."""
        async with self.going_down(stage):
            await stage.broker.kill()
            await asyncio.sleep(seconds)

    @contextlib.asynccontextmanager
    async def going_down(self, stage: Stage) -> AsyncIterator[None]:
        """The broker is all right at the beginning, and down at the end."""
        self._before.update(await asyncio.to_thread(commits, stage.installation))
        began_ms = _now_ms()
        yield
        self._down.append((began_ms, _now_ms()))

    def measure(self, stage: Stage, made: list[Commit]) -> None:
        known = sorted(self._before.union(made), key=lambda commit: commit.at_ms)
        felt = [
            pauses(known, began - 5_000, ended + 60_000, least_s=(ended - began) / 1000) for began, ended in self._down
        ]
        stage.bitten = sum(map(bool, felt))
        stage.facts["longest pause"] = f"{max((pause.longest_s for some in felt for pause in some), default=0):.1f} s"


class BrokerKilled(BrokerDown):
    name = "broker-kill"
    about = "kill -9 of the broker under load, and a restart at once"

    async def play(self, stage: Stage) -> None:
        await stage.start()
        await stage.start()
        async with stage.upstream.flowing(_RATE):
            for _ in range(self.times):
                await stage.further()
                stage.strike()
                await self.down(stage, 0)
                await stage.broker.start()
                await stage.further()
        stage.facts["failed transactions"] = await stage.failed()


class BrokerAway(BrokerDown):
    """The time to recover is counted from the broker's return."""

    name = "broker-away"
    about = "the broker away for five minutes (--away), workers and upstream wait it out"
    times = 1

    def deadline_s(self, options: Options) -> float:
        return self.within_s + options.away_s

    async def play(self, stage: Stage) -> None:
        workers = [await stage.start(), await stage.start()]
        async with stage.upstream.flowing(_RATE_AWAY):
            for _ in range(self.times):
                await stage.further()
                await self.down(stage, stage.options.away_s)
                await until(lambda: any("Unable connect" in line for line in workers[0].lines), within=30)
                assert len(stage.running) == len(workers), "a worker has given up"
                stage.strike()
                await stage.broker.start()
                await stage.further()
        stage.facts["failed transactions"] = await stage.failed()


class BrokerGoneAtStart(BrokerDown):
    """Each worker takes its partitions over, or has just done so, and Faust has not let them flow yet."""

    name = "broker-gone-at-start"
    about = "the broker dies as the group has formed, and stays away longer than a request may take"
    times = 1

    async def play(self, stage: Stage) -> None:
        await stage.start()
        async with stage.upstream.flowing(_RATE_AWAY):
            await stage.further()
            for n in range(self.times):
                await stage.start()
                await asyncio.to_thread(_formed, stage, n + 2)
                await self.down(stage, _AWAY_S)
                stage.strike()
                await stage.broker.start()
                await stage.further()


def _formed(stage: Stage, members: int) -> None:
    """Wait until each of so many workers has been told its partitions. TimeoutError if that takes too long"""
    admin = AdminClient({"bootstrap.servers": stage.installation.bootstrap}, logger=SILENT)
    settings, until_s = stage.installation.settings, time.monotonic() + 60
    group = settings.topic(settings.group)
    while time.monotonic() < until_s:
        found = admin.describe_consumer_groups([group])[group].result(10)
        if found.state == ConsumerGroupState.STABLE and len(found.members) == members:
            return
    raise TimeoutError("the group has not formed")


def _now_ms() -> int:
    return int(time.time() * 1000)

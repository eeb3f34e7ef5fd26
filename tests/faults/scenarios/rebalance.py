"""Workers that join and leave under load."""

import asyncio
import time

from tests.faults.recovery import Commit, pauses
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage

_RATE = 1_000


class JoinAndLeave(Scenario):
    name = "rebalance-1-2-1"
    about = "a second worker joins and leaves under load, twice asked to and once killed"

    async def play(self, stage: Stage) -> None:
        first = await stage.start()
        await first.owning(4, 60)
        async with stage.upstream.flowing(_RATE):
            for n in range(self.times):
                second = await stage.start()
                stage.strike()
                await second.owning(2, 60)
                await first.owning(2, 60)
                await stage.further()
                if n % 2 == 0:
                    await stage.stop(second)
                else:
                    await second.process.kill()
                stage.strike()
                await first.owning(4, 60)
                await stage.further()


class ScaleOut(Scenario):
    """The pauses of all partitions are measured, under a load that gives each some events every 50 ms."""

    name = "scale-1-4-2"
    about = "1, 4 and 2 workers on 32 partitions under load, each rebalance's pause measured"
    times = 2
    partitions = 32
    records = 40_000
    within_s = 420.0

    async def prepare(self, stage: Stage) -> None:
        self._steps: list[tuple[str, int, int]] = []

    async def play(self, stage: Stage) -> None:
        first = await stage.start()
        await first.owning(32, 60)
        async with stage.upstream.flowing(_RATE):
            await stage.further()
            began_ms = _now_ms()
            stage.strike()
            others = [await stage.start() for _ in range(3)]
            await asyncio.gather(*(worker.owning(8, 120) for worker in (first, *others)))
            await stage.further()
            self._steps.append(("1 to 4", began_ms, _now_ms()))
            began_ms = _now_ms()
            stage.strike()
            await stage.stop(*others[:2])
            await asyncio.gather(*(worker.owning(16, 120) for worker in (first, others[2])))
            await stage.further()
            self._steps.append(("4 to 2", began_ms, _now_ms()))

    def measure(self, stage: Stage, made: list[Commit]) -> None:
        for step, began_ms, ended_ms in self._steps:
            stage.facts[f"pauses {step}"] = [
                {
                    "after_s": round((pause.began_ms - began_ms) / 1000, 2),
                    "longest_s": pause.longest_s,
                    "median_s": pause.median_s,
                    "partitions": pause.partitions,
                }
                for pause in pauses(made, began_ms, ended_ms)
            ]


def _now_ms() -> int:
    return int(time.time() * 1000)

"""Workers that stand still past their session, and wake to find that others have their partitions."""

import asyncio
import signal
from functools import partial
from itertools import chain, islice, repeat

from tests.faults.scenario import Scenario
from tests.faults.stage import FAILED, Stage
from tests.freezing import freeze, is_still
from tests.scorer.engine.workers import WorkerProcess
from tests.waiting import until

_RATE = 1_000


async def wake(stage: Stage, frozen: WorkerProcess) -> None:
    """SIGCONT; returns once it has found out that others have its partitions, be it by its commit that is fenced or,
    which ends the partition's actor before it hears of the commit, by its group."""
    told = len(frozen.lines)
    frozen.process.send(signal.SIGCONT)

    async def found_out() -> bool:
        return await frozen.metric(FAILED) > 0 or any('"partitions owned"' in line for line in frozen.lines[told:])

    await until(found_out, within=60, what="the frozen worker has found out")
    stage.bitten += 1


class Frozen(Scenario):
    """It bit if the other took over all; whether the sleeper hears of it from a commit or a heartbeat is chance."""

    name = "freeze"
    about = "SIGSTOP of one of two workers past its session, then SIGCONT, under load"
    bites = True

    async def play(self, stage: Stage) -> None:
        #  first   ●── 2 ──▮ SIGSTOP              ▮ SIGCONT, fenced, joins again ──▶
        #  second  ●── 2 ──────────┬── 4 ───────────────────┬── 2 ──▶
        first, second = await stage.start(), await stage.start()
        async with stage.upstream.flowing(_RATE):
            for n in range(self.times):
                frozen, other = (second, first) if n % 2 else (first, second)
                await asyncio.gather(first.owning(2, 60), second.owning(2, 60))
                await stage.further()
                await freeze(frozen.process.pid)
                stage.strike()
                await other.owning(4, 60)
                stage.bitten += 1
                frozen.process.send(signal.SIGCONT)
            await asyncio.gather(first.owning(2, 60), second.owning(2, 60))


class TakeoverInCommit(Scenario):
    """The old owner stops with a batch about to be committed, or with the commit on its way to the broker."""

    name = "takeover-in-commit"
    about = "a takeover while the old owner's commit is in flight; then the old owner goes on with it"
    times = 4
    aborts = True
    bites = True

    async def play(self, stage: Stage) -> None:
        survivor = await stage.start()
        await survivor.owning(4, 60)
        async with stage.upstream.flowing(_RATE):
            for place in islice(chain(["after_offsets"], repeat("in_commit")), self.times):
                old = await stage.start_armed(place, stage.random.randrange(20, 40), stop=True)
                await until(partial(is_still, old.process.pid), within=60, what="the old owner stands still")
                stage.strike()
                await survivor.owning(4, 60)
                await stage.further()
                await wake(stage, old)
                await old.owning(2, 60)
                await stage.stop(old)
                await survivor.owning(4, 60)

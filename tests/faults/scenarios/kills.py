"""kill -9 of a worker at each step of a transaction."""

from typing import ClassVar

from services.scorer.engine.failpoints import PLACES
from tests.faults.scenario import Scenario, small_batches
from tests.faults.stage import Stage


class KillsAtOnePlace(Scenario):
    """The only worker is killed, and another one started, again and again at the same step."""

    place: ClassVar[str]

    async def play(self, stage: Stage) -> None:
        await _kill(stage, [self.place] * self.times)


class KillsAfterProduce(KillsAtOnePlace):
    name, place = "kill-after-produce", "after_produce"
    about = "kill -9 once a batch's records are with the broker, uncommitted"
    aborts = True


class KillsAfterOffsets(KillsAtOnePlace):
    name, place = "kill-after-offsets", "after_offsets"
    about = "kill -9 once the group's offset is with the broker too, uncommitted"
    aborts = True


class KillsInCommit(KillsAtOnePlace):
    """Some are killed before the broker has heard of the commit, some after: nothing aborted need be seen."""

    name, place = "kill-in-commit", "in_commit"
    about = "kill -9 while the commit is under way"


class KillsAfterCommit(KillsAtOnePlace):
    name, place = "kill-after-commit", "after_commit"
    about = "kill -9 between the commit and the worker's hearing of it"


class TwelveKills(Scenario):
    """One of two workers is killed in the middle of its work; the other takes over while the next victim joins."""

    name = "kill-12"
    about = "12 kills, three at each step, of one of two workers in one run"
    records = 330_000
    aborts = True
    within_s = 900.0

    async def play(self, stage: Stage) -> None:
        await stage.start()
        async with stage.upstream.flowing(stage.records // 80):
            for place in PLACES * self.times:
                victim = await stage.start_armed(place, stage.random.randrange(20, 60))
                await victim.killed(within=60)
                stage.strike()


async def _kill(stage: Stage, places: tuple[str, ...] | list[str]) -> None:
    portion = stage.records // (len(places) + 1)
    settings = small_batches(portion)
    for place in places:
        await stage.upstream.send(portion)
        victim = await stage.start_armed(place, stage.random.randrange(6, 20), **settings)
        await victim.killed(within=60)
        stage.strike()

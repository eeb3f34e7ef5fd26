"""Policies activated by topic `control` while workers are killed in the middle of deciding everybody anew."""

import asyncio

from services.scorer.engine.failpoints import PLACES
from tests.faults.scenario import QUIET, WINDOW, Scenario
from tests.faults.stage import Stage
from tests.scorer.engine.installation import policy_text
from tests.scorer.engine.test_activation import activate
from tests.waiting import until

_AT_ONCE = 5


class ActivationsInFlight(Scenario):
    """Five activations follow each other before each kill; the thresholds go up and down, so that many move.

    The oracles know all policies, each from its `effective_at`: when a partition reads of one must not matter.
    """

    name = "activations-in-flight"
    about = "20 policy activations under load, with a kill -9 at each step of a batch among them"
    times = 4
    aborts = True

    async def play(self, stage: Stage) -> None:
        of = stage.installation
        survivor = await stage.start()
        await survivor.owning(4, 60)
        done = 0
        async with stage.upstream.flowing(600):
            await stage.further()
            for n in range(self.times):
                victim = await stage.start_armed(PLACES[n % len(PLACES)], stage.random.randrange(20, 40))
                for _ in range(_AT_ONCE):
                    silver = 300 if done % 2 else 700
                    text = policy_text(window=WINDOW, quiet=QUIET, silver=silver, name=f"policy{done}")
                    await asyncio.to_thread(activate, of, text)
                    done += 1
                await victim.killed(within=60)
                stage.strike()
            await survivor.owning(4, 60)

        async def all_looked_at() -> bool:
            told = (await survivor.partitions()).values()
            return len(told) == 4 and all(
                one.get("policies") == done + 1 and not one["to_look_at_again"] for one in told
            )

        await until(all_looked_at, within=90, what=f"everybody is decided under policy {done}")
        stage.facts["activations"] = done

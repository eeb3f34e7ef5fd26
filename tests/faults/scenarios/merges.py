"""Customers merged and parted across partitions while events come for both names and workers are killed."""

import asyncio

from services.scorer.engine.failpoints import PLACES
from tests.faults.expectation import expect
from tests.faults.reading import read
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage
from tests.scorer.engine.families import entries, merge, part
from tests.waiting import until

_PAIRS = [(f"c{n}", f"c{n + 1}") for n in range(0, 80, 2)]
_AT_ONCE = 10


class MergesInFlight(Scenario):
    """Ten merges before each kill; before the last two, five of the earlier ones are parted again.

    Each event counts once and with whom it should, and of a sample path and position are the naive oracle's over the
    events of all who were joined; whoever another answers for has no path left.
    """

    name = "merges-in-flight"
    about = "40 merges and 10 unmerges under load, with a kill -9 at each step of a batch among them"
    times = 4
    aborts = True

    async def play(self, stage: Stage) -> None:
        of = stage.installation
        survivor = await stage.start()
        await survivor.owning(4, 60)
        parted: list[tuple[str, str]] = []
        async with stage.upstream.flowing(400):
            await stage.further()
            for n in range(self.times):
                victim = await stage.start_armed(PLACES[n % len(PLACES)], stage.random.randrange(20, 40))
                merged = _PAIRS[n * _AT_ONCE : (n + 1) * _AT_ONCE]
                await asyncio.to_thread(merge, of, merged)
                if n >= 2:
                    parted += _PAIRS[(n - 2) * _AT_ONCE : (n - 2) * _AT_ONCE + 5]
                    await asyncio.to_thread(part, of, parted[-5:])
                await victim.killed(within=60)
                stage.strike()
            await survivor.owning(4, 60)
        done = _PAIRS[: self.times * _AT_ONCE]
        stage.survivors = {one: one for pair in done for one in pair} | dict(set(done) - set(parted))
        stage.facts["merges"], stage.facts["unmerges"] = len(done), len(parted)
        await stage.everything_taken()
        log = await asyncio.to_thread(read, of, "events")
        wanted = (await asyncio.to_thread(expect, of, log, stage.survivors)).counted
        await until(
            lambda: asyncio.to_thread(lambda: entries(of) == wanted), within=90, what="everybody holds their events"
        )

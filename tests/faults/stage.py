"""What a scenario plays on: an installation of its own on a broker, an upstream, and workers that come and go."""

import asyncio
import os
import random
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

from services.local.kafka import EmbeddedKafka
from tests.faults.reading import ends
from tests.faults.upstream import Upstream
from tests.scorer.engine.installation import Installation
from tests.scorer.engine.workers import ROOT, WorkerProcess
from tests.waiting import until

_FURTHER_S = 90.0
TIMERS = "tierline_scorer_timers_pending"
FAILED = "tierline_scorer_transactions_failed_total"


@dataclass
class Options:
    """records: how many are sent, None for as many as the scenario says.  away_s: how long a broker is away.

    compiled: the folder with the compiled core, None for plain Python
    """

    records: int | None = None
    seed: int = 1
    away_s: float = 300.0
    keep: bool = False
    compiled: Path | None = None


@dataclass(eq=False)
class Stage:
    """victim:  the broker, if it is to be harmed
    records: how many to send
    struck_ms: when the fault struck, each time.  facts: for the report
    bitten:  what shows that the fault was felt, beside records never committed
    survivors: of everybody who ever was merged or merged into, who answers for them in the end
    """

    victim: EmbeddedKafka | None
    installation: Installation
    upstream: Upstream
    folder: Path
    options: Options
    records: int
    workers: list[WorkerProcess] = field(default_factory=list)
    struck_ms: list[int] = field(default_factory=list)
    facts: dict[str, object] = field(default_factory=dict)
    bitten: int = 0
    survivors: dict[str, str] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.random = random.Random(self.options.seed)

    @property
    def broker(self) -> EmbeddedKafka:
        """The one to be harmed; there is one."""
        assert self.victim is not None, "the broker is shared"
        return self.victim

    def strike(self) -> None:
        """The fault has just struck."""
        self.struck_ms.append(int(time.time() * 1000))

    async def start(self, *, cwd: Path = ROOT, first: Sequence[Path] = (), **env: str) -> WorkerProcess:
        """One more worker; not ready yet. first: folders in which its Python looks before all others"""
        core = [] if self.options.compiled is None else [self.options.compiled]
        path = os.pathsep.join(map(str, [*first, *core, ROOT]))
        worker = await WorkerProcess.start(self.installation, cwd=cwd, PYTHONPATH=path, PYTHONSAFEPATH="1", **env)
        self.workers.append(worker)
        return worker

    async def start_armed(self, place: str, passing: int, *, stop: bool = False, **env: str) -> WorkerProcess:
        """One that kills itself, or stands still, when it passes `place` that often."""
        return await self.start(TIERLINE_FAILPOINT=f"{place}:{passing}{':stop' if stop else ''}", **env)

    @property
    def running(self) -> list[WorkerProcess]:
        return [worker for worker in self.workers if worker.process.exit_code is None]

    async def reached(self) -> dict[int, int]:
        """By partition the next offset, as its owner tells; only those that have one."""
        told = await asyncio.gather(*(worker.partitions() for worker in self.running))
        return {int(number): at["position"] for one in told for number, at in one.items() if "position" in at}

    async def further(self, partitions: Sequence[int] | None = None) -> None:
        """Wait until every partition (or those named) has been brought further than it is now; there must be load."""
        begins = await self.reached()
        wanted = range(self.installation.partitions) if partitions is None else partitions

        async def is_further() -> bool:
            found = await self.reached()
            return all(found.get(p, 0) > begins.get(p, 0) for p in wanted)

        await until(is_further, within=_FURTHER_S, what=f"further than {begins}")

    async def everything_taken(self, within: float = 240.0) -> None:
        """Wait until the workers stand where the events end."""
        wanted = await asyncio.to_thread(ends, self.installation, "events")

        async def all_taken() -> bool:
            return await self.reached() == wanted

        await until(all_taken, within=within, what=f"positions {wanted}")

    async def timers_fired(self, within: float = 60.0) -> None:
        """Wait until nothing is due any more."""

        async def none_left() -> bool:
            told = await asyncio.gather(*(worker.metric_by_label(TIMERS) for worker in self.running))
            left = [timers for of_worker in told for timers in of_worker]
            return len(left) == self.installation.partitions and not any(left)

        await until(none_left, within=within, what="no timer is left")

    async def failed(self) -> int:
        """Transactions that failed, of the workers that run."""
        return int(sum([await worker.metric(FAILED) for worker in self.running]))

    async def stop(self, *workers: WorkerProcess) -> None:
        """Ask them (all without any named) to end; AssertionError if one does not end well."""
        ending = [worker for worker in workers or self.running if worker.process.exit_code is None]
        for worker, code in zip(ending, await asyncio.gather(*(w.stop() for w in ending)), strict=True):
            assert code == 0, f"worker {worker.process.pid} ended with {code}"

"""One fault: what is prepared, how it is played while events come in, and what is asked beyond exactness.

To add one: subclass, say what the class variables are, write `play`, and put it into catalogue.py. The frame is the
same for all: prepare, play, send what is left, take everything, let all timers fire, stop, judge.
"""

import asyncio
import contextlib
import secrets
import sys
import time
import traceback
from abc import ABC, abstractmethod
from collections.abc import AsyncIterator, Mapping
from contextlib import AbstractAsyncContextManager
from dataclasses import dataclass, field
from typing import Any, ClassVar

from confluent_kafka.admin import AdminClient

from schemas import topics
from services.local.kafka import EmbeddedKafka
from services.shared.connection import SILENT
from tests.faults.recovery import Commit, Recovery, commits, recoveries
from tests.faults.stage import Options, Stage
from tests.faults.upstream import Upstream
from tests.faults.verdict import Verdict, judge
from tests.fixtures.broker import Broker, embedded_kafka
from tests.fixtures.places import open_folder
from tests.scorer.engine.installation import Installation

WINDOW, QUIET = "2s", "4s"
"""Of the policy: short, so that time itself moves customers while the fault is on, and comes to rest soon after."""


class Scenario(ABC):
    """name: as `--only` takes it.  about: one line.  records: sent if nobody says otherwise.  times: it strikes
    aborts:    whether the fault must leave records that never were committed; without them it did not bite
    bites:     whether it must be felt otherwise (Stage.bitten)
    own_broker: whether the broker is the victim
    within_s:  the deadline of all of it
    """

    name: ClassVar[str]
    about: ClassVar[str]
    records: ClassVar[int] = 20_000
    times: int = 3
    partitions: ClassVar[int] = 4
    aborts: ClassVar[bool] = False
    bites: ClassVar[bool] = False
    own_broker: ClassVar[bool] = False
    within_s: ClassVar[float] = 300.0

    def __init__(self, times: int | None = None) -> None:
        if times is not None:
            self.times = times

    def unplayable(self) -> str | None:
        """Why it cannot be played here, None if it can."""
        return None

    def deadline_s(self, options: Options) -> float:
        return self.within_s

    def broker(self) -> AbstractAsyncContextManager[EmbeddedKafka]:
        """A broker to be harmed."""
        return embedded_kafka()

    async def prepare(self, stage: Stage) -> None:  # noqa: B027  # most need nothing
        """Before any event is sent and any worker runs."""

    @abstractmethod
    async def play(self, stage: Stage) -> None:
        """Traffic and faults; calls `stage.strike` each time. What it leaves unsent is sent afterwards."""

    async def after(self, stage: Stage) -> None:  # noqa: B027
        """Everything is taken, the workers have ended; AssertionError if something is not as it should be."""

    def measure(self, stage: Stage, made: list[Commit]) -> None:  # noqa: B027
        """What the commits tell beyond the time to recover goes into `stage.facts`."""

    def extra(self, stage: Stage, verdict: Verdict) -> int:
        """Records that were never committed."""
        return verdict.extra


@dataclass
class Result:
    """first_s, all_s: the slowest of its faults.  problems: why it failed.  skipped: why it was not played"""

    name: str
    times: int = 0
    records: int = 0
    decided: int = 0
    lost: int = 0
    doubled: int = 0
    first_s: float | None = None
    all_s: float | None = None
    extra: int = 0
    checked: int = 0
    seconds: float = 0.0
    facts: dict[str, object] = field(default_factory=dict)
    problems: list[str] = field(default_factory=list)
    skipped: str | None = None

    @property
    def passed(self) -> bool:
        return not self.problems


async def run(scenario: Scenario, shared: Broker, options: Options) -> Result:
    """Play one. shared: the broker for those that do not harm it."""
    result = Result(scenario.name, skipped=scenario.unplayable())
    if result.skipped is not None:
        return result
    began_s = time.monotonic()
    try:
        async with asyncio.timeout(scenario.deadline_s(options)), contextlib.AsyncExitStack() as stack:
            victim = await stack.enter_async_context(scenario.broker()) if scenario.own_broker else None
            stage = await stack.enter_async_context(_stage(scenario, victim or shared, victim, options))
            await _play(scenario, stage, result)
    except TimeoutError:
        result.problems.append(f"not within {scenario.deadline_s(options):g} s")
    except AssertionError as error:
        result.problems.append(str(error) or repr(error))
    except Exception as error:  # noqa: BLE001  # the other faults are played all the same
        traceback.print_exception(error)
        result.problems.append(repr(error))
    result.seconds = round(time.monotonic() - began_s, 1)
    return result


async def _play(scenario: Scenario, stage: Stage, result: Result) -> None:
    await scenario.prepare(stage)
    await scenario.play(stage)
    left = stage.records - stage.upstream.sent
    if left > 0:
        await stage.upstream.send(left)
    if not stage.running:
        await stage.start()
    await stage.everything_taken()
    await stage.timers_fired()
    await stage.stop()
    verdict = await asyncio.to_thread(
        judge, stage.installation, stage.upstream.acknowledged, seed=stage.options.seed, survivors=stage.survivors
    )
    made = await asyncio.to_thread(commits, stage.installation)
    scenario.measure(stage, made)
    verdict.extra = scenario.extra(stage, verdict)
    _tell(result, stage, verdict, recoveries(made, stage.struck_ms))
    if scenario.aborts and verdict.extra == 0:
        result.problems.append("it did not bite: a reader of uncommitted records saw no more than the committed ones")
    if scenario.bites and stage.bitten == 0:
        result.problems.append("it did not bite: nobody felt it")
    await scenario.after(stage)


def _tell(result: Result, stage: Stage, verdict: Verdict, recovered: list[Recovery | None]) -> None:
    known = [one for one in recovered if one is not None]
    result.times, result.facts = len(stage.struck_ms), stage.facts
    result.records, result.decided, result.checked = verdict.records, verdict.decided, verdict.checked
    result.lost, result.doubled, result.extra = verdict.lost, verdict.doubled, verdict.extra
    result.first_s = max((one.first_s for one in known), default=None)
    result.all_s = max((one.all_s for one in known), default=None)
    result.problems += verdict.wrong
    if not verdict.exact and not verdict.wrong:
        result.problems.append(f"{verdict.lost} lost, {verdict.doubled} doubled")


@contextlib.asynccontextmanager
async def _stage(
    scenario: Scenario, broker: Broker, victim: EmbeddedKafka | None, options: Options
) -> AsyncIterator[Stage]:
    """An installation of its own, and nothing left of it afterwards but with `keep` its topics."""
    prefix = f"{scenario.name}-{secrets.token_hex(3)}-"
    records = options.records or scenario.records
    with open_folder() as folder:
        installation = await asyncio.to_thread(
            Installation,
            broker.bootstrap,
            prefix,
            folder,
            partitions=scenario.partitions,
            window=WINDOW,
            quiet=QUIET,
            silver=500,
        )
        upstream = Upstream(installation, seed=options.seed)
        stage = Stage(victim, installation, upstream, folder, options, records)
        try:
            yield stage
        except BaseException:
            for worker in stage.workers[-3:]:
                print(f"worker {worker.process.pid} ({worker.process.exit_code}):", file=sys.stderr)
                print(*worker.lines[-25:], sep="\n", file=sys.stderr)
            raise
        finally:
            await asyncio.gather(*(worker.process.kill() for worker in stage.workers))
            if not options.keep:
                with contextlib.suppress(Exception):
                    await asyncio.to_thread(_delete_topics, installation)


def _delete_topics(installation: Installation) -> None:
    admin = AdminClient({"bootstrap.servers": installation.bootstrap}, logger=SILENT)
    named = [installation.settings.topic(topic.name) for topic in topics.CATALOGUE]
    for future in admin.delete_topics(named, operation_timeout=10).values():
        future.result(10)


def small_batches(records: int) -> Mapping[str, Any]:
    """Settings for a worker that needs many transactions for so many records of four partitions."""
    return {"TIERLINE_SCORER_MAX_POLL_RECORDS": str(max(10, records // 80))}

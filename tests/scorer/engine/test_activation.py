"""Policies activated on topic `control` while workers run, are killed and come back."""

import asyncio
from collections import Counter

import pytest

from schemas.control import Activation
from services.scorer.domain.policy import parse
from services.scorer.sequence import Book
from services.shared.control import Control
from tests.scorer.engine.conftest import Install
from tests.scorer.engine.installation import Installation, ago, now, policy, policy_text, purchase
from tests.scorer.engine.traffic import everything_taken
from tests.scorer.engine.workers import WorkerProcess
from tests.waiting import until

pytestmark = pytest.mark.timeout(180)


def activate(of: Installation, text: str, *, playbooks: bool = True) -> None:
    """As `tierline policy activate` does once it has tried the policy."""

    def following(known: list[Activation]) -> list[Activation]:
        one = parse(text, "test.yaml")
        at = now()
        return [
            Activation(
                record="activation",
                sequence=len(known) + 1,
                policy=one.name,
                digest=one.digest,
                text=text,
                effective_at=at,
                activated_at=at,
                activated_by="li",
                playbooks=playbooks,
            )
        ]

    Control(of.settings).append(following)  # type: ignore[arg-type]
    of.policies = Book(Control(of.settings).read()).policies


def moved(of: Installation) -> Counter[tuple[str, object, object]]:
    """Per customer how often the policy moved it so."""
    return Counter((d.subject, d.before, d.after) for d in of.decisions() if d.cause == "policy")


async def all_looked_at(worker: WorkerProcess, number: int) -> None:
    async def done() -> bool:
        partitions = (await worker.partitions()).values()
        return all(one.get("policies") == number and one["to_look_at_again"] == 0 for one in partitions)

    await until(done, within=60, what="everybody is decided under the new policy")


STRICT = policy_text(silver=500, name="strict")
LENIENT = policy_text(name="test")


async def test_an_activated_policy_moves_who_lies_dormant_and_a_worker_killed_meanwhile_loses_and_doubles_nobody(
    install: Install,
) -> None:
    #  events     ●●●●●●●●●
    #  control    first ───────▮ strict ──────────────────────▶
    #  worker     ─────────────── ▪ ▪ ▪ ╳   ▪ ▪ ▪ ▪ (another) ▶
    installation = await install()
    events = [purchase(f"c{n}", 60 if n % 2 else 120, at=ago(100)) for n in range(3000)]
    silver = {event.subject for event in events[::2]}
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await asyncio.to_thread(installation.send, events)
        await everything_taken(installation)
        assert await worker.stop() == 0
    async with await WorkerProcess.start(installation, TIERLINE_FAILPOINT="after_commit:5") as worker:
        await worker.ready()
        await asyncio.to_thread(activate, installation, STRICT)
        await worker.killed()
    part = await asyncio.to_thread(moved, installation)
    assert 0 < len(part) < len(silver), "it was not killed in the middle"
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await until(lambda: asyncio.to_thread(lambda: len(moved(installation)) == len(silver)))
        assert await worker.stop() == 0
    assert await asyncio.to_thread(moved, installation) == Counter((name, "silver", "basic") for name in silver)
    customers, _ = await asyncio.to_thread(installation.state)
    assert {customers[name].shown()["tier"][1] for name in silver} == {"basic"}


async def test_two_workers_follow_an_activation_and_a_rollback_and_new_customers_are_decided_by_what_holds(
    install: Install,
) -> None:
    installation = await install(partitions=4)
    async with (
        await WorkerProcess.start(installation) as one,
        await WorkerProcess.start(installation) as two,
    ):
        await one.owning(2)
        await two.owning(2)
        await asyncio.to_thread(installation.send, [purchase(f"c{n}", 120, at=ago(50)) for n in range(400)])
        await everything_taken(installation)
        await asyncio.to_thread(activate, installation, STRICT)
        for worker in (one, two):
            await all_looked_at(worker, 2)
        await asyncio.to_thread(installation.send, [purchase("between", 120)])
        await everything_taken(installation)
        await asyncio.to_thread(activate, installation, LENIENT)
        for worker in (one, two):
            await all_looked_at(worker, 3)
        assert await one.stop() == 0
        await two.owning(4)
        assert await two.stop() == 0
    said = await asyncio.to_thread(moved, installation)
    for n in range(400):
        assert said[f"c{n}", "silver", "basic"] == said[f"c{n}", "basic", "silver"] == 1
    assert said["between", "basic", "silver"] == 1, "it was silver under neither, or at once"
    customers, positions = await asyncio.to_thread(installation.state)
    assert {customer.shown()["tier"][1] for customer in customers.values()} == {"silver"}
    assert {position.policy_digest for position in positions.values()} == {policy().digest}

"""The consumer through crashes, zombies and a database that goes away: each decision once, whatever happens."""

import asyncio
import contextlib
import importlib
import importlib.util

import asyncpg
import pytest

from services.notifier.apply import Applier
from services.notifier.deciding import Deciding
from services.notifier.store import decisions
from tests.notifier.consuming import arrived
from tests.notifier.desk import contents
from tests.waiting import until

STEPS = [
    "services.notifier.store.offsets.load",
    "services.notifier.store.offsets.move",
    "services.notifier.store.customers.put",
    "services.notifier.store.progress.move",
    "services.notifier.store.feed.take",
    "services.notifier.store.decisions.add",
    "services.notifier.store.held.hold",
    "services.notifier.store.held.release",
    "services.notifier.store.tasks.add",
    "services.notifier.store.alerts.add",
    "services.notifier.consumer.Consumer._observe",  # the transaction is committed, nobody has noted it yet
]


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_after_any_step_loses_nothing_and_doubles_nothing(desk, topics, run, expected, monkeypatch, step):
    desk.scribe.varied_life()
    await topics.publish(desk.scribe)
    # Batches of one record of each partition or so: the crash comes in the middle.
    crash_at(monkeypatch, step, call=3 if "load" not in step else 1)
    first = run(batch_records=4)
    with pytest.raises(Crash):
        await first.task
    monkeypatch.undo()
    await arrived(desk, run())
    assert await contents(desk, without="consumed") == expected


async def test_a_kill_in_the_middle_of_a_statement_loses_nothing(desk, topics, run, expected, monkeypatch):
    desk.scribe.varied_life()
    await topics.publish(desk.scribe)
    reached = asyncio.Event()

    async def hang(*_):
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("services.notifier.store.tasks.add", hang)
    first = run()
    await asyncio.wait_for(reached.wait(), 20)
    await first.kill()
    monkeypatch.undo()
    await arrived(desk, run())
    assert await contents(desk, without="consumed") == expected


async def test_a_zombie_writes_nothing_and_finds_its_place_again(desk, topics, run, expected, monkeypatch, policy):
    """Between its poll and its transaction another instance has done the same work."""
    desk.scribe.varied_life()
    await topics.publish(desk.scribe)
    zombie, other = run(), Applier(Deciding(policy, "corner_shop.yaml", list))
    apply, overtaken = zombie.consumer._applier.apply, []

    async def late(connection, batch):
        if not overtaken:
            async with desk.database.transaction() as elsewhere:
                overtaken.append(await other.apply(elsewhere, batch))
        return await apply(connection, batch)

    monkeypatch.setattr(zombie.consumer._applier, "apply", late)
    await arrived(desk, zombie)
    await until(lambda: zombie.metrics.zombies._value.get() == 1, what="the conflict is counted")
    assert await contents(desk, without="consumed") == expected
    desk.scribe.move("c9", "tier", "gold")
    desk.scribe.position()
    await topics.publish(desk.scribe)
    await arrived(desk, zombie)


async def test_the_database_going_away_in_a_transaction_is_waited_for(
    desk, topics, run, expected, monkeypatch, migrated_url
):
    desk.scribe.varied_life()
    await topics.publish(desk.scribe)
    add, cut = decisions.add, []

    async def cut_off(connection, batch):
        await add(connection, batch)
        if not cut:
            driver = (await connection.get_raw_connection()).driver_connection
            cut.append(driver.get_server_pid())
            killer = await asyncpg.connect(desk.database.dsn)
            await killer.execute("SELECT pg_terminate_backend($1)", cut[0])
            await killer.close()

    monkeypatch.setattr(decisions, "add", cut_off)
    instance = run()
    await arrived(desk, instance)
    assert cut
    assert await contents(desk, without="consumed") == expected


class Crash(Exception):
    """The process is gone."""


def crash_at(monkeypatch, step, call):
    """Let the `call`-th call of the function `step` be the last thing that happens."""
    path = step.split(".")
    at = next(i for i in range(len(path), 0, -1) if _is_module(".".join(path[:i])))
    owner = importlib.import_module(".".join(path[:at]))
    for part in path[at:-1]:
        owner = getattr(owner, part)
    function, calls = getattr(owner, path[-1]), []

    async def then_crash(*args):
        result = await function(*args)
        calls.append(args)
        if len(calls) == call:
            raise Crash
        return result

    def then_crash_at_once(*args):
        raise Crash

    monkeypatch.setattr(owner, path[-1], then_crash if asyncio.iscoroutinefunction(function) else then_crash_at_once)


def _is_module(name):
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.util.find_spec(name) is not None
    return False

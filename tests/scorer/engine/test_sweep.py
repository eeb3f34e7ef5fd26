"""A policy activated while customers lie dormant: they are decided under it a slice at a time, live events first."""

import asyncio
from collections.abc import Callable
from datetime import timedelta

from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import mark
from services.scorer.domain.scoring import Arrival, score
from services.scorer.engine.sweep import RestingLane
from tests.scorer.engine.installation import ago, now, policy, purchase
from tests.scorer.engine.memory import POLICIES, Log, actor, kafka_error
from tests.scorer.engine.records import fetched
from tests.waiting import until

STRICT = policy(window="60s", silver=500, name="strict")
DORMANT = [purchase(f"c{n}", 60 if n % 2 else 120, at=ago(100)) for n in range(1500)]


def dormant() -> Log:
    """A log whose state holds customers, every second of them `silver`, all decided under the first policy."""
    log = Log()
    for event in DORMANT:
        at_ms = to_ms(event.time)
        log.state[event.subject.encode()], _ = score(None, POLICIES, [Arrival(event, at_ms, 0, b"")], at_ms)
    return log


def moved_by_policy(log: Log) -> list[str]:
    return [getattr(d, "subject", "") for d in log.said() if getattr(d, "cause", "") == "policy"]


def after_slices(log: Log, number: int, do: Callable[[], object]) -> None:
    """Do it, in the thread that commits, once so many slices are committed; there are three at the least."""
    log.on_commit = lambda: do() if len(log.turns) == number else None


def all_know(log: Log) -> bool:
    return {mark(record) for record in log.state.values()} == {log.policies.marks[-1]}


async def test_dormant_customers_are_decided_under_a_new_policy_in_slices() -> None:
    #  policy   lenient ──────────────▮ strict ─────────────▶
    #  dormant  · · · · · · · · · · · · ▪ ▪ ▪ ▪ ▪ a slice each
    log = dormant()
    async with actor(log) as partition:
        at_ms = to_ms(now())
        log.policies = POLICIES.then(STRICT, at_ms, at_ms)
        partition.wake()
        await until(lambda: all_know(log), what="everybody is decided under the new policy")
        await until(lambda: partition.detail()["to_look_at_again"] == 0)
    assert sorted(moved_by_policy(log)) == sorted(e.subject for e in DORMANT[::2])
    assert len(log.turns) > 1, "all in one turn"
    assert max(len(turn.customers) for turn in log.turns) <= 500
    assert log.position.policy == "strict"


async def test_a_policy_that_takes_effect_later_moves_nobody_before_its_instant() -> None:
    log = dormant()
    async with actor(log) as partition:
        activated = now()
        effective_ms = to_ms(activated + timedelta(milliseconds=700))
        log.policies = POLICIES.then(STRICT, effective_ms, to_ms(activated))
        partition.wake()
        await until(lambda: len(moved_by_policy(log)) == 750)
    decided = [getattr(d, "decided_at", None) for d in log.said() if getattr(d, "cause", "") == "policy"]
    assert min(to_ms(at) for at in decided if at) >= effective_ms


async def test_a_sweep_goes_on_where_it_was_after_a_failed_transaction() -> None:
    log = dormant()
    after_slices(log, 2, lambda: log.fail.append(kafka_error(-1)))
    async with actor(log) as partition:
        at_ms = to_ms(now())
        log.policies = POLICIES.then(STRICT, at_ms, at_ms)
        partition.wake()
        await until(lambda: log.takeovers == 2, what="taken over again")
        await until(lambda: all_know(log))
    assert sorted(moved_by_policy(log)) == sorted(e.subject for e in DORMANT[::2]), "lost or doubled"


async def test_a_rollback_in_the_middle_of_a_sweep_leaves_everybody_as_the_old_policy_has_it() -> None:
    log = dormant()

    def roll_back() -> None:
        later_ms = to_ms(now())
        log.policies = log.policies.then(POLICIES.newest, later_ms, later_ms)

    after_slices(log, 2, roll_back)
    async with actor(log) as partition:
        at_ms = to_ms(now())
        log.policies = POLICIES.then(STRICT, at_ms, at_ms)
        partition.wake()
        await until(lambda: log.policies.count == 3)
        partition.wake()
        await until(lambda: all_know(log))
    last: dict[str, object] = {}
    for decision in log.said():
        if getattr(decision, "dimension", "") == "tier":
            last[decision.subject] = decision.after  # type: ignore[union-attr]
    assert set(last.values()) <= {"silver"}


async def test_live_events_are_taken_between_the_slices() -> None:
    #  dormant  ▪ ▪ ▪        newcomer  · ●
    log = dormant()
    loop = asyncio.get_running_loop()
    async with actor(log) as partition:

        def hand_over() -> None:
            log.records = fetched([purchase("newcomer", 60)])
            loop.call_soon_threadsafe(partition.hand_over, log.records)

        after_slices(log, 1, hand_over)
        at_ms = to_ms(now())
        log.policies = POLICIES.then(STRICT, at_ms, at_ms)
        partition.wake()
        await until(lambda: log.position.events_offset == 1 and all_know(log))
    taken = [turn.events for turn in log.turns]
    assert taken.index(1) < len(taken) - 1, "it had to wait for the whole sweep"


def test_while_events_come_the_lane_rests_between_slices_three_times_as_long_as_one_took() -> None:
    # events  ●
    # lane    ▪▪ · · · · · ·▪▪        nothing for a second: ▪▪▪▪
    clock = [100.0]
    lane = RestingLane(lambda: clock[0])
    lane.heard()
    assert lane.take(1)
    assert lane.take(1)
    assert not lane.take(2)
    clock[0] = 100.25
    lane.leave(1)  # rests until 101
    clock[0] = 100.99
    assert not lane.take(2)
    clock[0] = 101.0
    assert lane.take(2)
    clock[0] = 102.0
    lane.leave(2)  # the last event came two seconds ago
    assert lane.take(1)


def test_a_lane_left_by_another_than_who_has_it_is_kept() -> None:
    lane = RestingLane(lambda: 0.0)
    assert lane.take(1)
    lane.leave(2)
    assert not lane.take(2)

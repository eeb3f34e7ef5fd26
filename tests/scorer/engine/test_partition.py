"""A partition's actor, with a log in memory instead of Kafka."""

import asyncio
import threading
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count
from typing import Any

import msgspec
import pytest
from confluent_kafka import KafkaError

from schemas.decisions import CaughtUp, Decision
from schemas.events import Event
from schemas.identities import Erasure
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.domain.state import Position
from services.scorer.engine import partition as partitions
from services.scorer.engine.clock import Clock
from services.scorer.engine.eventlog import Next
from services.scorer.engine.kinship import Kinship
from services.scorer.engine.partition import Partition
from services.scorer.engine.takeover import Refusal, Taken
from services.scorer.engine.turn import Turn
from tests.scorer.engine.installation import interaction, now, purchase
from tests.scorer.engine.memory import START, Log, actor, kafka_error
from tests.scorer.engine.records import fetched
from tests.waiting import until


def taken_up_to(log: Log, offset: int) -> Callable[[], bool]:
    return lambda: log.position.events_offset == offset


def orders(count: int, subject: str = "a") -> list[Event]:
    began = now() - timedelta(seconds=count)
    return [purchase(subject, 60, at=began + timedelta(seconds=n)) for n in range(count)]


async def test_runs_are_taken_in_order_and_the_position_follows() -> None:
    log = Log()
    async with actor(log) as partition:
        log.records = fetched(orders(6))
        partition.hand_over(log.records[:4])
        partition.hand_over(log.records[4:])
        await until(taken_up_to(log, 6))
    assert log.position.sequence == len(log.said())
    assert log.seeks == [0]  # by the takeover


async def test_a_run_is_split_into_bounded_batches() -> None:
    log = Log()
    async with actor(log, max_batch=2) as partition:
        log.records = fetched(orders(5))
        partition.hand_over(log.records)
        await until(taken_up_to(log, 5))
    assert [turn.events for turn in log.turns] == [2, 2, 1]


async def test_what_comes_twice_is_taken_once() -> None:
    log = Log()
    async with actor(log) as partition:
        log.records = fetched(orders(6))
        partition.hand_over(log.records[:4])
        partition.hand_over(log.records[2:])
        await until(taken_up_to(log, 6))
    assert sum(turn.taken for turn in log.turns) == 6
    assert sum(turn.duplicates for turn in log.turns) == 0


async def test_records_missed_on_the_way_are_sought_again() -> None:
    log = Log()
    async with actor(log) as partition:
        log.records = fetched(orders(6))
        partition.hand_over(log.records[2:])
        await until(lambda: log.seeks == [0, 0])
        partition.hand_over(log.records[4:])  # still from before the seek
        await until(lambda: log.seeks == [0, 0, 0])
        assert log.position.events_offset == 0
        partition.hand_over(log.records)
        await until(taken_up_to(log, 6))


async def test_offsets_missing_in_the_log_itself_are_passed_over() -> None:
    # a transaction's marker stands at offset 2
    log = Log()
    async with actor(log) as partition:
        log.records = fetched(orders(2)) + fetched(orders(2, "b"), first=3)
        partition.hand_over(log.records[:2])
        partition.hand_over(log.records[2:])
        await until(taken_up_to(log, 5))
    assert log.seeks == [0]


async def test_a_run_that_never_comes_is_sought_after_a_silence() -> None:
    log = Log(fetched(orders(3)))
    async with actor(log):
        await until(lambda: log.seeks == [0, 0], within=10)


async def test_markers_at_the_end_of_the_log_are_no_backlog() -> None:
    log = Log(missing=2)
    async with actor(log) as partition:
        assert partition.status == "catching_up"
        await until(lambda: partition.status == "ready", within=10)
    assert [type(record) for record in log.said()] == [CaughtUp]
    assert log.seeks == [0]


async def test_a_backlog_is_marked_while_it_lasts_and_its_end_is_told_once() -> None:
    log = Log(fetched(orders(4)))
    async with actor(log, max_batch=2) as partition:
        assert partition.status == "catching_up"
        partition.hand_over(log.records)
        await until(taken_up_to(log, 4))
        assert partition.status == "ready"
        log.records += fetched(orders(40, "b"), first=4)
        partition.hand_over(log.records[4:])
        await until(taken_up_to(log, 44))
    said = log.said()
    marker = next(n for n, record in enumerate(said) if isinstance(record, CaughtUp))
    assert [record.sequence for record in said] == list(range(1, len(said) + 1))
    assert all(isinstance(r, Decision) and r.catching_up for r in said[:marker])
    assert all(isinstance(r, Decision) and not r.catching_up for r in said[marker + 1 :])
    assert marker > 0
    assert len(said) > marker + 1
    assert log.position.caught_up


async def test_without_a_backlog_there_is_no_marker() -> None:
    log = Log()
    async with actor(log) as partition:
        assert partition.status == "ready"
        log.records = fetched(orders(3))
        partition.hand_over(log.records)
        await until(taken_up_to(log, 3))
    assert [type(record) for record in log.said()] == [Decision]


async def test_a_backlog_whose_end_was_never_told_is_ended_by_the_next_owner() -> None:
    log = Log()
    log.position = msgspec.structs.replace(START, caught_up=False)
    async with actor(log) as partition:
        await until(lambda: partition.status == "ready")
    assert [type(record) for record in log.said()] == [CaughtUp]


async def test_timers_due_in_the_past_fire_between_the_events_of_the_backlog() -> None:
    #          a calls twice     b orders     a inactive     b orders     c orders          (an hour ago; window 60 s)
    # ─────────●●────────────────●────────────▼──────────────●────────────●────────────▶ now
    #          0                 30           60             90           120
    began = now() - timedelta(hours=1)

    def second(seconds: int) -> datetime:
        return began + timedelta(seconds=seconds)

    calls = [interaction("a", at=began), interaction("a", at=began)]
    buys = [purchase("b", 60, at=second(30)), purchase("b", 60, at=second(90)), purchase("c", 100, at=second(120))]
    log = Log(fetched([*calls, *buys]))
    async with actor(log, max_batch=1) as partition:
        partition.hand_over(log.records)
        await until(taken_up_to(log, 5))
    said = [(d.subject, d.after, d.effective_at) for d in log.said() if isinstance(d, Decision)]
    assert said == [
        ("a", True, began),
        ("b", "silver", second(90)),  # the batch that shows that it is past 60
        ("a", False, second(60)),
        ("c", "silver", second(120)),
    ]
    assert isinstance(log.said()[-1], CaughtUp)


async def test_a_million_timers_would_not_be_one_transaction() -> None:
    #  3,000 call twice          all of them inactive        the last of the backlog shows that an hour has passed
    # ─●●────────────────────────▼───────────────────────────●──▶ now
    #  0                         60 s                        0
    began = now() - timedelta(hours=1)
    calls = [interaction(f"c{n}", at=began) for n in range(3000) for _ in range(2)]
    log = Log(fetched([*calls, purchase("last", at=began)]))
    async with actor(log) as partition:
        partition.hand_over(log.records[:-1])
        await until(taken_up_to(log, 6000))
        partition.hand_over(log.records[-1:])
        await until(lambda: partition.status == "ready", within=20)
    ended = [d for d in log.said() if isinstance(d, Decision) and d.after is False]
    assert len(ended) == 3000
    assert max(sum(b'"cause":"time"' in value for _, value in turn.decisions) for turn in log.turns) <= 1000


async def test_a_timer_fires_when_its_instant_comes_without_any_event() -> None:
    log = Log()
    async with actor(log) as partition:
        # the window of 60 s ends half a second from now
        at = now() - timedelta(seconds=59.5)
        log.records = fetched([interaction("a", at=at), interaction("a", at=at)], appended_ms=to_ms(now()))
        partition.hand_over(log.records)
        await until(lambda: len(log.said()) == 2, within=5)
    entered, left = (record for record in log.said() if isinstance(record, Decision))
    assert (entered.after, left.after, left.cause) == (True, False, "time")
    assert left.effective_at == at + timedelta(seconds=60)
    assert timedelta(0) <= left.decided_at - left.effective_at < timedelta(seconds=1)


async def test_while_events_wait_that_do_not_come_a_timer_that_is_due_is_not_looked_at_again_and_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    #        a calls twice                 a would be inactive        the log is asked
    # ───────●●────────────────────────────▼──────────────────────────○
    #        59.8 s ago       b waits ─────0.2 s ─────────────────────2 s
    log, turns, asked = Log(), 0, []
    a_turn = Partition._turn

    async def counted(self: Partition, taken: Taken) -> bool:
        nonlocal turns
        turns += 1
        return await a_turn(self, taken)

    async def asks(partition: int, offset: int) -> Next:
        asked.append(offset)
        return Next(True, offset)

    monkeypatch.setattr(Partition, "_turn", counted)
    monkeypatch.setattr(log, "what_follows", asks)
    async with actor(log) as partition:
        at = now() - timedelta(seconds=59.8)
        log.records = fetched([interaction("a", at=at), interaction("a", at=at)], appended_ms=to_ms(now()))
        partition.hand_over(log.records)
        await until(taken_up_to(log, 2))
        log.records = log.records + fetched(orders(1, "b"), first=2)
        turns = 0
        await until(lambda: asked, within=5)
        assert turns < 10
        partition.hand_over(log.records)
        await until(lambda: len(log.said()) == 2, within=1, what="and fires once the event is here")


async def test_a_failed_transaction_throws_the_state_away_and_takes_over_again() -> None:
    log = Log()
    async with actor(log) as partition:
        log.records = fetched(orders(4))
        partition.hand_over(log.records[:2])
        await until(taken_up_to(log, 2))
        log.fail = [kafka_error(KafkaError._TIMED_OUT)]
        partition.hand_over(log.records[2:])
        await until(lambda: log.takeovers == 2 and log.seeks == [0, 2])
        assert sum(turn.taken for turn in log.turns) == 2
        partition.hand_over(log.records[2:])
        await until(taken_up_to(log, 4))
    assert [record.sequence for record in log.said()] == list(range(1, len(log.said()) + 1))


async def test_transactions_that_fail_again_and_again_are_tried_ever_more_seldom_until_one_gets_through(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    #  ╳ ╳ 0.5 s ╳ 1 s ╳ 2 s ╳ 4 s ╳ 8 s ╳ 10 s ╳ 10 s ● taken          ╳ at once ● taken
    paused: list[float] = []

    async def pause(_: Partition, seconds: float) -> None:
        paused.append(seconds)

    monkeypatch.setattr(Partition, "_pause", pause)
    log = Log()
    async with actor(log) as partition:
        log.records = fetched(orders(4))
        log.fail = [kafka_error(KafkaError.NOT_ENOUGH_REPLICAS)] * 7 + [
            kafka_error(KafkaError.TOPIC_AUTHORIZATION_FAILED)
        ]
        for takeovers in range(1, 10):
            await until(lambda takeovers=takeovers: log.takeovers == takeovers and partition.status != "restoring")
            partition.hand_over(log.records[:2])
        await until(taken_up_to(log, 2))
        assert paused == [0.5, 1, 2, 4, 8, 10, 10]
        log.fail = [kafka_error(KafkaError.NOT_ENOUGH_REPLICAS)]
        partition.hand_over(log.records[2:])
        await until(lambda: log.takeovers == 10 and partition.status != "restoring")
        partition.hand_over(log.records[2:])
        await until(taken_up_to(log, 4))
    assert len(paused) == 7


@pytest.mark.parametrize("code", [KafkaError.MSG_SIZE_TOO_LARGE, KafkaError.INVALID_RECORD])
async def test_what_kafka_refuses_for_good_halts_the_partition_with_what_to_do(code: int) -> None:
    log = Log()
    async with actor(log) as partition:
        log.records = fetched(orders(2))
        log.fail = [kafka_error(code)]
        partition.hand_over(log.records)
        await until(lambda: partition.status == "halted")
        reason = str(partition.detail()["reason"])
        assert KafkaError(code).name() in reason
        assert "`tierline setup`" in reason
        await partition.hold()
        partition.go_on()
        await partition.hold()
        assert partition.status == "halted"
    assert (log.takeovers, log.position.events_offset) == (1, 0)


async def test_takeover_is_tried_until_the_broker_answers() -> None:
    log = Log()
    log.fail = [kafka_error(KafkaError._TRANSPORT), kafka_error(KafkaError._TRANSPORT)]
    async with actor(log) as partition:
        assert partition.status == "restoring"
        await until(lambda: partition.status == "ready", within=10)
    assert log.takeovers == 3
    assert log.seeks == [0]


async def test_who_was_fenced_waits_for_the_rebalance() -> None:
    log = Log()
    async with actor(log) as partition:
        log.records = fetched(orders(2))
        log.fail = [kafka_error(KafkaError._FENCED)]
        partition.hand_over(log.records)
        await until(lambda: partition.status == "restoring")
        await partition.hold()
        assert log.takeovers == 1
        partition.go_on()
        await until(lambda: partition.status != "restoring")
    assert log.takeovers == 2


async def test_after_a_rebalance_a_partition_proves_that_it_was_ours_all_the_time() -> None:
    log = Log()
    async with actor(log) as partition:
        await partition.hold()
        log.fail = [kafka_error(KafkaError._FENCED)]
        partition.go_on()
        await until(lambda: log.takeovers == 2)
        await until(lambda: partition.status == "ready")


async def test_while_held_no_turn_begins() -> None:
    log = Log()
    async with actor(log) as partition:
        log.records = fetched(orders(3))
        await partition.hold()
        partition.hand_over(log.records)
        for _ in range(50):
            await asyncio.sleep(0)  # let the actor have its chance
        assert log.turns == []
        partition.go_on()
        partition.hand_over(log.records)
        await until(taken_up_to(log, 3))


async def test_a_rebalance_while_the_log_is_asked_drops_what_waits() -> None:
    # Offset 0 is a marker, so the log is asked; an erasure is known whose time has not come.
    kinship = Kinship(1)
    kinship.learn(Erasure(sequence=1, at=now() + timedelta(seconds=30), subject="z"))
    log, held = Log(fetched([purchase("a"), purchase("b")])[1:]), []
    async with actor(log, kinship=kinship) as partition:
        answer = log.what_follows

        async def what_follows(number: int, offset: int) -> Next:
            if not held:
                held.append(asyncio.create_task(partition.hold()))
                await asyncio.sleep(0)
                await asyncio.sleep(0)
            return await answer(number, offset)

        log.what_follows = what_follows  # type: ignore[method-assign]
        partition.hand_over(log.records)
        await until(lambda: bool(held) and held[0].done())
        partition.go_on()
        partition.hand_over(log.records)
        await until(taken_up_to(log, 2))


async def test_no_decision_is_of_before_what_it_decides_though_the_clock_is_slow() -> None:
    #  a: 60 ── 2,000 ──▮ erased ── b: 60
    began, kinship = now() - timedelta(seconds=9), Kinship(1)
    at = [began + timedelta(seconds=n) for n in range(4)]
    kinship.learn(Erasure(sequence=1, at=at[2], subject="a"))
    log = Log(fetched([purchase("a", at=at[0]), purchase("a", 2_000, at=at[1]), purchase("b", at=at[3])]))
    async with actor(log, clock=Clock(wall_s=lambda: time.time() - 600), kinship=kinship) as partition:
        partition.hand_over(log.records)
        await until(taken_up_to(log, 3))
    decided = [one for one in log.said() if isinstance(one, Decision)]
    assert len(decided) >= 2
    assert all(one.decided_at >= one.effective_at for one in decided)


async def test_no_decision_is_of_before_what_it_decides_though_the_clock_goes_on_within_a_turn() -> None:
    # Two calls each make them active, for 60 s: those end one after the other, at each of the next 300 ms.
    began, calls = now() - timedelta(seconds=59.9), count()
    at = [began + timedelta(milliseconds=n) for n in range(300)]
    events = [interaction(f"c{n}", at=at[n]) for n in range(300) for _ in range(2)]
    log = Log(fetched(events))
    async with actor(log, clock=Clock(monotonic_s=lambda: time.monotonic() + next(calls) * 0.001)) as partition:
        partition.hand_over(log.records)
        await until(lambda: sum(isinstance(one, Decision) for one in log.said()) == 600)
    assert [one for one in log.said() if isinstance(one, Decision) and one.decided_at < one.effective_at] == []


async def test_a_refusal_ends_the_actor() -> None:
    log = Log()
    log.refuse = Refusal("no")
    raised: Any = None
    try:
        async with actor(log):
            pass
    except Refusal as error:
        raised = error
    assert str(raised) == "no"


async def test_a_partition_taken_over_is_sought_to_whatever_the_group_knows() -> None:
    log = Log(fetched(orders(6)))
    log.position = msgspec.structs.replace(START, events_offset=4)
    async with actor(log) as partition:
        await until(lambda: log.seeks == [4], within=1)
        partition.hand_over(log.records[4:])
        await until(taken_up_to(log, 6))


async def test_a_group_without_offsets_is_not_read_from_the_beginning() -> None:
    log = Log(fetched(orders(6)))
    log.position = msgspec.structs.replace(START, events_offset=6)
    async with actor(log) as partition:
        partition.hand_over(log.records[:3])
        await until(lambda: log.seeks == [6, 6])
    assert log.turns == []


async def test_decisions_carry_when_they_were_committed() -> None:
    log = Log()
    before = now()
    async with actor(log) as partition:
        log.records = fetched(orders(2))
        partition.hand_over(log.records)
        await until(taken_up_to(log, 2))
    [decision] = log.said()
    assert isinstance(decision, Decision)
    assert before <= decision.decided_at <= to_datetime(to_ms(now()) + 1)


async def test_a_commit_that_never_comes_back_is_given_up_and_the_partition_taken_over_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    #  commit  ●── hangs · · · · · · · · · ▪ fenced
    #  actor   ●────── given up ▮ takeover ── ●●● ──▶
    class Hanging(Log):
        came_back = threading.Event()

        def commit(self, position: Position, turn: Turn | None = None) -> None:
            if self.takeovers == 1:
                self.came_back.wait(10)
                raise kafka_error(KafkaError._FENCED)
            super().commit(position, turn)

    monkeypatch.setattr(partitions, "HANGS_S", 0.1)
    log = Hanging()
    async with actor(log) as partition:
        log.records = fetched(orders(6))
        partition.hand_over(log.records)
        await until(lambda: log.takeovers == 2, what="it is taken over again")
        log.came_back.set()
        partition.hand_over(log.records)
        await until(taken_up_to(log, 6))
    assert sum(turn.taken for turn in log.turns) == 6

"""A partition rebuilds between its other turns: live events first, anew after a failure, or not at all."""

import asyncio
from collections import Counter

import msgspec
import pytest

from schemas.decisions import Decision
from schemas.events import Event, Interaction, InteractionData
from services.scorer.domain.entries import read_profile
from services.scorer.domain.packing import decode
from services.scorer.engine import rebuilding
from tests.scorer.engine.installation import ago, interaction, now
from tests.scorer.engine.memory import POLICIES, Log, actor, kafka_error
from tests.scorer.engine.records import fetched
from tests.waiting import until

KEEPING = POLICIES.keeping(["channel"], 1)
NAMES = [f"c{n}" for n in range(1200)]


def call(subject: str) -> Event:
    called = interaction(subject, at=ago(100))
    assert isinstance(called, Interaction)
    return msgspec.structs.replace(called, data=InteractionData(channel="phone"))


def taken() -> Log:
    """A log of which all is taken: of every call that it was one, and no more."""
    return Log(fetched([call(name) for name in NAMES]))


def channels(log: Log) -> dict[str, list[str | None]]:
    found = {}
    for key, record in log.state.items():
        entries = decode(record, log.policies).ledger.entries
        found[key.decode()] = [dict(read_profile(e.profile).fields).get("channel") for e in entries]
    return found


async def test_everybody_is_made_anew_in_slices_and_the_position_says_when_it_is_done() -> None:
    #  policies  no channel ────────▮ rebuild 1
    #  events    ●●●●●●●●●●●●●●●●●●
    #  replayed                       ●●●●●●●●●●●●●●●●●●
    #  switched                                          ▪ ▪ ▪ ▪
    log = taken()
    async with actor(log) as partition:
        partition.hand_over(log.records)
        await until(lambda: log.position.events_offset == len(NAMES))
        assert channels(log) == {name: [None] for name in NAMES}
        turns = len(log.turns)
        log.policies = KEEPING
        partition.wake()
        await until(lambda: log.position.rebuilt == 1, what="the rebuild is done")
        await until(lambda: partition.detail()["rebuild"] == "none")
        assert partition.detail()["rebuilt"] == 1
    assert channels(log) == {name: ["phone"] for name in NAMES}
    slices = [turn for turn in log.turns[turns:] if turn.customers]
    assert len(slices) > 1, "all in one turn"
    assert max(len(turn.customers) for turn in slices) <= 500
    assert sum(len(turn.customers) for turn in slices) == len(NAMES), "somebody was switched twice"
    assert not [one for one in log.said() if isinstance(one, Decision)], "nothing has changed for anybody"


async def test_live_events_are_taken_meanwhile_and_counted_once(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rebuilding, "_SWITCHED_A_TURN", 20)
    log, loop, doing = taken(), asyncio.get_running_loop(), Counter[str]()
    async with actor(log) as partition:
        partition.hand_over(log.records)
        await until(lambda: log.position.events_offset == len(NAMES))

        def another() -> None:
            """As soon as one event is taken, the next is here: for some before they are switched, for some after it."""
            count = len(log.records) - len(NAMES)
            if count < len(NAMES):
                doing[str(partition.detail()["rebuild"]).partition(",")[0]] += 1
                live = fetched([call(NAMES[count * 7 % len(NAMES)])], first=len(log.records))
                log.records = [*log.records, *live]
                partition.hand_over(live)

        log.on_commit = lambda: loop.call_soon_threadsafe(another)
        log.policies = KEEPING
        another()
        await until(lambda: log.position.events_offset == 2 * len(NAMES))
        await until(lambda: log.position.rebuilt == 1)
    assert doing["1 switching"] > 20, doing
    assert doing["none"] > 20, "the switch was not over while events came"
    assert channels(log) == {name: ["phone", "phone"] for name in NAMES}


async def test_after_a_failed_transaction_in_the_middle_of_the_switch_it_begins_again() -> None:
    log = taken()
    async with actor(log) as partition:
        partition.hand_over(log.records)
        await until(lambda: log.position.events_offset == len(NAMES))
        log.policies = KEEPING
        turns = len(log.turns)
        partition.wake()
        await until(lambda: len(log.turns) > turns, what="a slice is switched")
        assert log.position.rebuilt == 0
        switched = sum(len(turn.customers) for turn in log.turns[turns:])
        log.fail = [kafka_error(-1)]
        await until(lambda: log.takeovers == 2, what="taken over again")
        assert 0 < switched < len(NAMES)
        await until(lambda: log.position.rebuilt == 1)
    assert channels(log) == {name: ["phone"] for name in NAMES}
    assert sum(len(turn.customers) for turn in log.turns[turns:]) == len(NAMES), "somebody was switched twice"


async def test_it_is_refused_where_the_beginning_is_gone_and_events_are_taken_all_the_same() -> None:
    log = taken()
    async with actor(log) as partition:
        partition.hand_over(log.records)
        await until(lambda: log.position.events_offset == len(NAMES))
        log.cut, log.policies = True, KEEPING
        partition.wake()
        await until(lambda: str(partition.detail()["rebuild"]).startswith("1 refused"))
        live = fetched([call("c1")], first=len(NAMES), appended_ms=int(now().timestamp() * 1000))
        log.records = [*log.records, *live]
        partition.hand_over(live)
        await until(lambda: log.position.events_offset == len(log.records))
        assert log.position.rebuilt == 0
    assert channels(log)["c1"] == [None, "phone"]
    assert channels(log)["c2"] == [None]

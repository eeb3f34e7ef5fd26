"""A fall out of a tier is a timer like any other: it comes at its instant, from a record that says when that is."""

from datetime import UTC, datetime, timedelta

import msgspec

from schemas.decisions import Decision, DecisionRecord
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import due_ms
from services.scorer.domain.policy import parse
from services.scorer.engine.shard import Shard
from services.scorer.engine.turn import Turn
from tests.scorer.engine.installation import purchase
from tests.scorer.engine.records import fetched

POLICIES = Policies.only(
    parse(
        """
policy: falls
currency: EUR
zone: UTC
features:
  spend_10s: {sum: purchase.amount, window: 10s}
ladders:
  tier:
    - {name: gold, when: "spend_10s >= 100", stay: "spend_10s >= 50", grace: 1min, dwell: 30s}
    - {name: basic}
""",
        "test.yaml",
    )
)
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)
BEGAN_MS = to_ms(BEGAN)
FALLS_MS = 70_000


def fire(of: Shard, at_ms: int) -> list[Decision]:
    turn = Turn(1, BEGAN_MS, catching_up=False)
    of.fire(turn, BEGAN_MS + at_ms, 100)
    return [msgspec.json.decode(value, type=DecisionRecord) for _, value in turn.decisions]  # type: ignore[misc]


def golden() -> Shard:
    #  order        stay fails              falls
    # ─●────────────╳───────────────────────▼──
    #  0            10 s (window)           70 s (grace 1 min, longer than the 30 s of dwell)
    of = Shard(POLICIES, number=0, partitions=1, topic="events")
    of.take(Turn(0, BEGAN_MS, catching_up=False), fetched([purchase("a", 100, at=BEGAN)]), BEGAN_MS)
    return of


def test_a_fall_fires_at_its_instant_and_not_a_millisecond_before() -> None:
    of = golden()
    assert fire(of, FALLS_MS - 1) == []
    [fall] = fire(of, FALLS_MS)
    assert (fall.before, fall.after, fall.cause) == ("gold", "basic", "time")
    assert fall.effective_at == BEGAN + timedelta(milliseconds=FALLS_MS)


def test_after_the_window_has_ended_the_record_says_when_the_fall_is_due() -> None:
    of = golden()
    assert due_ms(of.records[b"a"]) == BEGAN_MS + 10_000
    fire(of, 10_000)
    assert due_ms(of.records[b"a"]) == BEGAN_MS + FALLS_MS
    assert of.timers.next_ms() is not None


def test_a_fall_looked_at_late_takes_effect_when_it_was_due() -> None:
    [fall] = fire(golden(), 3_600_000)
    assert fall.effective_at == BEGAN + timedelta(milliseconds=FALLS_MS)


def test_the_next_owner_finds_the_fall_in_the_record_that_was_written_last() -> None:
    # The look at 10 s changed nothing and was not written: the written record is due at 10 s, and finds the fall again.
    of = golden()
    written = dict(of.records)
    fire(of, 10_000)
    restored = Shard(POLICIES, number=0, partitions=1, topic="events", records=written)
    assert fire(restored, FALLS_MS) == fire(of, FALLS_MS) != []


def test_an_order_within_the_grace_period_calls_the_fall_off() -> None:
    of = golden()
    fire(of, 20_000)
    again = [purchase("a", 50, at=BEGAN + timedelta(seconds=60))]
    of.take(Turn(1, BEGAN_MS, catching_up=False), fetched(again, first=1), BEGAN_MS + 60_000)
    assert fire(of, 100_000) == []  # the window ends at 70 s, and the grace period begins anew
    [fall] = fire(of, 130_000)
    assert fall.effective_at == BEGAN + timedelta(seconds=130)

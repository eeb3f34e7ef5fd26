"""Rule 3: order does not matter. Position and path are what they would have been in order, hysteresis included."""

from itertools import permutations

import pytest
from msgspec.structs import replace

from services.scorer.domain.scoring import Arrival
from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import buy, click, ms, refund

TWO = policy(
    """
features:
  spend: {sum: purchase.amount, minus: refund.amount, window: 30d}
  seen: {count: click, window: 7d}
  quiet: {since_last: purchase}
ladders:
  tier:
    - {name: gold, when: "spend >= 100", stay: "spend >= 50", grace: 3d}
    - {name: basic}
classes:
  stage: [{name: back, when: "quiet < 30d", from: [gone]}, {name: gone, when: "quiet >= 60d"}, {name: fresh}]
segments: {looks: "seen >= 2"}
churn: {at_risk: "quiet >= 90d"}
"""
)
DIMENSIONS = ("tier", "stage", "looks", "churn")


def test_rule_03_a_late_event_is_put_in_its_place():
    #        60          50 (late)      60 leaves     grace over    now
    # ───────●───────────○──────────────╳─────────────▼─────────────┬──
    #        Mar 1       Mar 10         Mar 31        (50 stays)    Apr 5
    life = LifeOf(TWO)
    life.sees(buy("2026-03-01T00:00Z", 60_00))
    [change] = life.sees(buy("2026-03-10T00:00Z", 50_00), at="2026-04-05T00:00Z")
    assert change.path == [(ms("2026-03-10T00:00Z"), "gold")]
    assert (change.before, change.after, change.cause) == ("basic", "gold", "event")


def test_rule_03_a_late_event_before_the_last_change_of_position_has_the_path_played_again():
    life = LifeOf(TWO)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.until("2026-04-10T00:00Z")
    assert life.path() == [("2026-03-01T00:00Z", "gold"), ("2026-04-03T00:00Z", "basic")]
    life.sees(buy("2026-02-20T00:00Z", 100_00), at="2026-04-10T00:00Z")
    assert life.path() == [("2026-02-20T00:00Z", "gold"), ("2026-04-03T00:00Z", "basic")]
    assert life.of()[-1].cause == "late_event"


def test_rule_03_a_late_event_inside_a_grace_period_clears_it():
    #        100                 leaves     50 (late)   grace would be over   now
    # ───────●───────────────────╳──────────○───────────┊─────────────────────┬──
    #        Mar 1               Mar 31     Apr 2       Apr 3                 Apr 10
    life = LifeOf(TWO)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.until("2026-04-10T00:00Z")
    [change] = life.sees(buy("2026-04-02T00:00Z", 50_00), at="2026-04-10T00:00Z")
    assert (change.before, change.after) == ("basic", "gold")
    assert change.retracts == [(ms("2026-04-03T00:00Z"), "basic")]
    assert life.path() == [("2026-03-01T00:00Z", "gold")]


@pytest.mark.parametrize("order", list(permutations(range(4))))
def test_rule_03_any_order_of_arrival_comes_to_the_same(order):
    #        100     refund 60    click click          buys again
    # ───────●───────╳────────────●─────●──────────────●─────────
    #        Mar 1   Mar 20       Jun 1                Jun 15
    events = [
        buy("2026-03-01T00:00Z", 100_00, order="A"),
        refund("2026-03-20T00:00Z", 60_00, "A"),
        click("2026-06-01T00:00Z"),
        buy("2026-06-15T00:00Z", 120_00),
    ]
    in_order, otherwise = LifeOf(TWO), LifeOf(TWO)
    in_order.sees(*events)
    in_order.until("2026-12-01T00:00Z")
    for minute, place in enumerate(order):
        otherwise.sees(events[place], at=f"2026-06-20T00:{minute:02}Z")
    otherwise.until("2026-12-01T00:00Z")
    for dimension in DIMENSIONS:
        assert otherwise.path(dimension) == in_order.path(dimension), dimension
    assert otherwise.explained().features == in_order.explained().features


def test_rule_03_now_is_the_append_time_so_that_a_replay_decides_the_same():
    def lived(pause: bool) -> LifeOf:
        life = LifeOf(TWO)
        batches = [[buy("2026-03-01T00:00Z", 100_00, id="1")], [buy("2026-02-27T00:00Z", 100_00, id="2")]]
        appended = [ms("2026-03-01T00:00Z"), ms("2026-04-20T00:00Z")]
        for batch, at in zip(batches, appended, strict=True):
            if pause:
                life.until(at - 1)
            life.turn(*(Arrival(e, at, 0, b"") for e in batch), until_ms=at)
        return life

    live, replayed = lived(pause=True), lived(pause=False)
    assert [replace(c, conditions=[]) for c in live.changes] == [replace(c, conditions=[]) for c in replayed.changes]


def test_rule_03_an_event_ahead_of_the_clock_counts_from_its_own_time():
    #        accepted       its own time
    # ───────┬──────────────●──────
    #        12:00          12:05
    life = LifeOf(TWO)
    assert life.sees(buy("2026-03-01T12:05Z", 100_00, id="early"), at="2026-03-01T12:00Z") == []
    assert (life.value(), life.due()) == ("basic", "2026-03-01T12:05Z")
    assert life.figure("spend", "2026-03-01T12:04:59.999Z") is None
    [change] = life.until("2026-03-01T12:06Z")
    assert (change.effective_ms, change.cause) == (ms("2026-03-01T12:05Z"), "event")
    assert change.trigger is not None
    assert (change.trigger.type, change.trigger.id) == ("purchase", "early")
    assert life.due() is not None


def test_rule_03_an_event_ahead_of_the_clock_waits_also_for_whom_nothing_else_is_due():
    #        click          click accepted     its own time
    # ───────●──────────────┬──────────────────●──────
    #        Mar 1          Mar 2, 12:00       12:05
    life = LifeOf(TWO)
    life.sees(click("2026-03-01T00:00Z"))
    assert life.sees(click("2026-03-02T12:05Z"), at="2026-03-02T12:00Z") == []
    assert (life.value("looks"), life.due()) == (False, "2026-03-02T12:05Z")
    [change] = life.until("2026-03-02T12:06Z")
    assert (change.dimension.name, change.effective_ms) == ("looks", ms("2026-03-02T12:05Z"))


def test_rule_03_an_event_ahead_of_the_clock_is_known_for_what_it_is_meanwhile():
    life = LifeOf(TWO)
    early = buy("2026-03-01T12:05Z", 100_00, id="early")
    life.sees(early, at="2026-03-01T12:00Z")
    outcome = life.turn(Arrival(early, ms("2026-03-01T12:01Z"), 1, b""), until_ms=ms("2026-03-01T12:01Z"))
    assert (outcome.duplicates, outcome.taken) == (1, 0)


def test_rule_03_jitter_within_a_micro_batch_is_free():
    life = LifeOf(TWO)
    life.sees(buy("2026-03-02T00:00Z", 60_00), buy("2026-03-01T00:00Z", 60_00), at="2026-03-02T00:01Z")
    assert life.said() == [("basic", "gold", "2026-03-02T00:00Z", "event")]


def test_rule_03_an_event_in_order_though_the_clock_has_passed_it_is_no_correction():
    life = LifeOf(TWO)
    life.sees(buy("2026-03-01T00:00Z", 60_00))
    life.until("2026-03-20T00:00Z")
    [change] = life.sees(buy("2026-03-10T00:00Z", 60_00), at="2026-03-20T00:00Z")
    assert (change.cause, change.retracts, change.effective_ms) == ("event", [], ms("2026-03-10T00:00Z"))


def test_rule_03_in_one_batch_a_late_event_takes_its_turn_when_it_became_known():
    #        100          leaves: falls Apr 3    100 (in order)     100 of Mar 20, told on Apr 20
    # ───────●────────────╳─────────▼────────────●──────────────────┬──
    #        Mar 1        Mar 31                 Apr 15             Apr 20
    life = LifeOf(TWO)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.until("2026-04-10T00:00Z")
    in_order, late = buy("2026-04-15T00:00Z", 100_00), buy("2026-03-20T00:00Z", 100_00)
    arrivals = [Arrival(in_order, ms("2026-04-15T00:00Z"), 1, b""), Arrival(late, ms("2026-04-20T00:00Z"), 2, b"")]
    life.turn(*arrivals, until_ms=ms("2026-04-20T00:00Z"))
    assert life.said()[2:] == [
        ("basic", "gold", "2026-04-15T00:00Z", "event"),
        ("gold", "gold", "2026-03-01T00:00Z", "late_event"),
    ]


def test_rule_03_an_arrival_of_the_instant_for_which_another_waits_is_looked_at_together_with_it():
    life = LifeOf(TWO)
    life.sees(buy("2026-03-01T12:05Z", 100_00, order="A"), at="2026-03-01T12:00Z")
    assert life.sees(refund("2026-03-01T12:05Z", order="A"), at="2026-03-01T12:05Z") == []
    life.until("2026-03-02T00:00Z")
    assert life.path() == []

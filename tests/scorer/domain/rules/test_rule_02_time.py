"""Rule 2: time is an event. What time alone will change is known beforehand, and happens at its own instant."""

import pytest

from services.scorer.domain.scoring import Arrival
from tests.scorer.domain.rules.life_of import DAY, LifeOf, policy
from tests.scorer.domain.timeline import buy, click, contact, ms, override, stage

GOLD = policy(
    """
features:
  spend: {sum: purchase.amount, window: 30d}
  quiet: {since_last: purchase}
ladders:
  tier: [{name: gold, when: "spend >= 100", grace: 3d}, {name: basic}]
segments: {settled: "tenure >= 1mo"}
churn: {at_risk: "quiet >= 90d"}
"""
)


def test_rule_02_a_timer_that_fires_late_carries_the_instant_it_was_due():
    #        buys 100            leaves      grace over     the timer fires
    # ───────●───────────────────╳───────────▼──────────────┬──
    #        Mar 1 12:00         Mar 31      Apr 3          Apr 20
    life = LifeOf(GOLD)
    life.sees(buy("2026-03-01T12:00Z", 100_00))
    life.turn(until_ms=ms("2026-04-20T00:00Z"))
    assert life.said() == [
        ("basic", "gold", "2026-03-01T12:00Z", "event"),
        ("gold", "basic", "2026-04-03T12:00Z", "time"),
    ]
    assert life.said("settled") == [(False, True, "2026-04-01T12:00Z", "time")]


def test_rule_02_an_instant_due_is_a_lower_bound_and_a_look_before_it_changes_nothing():
    life = LifeOf(GOLD)
    life.sees(buy("2026-03-01T12:00Z", 100_00))
    assert life.due() == "2026-03-31T12:00Z"
    outcome = life.turn(until_ms=ms("2026-03-31T12:00Z") - 1)
    assert (outcome.altered, outcome.changes) == (False, [])
    assert outcome.due_before_ms == outcome.due_ms == ms("2026-03-31T12:00Z")


def test_rule_02_whoever_can_change_no_more_is_never_due():
    life = LifeOf(GOLD)
    life.sees(click("2026-03-01T12:00Z"))
    assert life.due() is None


@pytest.mark.parametrize("every", [DAY // 3, 7 * DAY, 1_000 * DAY])
def test_rule_02_added_looks_and_missed_ones_change_nothing(every):
    def lived(looks: list[int]) -> LifeOf:
        life = LifeOf(GOLD)
        for time, amount in (("2026-03-01T12:00Z", 60_00), ("2026-03-10T00:00Z", 60_00), ("2026-04-02T00:00Z", 50_00)):
            for look in [t for t in looks if life.now < t < ms(time)]:
                life.turn(until_ms=look)
            life.turn(Arrival(buy(time, amount, id=time), ms(time), 0, b""), until_ms=ms(time))
        life.turn(until_ms=ms("2026-12-01T00:00Z"))
        return life

    begin = ms("2026-03-01T12:00Z")
    looked, missed = lived(list(range(begin, begin + 250 * DAY, every))), lived([])
    for dimension in ("tier", "settled", "churn"):
        assert looked.path(dimension) == missed.path(dimension) != []


def test_rule_02_an_event_and_a_timer_of_one_instant_are_one_look():
    #        buys 100            would leave; buys 100
    # ───────●───────────────────┊●────── gold: nothing happened
    life = LifeOf(GOLD)
    life.sees(buy("2026-03-01T12:00Z", 100_00))
    life.turn(
        Arrival(buy("2026-03-31T12:00Z", 100_00), ms("2026-03-31T12:00:05Z"), 1, b""),
        until_ms=ms("2026-03-31T12:00:05Z"),
    )
    assert life.path() == [("2026-03-01T12:00Z", "gold")]


KINDS = {
    "an entry leaves": (
        "features: {seen: {count: click, window: 7d}}\nsegments: {x: 'seen >= 1'}",
        [click("2026-03-01T00:00Z")],
        "2026-03-08T00:00Z",
    ),
    "tenure is reached": ("segments: {x: 'tenure >= 1y'}", [buy("2026-03-01T00:00Z", 1)], "2027-03-01T00:00Z"),
    "nobody came": (
        "features: {quiet: {since_last: interaction}}\nsegments: {x: 'quiet > 30d'}",
        [contact("2026-03-01T00:00Z")],
        "2026-03-31T00:00:00.001Z",
    ),
    "the next order is overdue": (
        "features: {late: {overdue: purchase}}\nsegments: {x: 'late >= 5d'}",
        [buy(f"2026-03-{day:02}T00:00Z", 1) for day in (1, 8, 19)],
        "2026-04-02T00:00Z",  # the gaps were 7 and 11 days: expected on March 28
    ),
    "P(alive) falls": (
        "features: {alive: {p_alive: purchase}}\nsegments: {x: 'alive < 0.2'}\n"
        "calibration: {bg_nbd: {r: 1, alpha: 1, a: 1, b: 1, unit: week}}",
        [buy("2026-03-01T00:00Z", 1), buy("2026-03-08T00:00Z", 1)],
        "2026-03-22T00:00:00.001Z",  # 1 / (1 + ((1 + 3) / (1 + 1))^2) = 1/5 at three weeks, below a ms later
    ),
    "a score decays": (
        "features: {heat: {score: {click: 8}, half_life: 10d}}\nsegments: {x: 'heat >= 2'}",
        [click("2026-03-01T00:00Z")],
        "2026-03-21T00:00:00.001Z",  # two half-lives: exactly 2, and below a ms later
    ),
    "a stage lasts": (
        "features: {deal: {stage: opportunity}}\nsegments: {x: 'deal.time >= 14d'}",
        [stage("2026-03-01T00:00Z", "offer")],
        "2026-03-15T00:00Z",
    ),
    "RFM's recency steps down": (
        "features: {rfm: {rfm: purchase}}\nsegments: {x: 'rfm.r >= 5'}\n"
        "calibration: {rfm: {recency: [30d, 60d, 90d, 1y], frequency: [1, 2, 3, 4], monetary: [1, 2, 3, 4]}}",
        [buy("2026-03-01T00:00Z", 1)],
        "2026-03-31T00:00Z",
    ),
    "a trend turns": (
        "features: {pace: {trend: click, recent: 7d, base: 14d}}\nsegments: {x: 'pace < 1'}",
        [click("2026-03-01T00:00Z"), click("2026-03-10T00:00Z")],
        "2026-03-17T00:00Z",  # 1 recent against 1 in the base is 2; with the newer one gone to the base it is 0
    ),
    "an override ends": ("segments: {x: 'known_for >= 50y'}", [override("2026-03-01T00:00Z", "2026-04-01T00:00Z", "x",
                         True)], "2026-04-01T00:00Z"),
}  # fmt: skip


@pytest.mark.parametrize("kind", KINDS)
def test_rule_02_what_moves_with_time_alone_is_known_and_happens_to_the_millisecond(kind):
    body, events, flips = KINDS[kind]
    life = LifeOf(policy(body))
    life.sees(*events)
    before = life.value("x")
    assert life.next("x") == (flips, not before)
    life.until(ms(flips) - 1)
    assert life.value("x") is before
    life.until(flips)
    assert life.value("x") is not before
    assert life.path("x")[-1] == (flips, not before)

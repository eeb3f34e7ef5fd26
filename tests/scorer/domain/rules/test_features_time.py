"""Recency, tenure, regularity, overdue, trend, decay, RFM, stages and attributes: with numbers worked out by hand."""

import math

import pytest

from services.scorer.domain.decaying import Decaying
from services.scorer.domain.ledger import Ledger
from tests.scorer.domain.rules.life_of import DAY, LifeOf, policy
from tests.scorer.domain.timeline import buy, click, contact, form, ms, profile, refund, stage


def test_recency_is_the_time_since_the_newest_event_of_a_type():
    life = LifeOf(
        policy(
            "features: {quiet: {since_last: purchase}, unseen: {since_last: click}, silent: {since_last: interaction}}"
        )
    )
    life.sees(buy("2026-03-01T00:00Z", 1), click("2026-03-02T00:00Z"), contact("2026-03-03T00:00Z", "outbound"))
    assert [life.figure(n) for n in ("quiet", "unseen", "silent")] == [2 * DAY, DAY, None]


def test_recency_with_a_condition():
    life = LifeOf(policy("features: {uncalled: {since_last: interaction, where: \"channel == 'phone'\"}}"))
    life.sees(contact("2026-03-01T00:00Z", channel="phone"), contact("2026-03-03T00:00Z", channel="mail"))
    assert life.figure("uncalled") == 2 * DAY


def test_tenure_begins_with_an_order_that_comes_alone_and_another_one_changes_nothing():
    #        click     buys      buys      three days since the first order
    # ───────●─────────●─────────●─────────▼──
    #        Mar 1     Mar 2     Mar 4     Mar 5
    life = LifeOf(policy("segments: {a: 'tenure >= 3d'}"))
    for event in (click("2026-03-01T00:00Z"), buy("2026-03-02T00:00Z", 1), buy("2026-03-04T00:00Z", 1)):
        life.sees(event)
    assert life.next("a") == ("2026-03-05T00:00Z", True)
    assert life.due() == "2026-03-05T00:00Z"


def test_tenure_is_from_the_first_order_that_stands_and_known_for_from_the_first_event():
    life = LifeOf(policy("segments: {a: 'tenure >= 3d', b: 'known_for >= 3d'}"))
    life.sees(profile("2026-03-01T00:00Z", any="thing"), buy("2026-03-02T00:00Z", 1_00, order="A"))
    life.sees(buy("2026-03-04T00:00Z", 1_00), refund("2026-03-04T12:00Z", order="A"))
    life.until("2026-04-01T00:00Z")
    assert life.path("b") == [("2026-03-04T00:00Z", True)]
    assert life.path("a") == [("2026-03-07T00:00Z", True)]


REGULAR = policy("""
features:
  pace: {regularity: purchase}
  late: {overdue: purchase}
segments:
  steady: "pace.variation < 0.5"
  exactly: "pace.variation == 0.5"
  often: "pace.mean <= 10d"
  even: "pace.spread <= 2d"
  overdue: "late >= 1ms"
""")


def orders(*days: int) -> LifeOf:
    first, life = ms("2026-01-01T00:00Z"), LifeOf(REGULAR)
    life.sees(*(buy(first + day * DAY, 1) for day in days))
    return life


def test_regularity_is_the_mean_and_spread_of_the_gaps_from_two_gaps_on():
    """Gaps of 7, 11 and 9 days: mean 9, spread sqrt((4 + 4 + 0) / 3) = 1.63 days."""
    life = orders(0, 7)
    assert [life.figure(n) for n in ("pace.mean", "pace.spread", "pace.variation", "late")] == [None] * 4
    life = orders(0, 7, 18, 27)
    assert life.figure("pace.mean") == 9 * DAY
    assert life.figure("pace.spread") == math.isqrt(8 * DAY * DAY // 3) == int(math.sqrt(8 / 3) * DAY)
    assert life.figure("pace.variation") == pytest.approx(math.sqrt(8 / 3) / 9, abs=1e-6)
    assert life.explained().segments == ["even", "often", "steady"]


def test_variation_is_compared_exactly():
    """Gaps of 1 and 3 days: mean 2, spread 1, variation exactly 1/2."""
    life = orders(0, 1, 4)
    assert life.figure("pace.variation") == 0.5
    assert "exactly" in life.explained().segments
    assert "steady" not in life.explained().segments


def test_orders_of_one_instant_have_a_mean_of_0_and_no_variation():
    life = orders(0, 0, 0)
    assert (life.figure("pace.mean"), life.figure("pace.variation")) == (0, None)


def test_a_refunded_order_leaves_the_rhythm():
    first, life = ms("2026-01-01T00:00Z"), LifeOf(REGULAR)
    life.sees(*(buy(first + day * DAY, 1_00, order=str(day)) for day in (0, 5, 10, 20)))
    life.sees(refund(first + 21 * DAY, order="5"))
    assert life.figure("pace.mean") == 10 * DAY


def test_the_next_order_is_expected_after_the_mean_gap_and_overdue_from_then_on():
    #        orders: gaps of 7 and 11 days     expected: 9 days later
    # ───────●──────●──────────●──────────────▼──────
    #        day 0  7          18             27
    life, first = orders(0, 7, 18), ms("2026-01-01T00:00Z")
    assert life.figure("late", first + 27 * DAY - 1) is None
    assert life.figure("late", first + 27 * DAY) == 0
    assert life.figure("late", first + 30 * DAY) == 3 * DAY
    life.until(first + 40 * DAY)
    assert life.path("overdue")[0] == ("2026-01-28T00:00:00.001Z", True)
    life.sees(buy(first + 41 * DAY, 1))
    assert life.value("overdue") is False


TREND = policy("""
features:
  activity: {trend: [click, interaction], recent: 10d, base: 30d}
segments:
  fewer: "activity.fewer < 0.05"
  more: "activity.more < 0.05"
  down: "activity < 0.5"
""")


def test_a_trend_compares_the_last_days_with_the_base_before():
    """12 in the 30 days of the base make 4 expected in 10; 1 came: a ratio of 1/4.

    P(X <= 1 | 4) = 5 e^-4 = 0.0916, P(X >= 1 | 4) = 1 - e^-4 = 0.9817.
    """
    first, life = ms("2026-01-01T00:00Z"), LifeOf(TREND)
    life.sees(*(click(first + 2 * day * DAY) for day in range(12)))
    life.sees(contact(first + 31 * DAY))
    at = first + 33 * DAY  # recent: 23..33, base: -7..23, which has the 12 of days 0 to 22
    assert life.figure("activity", at) == 0.25
    assert life.figure("activity.fewer", at) == pytest.approx(5 * math.exp(-4), abs=1e-6)
    assert life.figure("activity.more", at) == pytest.approx(1 - math.exp(-4), abs=1e-6)


def test_the_recent_days_and_the_base_meet_without_a_gap():
    """In recent iff t <= s < t + 10 d, in the base iff t + 10 d <= s < t + 40 d."""
    first, life = ms("2026-01-01T00:00Z"), LifeOf(TREND)
    life.sees(click(first))
    shown = [life.figure("activity", first + d) for d in (10 * DAY - 1, 10 * DAY, 40 * DAY - 1, 40 * DAY)]
    assert shown == [None, 0, 0, None]


def test_the_probability_of_at_least_none_is_one_and_held_against_one_as_such():
    life = LifeOf(
        policy("""
features: {act: {trend: [click], recent: 1d, base: 3d}}
segments: {least: "act.more >= 1", even: "act.more == 1", below: "act.more < 1", sure: "act.fewer >= 1"}
""")
    )
    life.sees(click("2026-03-01T00:00Z"))
    assert life.figure("act.more", "2026-03-02T12:00Z") == 1
    assert life.explained("2026-03-02T12:00Z").segments == ["even", "least"]
    life.sees(*(click("2026-03-02T12:00Z") for _ in range(40)))
    assert life.figure("act.fewer") == 1, "but for less than can be shown"
    assert life.explained().segments == ["below"]


def test_a_trend_that_turns_is_seen_as_time_passes_by_itself():
    #        12 clicks, one a day               none more: P(0 | L) falls below 5 % where L is 3
    first, life = ms("2026-01-01T00:00Z"), LifeOf(TREND)
    life.sees(*(click(first + day * DAY) for day in range(12)))
    life.until(first + 60 * DAY)
    # day 20: 1 recent, 11 in the base: P(X <= 1 | 11/3) = .12.   day 21: none, 12: e^-4 = .018
    # day 42: 9 are left in the base: e^-3 = .0498.               day 43: 8: e^-2.67 = .069
    assert life.path("fewer") == [("2026-01-22T00:00Z", True), ("2026-02-13T00:00Z", False)]


def test_a_score_halves_after_each_half_life():
    life = LifeOf(
        policy("""
features: {heat: {score: {purchase: 10, click: 0.5, form: -3}, half_life: 10d}}
segments: {hot: "heat >= 5", warm: "heat > 5"}
""")
    )
    life.sees(buy("2026-03-01T00:00Z", 0, order="A"))
    assert [life.figure("heat", f"2026-03-{day}T00:00Z") for day in ("01", "11", "21")] == [10, 5, 2.5]
    life.until("2026-04-01T00:00Z")
    assert life.path("warm")[-1] == ("2026-03-11T00:00Z", False), "at that ms it is exactly 5"
    assert life.path("hot")[-1] == ("2026-03-11T00:00:00.001Z", False)


def test_a_score_adds_up_what_has_faded():
    life = LifeOf(policy("features: {heat: {score: {purchase: 10, click: 0.5, form: -3}, half_life: 10d}}"))
    life.sees(buy("2026-03-01T00:00Z", 0, order="A"), click("2026-03-11T00:00Z"), form("2026-03-21T00:00Z"))
    assert life.figure("heat") == pytest.approx(2.5 + 0.25 - 3)
    life.sees(refund("2026-03-21T00:00Z", order="A"))
    assert life.figure("heat") == pytest.approx(0.25 - 3)


def test_a_wholly_refunded_order_gives_no_points():
    life = LifeOf(policy("features: {heat: {score: {purchase: 10}, half_life: 10d}}"))
    life.sees(buy("2026-03-01T00:00Z", 5_00, order="A"), refund("2026-03-02T00:00Z", order="A"))
    assert life.figure("heat") == 0


def test_where_a_score_falls_at_a_whole_ms_the_ledger_is_asked_only_once_that_has_come():
    #        10 points             5 left, at that very ms: asked of the whole ledger
    # ───────●─────────────────────▼──
    #        Mar 1                 Mar 11
    life = LifeOf(
        policy("""
features: {heat: {score: {purchase: 10}, half_life: 10d}}
segments: {hot: "heat >= 5"}
""")
    )
    life.sees(buy("2026-03-01T00:00Z", 1_00))
    assert life.of("hot")[-1].next == (ms("2026-03-11T00:00:00.001Z"), False), "what is told is the very ms"
    machine, begun_ms = life.customer.life.machine, ms("2026-03-01T00:00Z")
    heat = machine.gauges[machine.kept["heat"]]
    bits, look_ms = heat.read([10.0, begun_ms, 10.0], Ledger.empty(), begun_ms)
    assert (bits, look_ms) == (heat.bits, begun_ms + 10 * DAY - 1), "an empty ledger would know of no points"
    life.until("2026-04-01T00:00Z")
    assert life.path("hot")[-1] == ("2026-03-11T00:00:00.001Z", False)


RFM = policy("""
features: {rfm: {rfm: purchase}}
segments: {best: "rfm.r >= 5 and rfm.f >= 5 and rfm.m >= 5", slipping: "rfm.r <= 2 and rfm.f >= 3"}
calibration:
  rfm: {recency: [30d, 90d, 180d, 1y], frequency: [2, 3, 5, 8], monetary: [50, 100, 500, 1_000]}
""")


@pytest.mark.parametrize(
    ("day", "score"), [("03-30", 5), ("03-31", 4), ("05-30", 3), ("08-28", 2), ("2027-02-28", 2), ("2027-03-01", 1)]
)
def test_rfm_recency_steps_down_at_its_cuts(day, score):
    life = LifeOf(RFM)
    life.sees(buy("2026-03-01T00:00Z", 1))
    assert life.figure("rfm.r", f"{day if len(day) > 5 else '2026-' + day}T00:00Z") == score


@pytest.mark.parametrize(("count", "f"), [(1, 1), (2, 2), (3, 3), (4, 3), (5, 4), (7, 4), (8, 5)])
def test_rfm_frequency_steps_up_at_its_cuts(count, f):
    life = LifeOf(RFM)
    life.sees(*(buy(f"2026-03-{day:02}T00:00Z", 1) for day in range(1, count + 1)))
    assert life.figure("rfm.f") == f


@pytest.mark.parametrize(("cents", "m"), [(49_99, 1), (50_00, 2), (999_99, 4), (1_000_00, 5)])
def test_rfm_monetary_is_the_net_spend_of_a_life(cents, m):
    life = LifeOf(RFM)
    life.sees(buy("2026-03-01T00:00Z", cents + 7_00, order="A"), refund("2026-03-02T00:00Z", 7_00, "A"))
    assert life.figure("rfm.m") == m


def test_rfm_is_unknown_without_an_order_that_stands():
    life = LifeOf(RFM)
    life.sees(buy("2026-03-01T00:00Z", 1_00, order="A"), refund("2026-03-02T00:00Z", order="A"))
    assert [life.figure(f"rfm.{part}") for part in "rfm"] == [None, None, None]


def test_the_stage_is_that_of_the_opportunity_that_moved_last():
    life = LifeOf(
        policy("features: {deal: {stage: opportunity}}\nsegments: {stuck: \"deal == 'offer' and deal.time >= 14d\"}")
    )
    life.sees(stage("2026-03-01T00:00Z", "lead", "o1"), stage("2026-03-05T00:00Z", "offer", "o2"))
    assert (life.figure("deal"), life.figure("deal.time", "2026-03-06T00:00Z")) == ("offer", DAY)
    life.until("2026-03-25T00:00Z")
    life.sees(stage("2026-03-25T00:00Z", "won", "o2"))
    assert life.path("stuck") == [("2026-03-19T00:00Z", True), ("2026-03-25T00:00Z", False)]


def test_the_same_stage_again_does_not_restart_the_time_another_opportunity_s_does():
    life = LifeOf(policy("features: {deal: {stage: opportunity}}"))
    life.sees(stage("2026-03-01T00:00Z", "offer", "o1"), stage("2026-03-05T00:00Z", "offer", "o1"))
    assert life.figure("deal.time", "2026-03-06T00:00Z") == 5 * DAY
    life.sees(stage("2026-03-07T00:00Z", "offer", "o2"))
    assert life.figure("deal.time", "2026-03-08T00:00Z") == DAY
    life.sees(stage("2026-03-09T00:00Z", "offer", "o1"))
    assert life.figure("deal.time", "2026-03-10T00:00Z") == DAY


ATTRIBUTES = policy("""
attributes: [region, industry]
segments:
  north: "region == 'north'"
  elsewhere: "region != 'north'"
  metal: "industry in ['steel', 'tools']"
""")


def test_an_attribute_has_the_value_of_the_newest_event_time_whatever_arrives_first():
    life = LifeOf(ATTRIBUTES)
    life.sees(profile("2026-03-05T00:00Z", region="south"), at="2026-03-10T00:00Z")
    life.sees(profile("2026-03-01T00:00Z", region="north", industry="steel"), at="2026-03-11T00:00Z")
    assert (life.figure("region"), life.figure("industry")) == ("south", "steel")
    assert life.path("north") == [("2026-03-01T00:00Z", True), ("2026-03-05T00:00Z", False)]


def test_an_attribute_that_is_not_there_is_neither_one_thing_nor_another():
    life = LifeOf(ATTRIBUTES)
    life.sees(click("2026-03-01T00:00Z"))
    assert life.explained().segments == []
    life.sees(profile("2026-03-02T00:00Z", region="south"))
    assert life.explained().segments == ["elsewhere"]


def test_null_takes_an_attribute_away_and_those_not_named_stay():
    life = LifeOf(ATTRIBUTES)
    life.sees(profile("2026-03-01T00:00Z", region="north", industry="steel"))
    life.sees(profile("2026-03-02T00:00Z", region=None))
    assert (life.figure("region"), life.explained().segments) == (None, ["metal"])


def test_hysteresis_may_ask_any_feature():
    """A ladder by score: it falls as the score decays, with grace."""
    life = LifeOf(
        policy("""
features: {heat: {score: {click: 8}, half_life: 10d}}
ladders: {tier: [{name: hot, when: "heat >= 8", stay: "heat >= 4", grace: 5d}, {name: cold}]}
""")
    )
    life.sees(click("2026-03-01T00:00Z"))
    life.until("2026-04-01T00:00Z")
    assert life.path() == [("2026-03-01T00:00Z", "hot"), ("2026-03-16T00:00:00.001Z", "cold")]


def test_what_has_all_but_faded_is_still_more_than_nothing():
    #        clicks          buys 10 points, 300 half-lives later        1 ms later
    # ───────●───────────────●──────────────────────────────────────────▼──
    #                        10 and a little: above 10                   below 10
    life = LifeOf(
        policy("""
features: {heat: {score: {purchase: 10, click: 0.1}, half_life: 1d}}
segments: {hot: "heat > 10"}
""")
    )
    life.sees(click("2025-05-05T00:00Z"), buy("2026-03-01T00:00Z", 1_00))
    life.until("2026-03-02T00:00Z")
    assert life.path("hot") == [("2026-03-01T00:00Z", True), ("2026-03-01T00:00:00.001Z", False)]


def test_a_score_that_takes_thousands_of_years_to_fade_comes_to_an_end():
    """Longer than 2^48 ms, which is beyond the year 9999: 10^14 points on a half-life of a hundred years, to 10^-14."""
    life = LifeOf(
        policy("""
features: {heat: {score: {click: 100_000_000_000_000}, half_life: 36500d}}
segments: {hot: "heat > 0.00000000000001"}
""")
    )
    life.sees(click("2026-01-01T00:00Z"))
    [gauge] = (gauge for gauge in life.policies.machines[0].gauges if isinstance(gauge, Decaying))
    at_ms = ms("2026-01-01T00:00Z")
    above, fades_ms = gauge.read([1e14, at_ms, 1e14], life.customer.ledger, at_ms)
    assert above
    assert (fades_ms - at_ms) / (36_500 * DAY) == pytest.approx(math.log2(1e28), rel=1e-12)
    assert life.of("hot")[-1].next is None


@pytest.mark.parametrize(
    ("faint", "above", "least"),
    [
        ([click("2025-09-01T00:00Z"), click("2025-09-02T00:00Z")], True, True),
        ([form("2025-09-01T00:00Z"), form("2025-09-02T00:00Z")], False, False),
        ([click("2025-12-20T00:00Z"), form("2025-12-21T00:00Z")], False, False),  # the newer one weighs more
        ([click("2025-12-21T00:00Z"), form("2025-12-20T00:00Z")], True, True),
        ([], False, True),
    ],
)
def test_of_points_thousands_of_half_lives_old_the_sign_decides_where_all_else_is_the_limit(faint, above, least):
    life = LifeOf(
        policy("""
features: {heat: {score: {purchase: 10, click: 1, form: -1}, half_life: 1h}}
segments: {above: "heat > 10", least: "heat >= 10"}
""")
    )
    life.sees(*faint)
    life.sees(buy("2026-03-01T00:00Z", 1_00))
    assert (life.value("above"), life.value("least")) == (above, least)


def test_a_score_that_decimals_of_common_length_would_lose_keeps_its_sign():
    """10 points and -3 of one instant, halved four million times."""
    given = policy("""
features: {heat: {score: {purchase: 10, interaction: -3}, half_life: 1s}}
segments: {warm: "heat > 0"}
""")
    life = LifeOf(given)
    life.sees(buy("2026-03-01T00:00Z", 1_00), contact("2026-03-01T00:00Z"))
    assert life.explained("2026-04-20T00:00Z").segments == ["warm"]
    life.learns(given, "2026-06-01T00:00Z", at="2026-05-01T00:00Z")
    life.until("2026-07-01T00:00Z")
    assert life.path("warm") == [("2026-03-01T00:00Z", True)]

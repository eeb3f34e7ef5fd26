"""policies/manufacturing.yaml: each rule fires on a hand-made history, and ceases."""

import math

import pytest

from schemas.events import Event
from tests.scorer.domain.rules.life_of import DAY, LifeOf, told
from tests.scorer.domain.rules.shipped import life_under
from tests.scorer.domain.timeline import buy, click, contact, feedback, form, ms, profile, refund, stage

FIRST = ms("2020-01-01T04:00Z")  # noon in Shanghai


def day(number: int) -> int:
    return FIRST + number * DAY


def at(number: int) -> str:
    return told(day(number))


def yuan(number: int, amount: int, currency: str = "CNY") -> Event:
    return buy(day(number), amount * 100, currency=currency)


def lived(*events: Event, until: int = 3_000) -> LifeOf:
    life = life_under("manufacturing")
    life.sees(*sorted(events, key=lambda e: e.time))
    life.until(day(until))
    return life


def test_tier_strategic_over_5_million_a_year_and_three_years_together():
    #        first order         3 y: 6 million in the last year        below 4.5 million   30 d of grace
    # ───────●───────────────────●──────────────────────────────────────╳───────────────────▼──
    #        Jan 1 2020          Jan 1 2023 12:00 in Shanghai
    life = lived(yuan(0, 1), yuan(900, 3_000_000), yuan(1_000, 3_000_000))
    path = life.path("tier")
    assert path[0] == ("2023-01-01T04:00Z", "strategic")
    # the order of day 900 (19 June 2022) leaves a year later; 3 million are left, so the grace of 30 d begins
    assert path[1] == (told(ms("2023-06-19T04:00Z") + 30 * DAY), "regular")


def test_tier_strategic_is_kept_for_half_a_year_whatever_happens():
    life = lived(yuan(0, 1), yuan(740, 3_000_000), yuan(750, 3_000_000))
    # strategic from Jan 1 2023; the first order leaves on Jan 10: 30 d of grace end before the dwell of six months
    assert life.path("tier") == [("2023-01-01T04:00Z", "strategic"), ("2023-07-01T04:00Z", "regular")]


def test_tier_strategic_stays_above_4_5_million():
    life = lived(yuan(0, 1), yuan(1_000, 4_600_000), yuan(1_001, 500_000), yuan(1_200, 1), until=1_300)
    assert life.path("tier") == [("2023-01-01T04:00Z", "strategic")]
    kept = life.rule("tier.strategic.stay", day(1_250))
    assert kept.holds


def test_tier_key_is_1_to_5_million_in_steady_orders():
    #        300,000 every 30 days: after the fourth a million          the oldest leaves: 3 orders left
    life = lived(*(yuan(30 * n, 300_000) for n in range(5)))
    path = life.path("tier")
    assert path[0] == (at(90), "key")
    # orders leave a year after each: 1.2 million (day 366), 0.9 million stays, 0.6 million does not: + 30 d of grace
    assert path[1] == (told(ms("2021-03-01T04:00Z") + 30 * DAY), "regular")


def test_tier_key_is_not_for_orders_now_and_then():
    """Gaps of 2, 2 and 86 days: mean 30, spread 39.6, variation 1.32."""
    life = lived(*(yuan(n, 300_000) for n in (0, 2, 4, 90)))
    assert life.path("tier") == []
    assert life.figure("rhythm.variation", day(90)) == pytest.approx(1.3199, abs=1e-4)


def test_tier_key_is_lost_when_orders_become_unsteady():
    life = lived(*(yuan(30 * n, 400_000) for n in range(4)), yuan(300, 1_000_000), until=340)
    assert life.path("tier") == [(at(60), "key"), (at(330), "regular")]


def test_level_vip_regular_potential():
    #        form         1,999,999    2 million    both have left the year: 90 d of grace
    # ───────●────────────●────────────●────────────╳──────────────────────▼──
    life = lived(form(day(0)), yuan(10, 1_999_999), yuan(20, 1))
    gone = ms("2021-01-11T04:00Z")  # the larger one leaves first, a year after January 11
    assert life.path("level") == [
        (at(10), "regular"),
        (at(20), "vip"),
        (told(gone + 90 * DAY), "potential"),
    ]


def test_level_vip_by_24_orders_a_year_falls_after_90_days_of_grace():
    life = lived(*(yuan(n, 1) for n in range(24)))
    assert life.path("level") == [
        (at(0), "regular"),
        (at(23), "vip"),
        (told(ms("2021-01-01T04:00Z") + 90 * DAY), "potential"),
    ]


def test_level_regular_falls_30_days_after_the_last_order_has_left_the_year():
    life = lived(yuan(0, 1))
    assert life.path("level") == [(at(0), "regular"), (told(ms("2021-01-01T04:00Z") + 30 * DAY), "potential")]


def test_type_high_value_and_at_risk_by_complaints():
    life = lived(yuan(0, 800_000), *(feedback(day(n), "complaint") for n in (10, 20, 30)), until=150)
    assert life.path("type") == [(at(0), "high_value"), (at(30), "at_risk"), (at(100), "high_value")]
    assert life.explained().standing["type"].resources == "40%"


def test_type_at_risk_by_the_model():
    life = lived(yuan(0, 100), yuan(7, 100), yuan(14, 100), yuan(900, 100), until=901)
    assert [value for _, value in life.path("type")] == ["at_risk", "potential"]
    assert life.path("type")[-1][0] == at(900)


def test_type_at_risk_by_a_silence_that_chance_does_not_explain():
    """30 calls in 180 days make 5 expected in 30: none is e^-5 = .0067."""
    life = lived(*(contact(day(6 * n)) for n in range(31)), until=209)
    assert life.value("type") == "potential"
    life.until(day(210))
    assert life.explained().features["contact.fewer"].value == pytest.approx(0.0067, abs=1e-4)
    assert life.path("type")[-1] == (at(210), "at_risk")
    life.until(day(400))
    assert life.value("type") == "potential", "when the base is empty, nothing is known"


def test_type_growth_in_touch_often_with_a_middling_spend():
    life = lived(yuan(0, 50_000), *(contact(day(n)) for n in range(1, 7)), until=60)
    assert life.path("type") == [(at(6), "growth"), (at(31), "potential")]


def test_stage_new_stable_mature_declining_outside():
    #        every 60 days for 4 years                                           none more
    orders = [yuan(60 * n, 10_000) for n in range(25)]
    life = lived(*orders)
    path = life.path("stage")
    assert path[0] == (at(0), "new")
    assert path[1] == ("2021-01-01T04:00Z", "stable")
    assert path[2] == ("2023-01-01T04:00Z", "mature")
    assert path[3][1] == "declining"
    # six orders in the year before make 1.48 expected in 90 days: e^-1.48 = .23, so it is the 180 days that tell
    assert path[3][0] == at(1_440 + 180)


def test_stage_outside_when_the_last_order_of_a_few_has_left_the_year():
    #        new              a year: stable     the second order leaves
    # ───────●──────●─────────▼──────────────────▼──
    #        Jan 1  Oct 27    Jan 1 2021         Oct 27 2021
    life = lived(yuan(0, 10_000), yuan(300, 10_000))
    assert life.path("stage") == [
        (at(0), "new"),
        ("2021-01-01T04:00Z", "stable"),
        ("2021-10-27T04:00Z", "outside"),
    ]


def test_stage_declining_by_trend():
    """An order a week makes 12.9 expected in 90 days: 7 are P(X <= 7) = .054, 6 are .027."""
    life = lived(*(yuan(7 * n, 10_000) for n in range(66)))
    steps = {value: when for when, value in life.path("stage")}
    declining = ms(steps["declining"])
    assert declining < day(65 * 7 + 180), "long before half a year of quiet"
    assert life.figure("buying.fewer", declining) < 0.05 <= life.figure("buying.fewer", declining - 1)


def test_stage_declining_is_kept_for_30_days():
    life = lived(*(yuan(60 * n, 10_000) for n in range(5)), yuan(430, 10_000), until=470)
    assert life.path("stage")[-2:] == [(at(420), "declining"), (at(450), "stable")]


def test_value_matrix_of_spend_and_engagement():
    """10 points an order, 2 a call, halved every 60 days; 20 are asked."""
    life = lived(yuan(0, 600_000), yuan(1, 600_000), contact(day(2)))
    points = 10 * 2 ** (-2 / 60) + 10 * 2 ** (-1 / 60) + 2
    fades = day(2) + 60 * DAY * math.log2(points / 20)
    steps = life.path("value")
    assert [value for _, value in steps] == ["harvest", "stars", "harvest", "small"]
    assert [when for when, _ in steps][:2] == [at(1), at(2)]
    assert ms(steps[2][0]) == pytest.approx(fades, abs=2)
    assert steps[3][0] == "2021-01-01T04:00Z", "the first order leaves its year"


def test_value_matrix_rising_by_engagement_alone():
    life = lived(yuan(0, 1), *(contact(day(1)) for _ in range(6)))
    (rises, rising), (ceases, small) = life.path("value")
    assert (rises, rising, small) == (at(1), "rising", "small")
    assert ms(ceases) == pytest.approx(day(1) + 60 * DAY * math.log2((10 * 2 ** (-1 / 60) + 12) / 20), abs=2)


def test_rfm_groups():
    life = lived(*(yuan(20 * n, 100_000) for n in range(12)), until=500)
    assert [value for _, value in life.path("rfm_group")] == ["newcomers", "others", "champions", "others", "slipping"]


def test_segment_high_value_more_than_10_000():
    assert lived(yuan(0, 10_000)).path("high_value") == []
    assert lived(yuan(0, 10_000), yuan(5, 1)).path("high_value") == [(at(5), True)]


def test_segment_and_type_high_value_cease_when_the_money_goes_back():
    order = buy(day(0), 800_000_00, order="A", currency="CNY")
    life = lived(order, refund(day(9), 1, "A", currency="CNY"), refund(day(20), None, "A", currency="CNY"), until=21)
    assert life.path("type") == [(at(0), "high_value"), (at(9), "potential")]
    assert life.path("high_value") == [(at(0), True), (at(20), False)]


def test_segment_high_value_counts_dollars_at_the_rate_of_the_day():
    assert lived(yuan(0, 1_409, "USD")).path("high_value") == [(at(0), True)]
    assert lived(yuan(0, 1_408, "USD")).path("high_value") == []


def test_segment_active_more_than_5_interactions_in_30_days():
    life = lived(*(contact(day(n)) for n in range(6)), click(day(6)))
    assert life.path("active") == [(at(5), True), (at(30), False)]


def test_segment_potential_a_contact_form_filled():
    life = lived(form(day(0), "newsletter"), form(day(1), "contact"))
    assert life.path("potential") == [(at(1), True)]


def test_segments_by_attributes():
    life = lived(profile(day(0), region="Beijing", industry="steel"), profile(day(9), region="Guangdong"))
    assert life.path("north") == [(at(0), True), (at(9), False)]
    assert life.path("metal") == [(at(0), True)]
    life.sees(profile(day(3_001), industry=None))
    assert life.path("metal")[1:] == [(at(3_001), False)]


def test_segment_good_account_by_scorecard():
    """1 million is 40, one order of 12 is 1.67, ten calls are 20: 61.67; without calls 41.67."""
    life = lived(yuan(0, 1_000_000), *(contact(day(1 + n)) for n in range(10)), until=60)
    assert life.figure("quality", day(10)) == pytest.approx(40 + 20 / 12 + 20, abs=1e-6)
    assert life.path("good_account") == [(at(10), True), (at(31), False)]


def test_segment_unhappy_by_weighted_feedback():
    """A rating of 5 is 100, an NPS of 8 is 80, a complaint 0: (100 + 160 + 0) / 6 = 43.3, two: 260 / 9 = 28.9."""
    life = lived(
        feedback(day(0), "rating", 500),
        feedback(day(1), "nps", 800),
        feedback(day(2), "complaint"),
        feedback(day(3), "complaint"),
    )
    assert life.path("unhappy")[0] == (at(3), True)
    assert life.path("unhappy")[1:] == [(told(ms("2021-01-04T04:00Z")), False)]


def test_segment_unhappy_by_an_nps_of_6_until_a_better_one_or_a_year_later():
    """An NPS of 6 is 60 of 100, so the mood is not low."""
    assert lived(feedback(day(0), "nps", 600)).path("unhappy") == [(at(0), True), ("2021-01-01T04:00Z", False)]
    assert lived(feedback(day(0), "nps", 600), feedback(day(9), "nps", 601)).path("unhappy") == [
        (at(0), True),
        (at(9), False),
    ]


def test_segment_late_two_weeks_past_the_order_expected():
    life = lived(yuan(0, 1), yuan(30, 1), yuan(60, 1), yuan(120, 1), until=130)
    assert life.path("late") == [(at(104), True), (at(120), False)]


def test_segments_by_the_opportunity_s_stage():
    life = lived(stage(day(0), "lead"), stage(day(5), "offer"), stage(day(50), "won"))
    assert life.path("in_offer") == [(at(5), True), (at(50), False)]
    assert life.path("stuck") == [(at(35), True), (at(50), False)]


def test_segment_few_words():
    """18 calls in 180 days make 3 expected in 30: none is e^-3 = .0498."""
    life = lived(*(contact(day(10 * n)) for n in range(18)), until=400)
    assert life.path("few_words")[0] == (at(200), True)
    assert life.path("few_words")[-1][1] is False


def test_segment_worth_more_by_what_is_to_be_expected():
    life = lived(*(yuan(30 * n, 30_000) for n in range(6)), until=400)
    assert life.value("worth_more") is False
    assert life.path("worth_more")[-2][1] is True
    ends = ms(life.path("worth_more")[-1][0])
    assert life.figure("orders_ahead", ends) < 6 <= life.figure("orders_ahead", ends - 1)
    assert life.figure("worth") == f"{3.2 * (40_000 + 150_000) / (3.2 * 5 + 2.6):.2f}"


def test_churn_by_each_of_its_reasons():
    quiet = lived(yuan(0, 1), until=400)
    assert quiet.path("churn") == [(at(180), True)]
    assert lived(yuan(0, 1), yuan(200, 1), until=201).path("churn")[-1] == (at(200), False)
    complaining = lived(*(feedback(day(n), "complaint") for n in range(3)))
    assert complaining.path("churn") == [(at(2), True), (at(90), False)]


def test_churn_by_the_model_until_the_next_order():
    """x = 1, t_x = 1 week: P(alive) falls to .3 at (6.5 + 1) * ((1/.3 - 1) * 3.4 / .6)^(1 / 1.9) - 6.5 = 22.7 weeks."""
    weeks = 7.5 * ((1 / 0.3 - 1) * 3.4 / 0.6) ** (1 / 1.9) - 6.5
    life = lived(yuan(0, 1), yuan(7, 1), yuan(170, 1), until=171)
    assert life.path("churn") == [(told(FIRST + int(weeks * 7 * DAY) + 1), True), (at(170), False)]

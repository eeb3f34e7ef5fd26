"""policies/retail.yaml: each rule fires on a hand-made history, and ceases."""

import pytest

from schemas.events import Event
from tests.scorer.domain.rules.life_of import DAY, LifeOf, told
from tests.scorer.domain.rules.shipped import NAMES, life_under, looked_at
from tests.scorer.domain.timeline import buy, click, contact, feedback, form, ms, refund

FIRST = ms("2025-01-01T12:00Z")  # 07:00 in New York


def day(number: int) -> int:
    return FIRST + number * DAY


def at(number: int) -> str:
    return told(day(number))


def dollars(number: int, amount: float) -> Event:
    return buy(day(number), round(amount * 100), currency="USD")


def lived(*events: Event, until: int = 2_000) -> LifeOf:
    life = life_under("retail")
    life.sees(*events)
    life.until(day(until))
    return life


@pytest.mark.parametrize("name", NAMES)
def test_a_shipped_policy_has_nothing_wrong_or_odd(name):
    policy, findings = looked_at(name)
    assert policy.name == name
    assert [str(f) for f in findings if f.severity == "refuse"] == []


YEAR_ON = "2026-01-01T12:00Z"


@pytest.mark.parametrize(("amount", "tier"), [(1_000, "platinum"), (300, "gold"), (100, "silver")])
def test_tiers_go_by_the_spend_of_a_year(amount, tier):
    #        buys                              a year later
    # ───────●─────────────────────────────────▼──────
    #        Jan 1 2025                        Jan 1 2026
    assert lived(dollars(0, amount)).path("tier") == [(at(0), tier), (YEAR_ON, "basic")]
    assert lived(dollars(0, amount - 0.01)).value("tier") != tier


def test_type_high_value_are_those_who_bring_80_percent():
    life = lived(dollars(0, 77.87), until=1)
    held = life.explained().standing["type"]
    assert (held.value, held.resources) == ("high_value", "40%")
    assert lived(dollars(0, 77.86), until=1).value("type") == "potential"


def test_type_at_risk_by_complaints_until_they_are_90_days_old():
    life = lived(dollars(0, 100), *(feedback(day(n), "complaint") for n in (10, 11, 12)))
    assert life.path("type") == [
        (at(0), "high_value"),
        (at(12), "at_risk"),
        (at(100), "high_value"),
    ]


def test_type_at_risk_by_the_model_until_the_next_purchase():
    """x = 1, t_x = 1 week: P(alive) falls to .3 at (4.414 + 1) * ((1/.3 - 1) * 2.426 / .793)^(1 / 1.243) - 4.414."""
    weeks = 5.414 * ((1 / 0.3 - 1) * 2.426 / 0.793) ** (1 / 1.243) - 4.414
    life = lived(dollars(0, 50), dollars(7, 50), dollars(300, 1), until=301)
    falls = told(FIRST + int(weeks * 7 * DAY) + 1)
    assert life.path("type") == [
        (at(7), "high_value"),
        (falls, "at_risk"),
        (at(300), "high_value"),
    ]


def test_type_growth_are_often_here_with_a_middling_spend():
    life = lived(dollars(0, 30), *(click(day(1 + n)) for n in range(11)), until=60)
    assert life.path("type") == [(at(11), "growth"), (at(31), "potential")]
    by_orders = lived(dollars(0, 15), dollars(10, 15), until=95)
    assert by_orders.path("type")[:2] == [(at(10), "growth"), (at(90), "potential")]


def test_lifecycle_from_lead_to_won_back():
    #        form  buys    buys     90 d: at risk   180 d: lapsed   buys: won back   60 d   90 d
    # ───────●─────●───────●────────▼───────────────▼───────────────●────────────────▼──────▼──
    life = lived(form(day(0)), dollars(5, 10), dollars(20, 10), dollars(300, 10), until=400)
    assert life.path("lifecycle") == [
        (at(5), "new"),
        (at(20), "active"),
        (at(110), "at_risk"),
        (at(200), "lapsed"),
        (at(300), "won_back"),
        (at(360), "active"),
        (at(390), "at_risk"),
    ]


def test_lifecycle_loyal_with_four_orders_in_a_year():
    life = lived(*(dollars(80 * n, 10) for n in range(5)), until=400)
    assert life.path("lifecycle")[:3] == [(at(0), "new"), (at(80), "active"), (at(240), "loyal")]
    assert life.value("lifecycle") == "loyal"


def test_lifecycle_loyal_ceases_by_90_days_of_quiet_and_is_not_had_back_by_one_order():
    life = lived(*(dollars(80 * n, 10) for n in range(4)), dollars(610, 10), until=611)
    assert life.path("lifecycle")[2:] == [
        (at(240), "loyal"),
        (at(330), "at_risk"),
        (at(420), "lapsed"),
        (at(610), "won_back"),
    ]
    life.until(day(670))
    assert life.value("lifecycle") == "active"


def test_lifecycle_loyal_ceases_when_the_fourth_order_goes_back():
    fourth = buy(day(30), 10_00, order="A", currency="USD")
    life = lived(*(dollars(10 * n, 10) for n in range(3)), fourth, refund(day(40), None, "A", currency="USD"), until=41)
    assert life.path("lifecycle")[-2:] == [(at(30), "loyal"), (at(40), "active")]


def test_segment_high_value_is_for_life():
    assert lived(dollars(0, 499.99), dollars(1, 0.01)).path("high_value") == [(at(1), True)]


def test_segment_and_type_high_value_cease_when_the_money_goes_back():
    order = buy(day(0), 500_00, order="A", currency="USD")
    life = lived(order, refund(day(9), 1, "A", currency="USD"), refund(day(20), None, "A", currency="USD"), until=21)
    assert life.path("high_value") == [(at(0), True), (at(9), False)]
    assert life.path("type") == [(at(0), "high_value"), (at(20), "potential")]


def test_segment_active_by_an_order_or_three_calls():
    life = lived(dollars(0, 1), *(contact(day(n)) for n in (40, 41, 42)))
    assert life.path("active") == [(at(0), True), (at(30), False), (at(42), True), (at(70), False)]


def test_segment_at_risk_who_came_back_once_and_has_not_since():
    life = lived(dollars(0, 1), dollars(10, 1), dollars(200, 1), until=210)
    assert life.path("at_risk") == [(at(100), True), (at(200), False)]


def test_segment_potential_who_asked_and_never_bought():
    assert lived(form(day(0)), dollars(3, 1)).path("potential") == [(at(0), True), (at(3), False)]


def test_churn_someone_who_was_worth_something_has_gone_quiet():
    life = lived(dollars(0, 300), dollars(200, 1), until=210)
    assert life.path("churn") == [(at(120), True), (at(200), False)]
    assert lived(dollars(0, 299.99)).path("churn") == []


def test_quality_adds_up_to_100():
    """500 of 1,000 is 25 of 50, six orders of 12 are 15 of 30, an NPS of 8 is 16 of 20: 56."""
    life = lived(*(dollars(n, 500 / 6) for n in range(6)), feedback(day(6), "nps", 800), until=7)
    assert life.figure("quality") == pytest.approx(56, abs=1e-2)


def test_the_page_has_the_models_though_no_rule_asks_for_them():
    life = lived(dollars(0, 20), dollars(30, 30), dollars(60, 40), until=70)
    assert [life.figure(f"rfm.{part}") for part in "rfm"] == [5, 3, 3]
    assert life.figure("basket") == "30.00"
    assert 0 < life.figure("orders_next_90d") < 2
    assert life.figure("worth") == f"{6.25 * (15.44 + 70) / (6.25 * 2 + 2.74):.2f}"
    assert life.figure("pace.mean") == 30 * DAY

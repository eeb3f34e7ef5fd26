"""Rule 13: churn is computed, not guessed: P(alive) by BG/NBD, at risk from an instant known beforehand."""

import pytest

from schemas.decisions import Value
from schemas.events import Event
from services.scorer.domain.policy import PolicyError
from tests.scorer.domain.rules.life_of import DAY, LifeOf, policy, told
from tests.scorer.domain.timeline import buy, click, ms, refund

WEEK = 7 * DAY
CDNOW = "calibration: {bg_nbd: {r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, unit: week}}"


def alive_below(p: str, zone: str = "UTC", calibration: str = CDNOW) -> LifeOf:
    return LifeOf(
        policy(
            f"""
features:
  alive: {{p_alive: purchase}}
  quiet: {{since_last: purchase}}
churn: {{at_risk: "alive < {p}"}}
segments: {{known: "alive >= 0.01"}}
{calibration}
""",
            zone=zone,
        )
    )


def falls_at(x: int, tx_weeks: float, p: float) -> float:
    """The age in weeks at which P(alive) is p, straight from the rule's closed form."""
    r, alpha, a, b = 0.243, 4.414, 0.793, 2.426
    return (alpha + tx_weeks) * ((1 / p - 1) * (b + x - 1) / a) ** (1 / (r + x)) - alpha


@pytest.mark.parametrize(("x", "p"), [(1, 0.5), (2, 0.5), (3, 0.3), (6, 0.7)])
def test_rule_13_at_risk_begins_the_first_whole_ms_after_the_closed_form_s_instant(x, p):
    #        x + 1 purchases, one a week           P(alive) = p
    # ───────●────●────●──────────────────────────▼──────
    #        Mar 2 ...                            age T
    first = ms("2026-03-02T12:00Z")
    life = alive_below(str(p))
    life.sees(*(buy(first + week * WEEK, 10_00) for week in range(x + 1)))
    expected = first + int(falls_at(x, x, p) * WEEK) + 1
    assert life.next("churn") == (told(expected), True)
    life.until(expected - 1)
    assert life.value("churn") is False
    life.until(expected)
    assert life.value("churn") is True
    assert life.of("churn")[-1].effective_ms == expected


def test_rule_13_a_purchase_that_comes_at_the_very_instant_the_risk_begins_brings_it_along():
    #        buys        buys (comes at age T)       P(alive) = 0.5, and now
    # ───────●───────────○──────────────────────────┃──
    #        Mar 2       Mar 9
    first = ms("2026-03-02T12:00Z")
    now = first + int(falls_at(1, 1, 0.5) * WEEK) + 1
    for at_ms, risk in ((now - 1, False), (now, True)):
        life = alive_below("0.5")
        life.sees(buy(first, 10_00))
        life.sees(buy(first + WEEK, 10_00, id="late"), at=at_ms)
        assert life.value("churn") is risk


def test_rule_13_the_probability_shown_is_the_model_s():
    """x = 2, t_x = 2 weeks, T = 10 weeks: 1 / (1 + .793 / 3.426 * (14.414 / 6.414)^2.243) = 0.4127."""
    first = ms("2026-03-02T12:00Z")
    life = alive_below("0.5")
    life.sees(*(buy(first + week * WEEK, 10_00) for week in range(3)))
    shown = life.figure("alive", first + 10 * WEEK)
    assert shown == pytest.approx(1 / (1 + 0.793 / 3.426 * (14.414 / 6.414) ** 2.243), abs=1e-6)


def test_rule_13_a_purchase_takes_the_risk_back():
    #        buys, buys          P(alive) = .5         buys again
    # ───────●────●─────────────▼─────────────────────●──────
    #        at risk: no         yes                   no
    life = alive_below("0.5")
    life.sees(buy("2026-01-05T12:00Z", 1), buy("2026-01-12T12:00Z", 1))
    life.until("2026-12-01T00:00Z")
    life.sees(buy("2026-12-01T12:00Z", 1))
    assert [(after, cause) for _, after, _, cause in life.said("churn")] == [(True, "time"), (False, "event")]


def test_rule_13_with_one_purchase_the_model_says_1_for_ever():
    life = alive_below("0.7")
    life.sees(buy("2026-01-05T12:00Z", 1))
    assert life.next("churn") is None
    assert life.figure("alive", "2046-01-05T12:00Z") == 1
    assert life.value("known") is True


def test_rule_13_before_the_first_purchase_it_is_unknown():
    life = alive_below("0.5")
    life.sees(click("2026-01-05T12:00Z"))
    assert (life.figure("alive"), life.value("churn"), life.value("known")) == (None, False, False)


def test_rule_13_simple_rules_do_for_who_bought_once():
    life = LifeOf(policy("features: {quiet: {since_last: purchase}}\nchurn: {at_risk: 'quiet >= 180d'}"))
    life.sees(buy("2026-01-05T12:00Z", 1))
    life.until("2027-01-01T00:00Z")
    assert life.path("churn") == [("2026-07-04T12:00Z", True)]


def test_rule_13_purchases_of_one_calendar_day_in_the_policy_s_zone_are_one_transaction_at_the_first():
    #        one day in New York, two in UTC
    # ───────●───────────────────●──────────
    #        Mar 1 21:00Z        Mar 2 04:00Z (23:00)
    both = [buy("2026-03-01T21:00Z", 1), buy("2026-03-02T04:00Z", 1)]
    there, here = alive_below("0.5", "America/New_York"), alive_below("0.5")
    there.sees(*both)
    here.sees(*both)
    assert (there.figure("alive", "2027-03-01T00:00Z"), there.next("churn")) == (1, None)
    assert here.figure("alive", "2027-03-01T00:00Z") < 0.5


@pytest.mark.parametrize(("second", "repeats"), [("2026-03-02T22:00Z", 0), ("2026-03-03T01:00Z", 1)])
def test_rule_13_a_purchase_some_hours_later_is_another_transaction_only_if_it_is_another_day(second, repeats):
    #        buys           buys             midnight     buys
    # ───────●──────────────○────────────────┊────────────○──
    #        Mar 2, 12:00   22:00            00:00        01:00
    life = alive_below("0.5")
    life.sees(buy("2026-03-02T12:00Z", 10_00))
    life.sees(buy(second, 10_00, id="second"))
    life.until("2027-03-01T00:00Z")
    assert life.value("churn") is bool(repeats)


def test_rule_13_a_wholly_refunded_order_is_no_transaction():
    life = alive_below("0.5")
    life.sees(buy("2026-01-05T12:00Z", 1_00), buy("2026-01-12T12:00Z", 1_00, order="A"))
    assert life.next("churn") is not None
    life.sees(refund("2026-01-13T12:00Z", order="A"))
    assert (life.figure("alive", "2027-01-01T00:00Z"), life.next("churn")) == (1, None)


def test_rule_13_when_a_day_s_first_order_is_refunded_the_next_of_the_day_stands_for_it():
    def risk_after(*events: Event) -> tuple[str, Value] | None:
        life = alive_below("0.5")
        life.sees(*events)
        return life.next("churn")

    first, later = buy("2026-01-05T12:00Z", 1), buy("2026-01-12T17:00Z", 1)
    gone = [buy("2026-01-12T09:00Z", 1_00, order="A"), refund("2026-01-12T18:00Z", order="A")]
    alone = risk_after(first, later)
    assert risk_after(first, gone[0], later, gone[1]) == alone != risk_after(first, gone[0])


def test_rule_13_a_threshold_that_can_never_be_crossed_from_above_is_refused():
    with pytest.raises(PolicyError, match=r"b/\(a\+b\) = 0\.7537"):
        alive_below("0.76")
    alive_below("0.75")


def test_rule_13_expected_purchases_are_a_step_function_of_whole_days():
    life = LifeOf(
        policy(
            f"""
features: {{next_90d: {{expected: purchase, horizon: 90d}}}}
segments: {{promising: "next_90d >= 1"}}
{CDNOW}
"""
        )
    )
    first = ms("2026-03-02T12:00Z")
    life.sees(*(buy(first + week * WEEK, 10_00) for week in range(4)))
    shown = [life.figure("next_90d", first + 30 * DAY + part) for part in (0, 1, DAY - 1, DAY)]
    assert shown[0] == shown[1] == shown[2] > shown[3]
    flips = life.next("promising")
    assert flips is not None
    assert (ms(flips[0]) - first) % DAY == 0
    life.until(flips[0])
    assert life.path("promising")[-1] == (flips[0], False)
    assert life.figure("next_90d", ms(flips[0]) - 1) >= 1 > life.figure("next_90d", flips[0])


def test_rule_13_expected_purchases_are_the_paper_s():
    """Fader, Hardie and Lee's customer 0001: x = 2, t_x = 30.43, T = 38.86 weeks: 1.226 in the next 39."""
    life = LifeOf(policy(f"features: {{ahead: {{expected: purchase, horizon: 39w}}}}\n{CDNOW}"))
    first = ms("2026-01-01T00:00Z")
    life.sees(buy(first, 1), buy(first + 15 * WEEK, 1), buy(first + 213 * DAY, 1))  # 30.43 weeks
    assert life.figure("ahead", first + 272 * DAY) == pytest.approx(1.226, abs=2e-3)  # 38.86 weeks


GG = "calibration: {gamma_gamma: {p: 6.25, q: 3.74, v: 15.44}}"


def test_rule_13_the_value_of_a_purchase_lies_between_the_own_mean_and_everybody_s():
    """p (v + z) / (p x + q - 1): nothing known 35.22; two repeats of 30 and 50: 6.25 * 95.44 / 15.24 = 39.14."""
    life = LifeOf(policy(f"features: {{worth: {{value: purchase}}}}\n{GG}"))
    life.sees(click("2026-03-01T00:00Z"))
    assert life.figure("worth") is None
    life.sees(buy("2026-03-01T10:00Z", 90_00), buy("2026-03-01T11:00Z", 10_00))
    assert life.figure("worth") == f"{6.25 * 15.44 / 2.74:.2f}", "the first purchase is no repeat"
    life.sees(buy("2026-03-02T00:00Z", 0))
    assert life.figure("worth") == f"{6.25 * 15.44 / 2.74:.2f}", "a day of 0 has no value to go by"
    life.sees(buy("2026-03-03T00:00Z", 30_00), buy("2026-03-04T00:00Z", 20_00), buy("2026-03-04T01:00Z", 30_00))
    assert life.figure("worth") == f"{6.25 * (15.44 + 80) / (6.25 * 2 + 2.74):.2f}"
    life.sees(refund("2026-03-05T00:00Z", 20_00))
    assert life.figure("worth") == f"{6.25 * 95.44 / 15.24:.2f}", "of which order, it does not say"


def test_rule_13_a_refund_lowers_the_value_of_its_day():
    life = LifeOf(policy(f"features: {{worth: {{value: purchase}}}}\n{GG}"))
    life.sees(buy("2026-03-02T00:00Z", 90_00, order="0"))
    life.sees(buy("2026-03-03T00:00Z", 30_00, order="A"), buy("2026-03-04T00:00Z", 50_00, order="B"))
    life.sees(refund("2026-03-05T00:00Z", 10_00, "B"))
    assert life.figure("worth") == f"{6.25 * (15.44 + 70) / 15.24:.2f}"
    life.sees(refund("2026-03-06T00:00Z", None, "A"))
    assert life.figure("worth") == f"{6.25 * (15.44 + 40) / (6.25 + 2.74):.2f}"
    life.sees(refund("2026-03-07T00:00Z", None, "0"))
    assert life.figure("worth") == f"{6.25 * 15.44 / 2.74:.2f}", "what is left is the first one now"


def test_rule_13_the_value_to_expect_is_compared_exactly():
    """1.1 * 3 / (2 - 1), which floats take for a little more than 3.3."""
    life = LifeOf(
        policy("""
features: {worth: {value: purchase}}
calibration: {gamma_gamma: {p: 1.1, q: 2, v: 3}}
segments: {over: "worth > 3.3", upto: "worth <= 3.3"}
""")
    )
    life.sees(buy("2026-03-01T00:00Z", 10_00))
    assert (life.figure("worth"), life.explained().segments) == ("3.30", ["upto"])

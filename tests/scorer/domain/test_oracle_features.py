"""The oracle's features against numbers worked out by hand. Times are ms."""

from decimal import Decimal
from fractions import Fraction
from itertools import permutations

import pytest

from tests.scorer.domain import oracle_models
from tests.scorer.domain.oracle import Oracle
from tests.scorer.domain.oracle_calendar import FIXED
from tests.scorer.domain.oracle_operands import (
    Alive,
    Decayed,
    Duration,
    Elapsed,
    Money,
    Number,
    Operand,
    Real,
    RootRatio,
    Text,
)
from tests.scorer.domain.oracle_orders import hash_of
from tests.scorer.domain.timeline import buy, click, contact, feedback, form, ms, profile, refund, stage

DAY = FIXED["d"]
CALIBRATION = """{bg_nbd: {r: 1, alpha: 1, a: 2, b: 2, unit: day}, gamma_gamma: {p: 6, q: 4, v: 15},
 rfm: {recency: [1s, 2s, 3s, 4s], frequency: [1, 2, 3, 5], monetary: [1, 2, 4.50, 10]}}"""


def oracle(features: str, rule: str = "known_for > 99y", **more: str) -> Oracle:
    parts = {"zone": "UTC", "calibration": CALIBRATION, "segments": f'{{it: "{rule}"}}'} | more
    lines = "".join(f"{name}: {part}\n" for name, part in parts.items())
    return Oracle(
        f"policy: hand\ncurrency: EUR\nfeatures: {{{features}}}\nladders: {{tier: [{{name: basic}}]}}\n{lines}"
    )


def value(feature: str, log: list, now: int | str, operand: str = "x", **more: str) -> Operand:
    return oracle(f"x: {{{feature}}}", **more).values(log, ms(now))[operand]


def number(feature: str, log: list, now: int | str, operand: str = "x", **more: str) -> Fraction | int:
    found = value(feature, log, now, operand, **more)
    assert isinstance(found, Number), found
    return found.value


def steps(feature: str, rule: str, log: list, now: int = 100_000, **more: str) -> list:
    return oracle(f"x: {{{feature}}}", rule, **more).paths(log, now)["it"]


# -- what a condition on fields lets through


def test_a_condition_on_fields_is_false_of_a_field_that_is_not_there() -> None:
    log = [buy(0, 100, channel="web"), buy(1, 100, channel="shop"), buy(2, 100)]
    assert number("count: purchase, where: \"channel == 'web'\"", log, 9) == 1
    assert number("count: purchase, where: \"channel != 'web'\"", log, 9) == 1
    assert number("count: purchase, where: \"not channel == 'web'\"", log, 9) == 2


def test_outbound_contacts_count_only_where_the_direction_is_asked_for() -> None:
    log = [contact(0), contact(1, "outbound"), contact(2, "outbound", "call"), click(3)]
    assert number("count: interaction", log, 9) == 1
    assert number("count: interaction, where: \"channel == 'call'\"", log, 9) == 0
    assert number("count: interaction, where: \"direction == 'outbound'\"", log, 9) == 2
    assert number("count: [click, interaction], where: \"direction in ['inbound', 'outbound']\"", log, 9) == 3


def test_fields_of_every_kind_can_be_asked_for() -> None:
    log = [click(0, "home"), form(1, "contact"), feedback(2, "nps", 700), feedback(3, "complaint"), stage(4, "won")]
    for where, type_ in [
        ("page == 'home'", "click"),
        ("form == 'contact'", "form"),
        ("kind == 'nps' and score >= 7", "feedback"),
        ("stage == 'won' and opportunity == 'o1'", "stage"),
    ]:
        assert number(f'count: {type_}, where: "{where}"', log, 9) == 1
    assert number('count: feedback, where: "score < 99"', log, 9) == 1  # a complaint has no score


def test_the_order_is_asked_and_its_refunds_follow() -> None:
    log = [buy(0, 500, "A", channel="web"), buy(0, 300, "B"), refund(1, 200, "A"), refund(1, 100, "B"), refund(2, 50)]
    spend = "sum: purchase.amount, minus: refund.amount"
    assert number(f"{spend}, where: \"channel == 'web'\"", log, 9) == 3
    assert number(spend, log, 9) == Fraction("4.5")


# -- money (rule 8)

RATES = "{USD: {2026-03-01: 0.50, 2026-03-02: 0.335}}"


def test_the_rate_is_the_one_of_the_orders_time_from_local_midnight_on() -> None:
    spend, zone = "sum: purchase.amount", "Asia/Shanghai"
    for at, euros in [("02-28T15:59", 0), ("02-28T16:00", "0.50"), ("03-01T15:59:59", "0.50"), ("03-01T16:00", "0.34")]:
        log = [buy(f"2026-{at}+00:00", 100, currency="USD")]  # 33.5 cents: to the even 34
        assert number(spend, log, "2026-04-01T00:00Z", zone=zone, rates=RATES) == Fraction(euros)
    log = [buy("2026-03-05T00:00Z", 300, currency="USD")]  # 100.5 cents: to the even 100
    assert number(spend, log, "2026-04-01T00:00Z", rates=RATES) == 1


def test_refunds_go_by_their_orders_rate_on_what_they_take_together() -> None:
    #   100 cents at 0.335 = 34 (33.5 to the even)      50 taken: 17 (16.75)      100 taken: 34; nothing is left
    order = buy("2026-03-02T00:00Z", 100, "A", "USD")
    log = [order, refund("2026-03-03T00:00Z", 50, "A", "USD"), refund("2026-03-04T00:00Z", 50, "A", "USD")]
    for count, net, back in [(1, "0.34", 0), (2, "0.17", "0.17"), (3, 0, "0.34")]:
        known = log[:count]
        spend = "sum: purchase.amount, minus: refund.amount"
        assert number(spend, known, "2026-03-09T00:00Z", rates=RATES) == Fraction(net)
        assert number("sum: refund.amount", known, "2026-03-09T00:00Z", rates=RATES) == Fraction(back)


def test_other_currencies_have_other_minor_units() -> None:
    rates = "{JPY: {2026-01-01: 0.0061}, KWD: {2026-01-01: 3.0}}"
    at = "2026-03-02T00:00Z"
    assert number("sum: purchase.amount", [buy(at, 1000, currency="JPY")], at, rates=rates) == Fraction("6.10")
    assert number("sum: purchase.amount", [buy(at, 1000, currency="KWD")], at, rates=rates) == 3


# -- feedback


def test_the_mean_is_of_scores_in_the_window() -> None:
    #   4.00    5.00    complaint   now: the first has left
    # ──●───────●───────○───────────▼
    #   0       500     600         1000
    log = [feedback(0, "rating", 400), feedback(500, "rating", 500), feedback(600, "complaint")]
    assert number("mean: feedback.score", log, 1000) == Fraction(9, 2)
    assert number("mean: feedback.score, window: 1s", log, 1000) == 5
    assert not value("mean: feedback.score", log[2:], 1000).known


def test_feedback_is_weighted_by_kind_from_0_to_100() -> None:
    log = [feedback(0, "rating", 450), feedback(0, "nps", 900), feedback(0, "complaint")]  # 87.5, 90, 0
    assert number("feedback: {rating: 2, nps: 1, complaint: 3}", log, 9) == Fraction(2 * Fraction(175, 2) + 90, 6)
    assert number("feedback: {rating: 1}", log, 9) == Fraction(175, 2)
    assert not value("feedback: {rating: 1}", log[1:], 9).known


def test_a_ratio_is_unknown_while_the_other_is_nought() -> None:
    made = oracle("x: {ratio: [spend, orders]}, spend: {sum: purchase.amount}, orders: {count: purchase}")
    log = [buy(5, 1000), buy(6, 500)]
    assert made.values(log, 9)["x"] == Money(Fraction(15, 2))
    assert not made.values([click(1), *log], 4)["x"].known


# -- orders in time


def test_regularity_needs_two_gaps() -> None:
    #   ●────●──────────●      gaps 1000 and 2001: mean 1500.5 cut, spread 500.5 cut, variation 500.5 / 1500.5
    log = [buy(0, 100), buy(1000, 100), buy(3001, 100)]
    assert not value("regularity: purchase", log[:2], 9999, "x.mean").known
    assert value("regularity: purchase", log, 9999, "x.mean") == Duration(1500)
    assert value("regularity: purchase", log, 9999, "x.spread") == Duration(500)
    found = value("regularity: purchase", log, 9999, "x.variation")
    assert found.compare(">", "0.3335") and not found.compare(">", "0.3336")  # noqa: PT018 - a pair
    same = [buy(5, 100), buy(5, 100), buy(5, 100)]
    assert value("regularity: purchase", same, 9, "x.mean") == Duration(0)
    assert not value("regularity: purchase", same, 9, "x.variation").known


def test_even_gaps_have_no_variation() -> None:
    log = [buy(0, 100), buy(1000, 100), buy(2000, 100)]
    assert value("regularity: purchase", log, 9999, "x.variation") == RootRatio(0, 2000)
    assert value("regularity: purchase", log, 9999, "x.variation").compare("==", "0")


def test_an_order_is_overdue_from_the_instant_it_was_expected() -> None:
    #   ●────●──────────●          expected: 3001 + 1500
    #   0    1000       3001       4501
    log = [buy(0, 100), buy(1000, 100), buy(3001, 100)]
    assert not value("overdue: purchase", log, 4500).known
    found = value("overdue: purchase", log, 4501)
    assert isinstance(found, Elapsed)
    assert (found.now, found.since) == (4501, 4501)
    assert steps("overdue: purchase", "x >= 2ms", log) == [(4503, True)]
    assert steps("overdue: purchase", "x < 2ms", log) == [(4501, True), (4503, False)]


def test_since_last_of_a_refund_is_since_its_effect() -> None:
    assert value("since_last: refund", [refund(0, 5, "A"), buy(7, 100, "A")], 9) == Elapsed(7, 9, oracle("").book.zone)


# -- trend


def test_a_trend_compares_the_last_time_with_the_time_before() -> None:
    #   base 2 s           recent 1 s     now
    # ──├──●────●────●─────┼───●──────────▼      3 in the base: 1.5 expected, 1 has come
    log = [click(1), click(500), click(2000), click(2001)]
    trend = "trend: click, recent: 1s, base: 2s"
    assert number(trend, log, 3000) == Fraction(2, 3)
    fewer = value(trend, log, 3000, "x.fewer")  # e^-1.5 * (1 + 1.5) = 0.5578
    more = value(trend, log, 3000, "x.more")  # 1 - e^-1.5 = 0.7769
    assert isinstance(fewer, Real)
    assert isinstance(more, Real)
    assert round(fewer.value, 4) == Decimal("0.5578")
    assert round(more.value, 4) == Decimal("0.7769")


def test_a_trend_is_unknown_without_a_base() -> None:
    #   ●───────────┤ leaves recent, enters the base ├ leaves the base
    #   0           1000                             3000
    trend = "trend: click, recent: 1s, base: 2s"
    assert [value(trend, [click(0)], at).known for at in (0, 999, 1000, 2999, 3000)] == [
        False,
        False,
        True,
        True,
        False,
    ]
    assert value(trend, [click(0)], 1000, "x.more").compare("==", "1")  # nothing or more is certain


# -- score


def test_a_score_halves_with_each_half_life() -> None:
    score = "score: {purchase: 10, click: 0.5}, half_life: 1s"
    log = [buy(0, 100), click(1000)]
    found = value(score, log, 2000)
    assert isinstance(found, Decayed)
    assert found.value == Decimal("2.75")  # 10 / 4 + 0.5 / 2
    assert [found.compare(sign, "2.75") for sign in ("==", ">", ">=", "<")] == [True, False, True, False]
    assert steps(score, "x > 5", log[:1]) == [(0, True), (1000, False)]
    assert steps(score, "x >= 5", log[:1]) == [(0, True), (1001, False)]


def test_a_score_between_whole_half_lives_is_exact() -> None:
    #   10 * 2^(-t/1000) = 3 at t = 1000 * log2(10/3) = 1736.97
    assert steps("score: {purchase: 10}, half_life: 1s", "x > 3", [buy(0, 100)]) == [(0, True), (1737, False)]
    #   5 and -5 of one instant are nothing for ever, exactly
    log = [click(0), form(0)]
    assert value("score: {click: 5, form: -5}, half_life: 1s", log, 777).compare("==", "0")


def test_a_refunded_order_gives_no_points() -> None:
    log = [buy(0, 100, "A"), refund(500, None, "A")]
    assert steps("score: {purchase: 10}, half_life: 10s", "x > 0", log) == [(0, True), (500, False)]


# -- the models


def test_p_alive_is_the_papers() -> None:
    #   x = 1, tx = 1 day, alpha = 1 day, a = b = 2: P = 1 / (1 + ((1 + T) / 2)^2), T in days; 0.2 at T = 3, exactly
    log = [buy("2026-03-01T00:00Z", 100), buy("2026-03-02T00:00Z", 100)]
    found = value("p_alive: purchase", log, "2026-03-04T00:00Z")
    assert isinstance(found, Alive)
    assert abs(found.value - Decimal("0.2")) < Decimal("1e-50")
    there = ms("2026-03-04T00:00Z")
    for rule, path in [
        ("x < 0.2", [(there + 1, True)]),
        ("x <= 0.2", [(there + 1, True)]),
        ("x >= 0.2", [(ms("2026-03-01T00:00Z"), True), (there + 1, False)]),
        ("x == 0.2", []),
    ]:
        assert steps("p_alive: purchase", rule, log, there + 9 * DAY) == path


def test_who_bought_once_is_alive() -> None:
    found = value("p_alive: purchase", [buy(0, 100)], 900 * DAY)
    assert isinstance(found, Alive)
    assert found.value == 1
    assert not value("p_alive: purchase", [click(0)], 9).known


def test_the_orders_of_one_local_day_are_one_transaction() -> None:
    #   23:00  23:30 | midnight in Shanghai   01:00
    log = [buy("2026-03-01T15:00Z", 100), buy("2026-03-01T15:30Z", 100), buy("2026-03-01T17:00Z", 100)]
    two = oracle("x: {p_alive: purchase}", zone="Asia/Shanghai").values(log, ms("2026-03-01T18:00Z"))
    assert two.recency() == (1, 2 * 3_600_000, 3 * 3_600_000)
    one = oracle("x: {p_alive: purchase}").values(log, ms("2026-03-01T18:00Z"))
    assert one.recency() == (0, 0, 3 * 3_600_000)


WEEK = 7 * DAY
CDNOW = oracle_models.BgNbd(Fraction("0.243"), Fraction("4.414") * WEEK, Fraction("0.793"), Fraction("2.426"))


def test_expected_purchases_are_those_of_the_note() -> None:
    # Fader, Hardie, Lee: "Implementing the BG/NBD Model ... in Excel": x = 2, tx = 30.43, T = 38.86 weeks, 39 weeks on
    found = oracle_models.expected(CDNOW, 2, round(30.43 * WEEK), round(38.86 * WEEK), 39 * WEEK)
    assert round(found, 3) == Decimal("1.226")


def test_expected_purchases_step_at_whole_days_of_age() -> None:
    log = [buy("2026-03-01T06:00Z", 100), buy("2026-03-02T12:00Z", 100)]

    def at(now: str) -> Operand:
        return value("expected: purchase, horizon: 30d", log, now)

    assert at("2026-03-02T12:00Z") == at("2026-03-03T05:59Z")  # from the last purchase on, until two days old
    assert at("2026-03-03T06:00Z") == at("2026-03-04T05:59Z")
    assert at("2026-03-03T05:59Z") != at("2026-03-03T06:00Z")


@pytest.mark.parametrize("z", ["0.3", "0.9"])
def test_the_hypergeometric_series_is_what_it_should_be(z: str) -> None:
    # 2F1(1, 1; 2; z) = -ln(1 - z) / z
    found = oracle_models.hypergeometric(Fraction(1), Fraction(1), Fraction(2), Fraction(z))
    assert round(found, 22) == round(-(1 - Decimal(z)).ln() / Decimal(z), 22)


def test_the_value_of_a_purchase_is_between_the_own_mean_and_everybodys() -> None:
    # after the first, days worth 8 and 4; p (v + 12) / (2 p + q - 1) = 6 * 27 / 15
    first = [buy(-DAY, 900), buy(-DAY + 1, 900)]
    log = [*first, buy(0, 500), buy(1, 300), buy(DAY, 500, "A"), refund(DAY + 5, 100, "A"), buy(2 * DAY, 0)]
    assert number("value: purchase", log, 3 * DAY) == Fraction(6 * 27, 15)
    assert number("value: purchase", log[-1:], 3 * DAY) == 30  # everybody's: p v / (q - 1)
    assert not value("value: purchase", [click(0)], 9).known


def test_rfm_goes_by_the_cuts() -> None:
    log = [buy(0, 150), buy(0, 50), refund(5, 50)]
    parts = [[number("rfm: purchase", log, at, f"x.{part}") for part in "rfm"] for at in (0, 999, 1000, 4000)]
    assert parts == [[5, 3, 3], [5, 3, 2], [4, 3, 2], [1, 3, 2]]
    assert not value("rfm: purchase", [click(0)], 9, "x.m").known


# -- texts


def test_the_stage_is_that_of_the_opportunity_that_moved_last() -> None:
    #   o1 new     o1 won     o1 won again     o2 won
    # ──●──────────●──────────○────────────────●──
    #   0          10         20               30
    log = [stage(0, "new"), stage(10, "won"), stage(20, "won"), stage(30, "won", "o2")]
    assert value("stage: opportunity", log, 25) == Text("won")
    since = [value("stage: opportunity", log, at, "x.time") for at in (5, 25, 35)]
    assert [one.since for one in since if isinstance(one, Elapsed)] == [0, 10, 30]
    assert not value("stage: opportunity", [click(0)], 9).known


def test_an_attribute_holds_from_its_time_on() -> None:
    made = oracle("", attributes="[region, size]")
    log = [profile(20, region="south"), profile(10, region="north", size="l"), profile(30, region=None)]
    found = [made.values(log, at)["region"] for at in (5, 10, 20, 30)]
    assert [one.known for one in found] == [False, True, True, False]
    assert found[1:3] == [Text("north"), Text("south")]
    assert made.values(log, 30)["size"] == Text("l")


def test_of_two_profiles_of_one_millisecond_the_larger_hash_holds() -> None:
    made = oracle("", attributes="[region]")
    log = [profile(10, region=name) for name in ("a", "b", "c")]
    found = [made.values(order, 10)["region"] for order in permutations(log)]
    winner = max(log, key=lambda event: hash_of(event.source, event.id)).data.attributes["region"]
    assert found == [Text(winner)] * 6


def test_a_scorecard_gives_points_in_proportion() -> None:
    made = oracle(
        "spend: {sum: purchase.amount}, n: {mean: feedback.score}",
        scorecards="{card: {spend: {weight: 50, full: 10}, n: {weight: 20.5, full: 5}}}",
    )
    assert made.values([buy(0, 250)], 9)["card"] == Number(Fraction(25, 2))  # the unknown gives nothing
    assert made.values([buy(0, 2500), feedback(0, "rating", 250)], 9)["card"] == Number(50 + Fraction("10.25"))

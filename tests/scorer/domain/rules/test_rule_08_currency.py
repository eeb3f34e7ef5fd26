"""Rule 8: original minor units are kept; the policy's dated rates convert, rounded half-even to its minor unit."""

from decimal import localcontext

import pytest

from services.scorer.domain.scoring import Arrival
from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import buy, ms, refund

FEATURES = """
features:
  spend: {sum: purchase.amount, minus: refund.amount}
  refunded: {sum: refund.amount}
  orders: {count: purchase}
ladders:
  tier: [{name: gold, when: "spend >= 100"}, {name: basic}]
"""


def in_yuan(rates: str, zone: str = "Asia/Shanghai") -> LifeOf:
    return LifeOf(policy(f"rates: {rates}\n{FEATURES}", currency="CNY", zone=zone))


def test_rule_08_a_purchase_is_converted_at_the_policy_s_rate():
    life = in_yuan("{USD: {2000-01-01: 7.10}}")
    life.sees(buy("2026-03-01T00:00Z", 10_01, currency="USD"))
    assert life.figure("spend") == "71.07"  # 71.071
    assert life.amounts() == [10_01], "what is kept is what was paid"


@pytest.mark.parametrize(("cents", "shown"), [(1, "0.00"), (3, "0.02"), (5, "0.02"), (7, "0.04"), (9, "0.04")])
def test_rule_08_a_half_goes_to_the_even_minor_unit(cents, shown):
    #   0.5 -> 0,  1.5 -> 2,  2.5 -> 2,  3.5 -> 4,  4.5 -> 4
    life = in_yuan("{USD: {2000-01-01: 0.5}}")
    life.sees(buy("2026-03-01T00:00Z", cents, currency="USD"))
    assert life.figure("spend") == shown


def test_rule_08_a_rate_holds_from_its_local_midnight_on():
    #        7.10               7.00
    # ───────────────●─────────●──────────
    #                Jun 30    Jul 1 00:00 in Shanghai, which is Jun 30 16:00Z
    life = in_yuan("{USD: {2000-01-01: 7.10, 2026-07-01: 7.00}}")
    life.sees(buy("2026-06-30T15:59:59.999Z", 10_00, currency="USD"))
    assert life.figure("spend") == "71.00"
    life.sees(buy("2026-06-30T16:00Z", 10_00, currency="USD"))
    assert life.figure("spend") == "141.00"


def test_rule_08_before_its_first_rate_a_currency_has_none():
    life = in_yuan("{USD: {2026-07-01: 7.00}}")
    life.sees(buy("2026-06-30T15:59:59.999Z", 10_00, currency="USD"))
    assert (life.figure("spend"), life.feature("spend").unpriced) == ("0.00", 1)


@pytest.mark.parametrize(("currency", "minor", "shown"), [("JPY", 1_000, "48.00"), ("KWD", 1_000, "23.10")])
def test_rule_08_each_currency_has_its_own_minor_unit(currency, minor, shown):
    """1,000 yen at 0.048; 1.000 Kuwaiti dinar, of a thousand fils, at 23.10."""
    life = in_yuan("{JPY: {2000-01-01: 0.048}, KWD: {2000-01-01: 23.10}}")
    life.sees(buy("2026-03-01T00:00Z", minor, currency=currency))
    assert life.figure("spend") == shown


def test_rule_08_refunds_go_by_the_order_s_rate_on_what_they_come_to_so_that_a_full_refund_is_zero():
    #        order A: 1.00 at 0.335 = 0.34      1/3 refunded     1/3      1/3 at another rate's time
    # ───────●──────────────────────────────────╳────────────────╳────────╳──
    life = in_yuan("{USD: {2000-01-01: 0.335, 2026-03-03: 900}}")
    life.sees(buy("2026-03-01T00:00Z", 1_00, order="A", currency="USD"))
    spent = [life.figure("spend")]
    for day, cents in ((4, 33), (5, 33), (6, 34)):
        life.sees(refund(f"2026-03-0{day}T00:00Z", cents, "A", currency="USD"))
        spent.append(life.figure("spend"))
    # taken: 33 * .335 = 11.055 -> 11; 66 -> 22.11 -> 22; 100 -> 33.5 -> 34 (half to even)
    assert spent == ["0.34", "0.23", "0.12", "0.00"]
    assert (life.figure("refunded"), life.figure("orders")) == ("0.34", 0)


def test_rule_08_a_refund_without_an_order_goes_by_the_rate_of_its_own_time():
    life = in_yuan("{USD: {2000-01-01: 7, 2026-03-02: 8}}")
    life.sees(buy("2026-03-01T00:00Z", 10_00, currency="USD"), refund("2026-03-05T00:00Z", 1_00, currency="USD"))
    assert life.figure("spend") == "62.00"


def test_rule_08_a_currency_without_a_rate_counts_as_0_is_marked_and_said():
    life = in_yuan("{USD: {2000-01-01: 7}}")
    outcome = life.sees(
        buy("2026-03-01T00:00Z", 500_00, currency="EUR"), buy("2026-03-02T00:00Z", 150_00, currency="CNY")
    )
    [change] = outcome
    [condition] = change.conditions
    assert (condition.value, condition.entries, condition.unpriced) == ("150.00", 2, 1)
    assert life.figure("orders") == 2, "an order without a price is an order"


def test_rule_08_how_many_arrivals_have_no_price_is_counted_for_the_alert():
    life = in_yuan("{USD: {2000-01-01: 7}}")
    events = [buy("2026-03-01T00:00Z", 1, currency=c) for c in ("EUR", "USD", "CNY", "GBP")]
    outcome = life.turn(
        *(Arrival(e, ms("2026-03-01T00:00Z"), 0, b"") for e in events), until_ms=ms("2026-03-01T00:00Z")
    )
    assert outcome.unpriced == 2


def test_rule_08_literals_in_rules_are_major_units_of_the_policy_s_currency():
    life = LifeOf(policy(FEATURES, currency="JPY"))
    life.sees(buy("2026-03-01T00:00Z", 99, currency="JPY"))
    assert life.value() == "basic"
    life.sees(buy("2026-03-01T00:00:01Z", 1, currency="JPY"))
    assert life.value() == "gold"


def test_rule_08_an_order_without_a_rate_is_marked_wherever_its_money_has_a_say():
    life = LifeOf(
        policy("""
features:
  spend: {sum: purchase.amount}
  orders: {count: purchase}
  basket: {ratio: [spend, orders]}
  grid: {rfm: purchase}
  worth: {value: purchase}
scorecards: {potential: {spend: {weight: 50, full: 100}, orders: {weight: 50, full: 4}}}
calibration:
  gamma_gamma: {p: 6.25, q: 3.74, v: 15.44}
  rfm: {recency: [30d, 60d, 90d, 180d], frequency: [2, 3, 4, 5], monetary: [10, 20, 30, 40]}
segments:
  seen: "basket > 100 and grid.m > 1 and grid.f > 1 and potential > 90 and worth > 100 and spend > 1 and orders > 3"
""")
    )
    life.sees(buy("2026-03-01T00:00Z", 10_00), buy("2026-03-02T00:00Z", 10_00, currency="USD"))
    told = {condition.operand: condition.unpriced for condition in life.rule("seen").conditions}
    assert told == {
        **{"basket": 1, "grid.m": 1, "potential": 1, "worth": 1, "spend": 1},
        **{"grid.f": 0, "orders": 0},
    }
    assert life.feature("basket").unpriced == 1


def test_rule_08_what_an_amount_comes_to_does_not_depend_on_the_thread():
    life = in_yuan("{USD: {2000-01-01: 7.10111111111}}")
    with localcontext() as rough:
        rough.prec = 6
        life.sees(buy("2026-03-01T00:00Z", 1_234_567_89, currency="USD"))
        assert life.figure("spend") == "8766803.76"  # 1 234 567.89 times the rate is 8 766 803.7611...

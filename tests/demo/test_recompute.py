"""The naive recomputation, held against positions worked out by hand."""

from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest

from services.demo.cdnow import Purchase
from services.demo.naive_features import leaves
from services.demo.naive_rules import NotKnownHere, holds
from services.demo.recompute import begins, recompute

NEW_YORK = ZoneInfo("America/New_York")
POLICY = """
policy: small
currency: USD
zone: America/New_York
features:
  spend: {sum: purchase.amount, minus: refund.amount}
  spend_30d: {sum: purchase.amount, window: 30d}
  orders: {count: [purchase, click]}
  calls: {count: interaction}
  quiet: {since_last: purchase}
ladders:
  tier: [{name: gold, when: "spend_30d >= 100.50"}, {name: silver, when: "spend >= 50"}, {name: basic}]
segments:
  loyal: "orders >= 2 and not calls > 0"
  gone: "quiet >= 30d"
churn: {at_risk: "quiet > 30d"}
"""


def buy(customer: str, day: date, amount: str, line: int = 2) -> Purchase:
    return Purchase(line=line, customer=customer, day=day, amount=Decimal(amount))


def at(*when: int) -> datetime:
    return datetime(*when, tzinfo=UTC)


def test_a_customer_is_on_the_first_rung_whose_rule_holds_in_every_segment_that_holds():
    both = [buy("a", date(2026, 1, 1), "60"), buy("a", date(2026, 1, 2), "40.50"), buy("b", date(2026, 1, 1), "0")]
    found = recompute(POLICY, both, 0, at(2026, 1, 3))
    assert (found["a"].tier, found["a"].segments, found["a"].churn) == ("gold", {"loyal"}, False)
    assert (found["b"].tier, found["b"].segments) == ("basic", set())


def test_a_window_ends_to_the_millisecond():
    # ──●──────────────── 30 days ───────────────▼──
    #   Jan 1 12:00                              Jan 31 12:00
    one = [buy("a", date(2026, 1, 1), "100.50")]
    end, ms = at(2026, 1, 31, 12), timedelta(milliseconds=1)
    before, then, after = (recompute(POLICY, one, 0, t)["a"] for t in (end - ms, end, end + ms))
    assert (before.tier, before.segments, before.churn) == ("gold", frozenset(), False)
    assert (then.tier, then.segments, then.churn) == ("silver", {"gone"}, False)
    assert after.churn


def test_what_has_not_happened_yet_does_not_count():
    both = [buy("a", date(2026, 1, 1), "60"), buy("a", date(2026, 1, 2), "60"), buy("b", date(2026, 1, 2), "60")]
    found = recompute(POLICY, both, 0, at(2026, 1, 2, 11, 59))
    assert found.keys() == {"a"}
    assert found["a"].tier == "silver"


def test_dates_are_moved():
    one = [buy("a", date(2026, 1, 1), "60")]
    assert recompute(POLICY, one, 10, at(2026, 1, 11)) == {}
    assert recompute(POLICY, one, 10, at(2026, 1, 11, 12))["a"].tier == "silver"


def test_money_of_another_currency_than_the_policys_counts_as_nothing():
    found = recompute(POLICY.replace("USD", "EUR"), [buy("a", date(2026, 1, 1), "600")] * 2, 0, at(2026, 1, 2))
    assert (found["a"].tier, found["a"].segments) == ("basic", {"loyal"})


@pytest.mark.parametrize(
    ("entered", "window", "left"),
    [
        (at(2026, 1, 10, 12), "1y", at(2027, 1, 10, 12)),
        # Midnight in New York is 5:00 UTC in winter, 4:00 in summer: 7 hours after it stay 7 hours after it.
        (at(2026, 1, 10, 12), "6mo", at(2026, 7, 10, 11)),
        # There is no 30 February: it leaves at the end of the 28th.
        (at(2026, 1, 30, 12), "1mo", at(2026, 3, 1, 5)),
        (at(2028, 2, 29, 12), "1y", at(2029, 3, 1, 5)),
        # The day of the clock change lasts 23 hours: nothing stays beyond its end.
        (at(2026, 2, 9, 4, 30), "1mo", at(2026, 3, 9, 4)),
    ],
)
def test_calendar_windows_end_by_the_calendar_of_the_zone(entered: datetime, window: str, left: datetime):
    assert leaves(entered, window, NEW_YORK) == left


@pytest.mark.parametrize(
    ("rule", "truth"),
    [
        ("a >= 1_000.10 and b < 2", True),
        ("a > 1000.10 or b in [1, 3]", True),
        ("not (b == 1)", False),
        ("b not in [1]", False),
        ("1 <= b <= 2", True),
        ("unknown < 5", False),
        ("not unknown < 5", True),
    ],
)
def test_rules_are_evaluated_as_written(rule: str, truth: bool):
    assert holds(rule, {"a": Decimal("1000.10"), "b": 1, "unknown": None}) is truth


@pytest.mark.parametrize("rule", ["a.b > 1", "f(a) > 1", "a", "a + 1 > 2", "stranger > 1", "a >= 1y", "'x' == a"])
def test_what_it_does_not_know_it_refuses(rule: str):
    with pytest.raises(NotKnownHere):
        holds(rule, {"a": 1})


def test_a_feature_it_does_not_know_it_refuses():
    with pytest.raises(NotKnownHere):
        recompute(
            POLICY.replace("{count: interaction}", "{mean: rating}"),
            [buy("a", date(2026, 1, 1), "1")] * 2,
            0,
            at(2027, 1, 1),
        )


def test_what_only_pages_ask_for_is_not_looked_at():
    more = POLICY.replace("  quiet:", "  pace: {regularity: purchase}\n  quiet:")
    one = [buy("a", date(2026, 1, 1), "60")]
    assert recompute(more, one, 0, at(2026, 1, 3)) == recompute(POLICY, one, 0, at(2026, 1, 3))


def test_a_condition_on_purchases_it_refuses():
    some = POLICY.replace("{count: [purchase, click]}", "{count: purchase, where: \"channel == 'app'\"}")
    with pytest.raises(NotKnownHere, match="channel"):
        recompute(some, [buy("a", date(2026, 1, 1), "60")], 0, at(2026, 1, 3))


CLASSES = """
classes:
  life:
    - {name: won_back, when: "quiet < 10d", from: [lapsed]}
    - {name: lapsed,   when: "quiet > 30d", strategy: "call", resources: 40%}
    - {name: buyer,    when: "orders >= 1"}
    - {name: lead}
  type:
    - {name: fading, when: "alive <= 0.2"}
    - {name: big,    when: "spend >= calibrated.top_spend"}
    - {name: other}
calibration:
  bg_nbd: {r: 1, alpha: 1, a: 1, b: 1, unit: week}
  top_spend: 1_00.50
"""
WITH_CLASSES = POLICY.replace("  quiet:", "  alive: {p_alive: purchase}\n  quiet:") + CLASSES


def classes(purchases: list[Purchase], when: datetime) -> dict[str, str]:
    return recompute(WITH_CLASSES, purchases, 0, when)["a"].classes


def test_who_may_enter_a_class_depends_on_where_they_come_from():
    #   buyer                      lapsed        won_back     buyer
    # ──●──────────────────────────▼─────────────●────────────▼────────
    #   Jan 1 12:00                Jan 31 12:00  Feb 5 12:00  Feb 15 12:00
    #                              and a ms
    both = [buy("a", date(2026, 1, 1), "1"), buy("a", date(2026, 2, 5), "1")]
    ms = timedelta(milliseconds=1)
    found = [
        classes(both, when)["life"]
        for when in (
            at(2026, 1, 1, 12),
            at(2026, 1, 31, 12),
            at(2026, 1, 31, 12) + ms,
            at(2026, 2, 5, 12) - ms,
            at(2026, 2, 5, 12),
            at(2026, 2, 15, 12) - ms,
            at(2026, 2, 15, 12),
        )
    ]
    assert found == ["buyer", "buyer", "lapsed", "lapsed", "won_back", "won_back", "buyer"]


def test_a_second_order_in_time_wins_nobody_back():
    both = [buy("a", date(2026, 1, 1), "1"), buy("a", date(2026, 1, 20), "1")]
    assert classes(both, at(2026, 1, 21))["life"] == "buyer"


def test_the_probability_of_being_alive_falls_to_the_millisecond():
    # Orders 1 week apart, all parameters 1: 1 / (1 + ((1 + T) / 2)^2) is 0.2 at T = 3 weeks; of one order it is 1.
    both = [buy("a", date(2026, 1, 1), "1"), buy("a", date(2026, 1, 8), "1")]
    end = at(2026, 1, 22, 12)
    assert classes(both, end - timedelta(milliseconds=1))["type"] == "other"
    assert classes(both, end)["type"] == "fading"
    assert classes(both[:1], at(2027, 1, 1))["type"] == "other"


def test_orders_of_one_day_in_the_policys_zone_are_one_to_the_model():
    # 12:00 UTC is 7:00 in New York: the same day
    both = [buy("a", date(2026, 1, 1), "60"), buy("a", date(2026, 1, 1), "40.50", line=3)]
    assert classes(both, at(2027, 1, 1))["type"] == "big"
    assert classes(both[:1], at(2027, 1, 1))["type"] == "other"


def test_everyone_begins_in_the_last_place():
    assert begins(WITH_CLASSES) == {"tier": "basic", "life": "lead", "type": "other"}


def test_a_class_that_is_kept_for_a_time_it_refuses():
    with pytest.raises(NotKnownHere, match="dwell"):
        recompute(WITH_CLASSES.replace("resources: 40%", "dwell: 3d"), [], 0, at(2026, 1, 3))


def test_a_model_in_classes_with_a_past_it_refuses():
    with pytest.raises(NotKnownHere, match="alive"):
        recompute(
            WITH_CLASSES.replace("quiet > 30d", "alive < 0.5"), [buy("a", date(2026, 1, 1), "1")], 0, at(2026, 1, 3)
        )


def test_a_tier_that_is_kept_by_more_than_its_when_it_refuses():
    with pytest.raises(NotKnownHere, match="grace"):
        recompute(POLICY.replace('100.50"', '100.50", grace: 3d'), [], 0, at(2026, 1, 3))


def test_the_shipped_policy_is_one_it_knows():
    retail = (Path(__file__).parents[2] / "policies" / "retail.yaml").read_text()
    [found] = recompute(retail, [buy("a", date(2026, 1, 1), "300")], 0, at(2026, 1, 3)).values()
    assert (found.tier, found.segments, found.churn) == ("gold", {"active"}, False)
    assert found.classes == {"type": "high_value", "lifecycle": "new"}

"""Counts, sums, means, feedback, ratios, scorecards: with numbers worked out by hand."""

import pytest

from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import buy, click, contact, feedback, form, profile, refund, stage


def features(body: str, **more: str) -> LifeOf:
    return LifeOf(policy(f"features:\n{body}", **more))


def test_a_count_may_be_of_several_types_with_or_without_a_window():
    life = features("""
  orders: {count: purchase}
  touches: {count: [click, interaction], window: 7d}
  forms: {count: form}
""")
    life.sees(buy("2026-03-01T00:00Z", 1), click("2026-03-02T00:00Z"), contact("2026-03-03T00:00Z"))
    life.sees(form("2026-03-04T00:00Z"), buy("2026-03-05T00:00Z", 1))
    assert [life.figure(n) for n in ("orders", "touches", "forms")] == [2, 2, 1]
    assert life.figure("touches", "2026-03-09T00:00Z") == 1


def test_a_count_of_refunds_counts_those_in_effect():
    life = features("  refunds: {count: refund}")
    life.sees(refund("2026-03-01T00:00Z", 1_00, "A"), refund("2026-03-02T00:00Z", 1_00))
    assert life.figure("refunds") == 1
    life.sees(buy("2026-03-03T00:00Z", 5_00, order="A"))
    assert life.figure("refunds") == 2


def test_a_sum_of_money_is_exact():
    life = features("  spend: {sum: purchase.amount}")
    life.sees(*(buy(f"2026-03-0{day}T00:00Z", 10) for day in (1, 2, 3)))
    assert life.figure("spend") == "0.30"
    life.sees(buy("2026-03-04T00:00Z", 2**53 - 1))
    assert life.figure("spend") == "90071992547410.21"


def test_average_order_value_is_a_ratio_unknown_without_orders():
    life = LifeOf(
        policy("""
features:
  spend: {sum: purchase.amount, minus: refund.amount}
  orders: {count: purchase}
  basket: {ratio: [spend, orders]}
segments: {big: "basket > 20", small: "basket <= 20"}
""")
    )
    life.sees(click("2026-03-01T00:00Z"))
    assert (life.figure("basket"), life.explained().segments) == (None, [])
    life.sees(buy("2026-03-01T00:00Z", 10_00), buy("2026-03-02T00:00Z", 25_00), buy("2026-03-03T00:00Z", 25_00))
    assert life.figure("basket") == "20.00"
    assert life.explained().segments == ["small"]
    life.sees(buy("2026-03-04T00:00Z", 20_01))
    assert (life.figure("basket"), life.explained().segments) == ("20.00", ["big"]), "20.0025, to the cent"


@pytest.mark.parametrize(
    ("currency", "minor", "shown"),
    [
        ("CNY", (100, 100, 200), "1.33"),
        ("CNY", (1, 2), "0.02"),  # 0.015 and 0.025: of two amounts as near the even one
        ("CNY", (2, 3), "0.02"),
        ("JPY", (100, 101, 102, 102), "101"),
        ("KWD", (1000, 1001, 1000), "1.000"),
    ],
)
def test_an_average_of_money_is_shown_with_the_currency_s_decimals_rounded_half_to_even(currency, minor, shown):
    basket = "  spend: {sum: purchase.amount}\n  orders: {count: purchase}\n  basket: {ratio: [spend, orders]}"
    life = features(basket, currency=currency)
    life.sees(*(buy(f"2026-03-0{day}T00:00Z", m, currency=currency) for day, m in enumerate(minor, 1)))
    assert (life.figure("basket"), life.feature("basket").unit) == (shown, "money")


def test_only_a_sum_by_a_count_is_money_other_ratios_are_numbers():
    life = features("""
  spend: {sum: purchase.amount}
  back: {sum: refund.amount}
  orders: {count: purchase}
  clicks: {count: click}
  given_back: {ratio: [back, spend]}
  clicked: {ratio: [clicks, orders]}
  orders_a_yuan: {ratio: [orders, spend]}
""")
    life.sees(buy("2026-03-01T00:00Z", 20_00, order="A"), refund("2026-03-02T00:00Z", 5_00, "A"))
    life.sees(click("2026-03-03T00:00Z"))
    told = [life.feature(name) for name in ("given_back", "clicked", "orders_a_yuan")]
    assert [(one.value, one.unit) for one in told] == [(0.25, "number"), (1, "number"), (0.05, "number")]


def test_a_mean_of_feedback_is_of_those_in_the_window_and_unknown_without_any():
    life = features("  nps_30d: {mean: feedback.score, window: 30d, where: \"kind == 'nps'\"}")
    life.sees(feedback("2026-03-01T00:00Z", "nps", 900), feedback("2026-03-10T00:00Z", "nps", 600))
    life.sees(feedback("2026-03-11T00:00Z", "rating", 100))
    assert life.figure("nps_30d") == 7.5
    assert life.figure("nps_30d", "2026-03-31T00:00Z") == 6
    assert life.figure("nps_30d", "2026-04-09T00:00Z") is None


def test_feedback_is_brought_to_0_to_100_and_weighted_by_its_kind():
    """A rating of 4 is 75, an NPS of 9 is 90, a complaint 0: (1 * 75 + 2 * 90 + 3 * 0) / 6 = 42.5."""
    life = features("  mood: {feedback: {rating: 1, nps: 2, complaint: 3}}")
    life.sees(feedback("2026-03-01T00:00Z", "rating", 400))
    assert life.figure("mood") == 75
    life.sees(feedback("2026-03-02T00:00Z", "nps", 900))
    assert life.figure("mood") == 85
    life.sees(feedback("2026-03-03T00:00Z", "complaint"))
    assert life.figure("mood") == 42.5


@pytest.mark.parametrize(("stars", "points"), [(100, 0), (200, 25), (350, 62.5), (500, 100)])
def test_a_rating_of_1_is_0_and_one_of_5_is_100(stars, points):
    life = features("  mood: {feedback: {rating: 1, complaint: 1}}")
    life.sees(feedback("2026-03-01T00:00Z", "rating", stars))
    assert life.figure("mood") == points


def test_complaints_are_counted_by_kind():
    life = features("  complaints_90d: {count: feedback, window: 90d, where: \"kind == 'complaint'\"}")
    life.sees(feedback("2026-03-01T00:00Z", "complaint"), feedback("2026-03-02T00:00Z", "nps", 0))
    assert life.figure("complaints_90d") == 1


FILTERS = """
  phoned: {count: interaction, where: "channel == 'phone'"}
  not_phoned: {count: interaction, where: "channel != 'phone'"}
  rather_not: {count: interaction, where: "not channel == 'phone'"}
  prices: {count: click, where: "page in ['/price', '/terms']"}
  asked: {count: form, where: "form == 'contact'"}
  bad: {count: feedback, where: "kind == 'nps' and score <= 6.5"}
  calls_out: {count: interaction, where: "direction == 'outbound'"}
  all_ways: {count: interaction, where: "direction in ['inbound', 'outbound']"}
  online: {sum: purchase.amount, minus: refund.amount, where: "channel == 'web'"}
  won: {count: stage, where: "stage == 'won'"}
  web_orders: {count: purchase, where: "channel == 'web'"}
"""


def test_filters_ask_an_event_s_fields():
    life = features(FILTERS)
    life.sees(
        contact("2026-03-01T00:00Z", channel="phone"),
        contact("2026-03-01T01:00Z", channel="mail"),
        contact("2026-03-01T02:00Z"),
        contact("2026-03-01T03:00Z", "outbound", channel="phone"),
        click("2026-03-02T00:00Z", "/price"),
        click("2026-03-02T01:00Z", "/home"),
        click("2026-03-02T02:00Z"),
        form("2026-03-03T00:00Z", "contact"),
        form("2026-03-03T01:00Z", "newsletter"),
        form("2026-03-03T02:00Z"),
        feedback("2026-03-04T00:00Z", "nps", 650),
        feedback("2026-03-04T01:00Z", "nps", 651),
        feedback("2026-03-04T02:00Z", "rating", 100),
        feedback("2026-03-04T03:00Z", "complaint"),
        stage("2026-03-05T00:00Z", "won"),
        stage("2026-03-05T01:00Z", "lost"),
    )
    assert {
        name: life.figure(name) for name in ("phoned", "not_phoned", "rather_not", "prices", "asked", "bad", "won")
    } == {
        "phoned": 1,
        "not_phoned": 1,  # of the one whose channel is not known, nothing is true
        "rather_not": 2,  # but this is a negation of what is false
        "prices": 1,
        "asked": 1,
        "bad": 1,
        "won": 1,
    }
    assert (life.figure("calls_out"), life.figure("all_ways")) == (1, 4)


def test_a_filter_on_orders_takes_their_refunds_with_it():
    life = features(FILTERS)
    life.sees(
        buy("2026-03-01T00:00Z", 100_00, order="A", channel="web"),
        buy("2026-03-01T01:00Z", 100_00, order="B", channel="store"),
        refund("2026-03-02T00:00Z", 30_00, "A"),
        refund("2026-03-02T00:00Z", 50_00, "B"),
        refund("2026-03-02T00:00Z", 7_00),
    )
    assert (life.figure("online"), life.figure("web_orders")) == ("70.00", 1)


def test_a_scorecard_adds_weights_up_to_their_full_values():
    """500 of 1,000 is half of 50 points, 30 calls of 20 are all of 30, an NPS of 8 of 10 is 16 of 20: 71."""
    life = LifeOf(
        policy("""
features:
  spend: {sum: purchase.amount, minus: refund.amount}
  calls: {count: interaction}
  nps: {mean: feedback.score, where: "kind == 'nps'"}
scorecards:
  quality: {spend: {weight: 50, full: 1_000}, calls: {weight: 30, full: 20}, nps: {weight: 20, full: 10}}
segments: {good: "quality >= 71"}
""")
    )
    life.sees(buy("2026-03-01T00:00Z", 500_00, order="A"))
    assert life.figure("quality") == 25, "an unknown gives nothing"
    life.sees(*(contact(f"2026-03-02T00:{minute:02}Z") for minute in range(30)))
    assert (life.figure("quality"), life.explained().segments) == (55, [])
    life.sees(feedback("2026-03-03T00:00Z", "nps", 800))
    assert (life.figure("quality"), life.explained().segments) == (71, ["good"])
    life.sees(refund("2026-03-04T00:00Z", 1, "A"))
    assert (life.figure("quality"), life.explained().segments) == (70.9995, [])


def test_a_scorecard_falls_as_its_windows_empty():
    life = LifeOf(
        policy("""
features: {seen: {count: click, window: 7d}}
scorecards: {heat: {seen: {weight: 10, full: 4}}}
segments: {hot: "heat >= 5"}
""")
    )
    life.sees(click("2026-03-01T00:00Z"), click("2026-03-02T00:00Z"))
    assert (life.figure("heat"), life.next("hot")) == (5, ("2026-03-08T00:00Z", False))
    life.until("2026-03-08T00:00Z")
    assert (life.figure("heat"), life.value("hot")) == (2.5, False)


def test_attributes_that_the_policy_does_not_name_are_not_kept():
    life = LifeOf(policy("attributes: [region]\nfeatures: {seen: {count: click}}\nsegments: {looks: 'seen >= 1'}"))
    life.sees(profile("2026-03-01T00:00Z", region="north", size="large"))
    assert life.figure("region") == "north"
    assert "size" not in life.explained().features
    assert b"large" not in life.record

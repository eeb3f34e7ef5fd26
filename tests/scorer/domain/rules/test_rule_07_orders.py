"""Rule 7: one purchase event per order; refunds lower each window until the order leaves, and never below nothing."""

import pytest

from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import buy, ms, refund

COUNTED = policy("""
features:
  orders: {count: purchase}
ladders:
  tier: [{name: bought, when: "orders >= 1"}, {name: none}]
""")
ORDERS = policy("""
features:
  spend: {sum: purchase.amount, minus: refund.amount}
  spend_30d: {sum: purchase.amount, minus: refund.amount, window: 30d}
  gross_30d: {sum: purchase.amount, window: 30d}
  refunded: {sum: refund.amount}
  refunds_30d: {count: refund, window: 30d}
  orders: {count: purchase}
  quiet: {since_last: purchase}
ladders:
  tier: [{name: gold, when: "spend_30d >= 100"}, {name: basic}]
segments: {buyer: "orders > 0", fresh: "quiet < 10d"}
""")


def test_rule_07_an_order_and_its_full_refund_leave_nothing_behind():
    #        order A 100           refunded
    # ───────●─────────────────────╳──────────  nothing more is due
    #        Mar 1                 Mar 2
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A"), refund("2026-03-02T00:00Z", order="A"))
    assert life.said() == [
        ("basic", "gold", "2026-03-01T00:00Z", "event"),
        ("gold", "basic", "2026-03-02T00:00Z", "refund"),
    ]
    assert life.value("buyer") is False
    assert [life.figure(name) for name in ("spend", "spend_30d", "orders", "quiet")] == ["0.00", "0.00", 0, None]
    life.until("2027-01-01T00:00Z")
    assert life.due() is None


def test_rule_07_a_refund_lowers_a_window_from_its_own_time_until_its_order_leaves():
    #        order A 150    buys 60     refund 100        A leaves: 150 and its refund together
    # ───────●──────────────●───────────╳─────────────────▼──────
    #        Mar 1          Mar 5       Mar 20            Mar 31    60 are left of the window, never -40
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 150_00, order="A"), buy("2026-03-05T00:00Z", 60_00))
    life.sees(refund("2026-03-20T00:00Z", 100_00, "A"))
    assert [life.figure("spend_30d", t) for t in ("2026-03-19T23:59:59.999Z", "2026-03-20T00:00Z")] == [
        "210.00",
        "110.00",
    ]
    assert life.figure("spend_30d", "2026-03-31T00:00Z") == "60.00"
    life.until("2026-06-01T00:00Z")
    assert life.path()[1:] == [("2026-03-31T00:00Z", "basic")]


def test_rule_07_a_refund_after_its_order_left_the_window_lowers_only_what_it_is_still_in():
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 150_00, order="A"), buy("2026-04-01T00:00Z", 100_00))
    assert life.sees(refund("2026-04-05T00:00Z", 50_00, "A")) == []
    assert (life.figure("spend"), life.figure("spend_30d")) == ("200.00", "100.00")


def test_rule_07_a_refund_before_its_order_s_time_takes_effect_with_the_order():
    life = LifeOf(ORDERS)
    life.sees(refund("2026-03-01T00:00Z", 40_00, "A"), buy("2026-03-02T00:00Z", 120_00, order="A"))
    assert life.path() == []
    assert life.figure("spend") == "80.00"
    assert life.figure("refunds_30d", "2026-03-01T12:00Z") == 0


def test_rule_07_before_its_order_is_known_a_refund_has_no_effect():
    #        order A 120 (comes later)   refund 50 (known first)
    # ───────○──────────────────────────●─────────────
    #        Mar 1                      Mar 2           Mar 3: the order is told
    life = LifeOf(ORDERS)
    assert life.sees(refund("2026-03-02T00:00Z", 50_00, "A")) == []
    assert (life.figure("spend"), life.figure("refunded")) == ("0.00", "0.00")
    life.sees(buy("2026-03-01T00:00Z", 120_00, order="A"), at="2026-03-03T00:00Z")
    assert life.path() == [("2026-03-01T00:00Z", "gold"), ("2026-03-02T00:00Z", "basic")]
    assert life.figure("spend") == "70.00"


def test_rule_07_a_refund_without_amount_takes_what_is_left():
    life = LifeOf(ORDERS)
    life.sees(
        buy("2026-03-01T00:00Z", 100_00, order="A"),
        refund("2026-03-02T00:00Z", 30_00, "A"),
        refund("2026-03-03T00:00Z", None, "A"),
    )
    assert (life.figure("spend"), life.figure("orders")) == ("0.00", 0)
    assert life.reports == []


def test_rule_07_the_arrival_that_raises_the_surplus_reports_it_and_the_surplus_counts_as_nothing():
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A"), buy("2026-03-01T00:00Z", 20_00))
    life.sees(refund("2026-03-02T00:00Z", 80_00, "A"))
    assert life.reports == []
    life.sees(refund("2026-03-03T00:00Z", 50_00, "A", id="r2"))
    assert [(r.reason, r.arrival.event.id) for r in life.reports] == [("refund_exceeds_order", "r2")]
    assert "exceed it by 30.00 EUR;" in life.reports[0].detail
    assert life.figure("spend") == "20.00"


def test_rule_07_an_order_that_is_smaller_than_its_refund_reports_it_when_it_arrives():
    life = LifeOf(ORDERS)
    life.sees(refund("2026-03-02T00:00Z", 80_00, "A"))
    life.sees(buy("2026-03-01T00:00Z", 50_00, order="A", id="o"), at="2026-03-03T00:00Z")
    assert [(r.reason, r.arrival.event.id) for r in life.reports] == [("refund_exceeds_order", "o")]


def test_rule_07_a_refund_in_another_currency_is_reported_when_the_order_is_known():
    life = LifeOf(ORDERS)
    life.sees(refund("2026-03-02T00:00Z", 10_00, "A", currency="USD"))
    assert life.reports == []
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A", id="o"), at="2026-03-03T00:00Z")
    assert [(r.reason, r.arrival.event.id) for r in life.reports] == [("refund_currency", "o")]
    assert life.figure("spend") == "100.00"


def test_rule_07_a_refund_without_currency_is_in_its_order_s():
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A"), refund("2026-03-02T00:00Z", 10_00, "A", currency=None))
    assert (life.figure("spend"), life.reports) == ("90.00", [])


@pytest.mark.parametrize(
    ("other", "reports"),
    [
        (buy("2026-03-01T00:00Z", 100_00, order="A", id="2"), []),
        (buy("2026-03-01T00:00Z", 90_00, order="A", id="2"), ["order_conflict"]),
        (buy("2026-03-02T00:00Z", 100_00, order="A", id="2"), ["order_conflict"]),
        (buy("2026-03-01T00:00Z", 100_00, order="A", id="2", source="app"), []),
    ],
)
def test_rule_07_an_order_s_key_is_unique_within_the_customer(other, reports):
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A", id="1"), other, at="2026-03-02T00:00Z")
    assert [r.reason for r in life.reports] == reports
    assert life.amounts() == [100_00]


def test_rule_07_a_refund_finds_a_keyless_order_by_its_source_and_event_id():
    life = LifeOf(ORDERS)
    life.sees(
        buy("2026-03-01T00:00Z", 100_00, id="o1"),
        refund("2026-03-02T00:00Z", order="o1", source="app"),
    )
    assert life.value() == "gold", "another source's id is another order"
    life.sees(refund("2026-03-02T00:00Z", order="o1"))
    assert life.said()[-1] == ("gold", "basic", "2026-03-02T00:00Z", "refund")


def test_rule_07_a_refund_without_an_order_is_an_entry_of_its_own():
    #        buys 100        refund of nothing 30       100 leaves: 0, not -30     the refund leaves
    # ───────●───────────────╳──────────────────────────▼──────────────────────────▼──
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 100_00), refund("2026-03-05T00:00Z", 30_00))
    assert [life.figure(name) for name in ("spend", "spend_30d", "refunded", "orders")] == [
        "70.00",
        "70.00",
        "30.00",
        1,
    ]
    assert life.figure("spend_30d", "2026-03-31T00:00Z") == "0.00", "a total below 0 counts as 0"
    life.sees(buy("2026-04-01T00:00Z", 50_00))
    assert life.figure("spend_30d", "2026-04-03T23:59Z") == "20.00", "but it is not forgotten"
    assert life.figure("spend_30d", "2026-04-04T00:00Z") == "50.00"


def test_rule_07_a_refund_lowers_money_only_where_the_policy_says_minus():
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A"), refund("2026-03-02T00:00Z", 40_00, "A"))
    assert [life.figure(name) for name in ("gross_30d", "spend_30d", "refunded", "refunds_30d")] == [
        "100.00",
        "60.00",
        "40.00",
        1,
    ]


def test_rule_07_an_order_of_which_something_is_left_still_counts_and_is_still_the_last():
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A"), refund("2026-03-05T00:00Z", 99_99, "A"))
    assert (life.figure("orders"), life.figure("quiet")) == (1, ms("2026-03-05T00:00Z") - ms("2026-03-01T00:00Z"))


def test_rule_07_when_the_last_order_is_wholly_refunded_the_one_before_is_the_last_again():
    #        buys           order A          refunded: the last order is 9 days ago
    # ───────●──────────────●────────────────╳──▼ 10 d: fresh no more
    #        Mar 1          Mar 8            Mar 10
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 1_00), buy("2026-03-08T00:00Z", 1_00, order="A"))
    life.sees(refund("2026-03-10T00:00Z", order="A"))
    life.until("2026-04-01T00:00Z")
    assert life.path("fresh") == [("2026-03-01T00:00Z", True), ("2026-03-11T00:00Z", False)]


def test_rule_07_an_order_ahead_of_the_clock_takes_a_refund_over_when_its_time_has_come():
    #        refund of "e0"   e0 (no key)   order "e0", posted 1 ms ahead
    # ───────○────────────────●─────────────●──
    #        Mar 1 00:00      Mar 1 01:00   Mar 2 00:00     the refund is the keyed order's: e0 stands from 01:00 on
    life = LifeOf(COUNTED)
    life.sees(refund("2026-03-01T00:00Z", order="e0"), buy("2026-03-01T01:00Z", 5_00, id="e0"))
    assert life.path() == []
    life.sees(buy("2026-03-02T00:00:00.001Z", 5_00, order="e0"), at="2026-03-02T00:00Z")
    life.until("2026-03-02T01:00Z")
    assert life.path() == [("2026-03-01T01:00Z", "bought")]


BIG = policy("""
features: {spend: {sum: purchase.amount, minus: refund.amount, window: 30d}}
ladders: {tier: [{name: gold, when: "spend > 100"}, {name: basic}]}
""")


@pytest.mark.parametrize(
    ("orders", "back", "falls_before"),
    [
        # 160 less 40: 90 are left when the first leaves; all of it: when the second left
        ([30_00, 40_00, 90_00], 40_00, "2026-04-02T00:00Z"),
        # 470 less 100: 70 are left when the first leaves
        ([300_00, 60_00, 110_00], 100_00, "2026-04-04T00:00Z"),
    ],
)
def test_rule_07_a_refund_brings_the_fall_forward(orders, back, falls_before):
    #    A       B       C      some of C back     A leaves
    # ───●───────●───────●──────╳──────────────────▼────────
    #    Mar 1   Mar 3   Mar 5  Mar 6              Mar 31
    life = LifeOf(BIG)
    for day, order, amount in zip((1, 3, 5), "ABC", orders, strict=True):
        life.sees(buy(f"2026-03-0{day}T00:00Z", amount, order=order))
    assert life.next() == (falls_before, "basic")
    life.sees(refund("2026-03-06T00:00Z", back, order="C"))
    assert life.next() == ("2026-03-31T00:00Z", "basic")
    life.until("2026-04-10T00:00Z")
    assert life.path()[1:] == [("2026-03-31T00:00Z", "basic")]


def test_rule_07_a_refund_of_no_order_brings_it_forward_too():
    #    300     110     20 back for no order     the first leaves: 90
    # ───●───────●───────╳────────────────────────▼───────
    #    Mar 1   Mar 3   Mar 4                    Mar 31, not Apr 2
    life = LifeOf(BIG)
    life.sees(buy("2026-03-01T00:00Z", 300_00))
    life.sees(buy("2026-03-03T00:00Z", 110_00))
    life.sees(refund("2026-03-04T00:00Z", 20_00))
    assert life.next() == ("2026-03-31T00:00Z", "basic")
    life.until("2026-04-10T00:00Z")
    assert life.path() == [("2026-03-01T00:00Z", "gold"), ("2026-03-31T00:00Z", "basic")]

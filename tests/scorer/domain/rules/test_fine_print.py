"""The fine print of the rules, as far as the core has a say: each was found open by trying.

What the edge refuses (ids, amounts, times) is pinned in tests/ingest; merges in test_rule_11, erasures in test_rule_12.
"""

import pytest

from tests.scorer.domain.rules.life_of import DAY, LifeOf, policy
from tests.scorer.domain.timeline import buy, click, contact, ms, refund

PLAIN = policy("""
features:
  spend: {sum: purchase.amount, minus: refund.amount, window: 30d}
  orders: {count: purchase}
  calls: {count: interaction}
  calls_out: {count: interaction, where: "direction == 'outbound'"}
  seen: {count: click}
  quiet: {since_last: purchase}
ladders:
  tier: [{name: gold, when: "spend >= 100"}, {name: basic}]
segments:
  buyer: "orders > 0"
  talks: "calls >= 1"
  long_quiet: "quiet > 30d"
  not_long_quiet: "not quiet > 30d"
  known_quiet: "quiet <= 30d"
""")


def test_orders_of_amount_zero_count_as_orders():
    life = LifeOf(PLAIN)
    life.sees(buy("2026-03-01T00:00Z", 0))
    assert (life.figure("orders"), life.value("buyer"), life.figure("quiet")) == (1, True, 0)


def test_an_order_of_amount_zero_goes_with_any_refund_of_it():
    life = LifeOf(PLAIN)
    life.sees(buy("2026-03-01T00:00Z", 0, order="A"), refund("2026-03-02T00:00Z", None, "A"))
    assert (life.figure("orders"), life.reports) == (0, [])


def test_fully_refunded_orders_do_not_count():
    life = LifeOf(PLAIN)
    life.sees(buy("2026-03-01T00:00Z", 5_00, order="A"), refund("2026-03-02T00:00Z", 5_00, "A"))
    assert (life.figure("orders"), life.figure("quiet")) == (0, None)


def test_only_inbound_interactions_count_unless_the_rule_says_otherwise():
    life = LifeOf(PLAIN)
    life.sees(contact("2026-03-01T00:00Z", "outbound"))
    assert (life.figure("calls"), life.figure("calls_out"), life.value("talks")) == (0, 1, False)
    life.sees(contact("2026-03-02T00:00Z"))
    assert (life.figure("calls"), life.figure("calls_out"), life.value("talks")) == (1, 1, True)


def test_clicks_are_not_interactions():
    life = LifeOf(PLAIN)
    life.sees(click("2026-03-01T00:00Z"))
    assert (life.figure("calls"), life.figure("seen")) == (0, 1)


def test_a_comparison_with_an_unknown_is_false_and_so_is_its_opposite():
    life = LifeOf(PLAIN)
    life.sees(click("2026-03-01T00:00Z"))
    values = [life.value(name) for name in ("long_quiet", "known_quiet", "not_long_quiet")]
    assert values == [False, False, True], "`not` of what is false is true"


@pytest.mark.parametrize("sign", ["< 1", "<= 1", "> 1", ">= 1", "== 1", "!= 1", "in [1]", "not in [1]"])
def test_an_unknown_makes_each_comparison_false(sign):
    features = "features: {o: {count: purchase}, s: {sum: purchase.amount}, b: {ratio: [s, o]}}"
    life = LifeOf(policy(f"{features}\nsegments: {{x: 'b {sign}'}}"))
    life.sees(click("2026-03-01T00:00Z"))
    assert (life.figure("b"), life.value("x")) == (None, False)


@pytest.mark.parametrize("text", ["quiet between 1ms and 1d", "quiet not between 1d and 2d"])
def test_between_and_not_between_are_false_of_an_unknown(text):
    life = LifeOf(policy(f"features: {{quiet: {{since_last: purchase}}}}\nsegments: {{x: '{text}'}}"))
    life.sees(click("2026-03-01T00:00Z"))
    assert life.value("x") is False


def test_a_rule_true_of_nobody_s_empty_ledger_is_not_looked_at_before_the_first_event():
    life = LifeOf(policy("features: {seen: {count: click}}\nsegments: {shy: 'seen < 1'}"))
    assert (life.due(), life.explained("2026-03-01T00:00Z").segments) == (None, [])
    life.sees(buy("2026-03-01T00:00Z", 1))
    assert life.path("shy") == [("2026-03-01T00:00Z", True)]


def test_a_refund_in_another_currency_has_no_effect_on_the_order():
    life = LifeOf(PLAIN)
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A"), refund("2026-03-02T00:00Z", None, "A", currency="USD"))
    assert (life.figure("spend"), [r.reason for r in life.reports]) == ("100.00", ["refund_currency"])


def test_an_event_later_than_the_last_change_is_in_order_even_if_the_clock_has_passed_it():
    #        60         50 (told on Mar 25)      now
    # ───────●──────────○────────────────────────┬──
    #        Mar 1      Mar 10                   Mar 25
    life = LifeOf(PLAIN)
    life.sees(buy("2026-03-01T00:00Z", 60_00))
    [change] = life.sees(buy("2026-03-10T00:00Z", 50_00), at="2026-03-25T00:00Z")
    assert (change.cause, change.effective_ms) == ("event", ms("2026-03-10T00:00Z"))


def test_net_is_taken_at_now_and_takes_effect_since_when_the_present_value_has_held():
    #        100 A        leaves       100 (late)      now
    # ───────●────────────▼────────────○───────────────┬──
    #        Mar 1        Mar 31       Apr 2: gold     Apr 10
    life = LifeOf(PLAIN)
    life.sees(buy("2026-03-01T00:00Z", 100_00), buy("2026-04-05T00:00Z", 1_00))
    life.sees(buy("2026-03-28T00:00Z", 100_00), at="2026-04-10T00:00Z")
    [*_, change] = life.of()
    assert (change.before, change.after, change.effective_ms) == ("basic", "gold", ms("2026-03-01T00:00Z"))
    assert change.retracts == [(ms("2026-03-31T00:00Z"), "basic")]


def test_what_is_kept_of_times_is_the_millisecond():
    life = LifeOf(PLAIN)
    life.sees(buy("2026-03-01T00:00:00.001Z", 100_00))
    assert life.path() == [("2026-03-01T00:00:00.001Z", "gold")]
    assert life.figure("quiet", "2026-03-02T00:00:00.002Z") == DAY + 1


def test_the_largest_amount_is_kept_exactly():
    life = LifeOf(PLAIN)
    life.sees(buy("2026-03-01T00:00Z", 2**53 - 1, order="A"), refund("2026-03-01T00:00Z", 2**53 - 2, "A"))
    assert life.figure("spend") == "0.01"

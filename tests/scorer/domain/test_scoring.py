"""One customer, one turn: what comes out of arrivals and of time, rule by rule (DESIGN.md section 4)."""

import pytest

from schemas.events import Event
from services.scorer.domain import policy as policies
from services.scorer.domain.scoring import Arrival, Change, Outcome, decide
from services.scorer.domain.state import Customer
from tests.scorer.domain.timeline import buy, click, contact, ms, refund

POLICY = policies.parse("""\
policy: p
currency: EUR
zone: UTC
features:
  spend: {sum: purchase.amount, minus: refund.amount}
  spend_30d: {sum: purchase.amount, minus: refund.amount, window: 30d}
  orders: {count: purchase}
  calls_2d: {count: interaction, window: 2d}
  quiet: {since_last: purchase}
ladders:
  tier:
    - {name: gold, when: "spend_30d >= 100"}
    - {name: basic}
segments:
  buyer: "orders > 0"
  talks: "calls_2d >= 2"
churn:
  at_risk: "quiet >= 90d"
""")
DAY = 86_400_000


def turn(customer: Customer, *events: Event, now: str) -> Outcome:
    return decide(customer, POLICY, [Arrival(e, ms(now), i, b"") for i, e in enumerate(events)], ms(now))


def said(outcome: Outcome, dimension: str = "tier") -> list[tuple[object, object, int, str]]:
    return [(c.before, c.after, c.effective_ms, c.cause) for c in outcome.changes if c.dimension.name == dimension]


def only(outcome: Outcome, dimension: str) -> Change:
    [change] = [c for c in outcome.changes if c.dimension.name == dimension]
    return change


def test_rule_1_an_entry_is_in_its_window_from_its_instant_until_just_before_its_exit():
    #        buys 100                          100 leaves
    # ───────●─────────────── 30 d ────────────▼──────
    #        Mar 1 12:00:00.000                Mar 31 12:00:00.000
    customer = Customer()
    turn(customer, buy("2026-03-01T12:00Z", 100_00), now="2026-03-01T12:00Z")
    assert said(turn(customer, now="2026-03-31T11:59:59.999Z")) == []
    exits = ms("2026-03-31T12:00Z")
    assert said(turn(customer, now="2026-03-31T12:00Z")) == [("gold", "basic", exits, "time")]


def test_rule_1_an_entry_and_an_exit_of_one_millisecond_are_one_look():
    #        buys 100                          leaves, and buys 100 again
    # ───────●─────────────── 30 d ────────────▼●───── gold throughout
    customer = Customer()
    turn(customer, buy("2026-03-01T12:00Z", 100_00), now="2026-03-01T12:00Z")
    outcome = turn(customer, buy("2026-03-31T12:00Z", 100_00), now="2026-03-31T12:00Z")
    assert said(outcome) == []


def test_rule_2_a_timer_that_fires_late_carries_the_instant_it_was_due():
    customer = Customer()
    turn(customer, buy("2026-03-01T12:00Z", 100_00), now="2026-03-01T12:00Z")
    assert customer.due_ms == ms("2026-03-31T12:00Z")
    late = turn(customer, now="2026-04-05T09:00Z")
    assert said(late) == [("gold", "basic", ms("2026-03-31T12:00Z"), "time")]


def test_rule_2_a_look_before_anything_is_due_changes_nothing():
    customer = Customer()
    turn(customer, buy("2026-03-01T12:00Z", 100_00), now="2026-03-01T12:00Z")
    outcome = turn(customer, now="2026-03-20T12:00Z")
    assert (outcome.altered, outcome.moved, outcome.changes) == (False, False, [])


def test_rule_3_a_late_event_is_put_in_its_place_and_what_holds_now_is_announced_net():
    #        60          50 (late)      60 leaves    now
    # ───────●───────────○──────────────▼────────────┬──
    #        Mar 1       Mar 10         Mar 31       Apr 5    gold from Mar 10 to Mar 31: over by now
    customer = Customer()
    turn(customer, buy("2026-03-01T00:00Z", 60_00), now="2026-03-01T00:00Z")
    turn(customer, buy("2026-04-04T00:00Z", 1_00), now="2026-04-04T00:00Z")
    turn(customer, contact("2026-04-04T01:00Z"), contact("2026-04-04T02:00Z"), now="2026-04-04T03:00Z")
    change = only(turn(customer, buy("2026-03-10T00:00Z", 50_00), now="2026-04-05T00:00Z"), "tier")
    assert change.path == [(ms("2026-03-10T00:00Z"), "gold"), (ms("2026-03-31T00:00Z"), "basic")]
    assert (change.before, change.after, change.cause) == ("basic", "basic", "late_event")
    assert change.effective_ms == ms("2026-03-31T00:00Z")


def test_rule_3_an_event_ahead_of_the_clock_counts_from_its_own_time():
    customer = Customer()
    ahead = buy("2026-03-01T12:05Z", 100_00, id="early")
    assert turn(customer, ahead, now="2026-03-01T12:00Z").changes == []
    assert customer.due_ms == ms("2026-03-01T12:05Z")
    change = only(turn(customer, now="2026-03-01T12:06Z"), "tier")
    assert (change.effective_ms, change.cause) == (ms("2026-03-01T12:05Z"), "event")
    assert change.trigger is not None
    assert (change.trigger.type, change.trigger.id) == ("purchase", "early")
    assert customer.waiting == []


def test_rule_3_jitter_within_a_micro_batch_is_free():
    customer = Customer()
    outcome = turn(customer, buy("2026-03-02T00:00Z", 60_00), buy("2026-03-01T00:00Z", 60_00), now="2026-03-02T00:01Z")
    assert said(outcome) == [("basic", "gold", ms("2026-03-02T00:00Z"), "event")]


def test_rule_5_the_same_event_again_changes_nothing():
    customer = Customer()
    event = buy("2026-03-01T00:00Z", 60_00, id="e1")
    turn(customer, event, now="2026-03-01T00:00Z")
    again = turn(customer, event, event, now="2026-03-01T00:01Z")
    assert (again.duplicates, again.altered, again.reports) == (2, False, [])


def test_rule_5_the_same_id_with_another_content_is_a_conflict_and_the_first_stands():
    customer = Customer()
    first, other = buy("2026-03-01T00:00Z", 60_00, id="e1"), buy("2026-03-01T00:00Z", 61_00, id="e1")
    outcome = turn(customer, first, other, now="2026-03-01T00:00Z")
    assert [(r.reason, r.arrival.offset) for r in outcome.reports] == [("id_conflict", 1)]
    assert [e.amount for e in customer.entries] == [60_00]


def test_rule_5_a_stamped_event_s_retry_is_a_duplicate_whatever_its_stamp():
    customer = Customer()
    outcome = turn(
        customer,
        click("2026-03-01T00:00Z", id="e1", stamped=True),
        click("2026-03-01T00:00:07Z", id="e1", stamped=True),
        now="2026-03-01T00:01Z",
    )
    assert outcome.duplicates == 1


def test_rule_7_an_order_and_its_full_refund_leave_nothing_behind():
    customer = Customer()
    turn(customer, buy("2026-03-01T00:00Z", 100_00, order="A"), now="2026-03-01T00:00Z")
    outcome = turn(customer, refund("2026-03-02T00:00Z", order="A"), now="2026-03-02T00:00Z")
    assert said(outcome) == [("gold", "basic", ms("2026-03-02T00:00Z"), "refund")]
    assert said(outcome, "buyer") == [(True, False, ms("2026-03-02T00:00Z"), "refund")]
    assert customer.due_ms > ms("2100-01-01T00:00Z")


def test_rule_7_a_refund_lowers_a_window_only_until_its_order_leaves():
    #        order A 150                 refund 100    A leaves: 150 and its refund together
    # ───────●──────────────●────────────╳─────────────▼──────
    #        Mar 1          Mar 5: 60    Mar 20        Mar 31    60 are left of the window, never -40
    customer = Customer()
    turn(customer, buy("2026-03-01T00:00Z", 150_00, order="A"), now="2026-03-01T00:00Z")
    turn(customer, buy("2026-03-05T00:00Z", 60_00), now="2026-03-05T00:00Z")
    assert said(turn(customer, refund("2026-03-20T00:00Z", 100_00, "A"), now="2026-03-20T00:00Z")) == []
    outcome = turn(customer, now="2026-04-01T00:00Z")
    assert said(outcome) == [("gold", "basic", ms("2026-03-31T00:00Z"), "time")]
    turn(customer, buy("2026-04-01T00:00Z", 40_00), now="2026-04-01T00:00Z")
    assert customer.standings[0].value == "gold"


def test_rule_7_before_its_order_is_known_a_refund_has_no_effect():
    customer = Customer()
    turn(customer, refund("2026-03-02T00:00Z", 50_00, "A"), now="2026-03-02T00:00Z")
    outcome = turn(customer, buy("2026-03-01T00:00Z", 120_00, order="A"), now="2026-03-03T00:00Z")
    assert said(outcome) == [
        ("basic", "gold", ms("2026-03-01T00:00Z"), "event"),
        ("gold", "basic", ms("2026-03-02T00:00Z"), "time"),
    ]


def test_rule_7_the_arrival_that_raises_the_surplus_reports_it_once():
    customer = Customer()
    turn(customer, buy("2026-03-01T00:00Z", 100_00, order="A"), now="2026-03-01T00:00Z")
    first = turn(customer, refund("2026-03-02T00:00Z", 80_00, "A"), now="2026-03-02T00:00Z")
    second = turn(customer, refund("2026-03-03T00:00Z", 50_00, "A", id="r2"), now="2026-03-03T00:00Z")
    assert first.reports == []
    assert [(r.reason, r.arrival.event.id) for r in second.reports] == [("refund_exceeds_order", "r2")]
    assert "3000 minor units" in second.reports[0].detail


def test_rule_7_a_refund_in_another_currency_is_reported_when_the_order_is_known():
    customer = Customer()
    early = turn(customer, refund("2026-03-02T00:00Z", 10_00, "A", currency="USD"), now="2026-03-02T00:00Z")
    assert early.reports == []
    outcome = turn(customer, buy("2026-03-01T00:00Z", 100_00, order="A", id="o"), now="2026-03-03T00:00Z")
    assert [(r.reason, r.arrival.event.id) for r in outcome.reports] == [("refund_currency", "o")]


def test_rule_7_an_order_key_with_another_content_is_a_conflict():
    customer = Customer()
    outcome = turn(
        customer,
        buy("2026-03-01T00:00Z", 100_00, order="A", id="1"),
        buy("2026-03-01T00:00Z", 100_00, order="A", id="2"),
        buy("2026-03-01T00:00Z", 90_00, order="A", id="3"),
        now="2026-03-01T00:00Z",
    )
    assert outcome.duplicates == 1
    assert [(r.reason, r.arrival.event.id) for r in outcome.reports] == [("order_conflict", "3")]


def test_rule_7_a_refund_finds_a_keyless_order_by_its_event_id_and_source():
    customer = Customer()
    turn(customer, buy("2026-03-01T00:00Z", 100_00, id="o1"), now="2026-03-01T00:00Z")
    outcome = turn(customer, refund("2026-03-02T00:00Z", order="o1"), now="2026-03-02T00:00Z")
    assert said(outcome) == [("gold", "basic", ms("2026-03-02T00:00Z"), "refund")]


def test_rule_8_a_currency_without_a_rate_counts_as_0_and_is_marked():
    customer = Customer()
    outcome = turn(customer, buy("2026-03-01T00:00Z", 500_00, currency="USD"), now="2026-03-01T00:00Z")
    assert said(outcome) == []
    assert outcome.unpriced == 1
    assert only(outcome, "buyer").after is True


def test_rule_10_steps_in_order_are_announced_one_by_one_however_late_they_arrive():
    #        buys 100     leaves         quiet 90 d    now
    # ───────●────────────▼──────────────▼─────────────┬──
    customer = Customer()
    outcome = turn(customer, buy("2026-03-01T00:00Z", 100_00), now="2026-07-01T00:00Z")
    assert said(outcome) == [
        ("basic", "gold", ms("2026-03-01T00:00Z"), "event"),
        ("gold", "basic", ms("2026-03-31T00:00Z"), "time"),
    ]
    assert said(outcome, "churn") == [(False, True, ms("2026-05-30T00:00Z"), "time")]
    assert [c.revision for c in outcome.changes if c.dimension.name == "tier"] == [1, 2]


def test_rule_10_a_correction_names_what_it_retracts():
    #        100      100 (late)      100 leaves     100 leaves
    # ───────●────────○───────────────┊──────────────▼──
    #        Mar 1    Mar 10          Mar 31         Apr 9
    customer = Customer()
    turn(customer, buy("2026-03-01T00:00Z", 100_00), now="2026-03-01T00:00Z")
    turn(customer, now="2026-04-01T00:00Z")
    change = only(turn(customer, buy("2026-03-10T00:00Z", 100_00), now="2026-04-01T00:01Z"), "tier")
    assert (change.before, change.after) == ("basic", "gold")
    assert change.retracts == [(ms("2026-03-31T00:00Z"), "basic")]
    assert change.path == []
    assert change.from_ms == ms("2026-03-31T00:00Z")
    assert change.effective_ms == ms("2026-03-01T00:00Z")
    assert change.next == (ms("2026-04-09T00:00Z"), "basic")


def test_a_decision_says_what_decided_and_what_comes_next():
    customer = Customer()
    turn(customer, buy("2026-03-01T00:00Z", 60_00), now="2026-03-01T00:00Z")
    change = only(turn(customer, buy("2026-03-05T00:00Z", 50_00, id="b"), now="2026-03-05T00:00Z"), "tier")
    [condition] = change.conditions
    assert (condition.rule, condition.operand, condition.operator) == ("tier.gold", "spend_30d", ">=")
    assert (condition.value, condition.threshold, condition.holds, condition.entries) == ("110.00", "100.00", True, 2)
    assert change.trigger is not None
    assert change.trigger.id == "b"
    assert change.next == (ms("2026-03-31T00:00Z"), "basic")


@pytest.mark.parametrize("now", ["2026-03-01T00:00Z", "2026-03-02T00:00Z", "2027-01-01T00:00Z"])
def test_outbound_interactions_do_not_count(now):
    customer = Customer()
    calls = [contact("2026-03-01T00:00Z", direction="outbound") for _ in range(3)]
    assert said(turn(customer, *calls, now=now), "talks") == []

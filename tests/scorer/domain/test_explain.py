"""What a customer's page says: features, why, what is missing, what happens next."""

from services.scorer.domain import policy as policies
from services.scorer.domain.explain import applies, explain, money
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.state import Customer
from tests.scorer.domain.timeline import buy, click, ms, refund

POLICY = policies.parse("""\
policy: p
currency: EUR
zone: Europe/Berlin
features:
  spend_1y: {sum: purchase.amount, minus: refund.amount, window: 1y}
  clicks_7d: {count: click, window: 7d}
  quiet: {since_last: purchase}
ladders:
  tier:
    - {name: gold, when: "spend_1y >= 1_000 and tenure >= 1mo"}
    - {name: basic}
segments:
  browsing: "clicks_7d > 1"
churn: {at_risk: "quiet > 60d"}
playbooks:
  - {on: "tier falls to basic", when: "spend_1y > 500", task: {title: Call, to: sales, due: 1d}}
""")


def customer() -> Customer:
    known = Customer()
    events = [
        buy("2026-03-01T00:00Z", 900_00, order="A"),
        refund("2026-03-05T00:00Z", 100_00, "A"),
        click("2026-03-09T00:00Z"),
        click("2026-03-09T12:00Z"),
        buy("2026-03-09T13:00Z", 50_00, currency="USD"),
    ]
    decide(known, POLICY, [Arrival(e, ms("2026-03-10T00:00Z"), 0, b"") for e in events], ms("2026-03-10T00:00Z"))
    return known


def test_features_are_given_in_the_units_people_use():
    told = explain(customer(), POLICY, ms("2026-03-10T00:00Z"))
    spend = told.features["spend_1y"]
    assert (spend.value, spend.unit, spend.entries, spend.unpriced) == ("800.00", "money", 3, 1)
    assert (spend.first, spend.last) == (to_datetime(ms("2026-03-01T00:00Z")), to_datetime(ms("2026-03-09T13:00Z")))
    assert (told.features["clicks_7d"].value, told.features["quiet"].value) == (2, 11 * 3_600_000)


def test_only_money_can_be_unpriced_not_a_count_of_orders():
    policy = policies.parse(
        "{policy: p, currency: EUR, zone: UTC, features: {orders: {count: purchase}}, "
        "ladders: {tier: [{name: top, when: 'orders > 9'}, {name: floor}]}}"
    )
    orders = explain(customer(), policy, ms("2026-03-10T00:00Z")).features["orders"]
    assert (orders.value, orders.unpriced) == (2, 0)


def test_what_is_missing_for_a_tier_is_said_by_how_much():
    told = explain(customer(), POLICY, ms("2026-03-10T00:00Z"))
    gold = next(rule for rule in told.rules if rule.rule == "tier.gold")
    assert not gold.holds
    spend, tenure = gold.conditions
    assert (spend.holds, spend.value, spend.threshold, spend.short_by) == (False, "800.00", "1000.00", "200.00")
    # a month's anniversary is wall time: 1 April 00:00Z is 01:00 in Berlin's winter, one hour earlier in summer time
    assert (tenure.holds, tenure.short_by) == (False, ms("2026-03-31T23:00Z") - ms("2026-03-10T00:00Z"))


def test_what_happens_next_comes_soonest_first_one_a_dimension():
    told = explain(customer(), POLICY, ms("2026-03-10T00:00Z"))
    assert told.tiers == {"tier": "basic"}
    assert told.segments == ["browsing"]
    assert told.churn is False
    assert [(n.dimension, n.at, n.after) for n in told.next] == [
        ("browsing", to_datetime(ms("2026-03-16T00:00Z")), False),
        ("churn", to_datetime(ms("2026-05-08T13:00Z") + 1), True),
    ]


def test_before_the_first_event_everyone_is_where_everyone_begins():
    told = explain(Customer(), POLICY, ms("2026-03-10T00:00Z"))
    assert (told.tiers, told.segments, told.churn, told.next) == ({"tier": "basic"}, [], False, [])
    assert told.features["quiet"].value is None


def test_a_playbook_s_own_condition_is_asked_at_the_instant():
    [playbook] = POLICY.playbooks
    assert applies(playbook, customer(), POLICY, ms("2026-03-10T00:00Z"))
    assert not applies(playbook, customer(), POLICY, ms("2027-03-10T00:00Z"))


def test_money_is_written_in_major_units():
    assert [money(5, 2), money(1230, 2), money(-1230, 2), money(7, 0), money(1234, 3)] == [
        "0.05",
        "12.30",
        "-12.30",
        "7",
        "1.234",
    ]

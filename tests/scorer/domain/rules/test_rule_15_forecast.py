"""Rule 15: what happens next without any event, and what it takes to move up."""

import pytest

from services.scorer.domain.explain import applies, money
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.records import decision
from tests.scorer.domain.rules.life_of import DAY, H, LifeOf, policy
from tests.scorer.domain.timeline import buy, click, contact, feedback, ms, override, profile, refund

SHOP = policy(
    """
attributes: [region]
features:
  spend_1y: {sum: purchase.amount, minus: refund.amount, window: 1y}
  orders: {count: purchase}
  clicks_7d: {count: click, window: 7d}
  quiet: {since_last: purchase}
ladders:
  tier:
    - {name: key, when: "spend_1y >= 1_000 and tenure >= 1mo", stay: "spend_1y >= 700", grace: 7d}
    - {name: regular}
segments:
  browsing: "clicks_7d > 1"
  north: "region == 'north'"
churn: {at_risk: "quiet > 60d"}
playbooks:
  - {on: "tier falls to regular", when: "spend_1y > 500", task: {title: Call, to: sales, due: 1d}}
""",
    zone="Europe/Berlin",
)


def shopper() -> LifeOf:
    """800.00 spent after a refund, and 50 dollars that nobody can price."""
    life = LifeOf(SHOP)
    life.sees(
        buy("2026-03-01T00:00Z", 900_00, order="A"),
        refund("2026-03-05T00:00Z", 100_00, "A"),
        click("2026-03-09T00:00Z"),
        click("2026-03-09T12:00Z"),
        buy("2026-03-09T13:00Z", 50_00, currency="USD"),
    )
    life.until("2026-03-10T00:00Z")
    return life


def test_rule_15_what_is_missing_is_said_condition_by_condition_and_by_how_much():
    key = shopper().rule("tier.key")
    assert not key.holds
    spend, tenure = key.conditions
    assert (spend.holds, spend.value, spend.threshold, spend.short_by) == (False, "800.00", "1000.00", "200.00")
    # a month's anniversary is wall time: 1 April 01:00 in Berlin, which is an hour earlier in summer time
    assert (tenure.holds, tenure.short_by) == (False, ms("2026-03-31T23:00Z") - ms("2026-03-10T00:00Z"))


AVERAGES = """
features:
  spend: {sum: purchase.amount}
  orders: {count: purchase}
  basket: {ratio: [spend, orders]}
  worth: {value: purchase}
segments: {%s}
calibration: {gamma_gamma: {p: 6.25, q: 3.74, v: 15.44}}
"""


def averages(*minor: int, **rules: str) -> LifeOf:
    """Who has spent so much, an order a day, under these segments."""
    life = LifeOf(policy(AVERAGES % ", ".join(f'{name}: "{rule}"' for name, rule in rules.items())))
    life.sees(*(buy(f"2026-03-0{day}T00:00Z", amount) for day, amount in enumerate(minor, 1)))
    return life


def test_rule_15_an_average_and_a_value_to_expect_are_money_as_is_what_they_are_compared_with_and_what_is_missing():
    life = averages(100_00, 100_00, 110_00, big="basket >= 400", rich="worth > 120 and worth > 80", any="basket in [1]")
    [basket] = life.rule("big").conditions
    assert (basket.value, basket.threshold, basket.short_by) == ("103.33", "400.00", "296.67")
    dear, cheap = life.rule("rich").conditions
    worth = 6.25 * (15.44 + 210) / (6.25 * 2 + 2.74)  # of the two days after the first
    assert (dear.value, dear.threshold, dear.short_by) == (f"{worth:.2f}", "120.00", f"{120 - worth:.2f}")
    assert (cheap.threshold, cheap.holds, cheap.short_by) == ("80.00", True, None)
    assert life.rule("any").conditions[0].threshold == ["1.00"]


def test_rule_15_an_average_is_compared_exactly_and_a_limit_is_shown_with_all_its_decimals():
    #                              99.99666..., which is shown as 100.00
    life = averages(100_00, 100_00, 99_99, whole="basket >= 100", near="basket >= 99.996", third="basket >= 99.9967")
    whole, near, third = (life.rule(name).conditions[0] for name in ("whole", "near", "third"))
    assert (whole.value, whole.threshold, whole.holds) == ("100.00", "100.00", False)
    assert whole.short_by == "0.01", "as little as 0.00333... is not nothing"
    assert (near.threshold, near.holds) == ("99.996", True)
    assert (third.threshold, third.holds, third.short_by) == ("99.9967", False, "0.01")


def test_rule_15_what_is_missing_is_never_told_as_too_little():
    life = averages(275_00, big="basket >= 300.005", more="basket > 275", third="basket >= 275.00333")
    told = [life.rule(name).conditions[0].short_by for name in ("big", "more", "third")]
    assert told == ["25.01", "0.01", "0.01"]
    life = LifeOf(
        policy("""
features: {heat: {score: {click: 10}, half_life: 30d}, nps: {mean: feedback.score}}
segments: {hot: "heat > 10", glad: "nps > 8"}
""")
    )
    life.sees(click("2026-03-01T00:00Z"), feedback("2026-03-01T00:00Z", "nps", 8_00))
    assert [life.rule(name).conditions[0].short_by for name in ("hot", "glad")] == [0.000001, 0.000001]


def test_rule_15_a_sum_that_refunds_took_below_nothing_lacks_that_too():
    life = LifeOf(
        policy("features: {spend: {sum: purchase.amount, minus: refund.amount}}\nsegments: {big: 'spend >= 500'}")
    )
    life.sees(buy("2026-03-01T00:00Z", 100_00), refund("2026-03-02T00:00Z", 150_00))
    [condition] = life.rule("big").conditions
    assert (condition.value, condition.short_by) == ("0.00", "550.00")
    life.sees(buy("2026-03-03T00:00Z", 549_99))
    assert not life.value("big")
    life.sees(buy("2026-03-04T00:00Z", 1))
    assert life.value("big")


def test_rule_15_a_calendar_span_between_orders_is_measured_from_the_last_one():
    """As it is decided: the month after 1 February has 28 days, that after 1 March 31."""
    given = policy("features: {pace: {regularity: purchase}}\nsegments: {slow: 'pace.mean >= 1mo'}")
    for last, days, holds in (("2026-02-01T00:00Z", 28, True), ("2026-03-01T00:00Z", 31, False)):
        life = LifeOf(given)
        life.sees(*(buy(to_datetime(ms(last) - back * 30 * DAY).isoformat(), 1_00) for back in (2, 1, 0)))
        for at in (last, "2026-05-31T00:00Z"):
            condition = next(r for r in life.explained(at).rules if r.rule == "slow").conditions[0]
            assert (condition.value, condition.threshold, condition.holds) == (30 * DAY, days * DAY, holds)
            assert condition.short_by == (None if holds else DAY)


def test_rule_15_more_than_a_limit_takes_one_more():
    life = LifeOf(SHOP)
    life.sees(click("2026-03-09T00:00Z"))
    [condition] = life.rule("browsing").conditions
    assert (condition.text, condition.value, condition.short_by) == ("clicks_7d > 1", 1, 1)


def test_rule_15_where_more_would_not_help_nothing_is_said_to_be_missing():
    life = LifeOf(policy("features: {seen: {count: click}}\nsegments: {shy: 'seen < 2', two: 'seen == 2'}"))
    life.sees(*(click(f"2026-03-0{day}T00:00Z") for day in (1, 2, 3)))
    assert [life.rule(name).conditions[0].short_by for name in ("shy", "two")] == [None, None]


def test_rule_15_an_unknown_lacks_nothing_and_holds_nothing():
    life = LifeOf(SHOP)
    life.sees(click("2026-03-01T00:00Z"))
    [condition] = life.rule("churn").conditions
    assert (condition.value, condition.holds, condition.short_by) == (None, False, None)


def test_rule_15_what_happens_next_comes_soonest_first_one_a_dimension():
    told = shopper().explained()
    assert (told.tiers, told.segments, told.churn) == ({"tier": "regular"}, ["browsing"], False)
    assert [(n.dimension, n.at.isoformat(), n.after) for n in told.next] == [
        ("browsing", "2026-03-16T00:00:00+00:00", False),
        ("churn", "2026-05-08T13:00:00.001000+00:00", True),
    ]


def test_rule_15_the_fall_that_is_coming_is_said_with_grace():
    #        1,100                        leaves: stay fails         falls
    # ───────●───────────────────────────╳───────────────────────────▼──
    #        Mar 1 2026                  Mar 1 2027                  Mar 8 2027
    life = LifeOf(SHOP)
    life.sees(buy("2026-03-01T12:00Z", 1_100_00))
    assert life.next("tier") == ("2026-04-01T11:00Z", "key"), "with a month of tenure"
    life.until("2026-06-01T00:00Z")
    assert life.next("tier") == ("2027-03-08T12:00Z", "regular")
    life.until("2027-04-01T00:00Z")
    assert life.path()[-1] == ("2027-03-08T12:00Z", "regular")


GRACE = """
features: {{spend: {{sum: purchase.amount, window: 30d}}}}
ladders: {{tier: [{{name: gold, when: "spend >= {least}", grace: {grace}}}, {{name: basic}}]}}
"""


@pytest.mark.parametrize(
    ("least", "grace", "decides", "falls"),
    [
        (100, "1d", "2026-02-04T00:00Z", "2026-02-04T00:00Z"),
        (100, "1mo", "2026-02-04T00:00Z", "2026-02-28T00:00Z"),
        (100, "1mo", "2026-02-10T00:00Z", "2026-02-28T00:00Z"),
        (100, "1d", "2026-02-10T00:00:00.001Z", "2026-02-10T00:00Z"),
        (0, "1d", "2026-02-04T00:00Z", None),
    ],
)
def test_rule_15_when_a_tier_falls_is_said_by_the_policy_that_is_known_to_decide_by_then(least, grace, decides, falls):
    #        200: gold      leaves: fails, grace 10 days     asked      another policy      falls
    # ───────●─────────────╳────────────────────────────────┊──────────║────────────────────▼──
    #        Jan 1         Jan 31                           Feb 1
    life = LifeOf(policy(GRACE.format(least=100, grace="10d")))
    life.sees(buy("2026-01-01T00:00Z", 200_00))
    life.until("2026-02-01T00:00Z")
    assert life.explained().standing["tier"].falls_at == to_datetime(ms("2026-02-10T00:00Z"))
    life.learns(policy(GRACE.format(least=least, grace=grace)), decides, at=life.now)
    assert life.next("tier") == (None if falls is None else (falls, "basic"))
    assert life.explained().standing["tier"].falls_at == (None if falls is None else to_datetime(ms(falls)))


@pytest.mark.parametrize(
    ("tiers", "next_", "falls"),
    [
        ("{name: gold, when: 'spend >= 100', grace: 1d}, {name: silver, when: 'spend >= 0'}", "silver", True),
        ("{name: top, when: 'spend < 50'}, {name: gold, when: 'spend >= 100', grace: 1d}", "top", False),
        ("{name: star, when: 'spend >= 100', grace: 1d}", "basic", False),
    ],
)
def test_rule_15_a_tier_falls_to_what_the_policy_to_come_has_below_it(tiers, next_, falls):
    life = LifeOf(policy(GRACE.format(least=100, grace="10d")))
    life.sees(buy("2026-01-01T00:00Z", 200_00))
    life.until("2026-02-01T00:00Z")
    more = "features: {spend: {sum: purchase.amount, window: 30d}}\n"
    change = "2026-02-04T00:00Z"
    life.learns(policy(more + f"ladders: {{tier: [{tiers}, {{name: basic}}]}}"), change, at=life.now)
    assert life.next("tier") == (change, next_)
    assert life.explained().standing["tier"].falls_at == (to_datetime(ms(change)) if falls else None)


def test_rule_15_when_a_tier_falls_underneath_an_override_is_said_by_the_policy_to_come_too():
    life = LifeOf(policy(GRACE.format(least=100, grace="10d")))
    life.sees(buy("2026-01-01T00:00Z", 200_00), override("2026-01-02T00:00Z", "2026-04-01T00:00Z", "tier", "gold"))
    life.until("2026-02-01T00:00Z")
    life.learns(policy(GRACE.format(least=100, grace="1d")), "2026-02-04T00:00Z", at=life.now)
    held = life.explained().standing["tier"]
    assert (held.computed, held.falls_at) == ("gold", to_datetime(ms("2026-02-04T00:00Z")))
    life.until("2026-02-04T00:00Z")
    assert life.explained().standing["tier"].computed == "basic"
    assert life.path() == [("2026-01-01T00:00Z", "gold")]


def test_rule_15_a_forecast_looks_past_what_comes_to_nothing():
    #        click       click gone       click      would be quiet
    # the first exit changes nothing, the second one does
    life = LifeOf(SHOP)
    life.sees(*(click(f"2026-03-0{day}T00:00Z") for day in (1, 2, 3)))
    assert life.next("browsing") == ("2026-03-09T00:00Z", False)


def test_rule_15_an_event_known_but_not_due_yet_is_in_the_forecast():
    life = LifeOf(SHOP)
    life.sees(click("2026-03-01T11:00Z"), click("2026-03-01T12:04Z"), at="2026-03-01T12:00Z")
    assert life.next("browsing") == ("2026-03-01T12:04Z", True)


def test_rule_15_what_was_to_come_at_an_instant_that_is_past_is_told_without_what_happened_later():
    #        900     click        asked      150: key, refunded: regular      click      now
    # ───────●───────●────────────┊──────────●──────────────╳─────────────────●──────────┬──
    #        Mar 1   Mar 2        Mar 3      Apr 5          Apr 6             Apr 7
    life = LifeOf(SHOP)
    life.sees(buy("2026-03-01T12:00Z", 900_00), click("2026-03-02T00:00Z"))
    expected = life.explained("2026-03-03T00:00Z")
    life.sees(buy("2026-04-05T00:00Z", 150_00, order="B"), refund("2026-04-06T00:00Z", None, "B"))
    life.sees(click("2026-04-07T00:00Z"), click("2026-04-07T00:01Z"))
    assert life.value("browsing") is True
    told = life.explained("2026-03-03T00:00Z")
    assert (told.next, told) == (expected.next, expected)
    assert [n.dimension for n in told.next] == ["churn"]


@pytest.mark.parametrize("received", [None, "2026-03-10T00:00Z"])
def test_rule_15_what_was_to_come_at_an_instant_that_is_past_is_told_without_what_came_later_and_waits(received):
    #        click       asked        contact      now: one more comes, a minute ahead of the clock
    # ───────●───────────┊────────────○────────────┬──●──
    #        Mar 4       Mar 5        Mar 9        Mar 10
    life = LifeOf(SHOP)
    life.sees(click("2026-03-04T00:00Z"), contact("2026-03-09T00:00Z"))
    received_at = None if received is None else to_datetime(ms(received))
    life.sees(click("2026-03-10T00:01Z", receivedtime=received_at), at="2026-03-10T00:00Z")
    assert life.next("browsing", at="2026-03-05T00:00Z") is None
    assert life.next("browsing", at="2026-03-10T00:00Z") == ("2026-03-10T00:01Z", True)
    assert life.next("browsing", at="2026-03-10T00:02Z") == ("2026-03-11T00:00Z", False)


def test_rule_15_what_waits_was_not_to_come_before_it_was_received_and_was_from_then_on():
    #        click       asked: nothing is played here     now: a click comes a minute ahead     and one in order
    # ───────●───────────┊─────────────────────────────────┬─────────────────────●──
    #        Mar 5       Mar 7                             Mar 10 00:00          00:01
    life = LifeOf(SHOP)
    life.sees(click("2026-03-05T00:00Z"))
    now = "2026-03-10T00:00Z"
    life.sees(click("2026-03-10T00:01Z", receivedtime=to_datetime(ms(now))), at=now)
    assert life.next("browsing", at="2026-03-07T00:00Z") is None
    life.sees(contact("2026-03-10T00:00:30Z"))
    assert life.next("browsing", at=now) == ("2026-03-10T00:01Z", True), "it was known by then"


def test_rule_15_features_are_given_in_the_units_people_use_with_what_they_rest_on():
    told = shopper().explained()
    spend = told.features["spend_1y"]
    assert (spend.value, spend.unit, spend.entries, spend.unpriced) == ("800.00", "money", 3, 1)
    assert [t.isoformat() for t in (spend.first, spend.last)] == [
        "2026-03-01T00:00:00+00:00",
        "2026-03-09T13:00:00+00:00",
    ]
    quiet, seen, region = (told.features[name] for name in ("quiet", "clicks_7d", "region"))
    assert (quiet.value, quiet.unit) == (11 * H, "duration")
    assert (seen.value, seen.unit) == (2, "count")
    assert (region.value, region.unit) == (None, "text")


def test_rule_15_the_past_can_be_asked_too():
    life = shopper()
    then = life.explained("2026-03-04T00:00Z")
    assert (then.features["spend_1y"].value, then.features["quiet"].value) == ("900.00", 3 * DAY)
    assert then.segments == []


def test_rule_15_before_the_first_event_everyone_is_where_everyone_begins():
    told = LifeOf(SHOP).explained("2026-03-10T00:00Z")
    assert (told.tiers, told.segments, told.churn, told.next) == ({"tier": "regular"}, [], False, [])
    assert (told.features["quiet"].value, told.rules) == (None, [])


def test_rule_15_asking_changes_nothing():
    life = shopper()
    was = life.record
    life.explained("2026-03-01T00:00Z")
    life.explained("2030-03-01T00:00Z")
    assert life.record == was


def test_rule_15_a_playbook_s_own_condition_is_asked_at_the_instant():
    life, [playbook] = shopper(), SHOP.playbooks
    assert applies(playbook, life.customer, life.policies, ms("2026-03-10T00:00Z"))
    assert not applies(playbook, life.customer, life.policies, ms("2027-03-10T00:00Z"))


def test_rule_15_only_money_can_be_unpriced():
    told = shopper().explained()
    assert (told.features["orders"].value, told.features["orders"].unpriced) == (2, 0)


def test_rule_15_a_condition_on_a_text_says_what_it_is():
    life = LifeOf(SHOP)
    life.sees(profile("2026-03-01T00:00Z", region="south"), contact("2026-03-02T00:00Z"))
    [condition] = life.rule("north").conditions
    assert (condition.value, condition.threshold, condition.holds) == ("south", "north", False)


def test_rule_15_money_is_written_in_major_units():
    assert [money(5, 2), money(1230, 2), money(-1230, 2), money(7, 0), money(1234, 3)] == [
        "0.05",
        "12.30",
        "-12.30",
        "7",
        "1.234",
    ]


def test_rule_15_what_was_to_come_when_it_was_decided_knows_nothing_of_refunds_that_came_later():
    #  100: gold             60 of it back: basic            both are told at once, on Mar 10, after a click
    # ─●─────────────────────╳─────────────────────●─────────┬──
    #  Mar 1                 Mar 5                 Mar 9
    life = LifeOf(
        policy("""
features: {spend: {sum: purchase.amount, minus: refund.amount, window: 10d}}
ladders: {tier: [{name: gold, when: "spend >= 50"}, {name: basic}]}
""")
    )
    life.sees(click("2026-03-09T00:00Z"))
    life.sees(
        buy("2026-03-01T00:00Z", 100_00, order="A"),
        refund("2026-03-05T00:00Z", 60_00, "A"),
        at="2026-03-10T00:00Z",
    )
    gold, basic = life.of("tier")
    assert gold.next == (ms("2026-03-11T00:00Z"), "basic")
    assert (basic.effective_ms, basic.next) == (ms("2026-03-05T00:00Z"), None)


@pytest.mark.parametrize("points", ["1_000_000_000", "10_000_000_000"])
def test_rule_15_what_would_come_after_the_year_9999_never_does(points):
    life = LifeOf(
        policy(f"""
features: {{e: {{score: {{purchase: {points}}}, half_life: 36500d}}}}
segments: {{keen: "e > 0.000000000000001"}}
""")
    )
    life.sees(buy("2026-03-01T00:00Z", 1_00))
    [keen] = life.of("keen")
    assert keen.after is True
    assert (keen.next is None) == (points == "10_000_000_000")
    assert (life.next("keen") is None) == (points == "10_000_000_000")
    decision(keen, "c1", sequence=1, decided_ms=life.now, catching_up=False)  # can be written down

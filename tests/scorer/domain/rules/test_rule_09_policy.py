"""Rule 9: the old policy holds before `effective_at`, the new one from it on, whatever the order of arrival."""

import pytest

from schemas.events import Click
from services.scorer.domain.packing import encode
from services.scorer.domain.rules import Policy
from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import buy, click, ms, override


def tiers(*rungs: str) -> Policy:
    ladder = ", ".join(f"{{{rung}}}" for rung in (*rungs, "name: basic"))
    return policy(
        f"""
features: {{spend: {{sum: purchase.amount, window: 30d}}, seen: {{count: click, window: 30d}}}}
ladders: {{tier: [{ladder}]}}
"""
    )


LOW = tiers('name: gold, when: "spend >= 100"')
HIGH = tiers('name: gold, when: "spend >= 200"')


def test_rule_09_from_effective_at_on_the_new_policy_decides_on_the_whole_ledger():
    #        100: gold            200 are asked         buys 100: gold
    # ───────●───────────────────║─────────────────────●──────
    #        Mar 1               Mar 10                Mar 20
    life = LifeOf(LOW)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.learns(HIGH, "2026-03-10T00:00Z")
    life.sees(buy("2026-03-20T00:00Z", 100_00))
    assert life.said() == [
        ("basic", "gold", "2026-03-01T00:00Z", "event"),
        ("gold", "basic", "2026-03-10T00:00Z", "policy"),
        ("basic", "gold", "2026-03-20T00:00Z", "event"),
    ]


def test_rule_09_an_event_that_arrives_late_is_decided_by_the_policy_of_its_time():
    #        100 (late)           200 are asked
    # ───────○───────────────────║─────────────┬──
    #        Mar 1: gold         Mar 10        Mar 15
    life = LifeOf(LOW)
    life.sees(click("2026-02-01T00:00Z"))
    life.learns(HIGH, "2026-03-10T00:00Z")
    life.sees(buy("2026-03-01T00:00Z", 100_00), at="2026-03-15T00:00Z")
    assert life.path() == [("2026-03-01T00:00Z", "gold"), ("2026-03-10T00:00Z", "basic")]


def test_rule_09_what_is_put_right_before_the_switch_is_explained_by_the_policy_of_then():
    #        50          60 (late)          200 are asked, 50 to stay     click      now
    # ───────●───────────○────────────────║─────────────────────────────●──────────┬──
    #        Mar 1       Mar 2: gold      Mar 10                        Mar 12     Mar 15
    ladder, looks = "{{name: gold, {}}}, {{name: basic}}", "segments: {looks: 'seen >= 1'}"
    features = "features: {spend: {sum: purchase.amount}, seen: {count: click}}"
    low, high = (
        policy("\n".join([features, f"ladders: {{tier: [{ladder.format(gold)}]}}", looks]))
        for gold in ("when: 'spend >= 100'", "when: 'spend >= 200', stay: 'spend >= 50'")
    )
    life = LifeOf(low)
    life.sees(buy("2026-03-01T00:00Z", 50_00))
    life.learns(high, "2026-03-10T00:00Z")
    life.sees(click("2026-03-12T00:00Z"))
    [change] = life.sees(buy("2026-03-02T00:00Z", 60_00), at="2026-03-15T00:00Z")
    assert (life.path(), change.cause) == ([("2026-03-02T00:00Z", "gold")], "late_event")
    assert [(c.text, c.holds, c.value) for c in change.conditions] == [("spend >= 100", True, "110.00")]


def test_rule_09_an_event_at_the_very_instant_of_the_switch_meets_the_new_policy_and_is_the_cause():
    life = LifeOf(LOW)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.learns(HIGH, "2026-03-10T00:00Z", at="2026-03-05T00:00Z")
    assert life.sees(buy("2026-03-10T00:00Z", 100_00)) == []
    assert life.path() == [("2026-03-01T00:00Z", "gold")]


def test_rule_09_event_goes_before_policy_and_policy_before_time():
    life = LifeOf(HIGH)
    life.sees(buy("2026-03-01T00:00Z", 50_00))
    life.learns(LOW, "2026-03-10T00:00Z", at="2026-03-05T00:00Z")
    [change] = life.sees(buy("2026-03-10T00:00Z", 50_00))
    assert (change.cause, change.after) == ("event", "gold")
    other = LifeOf(LOW)
    other.sees(buy("2026-03-01T00:00Z", 100_00))
    other.learns(HIGH, "2026-03-31T00:00Z")
    assert other.said()[-1] == ("gold", "basic", "2026-03-31T00:00Z", "policy"), "at that instant the 100 leave, too"


def test_rule_09_a_switch_in_the_past_is_announced_net_when_it_becomes_known():
    #        100: gold        effective           known
    # ───────●───────────────║───────────────────┬──────
    #        Mar 1           Mar 10              Mar 20
    life = LifeOf(LOW)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    [change] = life.learns(HIGH, "2026-03-10T00:00Z", at="2026-03-20T00:00Z")
    assert (change.before, change.after, change.cause) == ("gold", "basic", "policy")
    assert change.effective_ms == ms("2026-03-10T00:00Z")
    assert life.path() == [("2026-03-01T00:00Z", "gold"), ("2026-03-10T00:00Z", "basic")]


def test_rule_09_what_was_decided_before_the_switch_stays():
    life = LifeOf(LOW)
    life.sees(buy("2026-01-01T00:00Z", 100_00))
    life.until("2026-03-01T00:00Z")
    before = life.path()
    assert life.learns(HIGH, "2026-03-10T00:00Z") == []
    assert life.path() == before


def test_rule_09_time_of_entry_and_false_run_cross_the_switch_by_name_grace_and_dwell_are_the_new_ones():
    #        gold           fails        grace is 10 d now       falls
    # ───────●─────────────╳────────────║───────────────────────▼──
    #        Mar 1         Mar 31       Apr 2 (grace was 3 d)   Apr 10
    life = LifeOf(tiers('name: gold, when: "spend >= 100", grace: 3d'))
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.learns(tiers('name: gold, when: "spend >= 100", grace: 10d'), "2026-04-02T00:00Z")
    life.until("2026-06-01T00:00Z")
    assert life.path()[1:] == [("2026-04-10T00:00Z", "basic")]


def test_rule_09_nobody_falls_before_the_switch():
    #        gold           fails        grace is 1 d now: would have been Apr 1
    # ───────●─────────────╳────────────▼──
    #        Mar 1         Mar 31       Apr 5
    life = LifeOf(tiers('name: gold, when: "spend >= 100", grace: 20d'))
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.learns(tiers('name: gold, when: "spend >= 100", grace: 1d'), "2026-04-05T00:00Z")
    assert life.said()[-1] == ("gold", "basic", "2026-04-05T00:00Z", "policy")


def test_rule_09_dwell_is_counted_from_the_entry_under_the_old_policy():
    life = LifeOf(LOW)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.learns(tiers('name: gold, when: "spend >= 200", dwell: 20d'), "2026-03-10T00:00Z")
    life.until("2026-06-01T00:00Z")
    assert life.path()[1:] == [("2026-03-21T00:00Z", "basic")]


def test_rule_09_a_tier_that_has_vanished_is_replaced_by_when_without_memory():
    #        gold                fails       gold is no more: silver by `when`, since now
    # ───────●──────────────────╳───────────║──────────────────────────▼──
    #        Mar 1              Mar 31      Apr 2                      Apr 12 (dwell 10 d from Apr 2)
    life = LifeOf(tiers('name: gold, when: "spend >= 100", grace: 30d', 'name: silver, when: "spend >= 50"'))
    life.sees(buy("2026-03-01T00:00Z", 100_00), buy("2026-03-03T00:00Z", 60_00))
    life.learns(tiers('name: silver, when: "spend >= 50", dwell: 10d'), "2026-04-01T00:00Z")
    life.until("2026-06-01T00:00Z")
    assert life.path()[1:] == [("2026-04-01T00:00Z", "silver"), ("2026-04-11T00:00Z", "basic")]


def test_rule_09_it_is_the_new_policy_s_when_that_replaces_a_vanished_tier():
    life = LifeOf(LOW)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.learns(tiers('name: star, when: "spend >= 500", grace: 30d'), "2026-03-10T00:00Z")
    assert life.path()[1:] == [("2026-03-10T00:00Z", "basic")], "no grace in a tier that was never earned"


STAGES = """
features: {{orders: {{count: purchase}}, quiet: {{since_last: purchase}}}}
classes:
  stage:
    - {{name: won_back, when: "quiet < 60d", from: [lapsed], dwell: 60d}}
    - {{name: lapsed, when: "quiet >= 180d"}}
    - {{name: {regular}, when: "orders >= 2"}}
    - {{name: new}}
"""


def test_rule_09_a_class_that_has_vanished_is_not_replaced_by_one_that_takes_only_those_of_another():
    life = LifeOf(policy(STAGES.format(regular="active")))
    life.sees(buy("2026-01-01T00:00Z", 10_00), buy("2026-01-02T00:00Z", 10_00))
    life.learns(policy(STAGES.format(regular="regular")), "2026-01-10T00:00Z")
    assert life.path("stage")[1:] == [("2026-01-10T00:00Z", "regular")], "nobody was lapsed, so none is won back"


def test_rule_09_a_dimension_that_is_new_begins_where_everyone_begins_and_is_evaluated_at_once():
    life = LifeOf(LOW)
    life.sees(click("2026-03-01T00:00Z"))
    more = policy(
        """
features: {spend: {sum: purchase.amount, window: 30d}, seen: {count: click}}
ladders: {tier: [{name: gold, when: "spend >= 100"}, {name: basic}]}
classes: {type: [{name: keen, when: "seen >= 1"}, {name: calm}]}
segments: {looks: "seen >= 1", never: "seen >= 9"}
"""
    )
    life.learns(more, "2026-03-10T00:00Z")
    assert life.said("type") == [("calm", "keen", "2026-03-10T00:00Z", "policy")]
    assert life.said("looks") == [(False, True, "2026-03-10T00:00Z", "policy")]
    assert life.path("never") == []


def sided(last: str = "down") -> Policy:
    return policy(
        f"""
features: {{seen: {{count: click}}, spend: {{sum: purchase.amount, window: 30d}}}}
ladders:
  tier: [{{name: gold, when: "spend >= 100"}}, {{name: basic}}]
  side: [{{name: up, when: "seen >= 1"}}, {{name: {last}}}]
classes: {{type: [{{name: keen, when: "seen >= 1"}}, {{name: calm}}]}}
segments: {{looks: "seen >= 1"}}
churn: {{at_risk: "seen >= 1"}}
"""
    )


@pytest.mark.parametrize(
    ("name", "first", "there"),
    [("side", "down", "up"), ("type", "calm", "keen"), ("looks", False, True), ("churn", False, True)],
)
def test_rule_09_what_is_gone_is_back_where_everyone_began_and_begins_anew_when_it_returns(name, first, there):
    #         clicks: up     ║ no such ladder: down     ║ there again: up
    # ────────●──────────────╫──────────────────────────╫────────────────
    #         Mar 1          Mar 10                     Mar 20
    life = LifeOf(sided())
    life.sees(click("2026-03-01T00:00Z"))
    life.learns(LOW, "2026-03-10T00:00Z")
    life.learns(sided(), "2026-03-20T00:00Z")
    assert life.said(name) == [
        (first, there, "2026-03-01T00:00Z", "event"),
        (there, first, "2026-03-10T00:00Z", "policy"),
        (first, there, "2026-03-20T00:00Z", "policy"),
    ]
    assert life.path(name) == [
        ("2026-03-01T00:00Z", there),
        ("2026-03-10T00:00Z", first),
        ("2026-03-20T00:00Z", there),
    ]
    assert [c.revision for c in life.of(name)] == [1, 2, 3], "revisions have no gap"
    assert [bool(c.conditions) for c in life.of(name)] == [True, False, True], "no rule speaks for what is no more"


def test_rule_09_nothing_is_told_of_what_is_gone_to_who_stood_where_everyone_begins():
    life = LifeOf(sided())
    life.sees(buy("2026-03-01T00:00Z", 1_00))
    life.learns(LOW, "2026-03-10T00:00Z")
    life.learns(sided(), "2026-03-20T00:00Z")
    assert life.changes == []


def test_rule_09_an_override_of_what_is_gone_ends_with_it_and_goes_on_when_it_returns():
    life = LifeOf(sided())
    life.sees(override("2026-03-01T00:00Z", "2026-04-01T00:00Z", "side", "up"))
    life.learns(LOW, "2026-03-10T00:00Z")
    life.learns(sided(), "2026-03-20T00:00Z")
    life.until("2026-05-01T00:00Z")
    assert [value for _, value in life.path("side")] == ["up", "down", "up", "down"]


@pytest.mark.parametrize("known", ["2026-03-20T00:00Z", "2026-03-25T00:00Z"], ids=["in time", "later"])
@pytest.mark.parametrize("comes", [click("2026-03-01T00:00Z"), buy("2026-03-01T00:00Z", 1_00)], ids=["up", "down"])
def test_rule_09_what_returns_with_another_last_tier_goes_on_from_where_it_was_left(comes, known):
    #       ║ no such ladder: down                   ║ there again; everyone begins in `flat`
    # ──────╫────────────────────────────────────────╫─────────────────────────────────────
    life = LifeOf(sided())
    life.sees(comes)
    life.learns(LOW, "2026-03-10T00:00Z")
    life.learns(HIGH, "2026-03-15T00:00Z")
    life.learns(sided(last="flat"), "2026-03-20T00:00Z", at=known)
    where = "up" if isinstance(comes, Click) else "flat"
    change = life.of("side")[-1]
    assert (change.before, change.after, change.cause) == ("down", where, "policy")
    assert life.path("side")[-1] == ("2026-03-20T00:00Z", where)


def test_rule_09_who_begins_while_it_is_gone_was_never_elsewhere():
    life = LifeOf(sided())
    life.learns(LOW, "2026-03-10T00:00Z")
    life.sees(buy("2026-03-12T00:00Z", 1_00))
    life.learns(sided(last="flat"), "2026-03-20T00:00Z")
    assert life.said("side") == []
    life.sees(click("2026-03-25T00:00Z"))
    assert life.said("side") == [("flat", "up", "2026-03-25T00:00Z", "event")]


def test_rule_09_what_was_never_in_force_was_never_left():
    #   the second policy is put right with the same effective_at: it held at no instant
    life = LifeOf(LOW)
    life.sees(buy("2026-03-01T00:00Z", 1_00))
    life.learns(sided(), "2026-03-10T00:00Z", at="2026-03-05T00:00Z")
    life.learns(HIGH, "2026-03-10T00:00Z", at="2026-03-06T00:00Z")
    life.learns(sided(last="flat"), "2026-03-20T00:00Z")
    assert life.said("side") == []


def test_rule_09_a_policy_put_right_that_leaves_out_again_goes_back_to_where_it_was_left():
    #   side: down ║ (known for a while: flat)     ║ put right: there is no such ladder, and everyone was in down
    life = LifeOf(sided())
    life.sees(buy("2026-03-01T00:00Z", 1_00))
    life.learns(sided(last="flat"), "2026-03-10T00:00Z")
    life.learns(LOW, "2026-03-10T00:00Z", at="2026-03-12T00:00Z")
    assert life.said("side")[0][:2] == ("down", "flat")
    assert life.said("side")[1][:2] == ("flat", "down")
    assert life.path("side") == []


def test_rule_09_where_one_was_left_is_remembered_through_a_life_that_knows_nothing_of_it():
    #        up       erased: down     ║ no such ladder    buys: a new life    ║ there again; everyone begins in `flat`
    # ───────●────────┬────────────────║───────────────────●─○────────────────║──────────────────────────────────────
    life = LifeOf(sided())
    life.sees(click("2026-03-01T00:00Z"))
    life.is_erased("2026-03-05T00:00Z")
    life.learns(LOW, "2026-03-10T00:00Z")
    life.sees(buy("2026-03-12T00:00Z", 1_00))
    life.sees(buy("2026-03-13T00:00Z", 200_00))
    life.sees(buy("2026-03-12T12:00Z", 200_00), at="2026-03-14T00:00Z")
    life.learns(sided(last="flat"), "2026-03-20T00:00Z")
    assert [(c.before, c.after) for c in life.of("side")] == [("down", "up"), ("up", "down"), ("down", "flat")]


def test_rule_09_a_late_event_meets_what_is_gone_in_the_time_when_it_was_there():
    life = LifeOf(sided())
    life.sees(buy("2026-03-01T00:00Z", 1_00))
    life.learns(LOW, "2026-03-10T00:00Z")
    life.sees(buy("2026-03-11T00:00Z", 100_00))
    told = {
        c.dimension.name: (c.before, c.after) for c in life.sees(click("2026-03-05T00:00Z"), at="2026-03-12T00:00Z")
    }
    assert life.path("side") == [("2026-03-05T00:00Z", "up"), ("2026-03-10T00:00Z", "down")]
    unmoved = {"side": ("down", "down"), "type": ("calm", "calm"), "looks": (False, False), "churn": (False, False)}
    assert told == unmoved, "nothing to announce"


def test_rule_09_a_policy_of_the_past_that_leaves_something_out_says_so_net():
    life = LifeOf(sided())
    life.sees(click("2026-03-01T00:00Z"))
    life.learns(LOW, "2026-03-10T00:00Z", at="2026-03-20T00:00Z")
    [change] = life.of("side")[1:]
    assert (change.before, change.after, change.cause, change.retracts) == ("up", "down", "policy", [])
    assert life.path("side") == [("2026-03-01T00:00Z", "up"), ("2026-03-10T00:00Z", "down")]


def test_rule_09_what_is_another_kind_by_now_goes_on_without_memory():
    #   class keen: entered on Mar 1     ║ a ladder: keen, entered here, so dwell ends on Mar 20
    classes = policy("""
features: {seen: {count: click, window: 10d}}
classes: {side: [{name: keen, when: "seen >= 1"}, {name: calm}]}
""")
    ladder = policy("""
features: {seen: {count: click, window: 10d}}
ladders:
  tier: [{name: top, when: "known_for >= 90y"}, {name: floor}]
  side: [{name: keen, when: "seen >= 1", dwell: 15d}, {name: calm}]
""")
    life = LifeOf(classes)
    life.sees(click("2026-03-01T00:00Z"))
    assert life.learns(ladder, "2026-03-05T00:00Z") == []
    life.until("2026-05-01T00:00Z")
    assert life.path("side") == [("2026-03-01T00:00Z", "keen"), ("2026-03-20T00:00Z", "calm")]


def test_rule_09_the_new_policy_s_rates_price_earlier_orders_too():
    rated = policy(
        """
rates: {USD: {2000-01-01: 2}}
features: {spend: {sum: purchase.amount, window: 30d}, seen: {count: click, window: 30d}}
ladders: {tier: [{name: gold, when: "spend >= 100"}, {name: basic}]}
"""
    )
    life = LifeOf(LOW)
    life.sees(buy("2026-03-01T00:00Z", 50_00, currency="USD"))
    life.learns(rated, "2026-03-10T00:00Z")
    assert life.said() == [("basic", "gold", "2026-03-10T00:00Z", "policy")]


def test_rule_09_the_new_policy_s_zone_holds_from_its_time_on():
    def monthly(zone: str) -> Policy:
        return policy("segments: {settled: 'tenure >= 1mo'}", zone=zone)

    life = LifeOf(monthly("UTC"))
    life.sees(buy("2026-03-15T12:00Z", 1))
    life.learns(monthly("Europe/Berlin"), "2026-04-01T00:00Z")
    life.until("2026-06-01T00:00Z")
    assert life.path("settled") == [("2026-04-15T11:00Z", True)], "13:00 by the clock in Berlin, now summer time"


def test_rule_09_an_override_goes_on_under_a_new_policy():
    life = LifeOf(LOW)
    life.sees(override("2026-03-01T00:00Z", "2026-04-01T00:00Z", "tier", "gold"))
    assert life.learns(HIGH, "2026-03-10T00:00Z") == []
    life.until("2026-05-01T00:00Z")
    assert life.path() == [("2026-03-01T00:00Z", "gold"), ("2026-04-01T00:00Z", "basic")]


def test_rule_09_two_switches_before_a_timer_fires_hold_each_from_its_own_time():
    life = LifeOf(LOW)
    life.sees(buy("2026-03-01T00:00Z", 150_00))
    customer = life.customer
    life.policies = life.policies.then(HIGH, ms("2026-03-10T00:00Z"), ms("2026-03-09T00:00Z"))
    life.policies = life.policies.then(LOW, ms("2026-03-15T00:00Z"), ms("2026-03-14T00:00Z"))
    life.record = encode(customer)
    life.turn(until_ms=ms("2026-06-01T00:00Z"))
    assert life.said()[1:] == [
        ("gold", "basic", "2026-03-10T00:00Z", "policy"),
        ("basic", "gold", "2026-03-15T00:00Z", "policy"),
        ("gold", "basic", "2026-03-31T00:00Z", "time"),
    ]


def test_rule_09_a_policy_cannot_take_effect_before_the_one_activated_last():
    life = LifeOf(LOW)
    life.learns(HIGH, "2026-03-10T00:00Z")
    with pytest.raises(ValueError, match="before the one activated last"):
        life.policies.then(LOW, ms("2026-03-09T00:00Z"), ms("2026-03-20T00:00Z"))


def test_rule_09_a_decision_names_the_policy_that_made_it():
    life = LifeOf(LOW)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.learns(HIGH, "2026-03-10T00:00Z")
    assert [c.policy.digest for c in life.of()] == [LOW.digest, HIGH.digest]


def test_rule_09_a_policy_that_holds_at_no_instant_has_no_say():
    """A wrong one, put right with the same `effective_at`, leaves no trace."""
    life = LifeOf(LOW)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    customer = life.customer
    for policy_ in (tiers('name: star, when: "spend >= 500"'), LOW):
        life.policies = life.policies.then(policy_, ms("2026-03-10T00:00Z"), ms("2026-03-05T00:00Z"))
    life.record = encode(customer)
    life.until("2026-03-20T00:00Z")
    assert life.path() == [("2026-03-01T00:00Z", "gold")]


def test_rule_09_who_comes_after_a_policy_is_known_is_decided_by_it_at_once():
    #        HIGH: 200 are asked     known           100 of Mar 11, told on Mar 20: nothing
    # ───────║──────○────────────────┬───────────────┬──
    #        Mar 10 Mar 11           Mar 12          Mar 20
    life = LifeOf(LOW)
    life.policies = life.policies.then(HIGH, ms("2026-03-10T00:00Z"), ms("2026-03-12T00:00Z"))
    assert life.sees(buy("2026-03-11T00:00Z", 100_00), at="2026-03-20T00:00Z") == []
    assert life.customer.life.known == 2


def test_rule_09_a_first_event_from_before_the_switch_starts_from_what_was_announced():
    #        buys (late)      switch: everyone begins in `basic`      clicks
    # ───────○────────────────┼───────────────────────────────────────●──
    #        Mar 1            Mar 5                                   Mar 6     the last tier was `none` before Mar 5
    none = policy('ladders: {tier: [{name: gold, when: "known_for >= 1y"}, {name: none}]}')
    basic = policy("""
features: {orders: {count: purchase}}
ladders: {tier: [{name: gold, when: "orders >= 1"}, {name: basic}]}
""")
    life = LifeOf(none)
    life.learns(basic, "2026-03-05T00:00Z", at="2026-03-05T00:00Z")
    life.sees(click("2026-03-06T00:00Z"))
    [change] = life.sees(buy("2026-03-01T00:00Z", 1_00), at="2026-03-06T01:00Z")
    assert (change.before, change.after, change.cause) == ("basic", "gold", "late_event")
    assert life.path() == [("2026-03-05T00:00Z", "gold")]


NONE = policy("""
features: {orders: {count: purchase}}
ladders: {tier: [{name: gold, when: "orders >= 1"}, {name: none}]}
""")
BASIC = policy("""
features: {orders: {count: purchase}}
ladders: {tier: [{name: gold, when: "orders >= 1"}, {name: basic}]}
""")


def test_rule_09_who_is_parted_after_everyone_begins_elsewhere_starts_from_what_was_announced():
    #   b    gold      merged into a: none      now everyone begins in `basic`      parted: gold
    # ───────●─────────┬────────────────────────║───────────────────────────────────┬──
    #        Mar 1     Mar 5                    Mar 10                              Mar 20
    a, b = LifeOf(NONE, subject="a"), LifeOf(NONE, subject="b")
    b.sees(buy("2026-03-01T00:00Z", 1_00, subject="b"))
    a.takes_in(b, "2026-03-05T00:00Z")
    for life in (a, b):
        life.learns(BASIC, "2026-03-10T00:00Z")
    a.gives_back(b, "2026-03-20T00:00Z")
    assert [(c.before, c.after) for c in b.of()] == [("none", "gold"), ("gold", "none"), ("none", "gold")]


def test_rule_09_a_new_life_starts_from_what_was_announced_when_the_old_one_was_taken_away():
    #        gold      erased: none      now everyone begins in `basic`      clicks      buys: gold
    # ───────●─────────┬─────────────────║───────────────────────────────────●───────────●──
    #        Mar 1     Mar 5             Mar 10                              Mar 20      Mar 21
    life = LifeOf(NONE)
    life.sees(buy("2026-03-01T00:00Z", 1_00))
    life.is_erased("2026-03-05T00:00Z")
    life.learns(BASIC, "2026-03-10T00:00Z")
    life.sees(click("2026-03-20T00:00Z"), buy("2026-03-21T00:00Z", 1_00))
    assert life.said()[1:] == [
        ("gold", "none", "2026-03-05T00:00Z", "manual"),
        ("none", "basic", "2026-03-20T00:00Z", "policy"),
        ("basic", "gold", "2026-03-21T00:00Z", "event"),
    ]
    assert life.path() == [("2026-03-21T00:00Z", "gold")], "where everyone begins is no step"
    assert [c.revision for c in life.of()] == [1, 2, 3, 4]


def test_rule_09_a_new_life_that_moves_at_once_starts_from_what_was_announced_too():
    life = LifeOf(NONE)
    life.sees(buy("2026-03-01T00:00Z", 1_00))
    life.is_erased("2026-03-05T00:00Z")
    life.learns(BASIC, "2026-03-10T00:00Z")
    [change] = life.sees(buy("2026-03-21T00:00Z", 1_00))
    assert (change.before, change.after, change.cause) == ("none", "gold", "event")


def test_rule_09_who_is_taken_away_is_left_where_everyone_begins_by_then():
    life = LifeOf(NONE)
    life.sees(buy("2026-03-01T00:00Z", 1_00))
    life.learns(BASIC, "2026-03-10T00:00Z")
    life.is_erased("2026-03-15T00:00Z")
    [_, change] = life.of()
    assert (change.before, change.after, change.policy) == ("gold", "basic", BASIC)

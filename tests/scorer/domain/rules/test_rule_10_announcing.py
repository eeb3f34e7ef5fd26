"""Rule 10: steps in order are announced one by one; what a replayed path changes is announced net."""

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scorer.domain.changes import MOST_STEPS
from services.scorer.domain.explain import conditions_of
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.paths import relive
from services.scorer.domain.records import decision
from tests.scorer.domain.rules.life_of import MIN, H, LifeOf, policy
from tests.scorer.domain.timeline import buy, click, contact, ms, refund

GOLD = policy("""
features:
  spend_30d: {sum: purchase.amount, minus: refund.amount, window: 30d}
  quiet: {since_last: purchase}
  seen: {count: click, window: 30d}
ladders:
  tier: [{name: gold, when: "spend_30d >= 100"}, {name: basic}]
segments: {looks: "seen >= 1"}
churn: {at_risk: "quiet >= 90d"}
""")


def test_rule_10_steps_in_order_are_announced_one_by_one_however_late_they_arrive():
    #        buys 100     leaves         quiet 90 d    the event arrives
    # ───────○────────────▼──────────────▼─────────────┬──
    #        Mar 1        Mar 31         May 30        Jul 1
    life = LifeOf(GOLD)
    life.sees(buy("2026-03-01T00:00Z", 100_00), at="2026-07-01T00:00Z")
    assert life.said() == [
        ("basic", "gold", "2026-03-01T00:00Z", "event"),
        ("gold", "basic", "2026-03-31T00:00Z", "time"),
    ]
    assert life.said("churn") == [(False, True, "2026-05-30T00:00Z", "time")]
    assert [c.revision for c in life.of()] == [1, 2]


def test_rule_10_what_holds_now_is_announced_what_held_once_is_recorded():
    #        60          50 (late)      60 leaves    click      now
    # ───────●───────────○──────────────▼────────────●──────────┬──
    #        Mar 1       Mar 10         Mar 31       Apr 1      Apr 5    gold from Mar 10 to Mar 31: over by now
    life = LifeOf(GOLD)
    life.sees(buy("2026-03-01T00:00Z", 60_00), click("2026-04-01T00:00Z"))
    [change] = life.sees(buy("2026-03-10T00:00Z", 50_00), at="2026-04-05T00:00Z")
    assert (change.before, change.after, change.cause) == ("basic", "basic", "late_event")
    assert change.path == [(ms("2026-03-10T00:00Z"), "gold"), (ms("2026-03-31T00:00Z"), "basic")]
    assert change.effective_ms == ms("2026-03-31T00:00Z")
    assert life.path() == [("2026-03-10T00:00Z", "gold"), ("2026-03-31T00:00Z", "basic")]


def test_rule_10_a_correction_names_what_it_retracts():
    #        100      100 (late)      100 leaves     100 leaves
    # ───────●────────○───────────────┊──────────────▼──
    #        Mar 1    Mar 10          Mar 31         Apr 9
    life = LifeOf(GOLD)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.until("2026-04-01T00:00Z")
    [change] = life.sees(buy("2026-03-10T00:00Z", 100_00), at="2026-04-01T00:01Z")
    assert (change.before, change.after) == ("basic", "gold")
    assert change.retracts == [(ms("2026-03-31T00:00Z"), "basic")]
    assert (change.path, change.from_ms) == ([], ms("2026-03-31T00:00Z"))
    assert change.effective_ms == ms("2026-03-01T00:00Z"), "since when gold has held"
    assert change.next == (ms("2026-04-09T00:00Z"), "basic")


def test_rule_10_a_late_event_that_changes_no_path_is_not_announced():
    life = LifeOf(GOLD)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    assert life.sees(buy("2026-02-25T00:00Z", 1_00), at="2026-03-05T00:00Z") == []


def test_rule_10_a_correction_is_explained_as_of_the_instant_since_when_it_holds():
    #        600 (late): gold     100          600 leave       the late one is told
    # ───────○────────────────────●────────────┊───────────────┬──
    #        Mar 1                Mar 20       Mar 31          Apr 2     100 by now, but gold for 30 days more
    life = LifeOf(
        policy("""
features: {spend: {sum: purchase.amount, window: 30d}}
ladders: {tier: [{name: gold, when: "spend >= 500", grace: 30d}, {name: basic}]}
segments: {any: "spend > 0"}
""")
    )
    life.sees(buy("2026-03-20T00:00Z", 100_00))
    [change] = [c for c in life.sees(buy("2026-03-01T00:00Z", 600_00), at="2026-04-02T00:00Z") if c.after == "gold"]
    [condition] = change.conditions
    assert (condition.text, condition.holds, condition.value) == ("spend >= 500", True, "600.00")
    assert (condition.entries, condition.first, condition.last) == (1, *[to_datetime(ms("2026-03-01T00:00Z"))] * 2)


OFTEN = policy("""
features:
  spend: {sum: purchase.amount, minus: refund.amount, window: 3h}
  heat: {score: {purchase: 1, click: 1}, half_life: 1h}
  seen: {count: click, window: 2h}
ladders:
  tier:
    - {name: hot, when: "heat >= 3", stay: "heat >= 1", grace: 1h}
    - {name: warm, when: "spend >= 50"}
    - {name: cold}
segments: {looks: "seen >= 2", rich: "spend >= 80"}
""")


happenings = st.tuples(st.integers(0, 40), st.integers(0, 24), st.sampled_from(["click", "order", "order", "refund"]))


@settings(deadline=None)
@given(st.lists(happenings, min_size=3, max_size=14))
def test_rule_10_a_correction_is_explained_as_a_life_folded_up_to_then_would_be(events: list[tuple[int, int, str]]):
    """Each event happens at a quarter of an hour and comes some quarters later; refunds are of the first order."""
    life, first = LifeOf(OFTEN), ms("2026-03-01T00:00Z")
    for number, (quarter, late, kind) in enumerate(sorted(events, key=lambda e: e[0] + e[1])):
        at, id_ = first + quarter * 15 * MIN, f"e{number}"
        match kind:
            case "order":
                event = buy(at, 30_00, order=f"o{number // 4}{number % 2}", id=id_)
            case "refund":
                event = refund(at, 10_00, order="o00", id=id_)
            case _:
                event = click(at, id=id_)
        for change in life.sees(event, at=at + late * 15 * MIN):
            if change.cause not in ("late_event", "refund") or not life.path(change.dimension.name):
                continue
            ledger = life.customer.ledger
            again = ledger.again()
            then, _ = relive(life.policies, again, change.effective_ms, 1)
            now = then.now(change.effective_ms)
            assert change.conditions == conditions_of(change.dimension, change.before, change.after, now)


def test_rule_10_who_is_taken_back_from_where_they_never_were_is_explained_as_of_now():
    #        100: gold        refund, told late         now
    # ───────●───────────────────────────────────────┬──
    life = LifeOf(GOLD)
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="o"))
    [change] = life.sees(refund("2026-03-01T00:00Z", 40_00, order="o"), at="2026-03-05T00:00Z")
    assert (change.before, change.after, change.path) == ("gold", "basic", [])
    assert [(c.text, c.holds, c.value) for c in change.conditions] == [("spend_30d >= 100", False, "60.00")]


def test_rule_10_one_net_record_a_dimension():
    life = LifeOf(GOLD)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.until("2026-06-15T00:00Z")
    assert life.value("churn") is True
    changes = life.sees(buy("2026-04-20T00:00Z", 100_00), at="2026-06-15T00:00Z")
    assert sorted(c.dimension.name for c in changes) == ["churn", "tier"]
    assert {c.dimension.name: (c.before, c.after) for c in changes} == {
        "tier": ("basic", "basic"),
        "churn": (True, False),
    }
    assert life.path() == [
        ("2026-03-01T00:00Z", "gold"),
        ("2026-03-31T00:00Z", "basic"),
        ("2026-04-20T00:00Z", "gold"),
        ("2026-05-20T00:00Z", "basic"),
    ]


def test_rule_10_a_reader_that_cuts_at_from_and_appends_holds_the_path():
    life = LifeOf(GOLD)
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A"))
    life.until("2026-05-01T00:00Z")
    life.sees(refund("2026-03-10T00:00Z", order="A"), at="2026-05-01T00:00Z")
    assert life.said()[-1][:2] == ("basic", "basic")
    assert life.of()[-1].cause == "refund"
    assert life.path() == [("2026-03-01T00:00Z", "gold"), ("2026-03-10T00:00Z", "basic")]
    life.sees(buy("2026-03-01T00:00Z", 100_00), at="2026-05-02T00:00Z")
    assert life.path() == [("2026-03-01T00:00Z", "gold"), ("2026-03-31T00:00Z", "basic")]
    assert [c.revision for c in life.of()] == [1, 2, 3, 4]


def test_rule_10_a_decision_says_what_decided_and_what_comes_next():
    life = LifeOf(GOLD)
    life.sees(buy("2026-03-01T00:00Z", 60_00))
    [change] = life.sees(buy("2026-03-05T00:00Z", 50_00, id="b"))
    [condition] = change.conditions
    assert (condition.rule, condition.operand, condition.operator) == ("tier.gold", "spend_30d", ">=")
    assert (condition.value, condition.threshold, condition.holds, condition.entries) == ("110.00", "100.00", True, 2)
    assert change.trigger is not None
    assert (change.trigger.id, change.trigger.type) == ("b", "purchase")
    assert change.next == (ms("2026-03-31T00:00Z"), "basic")


def test_rule_10_the_first_in_the_log_is_the_trigger_of_what_several_of_one_instant_change():
    life = LifeOf(GOLD)
    both = buy("2026-03-05T00:00Z", 60_00, id="first"), buy("2026-03-05T00:00Z", 60_00, id="second")
    [change] = life.sees(*both)
    assert change.trigger is not None
    assert change.trigger.id == "first"


def test_rule_10_time_has_no_trigger():
    life = LifeOf(GOLD)
    life.sees(contact("2026-02-01T00:00Z"), buy("2026-03-01T00:00Z", 100_00))
    [change] = life.until("2026-04-01T00:00Z")
    assert (change.cause, change.trigger) == ("time", None)


def test_rule_10_steps_undone_long_ago_that_arrive_in_order_for_a_new_customer_come_one_by_one():
    life = LifeOf(GOLD)
    life.sees(
        buy("2026-03-01T00:00Z", 100_00, order="A"), refund("2026-03-02T00:00Z", order="A"), at="2026-08-01T00:00Z"
    )
    assert [s[:3] for s in life.said()] == [
        ("basic", "gold", "2026-03-01T00:00Z"),
        ("gold", "basic", "2026-03-02T00:00Z"),
    ]


def test_rule_10_what_comes_to_the_millisecond_of_the_last_change_takes_it_back_net():
    #        buys 100, and its refund of the same millisecond arrives an hour later
    # ───────●○──
    #        Mar 1 00:00:00.000     one millisecond, one evaluation: nobody was ever gold
    life = LifeOf(GOLD)
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A"))
    [change] = life.sees(refund("2026-03-01T00:00Z", order="A"), at="2026-03-01T01:00Z")
    assert (change.before, change.after, change.cause) == ("gold", "basic", "refund")
    assert change.retracts == [(ms("2026-03-01T00:00Z"), "gold")]
    assert life.path() == []


def test_rule_10_a_path_too_long_for_a_record_is_told_in_several_that_come_to_the_whole():
    """An order every two hours, each alone in its hour; a late one before them all."""
    given = policy("""
features: {orders_1h: {count: purchase, window: 1h}}
segments: {busy: "orders_1h >= 1"}
""")
    life, began = LifeOf(given), ms("2025-01-01T00:00Z")
    orders = [buy(to_datetime(began + n * 2 * H).isoformat(), 1_00) for n in range(4_500)]
    for start in range(0, len(orders), 500):
        life.sees(*orders[start : start + 500])
    told_first = life.path("busy")
    assert len(told_first) > 2 * MOST_STEPS
    changes = life.sees(buy("2024-12-31T23:30Z", 1_00), at=to_datetime(life.now + H).isoformat())
    longer = policy("""
features: {orders_1h: {count: purchase, window: 90min}}
segments: {busy: "orders_1h >= 1"}
""")
    switched = life.learns(longer, "2025-01-01T00:00Z", at=to_datetime(life.now + H).isoformat())
    for cause, several in (("late_event", changes), ("policy", switched)):
        told = [change for change in several if change.cause == cause]
        assert len(told) == 3
        assert [change.before == change.after for change in told[:-1]] == [True, True]
        for change in told:
            record = decision(change, "c", sequence=1, decided_ms=life.now, catching_up=False)
            assert len(msgspec.json.encode(record)) < 800_000
    assert sum(len(change.retracts) for change in switched) == 4_500
    anew = LifeOf(given)
    anew.sees(buy("2024-12-31T23:30Z", 1_00), *orders)
    anew.learns(longer, "2025-01-01T00:00Z", at=to_datetime(life.now).isoformat())
    assert life.path("busy") == anew.path("busy")

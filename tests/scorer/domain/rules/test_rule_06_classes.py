"""Rule 6, classes and segments: the first match in order, with `from` and `dwell`; segments have no memory."""

from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import buy, click, contact, refund

LIFECYCLE = """
features:
  quiet: {since_last: purchase}
  orders: {count: purchase}
  seen: {count: click, window: 1d}
classes:
  stage:
    - {name: won_back, when: "quiet < 20d", from: [lapsed]}
    - {name: lapsed, when: "quiet >= 60d"}
    - {name: loyal, when: "orders >= 3"}
    - {name: fresh, when: "orders >= 1"}
    - {name: lead}
"""


def test_rule_06_everyone_begins_in_the_last_class_and_the_first_match_holds():
    life = LifeOf(policy(LIFECYCLE))
    life.sees(click("2026-03-01T00:00Z"))
    assert (life.value("stage"), life.path("stage")) == ("lead", [])
    life.sees(*(buy(f"2026-03-0{day}T00:00Z", 1) for day in (2, 3, 4)))
    assert life.path("stage") == [("2026-03-02T00:00Z", "fresh"), ("2026-03-04T00:00Z", "loyal")]


def test_rule_06_from_lets_only_those_in_who_come_from_there():
    #        fresh       lapsed        buys: won back      20 d later: fresh again
    # ───────●───────────▼─────────────●───────────────────▼──
    #        Mar 1       Apr 30        May 5               May 25
    life = LifeOf(policy(LIFECYCLE))
    life.sees(buy("2026-03-01T00:00Z", 1), buy("2026-05-05T00:00Z", 1))
    life.until("2026-06-01T00:00Z")
    assert life.path("stage") == [
        ("2026-03-01T00:00Z", "fresh"),
        ("2026-04-30T00:00Z", "lapsed"),
        ("2026-05-05T00:00Z", "won_back"),
        ("2026-05-25T00:00Z", "fresh"),
    ]


def test_rule_06_who_is_in_a_class_remains_while_its_when_holds_though_from_names_others():
    life = LifeOf(policy(LIFECYCLE))
    life.sees(*(buy(t, 1) for t in ("2026-03-01T00:00Z", "2026-05-05T00:00Z", "2026-05-20T00:00Z")))
    life.until("2026-05-30T00:00Z")
    assert life.value("stage") == "won_back", "20 d are counted from the newest order"


def test_rule_06_moving_goes_on_until_nothing_moves_so_that_it_matters_to_no_one_how_often_one_looks():
    #        buys: loyal       clicks: keen       the click leaves: plain, and from plain loyal, at once
    # ───────●─────────────────●──────────────────▼──────
    #        Mar 1             Mar 2              Mar 9
    life = LifeOf(
        policy(
            """
features: {orders: {count: purchase}, seen: {count: click, window: 7d}}
classes:
  type: [{name: keen, when: "seen >= 1"}, {name: loyal, when: "orders >= 1", from: [plain]}, {name: plain}]
"""
        )
    )
    life.sees(buy("2026-03-01T00:00Z", 1), click("2026-03-02T00:00Z"))
    life.until("2026-04-01T00:00Z")
    assert life.path("type") == [
        ("2026-03-01T00:00Z", "loyal"),
        ("2026-03-02T00:00Z", "keen"),
        ("2026-03-09T00:00Z", "loyal"),
    ]


def test_rule_06_a_class_with_dwell_is_left_at_its_end_at_the_earliest():
    #        buys: fresh         clicks    would be busy          dwell over: busy
    # ───────●───────────────────●─────────────────────────────▼──
    #        Mar 1               Mar 3                         Mar 8
    life = LifeOf(
        policy(
            """
features: {orders: {count: purchase}, seen: {count: click, window: 30d}}
classes:
  type:
    - {name: busy, when: "seen >= 1"}
    - {name: fresh, when: "orders >= 1", dwell: 7d}
    - {name: other}
"""
        )
    )
    life.sees(buy("2026-03-01T00:00Z", 1), click("2026-03-03T00:00Z"))
    life.until("2026-06-01T00:00Z")
    assert life.path("type") == [
        ("2026-03-01T00:00Z", "fresh"),
        ("2026-03-08T00:00Z", "busy"),
        ("2026-04-02T00:00Z", "fresh"),
    ]


def test_rule_06_what_has_passed_before_dwell_is_over_is_forgotten():
    #        fresh     clicks    the click leaves     dwell over: fresh still
    # ───────●─────────●─────────▼───────────────────┊──
    life = LifeOf(
        policy(
            """
features: {orders: {count: purchase}, seen: {count: click, window: 1d}}
classes:
  type:
    - {name: busy, when: "seen >= 1"}
    - {name: fresh, when: "orders >= 1", dwell: 7d}
    - {name: other}
"""
        )
    )
    life.sees(buy("2026-03-01T00:00Z", 1), click("2026-03-03T00:00Z"))
    life.until("2026-06-01T00:00Z")
    assert life.path("type") == [("2026-03-01T00:00Z", "fresh")]


def test_rule_06_where_one_begins_no_dwell_binds():
    life = LifeOf(
        policy(
            "features: {seen: {count: click}}\n"
            "classes:\n  type: [{name: busy, when: 'seen >= 1'}, {name: other, dwell: 1y}]"
        )
    )
    life.sees(buy("2026-03-01T00:00Z", 1), click("2026-03-03T00:00Z"))
    assert life.path("type") == [("2026-03-03T00:00Z", "busy")]


def test_rule_06_a_class_says_its_strategy_and_resources():
    life = LifeOf(
        policy(
            """
features: {spend: {sum: purchase.amount}}
classes:
  type:
    - {name: high_value, when: "spend >= 100", strategy: "a manager of their own", resources: 40%}
    - {name: potential, strategy: "let them try", resources: 60%}
"""
        )
    )
    life.sees(buy("2026-03-01T00:00Z", 50_00))
    first = life.explained().standing["type"]
    life.sees(buy("2026-03-02T00:00Z", 50_00))
    then = life.explained().standing["type"]
    assert (first.value, first.strategy, first.resources) == ("potential", "let them try", "60%")
    assert (then.value, then.strategy, then.resources) == ("high_value", "a manager of their own", "40%")


def test_rule_06_segments_have_no_memory_and_any_number_hold():
    life = LifeOf(
        policy(
            """
features: {spend: {sum: purchase.amount, minus: refund.amount}, calls: {count: interaction, window: 2d}}
segments: {spends: "spend > 10", talks: "calls >= 1", both: "spend > 10 and calls >= 1"}
"""
        )
    )
    life.sees(buy("2026-03-01T00:00Z", 20_00, order="A"), contact("2026-03-02T00:00Z"))
    assert life.explained().segments == ["both", "spends", "talks"]
    life.until("2026-03-04T00:00Z")
    assert life.explained().segments == ["spends"]
    life.sees(refund("2026-03-05T00:00Z", order="A"))
    assert life.explained().segments == []
    assert life.path("both") == [("2026-03-02T00:00Z", True), ("2026-03-04T00:00Z", False)]

"""Rule 6, ladders: `when` to enter, `stay` to remain, `grace` and `dwell` before a fall."""

import pytest

from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import buy, click, ms, refund


def ladder(*tiers: str, window: str = "30d", zone: str = "UTC") -> LifeOf:
    rungs = "\n".join(f"    - {{{tier}}}" for tier in (*tiers, "name: basic"))
    return LifeOf(
        policy(
            f"""
features:
  spend: {{sum: purchase.amount, minus: refund.amount, window: {window}}}
  seen: {{count: click, window: 1d}}
ladders:
  tier:
{rungs}
""",
            zone=zone,
        )
    )


GOLD, SILVER = 'name: gold, when: "spend >= 100"', 'name: silver, when: "spend >= 50"'


def test_rule_06_everyone_begins_in_the_last_tier_without_a_transition():
    life = ladder(GOLD)
    assert life.sees(buy("2026-03-01T00:00Z", 1)) == []
    assert (life.value(), life.path()) == ("basic", [])


def test_rule_06_promotion_is_at_once_to_the_best_tier_and_may_skip_rungs():
    life = ladder(GOLD, SILVER)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    assert life.path() == [("2026-03-01T00:00Z", "gold")]


def test_rule_06_without_grace_or_dwell_a_fall_is_at_once_and_may_skip_rungs():
    life = ladder(GOLD, SILVER)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.until("2026-06-01T00:00Z")
    assert life.path()[1:] == [("2026-03-31T00:00Z", "basic")]


def test_rule_06_stay_keeps_a_tier_that_when_would_no_longer_give():
    #        100            refund 30: 70      refund 30: 40
    # ───────●──────────────○──────────────────▼──────
    #        gold           stay (60)          basic
    life = ladder(GOLD + ', stay: "spend >= 60"')
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A"), refund("2026-03-05T00:00Z", 30_00, "A"))
    assert life.value() == "gold"
    life.sees(refund("2026-03-09T00:00Z", 30_00, "A"))
    assert life.path() == [("2026-03-01T00:00Z", "gold"), ("2026-03-09T00:00Z", "basic")]


def test_rule_06_stay_alone_does_not_let_anyone_in():
    life = ladder(GOLD + ', stay: "spend >= 60"')
    life.sees(buy("2026-03-01T00:00Z", 80_00))
    assert life.value() == "basic"


def test_rule_06_grace_is_counted_from_the_start_of_the_unbroken_false_run():
    #        100                stay fails        falls
    # ───────●──────────────────╳─────────────────▼──────
    #        Mar 1              Mar 31            Apr 3 (grace 3 d)
    life = ladder(GOLD + ", grace: 3d")
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.until("2026-04-02T23:59:59.999Z")
    assert life.value() == "gold"
    life.until("2026-06-01T00:00Z")
    assert life.path()[1:] == [("2026-04-03T00:00Z", "basic")]


def test_rule_06_a_grace_period_that_is_over_when_its_first_event_comes_has_the_fall_told_with_it():
    #        click: calm    click: no more (comes Mar 10)   grace over       now
    # ───────●──────────────○───────────────────────────────▼────────────────┃──
    #        Mar 1          Mar 2                           Mar 5            Mar 10
    life = LifeOf(
        policy(
            """
features: {clicks: {count: click}}
ladders:
  tier:
    - {name: calm, when: "clicks <= 1", grace: 3d}
    - {name: busy}
"""
        )
    )
    life.sees(click("2026-03-01T00:00Z"))
    [change] = life.sees(click("2026-03-02T00:00Z"), at="2026-03-10T00:00Z")
    assert (change.after, change.effective_ms, change.cause) == ("busy", ms("2026-03-05T00:00Z"), "time")


def test_rule_06_what_holds_for_one_millisecond_clears_the_grace_period():
    #        gold                fails      holds 1 ms     fails          falls
    # ───────●───────────────────╳──────────●╳─────────────────────────────▼
    #        Mar 1               Mar 31     Apr 2                          Apr 5 (grace 3 d)
    life = ladder(GOLD + ', stay: "seen > 0", grace: 3d')
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.sees(click("2026-04-01T00:00:00.001Z"))  # in its window of one day until Apr 2 00:00:00.001
    life.until("2026-06-01T00:00Z")
    assert life.path()[1:] == [("2026-04-05T00:00:00.001Z", "basic")]


def test_rule_06_a_rise_in_the_grace_period_is_not_a_second_promotion():
    life = ladder(GOLD + ", grace: 3d")
    life.sees(buy("2026-03-01T00:00Z", 100_00), buy("2026-04-01T00:00Z", 100_00))
    life.until("2026-08-01T00:00Z")
    assert life.path() == [("2026-03-01T00:00Z", "gold"), ("2026-05-04T00:00Z", "basic")]


def test_rule_06_dwell_keeps_a_tier_for_at_least_so_long():
    #        100         refunded         dwell over
    # ───────●───────────╳────────────────▼──────
    #        Mar 1       Mar 5            Mar 15 (dwell 14 d)
    life = ladder(GOLD + ", dwell: 14d")
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A"), refund("2026-03-05T00:00Z", order="A"))
    life.until("2026-06-01T00:00Z")
    assert life.path()[1:] == [("2026-03-15T00:00Z", "basic")]


def test_rule_06_after_its_dwell_a_tier_without_grace_falls_at_once():
    life = ladder(GOLD + ", dwell: 14d")
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.until("2026-06-01T00:00Z")
    assert life.path()[1:] == [("2026-03-31T00:00Z", "basic")]


@pytest.mark.parametrize(
    ("refunded", "falls"),
    [("2026-03-05T00:00Z", "2026-03-15T00:00Z"), ("2026-03-13T00:00Z", "2026-03-16T00:00Z")],
)
def test_rule_06_the_fall_is_at_the_later_of_the_end_of_grace_and_of_dwell(refunded, falls):
    #        100      fails (a)           fails (b)   dwell over   (b) + grace
    # ───────●────────╳───────────────────╳───────────▼a───────────▼b──
    #        Mar 1    Mar 5               Mar 13      Mar 15       Mar 16
    life = ladder(GOLD + ", grace: 3d, dwell: 14d")
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A"), refund(refunded, order="A"))
    life.until("2026-06-01T00:00Z")
    assert life.path()[1:] == [(falls, "basic")]


def test_rule_06_a_fall_is_to_the_highest_lower_tier_whose_stay_or_when_holds():
    #        100                       refund 60: 40         falls
    # ───────●─────────────────────────╳─────────────────────▼──────
    #        gold                      silver's stay is 30   silver
    life = ladder(GOLD + ", grace: 3d", SILVER + ', stay: "spend >= 30"')
    life.sees(buy("2026-03-01T00:00Z", 100_00, order="A"), refund("2026-03-05T00:00Z", 60_00, "A"))
    life.until("2026-03-20T00:00Z")
    assert life.path()[1:] == [("2026-03-08T00:00Z", "silver")]


def test_rule_06_a_fall_sets_a_new_time_of_entry():
    #        100         refund 60: 40 → silver            refund 30: 10      silver's dwell over
    # ───────●───────────▼─────────────────────────────────╳──────────────────▼──
    #        Mar 1       Mar 5                             Mar 6              Mar 15
    life = ladder(GOLD, SILVER + ', stay: "spend >= 30", dwell: 10d')
    life.sees(
        buy("2026-03-01T00:00Z", 100_00, order="A"),
        refund("2026-03-05T00:00Z", 60_00, "A"),
        refund("2026-03-06T00:00Z", 30_00, "A"),
    )
    life.until("2026-06-01T00:00Z")
    assert life.path()[1:] == [("2026-03-05T00:00Z", "silver"), ("2026-03-15T00:00Z", "basic")]


def test_rule_06_a_promotion_clears_the_run_and_sets_the_time_of_entry_anew():
    #        silver       fails       gold          fails     dwell from the promotion
    # ───────●────────────╳───────────●─────────────╳─────────▼──
    #        Mar 1        Mar 31      Apr 1         Apr 2     Apr 11
    life = ladder(GOLD + ", dwell: 10d", SILVER + ", grace: 3d")
    life.sees(
        buy("2026-03-01T00:00Z", 50_00),
        buy("2026-04-01T00:00Z", 100_00, order="A"),
        refund("2026-04-02T00:00Z", order="A"),
    )
    life.until("2026-06-01T00:00Z")
    assert life.path() == [
        ("2026-03-01T00:00Z", "silver"),
        ("2026-04-01T00:00Z", "gold"),
        ("2026-04-11T00:00Z", "basic"),
    ]


def test_rule_06_months_of_grace_and_dwell_are_wall_time_of_the_zone():
    #        100 (+01:00)            refunded                dwell over by the clock on the wall (+02:00)
    # ───────●───────────────────────╳───────────────────────▼──
    life = ladder(GOLD + ", dwell: 2mo", zone="Europe/Berlin")
    life.sees(buy("2026-02-10T12:00+01:00", 100_00, order="A"), refund("2026-02-11T12:00+01:00", order="A"))
    life.until("2026-06-01T00:00Z")
    assert life.path()[1:] == [("2026-04-10T10:00Z", "basic")]


def test_rule_06_the_tier_below_is_not_looked_at_while_a_better_one_is_kept():
    life = ladder(GOLD + ", grace: 60d", SILVER)
    life.sees(buy("2026-03-01T00:00Z", 100_00), buy("2026-04-05T00:00Z", 50_00))
    assert life.value() == "gold"
    life.until("2026-08-01T00:00Z")
    assert life.path()[1:] == [("2026-05-30T00:00Z", "basic")], "by then the 50 of April have left, too"


def test_rule_06_each_ladder_moves_by_itself():
    life = LifeOf(
        policy(
            """
features: {spend: {sum: purchase.amount, window: 30d}, seen: {count: click, window: 30d}}
ladders:
  tier: [{name: gold, when: "spend >= 100"}, {name: basic}]
  contact: [{name: close, when: "seen >= 2", grace: 5d}, {name: loose, when: "seen >= 1"}, {name: none_yet}]
"""
        )
    )
    life.sees(buy("2026-03-01T00:00Z", 100_00), click("2026-03-02T00:00Z"), click("2026-03-03T00:00Z"))
    life.until("2026-06-01T00:00Z")
    assert life.path() == [("2026-03-01T00:00Z", "gold"), ("2026-03-31T00:00Z", "basic")]
    assert life.path("contact") == [
        ("2026-03-02T00:00Z", "loose"),
        ("2026-03-03T00:00Z", "close"),
        ("2026-04-06T00:00Z", "none_yet"),
    ]


def test_rule_06_the_page_says_since_when_a_tier_fails_and_when_it_is_lost():
    life = ladder(GOLD + ", grace: 3d, dwell: 40d")
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    held = life.explained("2026-04-02T00:00Z").standing["tier"]
    assert (held.value, held.since, held.failing, held.falls_at) == (
        "gold",
        *(life.explained(t).at for t in ("2026-03-01T00:00Z", "2026-03-31T00:00Z", "2026-04-10T00:00Z")),
    )
    assert ms("2026-04-10T00:00Z") == ms("2026-03-01T00:00Z") + 40 * 86_400_000

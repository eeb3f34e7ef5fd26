"""Rule 1: an entry at t is in window W at s if and only if t <= s < t + W, to the millisecond."""

import pytest

from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import buy, click, ms


def gold_for(window: str, zone: str = "UTC") -> LifeOf:
    return LifeOf(
        policy(
            f"""
features:
  spend: {{sum: purchase.amount, window: {window}}}
ladders:
  tier: [{{name: gold, when: "spend >= 100"}}, {{name: basic}}]
""",
            zone=zone,
        )
    )


def test_rule_01_an_entry_is_in_its_window_from_its_instant_until_just_before_its_exit():
    #        buys 100                          100 leaves
    # ───────●─────────────── 30 d ────────────▼──────
    #        Mar 1 12:00:00.000                Mar 31 12:00:00.000
    life = gold_for("30d")
    life.sees(buy("2026-03-01T12:00Z", 100_00))
    assert life.figure("spend", "2026-03-01T11:59:59.999Z") is None
    assert life.figure("spend", "2026-03-01T12:00Z") == "100.00"
    assert life.figure("spend", "2026-03-31T11:59:59.999Z") == "100.00"
    assert life.figure("spend", "2026-03-31T12:00Z") == "0.00"
    life.until("2026-04-30T00:00Z")
    assert life.path() == [("2026-03-01T12:00Z", "gold"), ("2026-03-31T12:00Z", "basic")]


def test_rule_01_an_entry_and_an_exit_of_one_millisecond_are_one_look():
    #        buys 100                          leaves, and buys 100 again
    # ───────●─────────────── 30 d ────────────▼●───── gold throughout
    life = gold_for("30d")
    life.sees(buy("2026-03-01T12:00Z", 100_00))
    assert life.sees(buy("2026-03-31T12:00Z", 100_00)) == []
    assert life.path() == [("2026-03-01T12:00Z", "gold")]


def test_rule_01_one_millisecond_too_late_is_a_fall_and_a_rise():
    life = gold_for("30d")
    life.sees(buy("2026-03-01T12:00Z", 100_00), buy("2026-03-31T12:00:00.001Z", 100_00))
    assert life.path()[1:] == [("2026-03-31T12:00Z", "basic"), ("2026-03-31T12:00:00.001Z", "gold")]


def test_rule_01_what_happens_in_one_millisecond_is_seen_at_once_whatever_its_order():
    one, other = buy("2026-03-01T12:00Z", 60_00), buy("2026-03-01T12:00Z", 60_00)
    for events in ((one, other), (other, one)):
        life = gold_for("30d")
        [change] = life.sees(*events)
        assert (change.before, change.after) == ("basic", "gold")


def test_rule_01_a_day_is_24_hours_where_the_clocks_go_forward():
    #        buys                    clocks go forward      leaves an hour later by the clock
    # ───────●───────────────────────╳──────────────────────▼──────
    #        Sat 12:00 (+01:00)      Sun 02:00 -> 03:00     Sun 13:00 (+02:00)
    life = gold_for("1d", "Europe/Berlin")
    life.sees(buy("2026-03-28T12:00+01:00", 100_00))
    life.until("2026-04-01T00:00Z")
    assert life.path()[1] == ("2026-03-29T11:00Z", "basic")


@pytest.mark.parametrize(
    ("window", "zone", "bought", "leaves"),
    [
        # the target day's midnight, and what had passed since the entry's own
        ("1mo", "UTC", "2026-03-15T08:30Z", "2026-04-15T08:30Z"),
        ("1y", "UTC", "2026-03-15T08:30:00.007Z", "2027-03-15T08:30:00.007Z"),
        # a day that the target month lacks: the last day's end, whatever the hour
        ("1mo", "UTC", "2026-01-31T00:00Z", "2026-03-01T00:00Z"),
        ("1mo", "UTC", "2026-01-29T23:00Z", "2026-03-01T00:00Z"),
        ("12mo", "UTC", "2024-02-29T10:00Z", "2025-03-01T00:00Z"),
        # the zone's days: 23:30 in Berlin on 14 March
        ("1mo", "Europe/Berlin", "2026-03-14T22:30Z", "2026-04-14T21:30Z"),
        # the target day has 23 hours: at most its end
        ("1mo", "Europe/Berlin", "2026-02-28T23:30+01:00", "2026-03-28T23:30+01:00"),
        ("1mo", "Europe/Berlin", "2026-02-28T23:59:59.999+01:00", "2026-03-28T23:59:59.999+01:00"),
        ("1d", "Europe/Berlin", "2026-03-28T23:30+01:00", "2026-03-29T22:30Z"),
        # the entry's own day has 25 hours: 24.5 h had passed, the target day ends after 24
        ("1mo", "Europe/Berlin", "2026-10-25T23:30+01:00", "2026-11-26T00:00+01:00"),
        # the target day has 23 hours: 12 h after midnight are 13:00
        ("1mo", "Europe/Berlin", "2026-02-28T12:00+01:00", "2026-03-28T12:00+01:00"),
        ("1mo", "America/New_York", "2026-02-08T12:00-05:00", "2026-03-08T13:00-04:00"),
    ],
)
def test_rule_01_months_and_years_follow_the_calendar_of_the_zone(window, zone, bought, leaves):
    life = gold_for(window, zone)
    life.sees(buy(bought, 100_00))
    life.until(ms(leaves) - 1)
    assert life.value() == "gold"
    life.until(leaves)
    assert life.value() == "basic"


def test_rule_01_exits_never_run_backwards():
    #        31 Jan 09:00  31 Jan 18:00      28 Feb 23:00        end of Feb 28    28 Mar 23:00
    # ───────●─────────────●─────────────────●───────────────────▼▼───────────────▼──
    life = LifeOf(policy("features:\n  seen: {count: click, window: 1mo}\nsegments: {busy: 'seen >= 2'}"))
    life.sees(*(click(t) for t in ("2026-01-29T09:00Z", "2026-01-30T10:00Z", "2026-01-31T18:00Z")))
    assert life.figure("seen", "2026-02-28T23:59:59.999Z") == 3
    assert life.figure("seen", "2026-03-01T00:00Z") == 0


def test_rule_01_tenure_is_wall_time_clamped_to_the_month_s_last_day():
    #        first order                       a month by the clock on the wall
    # ───────●─────────────────────────────────▼─────
    #        Jan 31 12:00 (+01:00)             Feb 28 12:00
    life = LifeOf(policy("segments: {settled: 'tenure >= 1mo'}", zone="Europe/Berlin"))
    life.sees(buy("2026-01-31T12:00+01:00", 1))
    life.until("2026-06-01T00:00Z")
    assert life.path("settled") == [("2026-02-28T11:00Z", True)]


def test_rule_01_tenure_across_a_change_of_the_clocks_keeps_the_hour():
    life = LifeOf(policy("segments: {settled: 'tenure >= 1mo'}", zone="Europe/Berlin"))
    life.sees(buy("2026-03-15T12:00+01:00", 1))
    life.until("2026-06-01T00:00Z")
    assert life.path("settled") == [("2026-04-15T10:00Z", True)]

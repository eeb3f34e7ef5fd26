"""The oracle's memory against time lines drawn by hand: hysteresis, classes, overrides, policies (rules 6 and 9).

Times are ms. `n` is the number of clicks of the last 10 ms, so a click holds a condition for 10 ms.
"""

from tests.scorer.domain.oracle import Era, Oracle
from tests.scorer.domain.timeline import click, form, override


def policy(ladder: str = "[{name: low}]", more: str = "", window: str = "10ms", zone: str = "UTC") -> str:
    return f"""
policy: hand
currency: EUR
zone: {zone}
features: {{n: {{count: click, window: {window}}}, forms: {{count: form, window: 10ms}}}}
ladders: {{tier: {ladder}}}
{more}
"""


def tier(ladder: str, *log, now: int = 1000) -> list:
    return Oracle(policy(f"[{ladder}, {{name: low}}]")).paths(log, now)["tier"]


# -- rule 6: ladders


def test_without_grace_and_dwell_the_fall_is_immediate() -> None:
    assert tier('{name: top, when: "n >= 1"}', click(0)) == [(0, "top"), (10, "low")]


def test_a_promotion_may_skip_rungs_and_so_may_a_fall() -> None:
    ladder = '{name: top, when: "n >= 3"}, {name: mid, when: "n >= 2"}, {name: some, when: "n >= 1"}'
    log = [click(0), click(5), click(5), click(5)]
    #   1        4       3 (the first leaves)     0
    # ──●────────●───────┤────────────────────────┤
    #   0        5       10                       15
    assert tier(ladder, *log) == [(0, "some"), (5, "top"), (15, "low")]


def test_a_fall_waits_for_the_grace_period_from_the_start_of_the_false_run() -> None:
    #   ●────────┤ false            ▼ 10 + 7
    #   0        10                 17
    assert tier('{name: top, when: "n >= 1", grace: 7ms}', click(0)) == [(0, "top"), (17, "low")]


def test_a_condition_that_holds_for_a_millisecond_clears_the_grace_period() -> None:
    #   ●─────────┤ fails   ● holds          ┤ fails      ▼
    #   0         10        16               26           33
    assert tier('{name: top, when: "n >= 1", grace: 7ms}', click(0), click(16)) == [(0, "top"), (33, "low")]


def test_a_false_run_that_ends_in_the_instant_of_the_fall_does_not_fall() -> None:
    assert tier('{name: top, when: "n >= 1", grace: 7ms}', click(0), click(17)) == [(0, "top"), (34, "low")]


def test_nobody_falls_before_the_dwell_is_over() -> None:
    #   ●────────┤ false     ▼ 0 + 25
    assert tier('{name: top, when: "n >= 1", dwell: 25ms}', click(0)) == [(0, "top"), (25, "low")]
    assert tier('{name: top, when: "n >= 1", dwell: 25ms, grace: 20ms}', click(0)) == [(0, "top"), (30, "low")]
    assert tier('{name: top, when: "n >= 1", dwell: 5ms}', click(0)) == [(0, "top"), (10, "low")]


def test_stay_keeps_who_would_not_enter() -> None:
    ladder = '{name: top, when: "n >= 2", stay: "n >= 1"}'
    #   1      2           1             0
    # ──●──────●───────────┤─────────────┤
    #   0      4           10            14
    assert tier(ladder, click(0), click(4)) == [(4, "top"), (14, "low")]


def test_when_keeps_too_even_if_stay_does_not_hold() -> None:
    assert tier('{name: top, when: "n >= 1", stay: "n >= 2"}', click(0)) == [(0, "top"), (10, "low")]


def test_a_fall_ends_on_the_highest_lower_tier_that_would_keep() -> None:
    ladder = '{name: top, when: "n >= 2"}, {name: mid, when: "n >= 9", stay: "n >= 1"}'
    #   nobody enters mid, but who falls is kept there
    assert tier(ladder, click(0), click(4)) == [(4, "top"), (10, "mid"), (14, "low")]


def test_a_promotion_starts_the_dwell_anew_and_clears_the_false_run() -> None:
    ladder = '{name: top, when: "n >= 2", grace: 3ms}, {name: mid, when: "n >= 1", grace: 9ms}'
    #   mid     fails ┤    top      ┤ fails   ▼ falls; mid does not hold either
    # ──●─────────────┤────●●───────┤─────────▼
    #   0             10   12       22        25
    assert tier(ladder, click(0), click(12), click(12)) == [(0, "mid"), (12, "top"), (25, "low")]


def test_grace_in_months_is_wall_time() -> None:
    day = 86_400_000
    oracle = Oracle(policy('[{name: top, when: "n >= 1", grace: 1mo}, {name: low}]', zone="Europe/Berlin"))
    start = 1_772_319_600_000 - 10  # 2026-02-28T23:00Z is midnight of 1 March in Berlin, less the window
    assert oracle.paths([click(start)], start + 90 * day)["tier"] == [
        (start, "top"),
        (start + 10 + 31 * day - 3_600_000, "low"),  # clocks go forward on 29 March
    ]


# -- rule 6: classes


def kind(classes: str, *log, now: int = 1000) -> list:
    return Oracle(policy(more=f"classes: {{type: [{classes}]}}")).paths(log, now)["type"]


def test_the_first_match_holds() -> None:
    classes = '{name: a, when: "n >= 2"}, {name: b, when: "n >= 1"}, {name: rest}'
    assert kind(classes, click(0), click(4)) == [(0, "b"), (4, "a"), (10, "b"), (14, "rest")]


def test_a_class_takes_only_those_it_may() -> None:
    classes = '{name: back, when: "n >= 1", from: [gone]}, {name: gone, when: "forms >= 1"}, {name: rest}'
    #   click: not from rest     form: gone     click: back   form has left, back is kept    click leaves
    # ──●────────────────────────●──────────────●─────────────┤──────────────────────────────┤
    #   0                        20             25            30                             35
    assert kind(classes, click(0), form(20), click(25)) == [(20, "gone"), (25, "back"), (35, "rest")]


def test_a_class_is_left_after_its_dwell() -> None:
    classes = '{name: a, when: "n >= 1", dwell: 15ms}, {name: rest}'
    assert kind(classes, click(0)) == [(0, "a"), (15, "rest")]
    assert kind(classes, click(0), click(14)) == [(0, "a"), (24, "rest")]


def test_a_dwell_does_not_bind_where_everyone_begins() -> None:
    classes = '{name: a, when: "n >= 1"}, {name: rest, dwell: 15ms}'
    #   form    click: at once      a ends     click: rest dwells until 26
    # ──●───────●───────────────────┤──────────●─────────────────────────▼
    #   0       1                   11         12                        26
    assert kind(classes, form(0), click(1), click(12)) == [(1, "a"), (11, "rest")]
    assert kind(classes, form(0), click(1), click(13)) == [(1, "a"), (11, "rest")]
    assert kind(classes, form(0), click(1), click(17)) == [(1, "a"), (11, "rest"), (26, "a"), (27, "rest")]


def test_moving_goes_on_within_the_instant_until_nothing_moves() -> None:
    #   `loyal` may be entered from `plain` only; who leaves `growth` while it holds passes through `plain`
    classes = '{name: growth, when: "n >= 1"}, {name: loyal, when: "forms >= 1", from: [plain]}, {name: plain}'
    assert kind(classes, click(0), form(5)) == [(0, "growth"), (10, "loyal"), (15, "plain")]


# -- rule 6: overrides mask the output

TOP = '[{name: top, when: "n >= 1"}, {name: mid, when: "forms >= 1"}, {name: low}]'


def shown(*log, now: int = 1000, more: str = "") -> dict:
    return Oracle(policy(TOP, more)).paths(log, now)


def test_an_override_masks_and_the_path_goes_on_underneath() -> None:
    #   ●top    ▒▒▒mid▒▒▒▒▒▒▒▒▒▒▒▒▒▒
    #   0       5        10 (low)   20
    assert shown(click(0), override(5, 20, "tier", "mid"))["tier"] == [(0, "top"), (5, "mid"), (20, "low")]


def test_the_newest_override_holds_and_the_older_comes_back() -> None:
    log = [override(0, 30, "tier", "mid"), override(5, 20, "tier", "top")]
    assert shown(*log)["tier"] == [(0, "mid"), (5, "top"), (20, "mid"), (30, "low")]


def test_an_override_without_a_value_masks_nothing() -> None:
    log = [override(0, 30, "tier", "mid"), override(5, 40, "tier", None)]
    assert shown(*log)["tier"] == [(0, "mid"), (5, "low")]


def test_an_override_to_what_is_no_position_masks_nothing() -> None:
    log = [override(0, 30, "tier", "nowhere"), override(1, 30, "nothing", "mid"), override(2, 30, "tier", True)]
    assert shown(*log)["tier"] == []


def test_a_segment_can_be_held_in_and_out() -> None:
    log = [click(0), override(2, 5, "it", False), override(20, 25, "it", True)]
    assert shown(*log, more='segments: {it: "n >= 1"}')["it"] == [
        (0, True),
        (2, False),
        (5, True),
        (10, False),
        (20, True),
        (25, False),
    ]


# -- rule 9: policies in event time


def eras(*policies: tuple[int, str], log: list, dimension: str = "tier", now: int = 1000) -> list:
    return Oracle(*(Era(text, at) for at, text in policies)).paths(log, now).get(dimension, [])


ONE = policy('[{name: top, when: "n >= 1"}, {name: low}]')


def test_the_new_policy_decides_from_its_instant_on() -> None:
    two = policy('[{name: top, when: "n >= 2"}, {name: low}]')
    assert eras((0, ONE), (5, two), log=[click(0)]) == [(0, "top"), (5, "low")]
    assert eras((0, two), (5, ONE), log=[click(0)]) == [(5, "top"), (10, "low")]


def test_entry_and_false_run_cross_the_switch_by_name_with_the_new_grace() -> None:
    #   ●top     ┤ fails    ║ grace 20 ms from now on     ▼ 10 + 20
    #   0        10         15                            30
    two = policy('[{name: best, when: "n >= 9"}, {name: top, when: "n >= 1", grace: 20ms}, {name: low}]')
    graced = policy('[{name: top, when: "n >= 1", grace: 100ms}, {name: low}]')
    assert eras((0, graced), (15, two), log=[click(0)]) == [(0, "top"), (30, "low")]


def test_nobody_falls_before_the_switch() -> None:
    graced = policy('[{name: top, when: "n >= 1", grace: 100ms}, {name: low}]')
    assert eras((0, graced), (40, ONE), log=[click(0)]) == [(0, "top"), (40, "low")]


def test_the_dwell_counts_from_the_entry_under_the_old_policy() -> None:
    dwelt = policy('[{name: top, when: "n >= 1", dwell: 50ms}, {name: low}]')
    assert eras((0, ONE), (5, dwelt), log=[click(0)]) == [(0, "top"), (50, "low")]


def test_a_tier_that_has_vanished_is_replaced_by_when_without_memory() -> None:
    two = policy('[{name: a, when: "n >= 2"}, {name: b, when: "n >= 1", dwell: 20ms}, {name: low}]')
    #   top ║ b, entered here: dwell until 25
    assert eras((0, ONE), (5, two), log=[click(0)]) == [(0, "top"), (5, "b"), (25, "low")]


def test_a_dimension_that_is_gone_goes_back_to_where_everyone_began_and_begins_anew() -> None:
    other = policy("[{name: low}]").replace("tier:", "rank:")
    with_segment = ONE + 'segments: {it: "n >= 0"}\n'
    assert eras((0, with_segment), (5, other), (7, ONE), log=[click(0)]) == [
        (0, "top"),
        (5, "low"),
        (7, "top"),
        (10, "low"),
    ]
    assert eras((0, with_segment), (5, other), log=[click(0)], dimension="it") == [(0, True), (5, False)]


def test_a_dimension_that_comes_back_with_another_last_tier_goes_on_from_where_it_was_left() -> None:
    other = policy("[{name: low}]").replace("tier:", "rank:")
    two = policy('[{name: top, when: "n >= 9"}, {name: bottom}]')
    assert eras((0, ONE), (5, other), (7, two), log=[form(0)]) == [(7, "bottom")]
    assert eras((0, ONE), (5, other), (7, two), log=[form(6)]) == [], "who begins meanwhile was never elsewhere"


def test_a_dimension_of_another_kind_goes_on_without_memory() -> None:
    #   class top      ║ ladder: top, entered here: dwell until 14
    kind = policy(more='classes: {kind: [{name: top, when: "n >= 1"}, {name: low}]}')
    ladder = policy('[{name: top, when: "n >= 1", dwell: 9ms}, {name: low}]').replace("tier:", "kind:")
    assert eras((0, kind), (5, ladder), log=[click(0)], dimension="kind") == [(0, "top"), (14, "low")]


def test_a_segment_that_is_new_begins_outside_and_is_looked_at_at_once() -> None:
    two = ONE + 'segments: {it: "n >= 1"}\n'
    assert eras((0, ONE), (5, two), log=[click(0)], dimension="it") == [(5, True), (10, False)]


def test_who_is_not_known_yet_begins_where_the_policy_of_that_day_says() -> None:
    two = policy('[{name: top, when: "n >= 1"}, {name: bottom}]')
    assert eras((0, ONE), (5, two), log=[form(7)]) == []
    assert eras((0, ONE), (5, two), log=[form(3)]) == [(5, "bottom")]


def test_an_era_that_holds_at_no_instant_has_no_say() -> None:
    #   top ║ a policy without it, put right with the same instant: the false run since 10 goes on
    graced = policy('[{name: top, when: "n >= 1", grace: 20ms}, {name: low}]')
    wrong = policy("[{name: low}]")
    assert eras((0, graced), (15, wrong), (15, graced), log=[click(0)]) == [(0, "top"), (30, "low")]


def test_rates_and_zone_change_with_the_policy() -> None:
    ten = policy('[{name: top, when: "n >= 1"}, {name: low}]', window="20ms")
    assert eras((0, ONE), (8, ten), log=[click(0)]) == [(0, "top"), (20, "low")]
    assert eras((0, ten), (15, ONE), log=[click(0)]) == [(0, "top"), (15, "low")]

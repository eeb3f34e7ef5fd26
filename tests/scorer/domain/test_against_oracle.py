"""The core must equal the naive oracle, path included, however the log comes and whenever timers fire.

Without more, a few hundred scripts are played, in about half a minute. `make test-long` plays a hundred thousand, on
all cores (HYPOTHESIS_PROFILE=deep, PARTS times as many tests). Every turn of a script is held against the oracle in
`playing.py`. Below the properties stand the traps met, drawn as time lines.
"""

import os
from random import Random
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from schemas.events import Event
from services.scorer.domain import spans
from services.scorer.domain.state import Customer
from tests.scorer.domain import oracle_calendar
from tests.scorer.domain.counting import counted, played
from tests.scorer.domain.oracle import ALWAYS, Era
from tests.scorer.domain.playing import Played, play
from tests.scorer.domain.playing_families import play_family
from tests.scorer.domain.reader import Reader, steps
from tests.scorer.domain.strategies import AHEAD, DAY, HOUR, REAL, TOY, Logged, Script, scripts, scripts_together
from tests.scorer.domain.strategies_families import Family, families
from tests.scorer.domain.timeline import buy, click, contact, form, ms, refund

DEEP = os.environ.get("HYPOTHESIS_PROFILE") == "deep"
TOGETHER = 8 if DEEP else 1
"""How many histories are played under the policies of one draw, whose reading costs as much as playing them."""
PARTS = pytest.mark.parametrize("part", range(int(os.environ.get("PARTS", "1"))))


def thorough(quick: int, deep: int) -> settings:
    return settings(
        max_examples=deep if DEEP else quick,
        derandomize=not DEEP,  # the same examples at each change; chance has its place in the long runs
        deadline=None,
        database=None,
        print_blob=True,
        phases=[Phase.generate] if DEEP else [Phase.explicit, Phase.generate, Phase.shrink],
        suppress_health_check=list(HealthCheck),
    )


ODD_HOURS = {
    "Pacific/Apia": "2011-12-30T10:00Z",  # a day left out
    "Australia/Lord_Howe": "2025-10-04T15:30Z",  # summer time of half an hour
    "America/Havana": "1972-10-08T04:00Z",  # midnight comes twice
    "America/St_Johns": "1987-10-25T02:31Z",  # clocks go back at 00:01
    "America/Sao_Paulo": "2018-11-04T03:00Z",  # the day begins at 01:00
    "Europe/Berlin": "1983-09-25T01:00Z",  # 02:00 for the second time, half a year before a 02:00 that is none
    "Africa/Casablanca": "2012-07-20T02:00Z",  # Ramadan
}
"""Zones and instants at which a clock on the wall is not to be trusted."""

pytestmark = pytest.mark.timeout(0 if DEEP else 120)


@PARTS
def test_the_core_is_the_oracle_by_the_millisecond(part: int) -> None:
    @thorough(150, 150)
    @given(scripts_together(TOY, most=8, most_scripts=TOGETHER))
    def equal(together: list[Script]) -> None:
        for script in together:
            *_, life = play(script, beyond=60)
            played["scripts by the millisecond"] += 1
        life.check_explanation()

    with counted("scripts by the millisecond"):
        equal()


@PARTS
def test_the_core_is_the_oracle_by_the_calendar(part: int) -> None:
    @thorough(60, 12)
    @given(scripts_together(REAL, most=7, most_scripts=TOGETHER), st.sampled_from([0, 1, HOUR, DAY, 45 * DAY]))
    def equal(together: list[Script], ahead: int) -> None:
        for script in together:
            *_, life = play(script, beyond=60 * DAY)
            played["scripts by the calendar"] += 1
        life.check_explanation(ahead)

    with counted("scripts by the calendar"):
        equal()


@PARTS
def test_merged_parted_and_erased_customers_are_the_oracles(part: int) -> None:
    @thorough(60, 150)
    @given(st.one_of(families(TOY), families(TOY), families(REAL)))
    def equal(family: Family) -> None:
        play_family(family)
        played["families"] += 1

    with counted("families"):
        equal()


@PARTS
def test_any_order_of_arrival_ends_in_the_same_state(part: int) -> None:
    @thorough(60, 20)
    @given(scripts_together(TOY, most=7, most_eras=2, most_scripts=TOGETHER), st.randoms(use_true_random=False))
    def equal(together: list[Script], random: Random) -> None:
        for script in together:
            accepted = list(play_all(script, script.log).intake.accepted)
            last = max(logged.appended_ms for logged in script.log)
            ends = []
            for _ in range(2):
                random.shuffle(accepted)
                ends.append(play_all(script, [Logged(event, last) for event in accepted]))
            assert canonical(ends[0].customer) == canonical(ends[1].customer)
            played["orders of arrival"] += 1

    with counted("orders of arrival"):
        equal()


def play_all(script: Script, log: list[Logged]) -> Played:
    """The whole log in one turn, and time to the end."""
    life = Played(script.eras, script.known, beyond=100)
    life.grow(script.end_ms)
    life.turn(log, max(logged.appended_ms for logged in log))
    life.turn([], max(script.end_ms, *script.known))
    return life


def canonical(customer: Customer) -> object:
    """All that decides what is to come; revisions and how far ahead one has looked do not."""
    life = customer.life
    placed = [(m.dimension.name, s.place, s.since_ms, s.failing_ms, s.masked) for m, s in life.placed()]
    return life.ledger.entries, life.era, life.known, life.truths, placed, customer.waiting, customer.changed_ms


def test_what_is_delivered_again_changes_nothing() -> None:
    @thorough(40, 500)
    @given(scripts(TOY, most_eras=1), st.data())
    def equal(script: Script, data: st.DataObject) -> None:
        life = list(play(script, beyond=100))[-1]
        again = Reader()
        for record in life.decisions:
            again.take(record)
            for old in life.decisions[: data.draw(st.integers(0, record.sequence))][-3:]:
                again.take(old)
        for name in life.oracle.dimensions:
            assert again.path(name) == life.reader.path(name)
        played["records delivered again"] += 1

    with counted("records delivered again"):
        equal()


@settings(max_examples=20_000 if DEEP else 500, deadline=None)
@given(
    st.sampled_from(sorted(ODD_HOURS.items())),
    st.sampled_from([0, 30, 31, 182, 365]),
    st.integers(-96, 96),
    st.sampled_from(["1mo", "6mo", "11mo", "1y", "4y"]),
)
def test_the_calendar_is_the_oracles_where_clocks_do_odd_things(
    place: tuple[str, str], days_before: int, half_hours: int, text: str
) -> None:
    zone, start = ZoneInfo(place[0]), ms(place[1]) - days_before * DAY + half_hours * HOUR // 2
    span = spans.parse_span(text)
    assert spans.window_exit(span, start, zone) == oracle_calendar.window_exit(start, text, zone)
    assert spans.anniversary(span, start, zone) == oracle_calendar.anniversary(start, text, zone)


# -- traps, hour by hour

HERE = ms("2026-03-02T00:00Z")

POLICY = """
policy: hours
currency: EUR
zone: UTC
features:
  orders: {count: purchase, window: 4h}
  clicks: {count: click, window: 1h}
  quiet: {since_last: purchase}
ladders:
  tier: [{name: gold, when: "orders >= 2"}, {name: silver, when: "orders >= 1"}, {name: basic}]
segments: {surfing: "clicks >= 1", lost: "quiet >= 10h"}
"""


def at(hour: float) -> int:
    return HERE + int(hour * HOUR)


def logged(event: Event, known: float) -> Logged:
    """`known`: the hour at which the broker took it."""
    return Logged(event, at(known))


def told(life: Played, dimension: str) -> list[tuple[object, ...]]:
    """The dimension's records as (cause, trigger, before, after, path in hours, retracts in hours)."""

    def hours(path: list) -> list:
        return [((t - HERE) / HOUR, value) for t, value in path]

    return [
        (d.cause, d.trigger.id if d.trigger else None, d.before, d.after, hours(steps(d)), hours(retracted(d)))
        for d in life.decisions
        if d.dimension == dimension
    ]


def retracted(decision) -> list:
    return [(ms(t.isoformat()), value) for t, value in decision.retracts]


def test_an_order_at_the_instant_another_leaves_moves_nobody() -> None:
    #   a          a leaves, b comes
    # ──●──────────●┤───────────────
    #   0          4
    life = Played(POLICY)
    life.turn([logged(buy(at(0), 100, id="a"), 0)], at(0))
    life.turn([logged(buy(at(4), 100, id="b"), 5)], at(5))
    assert told(life, "tier") == [("event", "a", "basic", "silver", [(0, "silver")], [])]


def test_a_late_event_is_told_net_and_names_what_it_takes_back() -> None:
    #   a       c (late)     a leaves     c would leave
    # ──●───────○────────────┤────────────┤──────
    #   0       1            4 basic      5          known at 4.5: silver till 5, gold from 1 to 4
    life = Played(POLICY)
    life.turn([logged(buy(at(0), 100, id="a"), 0)], at(4.4))
    life.turn([logged(buy(at(1), 100, id="c"), 4.5)], at(6))
    assert told(life, "tier")[1:] == [
        ("time", None, "silver", "basic", [(4, "basic")], []),
        ("late_event", "c", "basic", "silver", [(1, "gold"), (4, "silver")], [(4, "basic")]),
        ("time", None, "silver", "basic", [(5, "basic")], []),
    ]


def test_a_late_event_that_changes_nothing_of_the_present_is_recorded_in_silence() -> None:
    #   a       c (late)     a leaves     c leaves     now
    # ──●───────○────────────┤────────────┤────────────▼
    #   0       1            4            5            8
    life = Played(POLICY)
    life.turn([logged(buy(at(0), 100, id="a"), 0)], at(8))
    life.turn([logged(buy(at(1), 100, id="c"), 8)], at(8))
    path = [(1, "gold"), (4, "silver"), (5, "basic")]
    assert told(life, "tier")[2:] == [("late_event", "c", "basic", "basic", path, [(4, "basic")])]


def test_within_a_batch_nothing_is_announced_that_the_log_had_taken_back() -> None:
    #   a     a leaves  x of B, too late      B
    # ──●─────┤─────────○─────────────────────●────
    #   0     4         3, known at 6         8      nothing is left of B the instant it comes
    life = Played(POLICY)
    life.turn([logged(buy(at(0), 100, id="a"), 0)], at(5))
    life.turn([logged(refund(at(3), None, "B", id="x"), 6), logged(buy(at(8), 100, "B", id="b"), 8)], at(8))
    assert [after for _, _, _, after, _, _ in told(life, "tier")] == ["silver", "basic"]


def test_a_late_event_does_not_outrun_the_batch_it_came_in() -> None:
    #   a     d (late)  b          c       a leaves at 4, b is there
    # ──●─────○─────────●──────────●───
    #   0     0         3          6       known at 3, 6 and last 7
    life = Played(POLICY)
    life.turn([logged(buy(at(0), 100, id="a"), 0)], at(0))
    batch = [logged(buy(at(3), 0, id="b"), 3), logged(buy(at(6), 0, id="c"), 6), logged(form(at(0), id="d"), 7)]
    life.turn(batch, at(7))
    assert [after for _, _, _, after, _, _ in told(life, "tier")] == ["silver", "gold", "silver", "gold", "silver"]
    assert all(cause in ("event", "time") for cause, *_ in told(life, "tier"))


def test_late_events_that_became_known_at_one_instant_come_by_their_time() -> None:
    #   a     d (late)   c (late)    a leaves   d leaves   c leaves
    # ──●─────○──────────○───────────┤──────────┤──────────┤
    #   0     1          2           4          5          6          both known at 8, c first in the log
    life = Played(POLICY)
    life.turn([logged(buy(at(0), 100, id="a"), 0)], at(7))
    life.turn([logged(buy(at(2), 100, id="c"), 8), logged(buy(at(1), 100, id="d"), 8)], at(8))
    assert told(life, "tier")[2:] == [
        ("late_event", "d", "basic", "basic", [(1, "gold"), (4, "silver"), (5, "basic")], [(4, "basic")]),
        ("late_event", "c", "basic", "basic", [(5, "silver"), (6, "basic")], [(4, "silver"), (5, "basic")]),
    ]


def test_what_a_late_event_changes_makes_those_of_its_batch_late_that_come_after_it() -> None:
    #   b (late)     switch     f (form)   c        b leaves     c leaves
    # ──○────────────║──────────●──────────○────────┤────────────┤──
    #   1            3          3.5        4.5      5            8.5       b and c known at 10
    life = Played([Era(POLICY), Era(POLICY, at(3))], [ALWAYS, at(3)])
    life.grow(at(3))
    life.turn([logged(form(at(3.5)), 3.5)], at(9))
    life.turn([logged(buy(at(1), 100, id="b"), 10), logged(buy(at(4.5), 100, id="c"), 10)], at(10))
    assert [(cause, of, path) for cause, of, _, _, path, _ in told(life, "tier")] == [
        ("late_event", "b", [(1, "silver"), (5, "basic")]),
        ("late_event", "c", [(4.5, "gold"), (5, "silver"), (8.5, "basic")]),
    ]


def test_an_event_the_clock_has_passed_is_in_order_if_nothing_changed_since() -> None:
    #   f (form)      k (click, known at 9)        clock
    # ──●─────────────●────────────────────────────▼
    #   0             2      3 leaves              9
    life = Played(POLICY)
    life.turn([logged(form(at(0)), 0)], at(8))
    life.turn([logged(click(at(2), id="k"), 9)], at(9))
    assert told(life, "surfing") == [
        ("event", "k", False, True, [(2, True)], []),
        ("time", None, True, False, [(3, False)], []),
    ]


def test_an_event_ahead_of_the_clock_moves_the_customer_when_its_time_comes() -> None:
    life = Played(POLICY)
    life.turn([Logged(click(at(1), id="k"), at(1) - AHEAD)], at(1) - AHEAD)
    assert life.decisions == []
    life.eagerly_until(at(3))
    assert told(life, "surfing") == [
        ("event", "k", False, True, [(1, True)], []),
        ("time", None, True, False, [(2, False)], []),
    ]


def test_a_fully_refunded_order_gives_recency_back_to_the_one_before() -> None:
    #   a           b            b refunded     quiet for 10 h since a
    # ──●───────────●────────────○──────────────▼───
    #   0           5            6              10
    life = Played(POLICY)
    life.turn([logged(buy(at(0), 100, "A"), 0), logged(buy(at(5), 100, "B"), 5)], at(5))
    life.turn([logged(refund(at(6), 100, "B", id="x"), 6)], at(6))
    life.eagerly_until(at(30))
    assert told(life, "lost") == [("time", None, False, True, [(10, True)], [])]


def test_the_order_with_the_key_takes_the_refund_from_the_one_with_the_id() -> None:
    #   n (no key)     x of "n"      m with key "n"
    # ──●──────────────○─────────────●────
    #   0              1             2           n stands after all
    life = Played(POLICY)
    life.turn([logged(buy(at(0), 100, id="n"), 0), logged(refund(at(1), None, "n", id="x"), 1)], at(1))
    life.turn([logged(buy(at(2), 100, "n", id="m"), 2)], at(2))
    assert told(life, "tier") == [
        ("event", "n", "basic", "silver", [(0, "silver")], []),
        ("refund", "x", "silver", "basic", [(1, "basic")], []),
        ("late_event", "m", "basic", "silver", [], [(1, "basic")]),
    ]


def test_the_money_of_a_refund_that_was_taken_over_comes_back_from_the_refund_on() -> None:
    #   n 1.50      x 1.00 of "n"      m 1.00 with key "n"
    # ──●───────────○──────────────────●────
    #   0           1                  2         1.00 or more all the time, after all
    life = Played(POLICY.replace("{count: click, window: 1h}", "{sum: purchase.amount, minus: refund.amount}"))
    life.turn([logged(buy(at(0), 150, id="n"), 0), logged(refund(at(1), 100, "n", id="x"), 1)], at(1))
    life.turn([logged(buy(at(2), 100, "n", id="m"), 2)], at(2))
    assert told(life, "surfing")[1:] == [
        ("refund", "x", True, False, [(1, False)], []),
        ("late_event", "m", False, True, [], [(1, False)]),
    ]


def test_an_order_that_waits_has_no_say_yet_in_what_a_step_before_it_rests_on() -> None:
    #   n 1.00 (no key)   x of "n"      b 2.00       m with key "n"
    # ──●─────────────────●─────────────●────────────○────
    #   0                 1             2            2.05, known at 2: only then has n 1.00 again
    life = Played(POLICY.replace("{count: click, window: 1h}", "{sum: purchase.amount, minus: refund.amount}"))
    life.turn([logged(buy(at(0), 100, id="n"), 0), logged(refund(at(1), None, "n", id="x"), 1)], at(1))
    life.turn([logged(buy(at(2.05), 0, "n", id="m"), 2)], at(2) - 1)
    life.turn([logged(buy(at(2), 200, id="b"), 2)], at(2))
    assert [(c.text, c.value) for c in life.decisions[-1].conditions] == [("clicks >= 1", "2.00")]
    life.eagerly_until(at(2.1))
    assert life.customer.shown()["surfing"][1] is True


def test_an_order_that_reaches_back_is_late_even_for_a_customer_not_known_before() -> None:
    #   n (no key), x of "n"      m with key "n" is paid back instead
    # ──●○────────────────────────●────
    #   0                         1
    life = Played(POLICY)
    log = [buy(at(0), 100, id="n"), refund(at(0), None, "n", id="x"), buy(at(1), 100, "n", id="m")]
    life.turn([logged(event, 1) for event in log], at(1))
    assert told(life, "tier") == [("late_event", "m", "basic", "silver", [(0, "silver")], [])]


def test_a_second_order_of_the_same_millisecond_corrects_what_was_said_of_the_first() -> None:
    life = Played(POLICY)
    life.turn([logged(buy(at(0), 100, id="a"), 0)], at(0))
    life.turn([logged(buy(at(0), 100, id="b"), 1)], at(1))
    assert told(life, "tier")[1:] == [("late_event", "b", "silver", "gold", [(0, "gold")], [(0, "silver")])]


def test_what_was_taken_back_makes_nothing_late() -> None:
    #   a, x (late, of a)     k      a would have left
    # ──●○────────────────────●──────┤────
    #   0                     2      4           k is known after x
    life = Played(POLICY)
    life.turn([logged(buy(at(0), 100, "A"), 0)], at(5))
    life.turn([logged(refund(at(0), None, "A", id="x"), 5)], at(5))
    life.turn([logged(click(at(2), id="k"), 6)], at(6))
    assert told(life, "surfing")[0] == ("event", "k", False, True, [(2, True)], [])


def test_outbound_contacts_make_a_customer_known_and_nothing_more() -> None:
    life = Played(POLICY.replace('"clicks >= 1"', '"known_for >= 2h"').replace("count: click", "count: interaction"))
    life.turn([logged(contact(at(0), "outbound"), 0)], at(3))
    assert told(life, "surfing") == [("time", None, False, True, [(2, True)], [])]
    life.check_explanation()


@pytest.mark.parametrize(
    ("zone", "window", "bought", "leaves"),
    [
        ("Europe/Berlin", "1mo", "2027-02-28T22:30Z", "2027-03-28T22:00Z"),  # a target day of 23 h
        ("Europe/Berlin", "1mo", "2026-10-25T22:30Z", "2026-11-25T23:00Z"),  # an own day of 25 h
        ("Europe/Berlin", "1mo", "2026-01-31T09:00Z", "2026-02-28T23:00Z"),  # a clamped day
        ("America/Sao_Paulo", "1mo", "2018-10-04T10:00Z", "2018-11-04T10:00Z"),  # a day that began at 01:00
        ("Asia/Shanghai", "1y", "1985-09-13T17:30Z", "1986-09-13T16:30Z"),  # summer time until 02:00
        ("Europe/Berlin", "24h", "2026-03-28T12:00Z", "2026-03-29T12:00Z"),  # hours are hours
    ],
)
def test_a_calendar_window_ends_where_the_zone_says(zone: str, window: str, bought: str, leaves: str) -> None:
    life = Played(POLICY.replace("zone: UTC", f"zone: {zone}").replace("window: 4h", f"window: {window}"))
    life.turn([Logged(buy(bought, 100), ms(bought))], ms(bought))
    life.eagerly_until(ms(leaves) - 1)
    assert life.reader.path("tier") == [(ms(bought), "silver")]
    life.eagerly_until(ms(leaves))
    assert life.reader.path("tier")[1:] == [(ms(leaves), "basic")]

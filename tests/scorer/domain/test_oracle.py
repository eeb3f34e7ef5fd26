"""The oracle held against cases worked out by hand, and against stepping through every millisecond."""

import ast
from pathlib import Path
from zoneinfo import ZoneInfo

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from tests.scorer.domain.oracle import Complaint, Oracle, Steps
from tests.scorer.domain.oracle_calendar import anniversary, window_exit
from tests.scorer.domain.oracle_operands import UNKNOWN, Elapsed, Number, Text
from tests.scorer.domain.oracle_rules import holds
from tests.scorer.domain.strategies import TOY, Script, scripts
from tests.scorer.domain.timeline import buy, click, contact, form, ms, refund

BERLIN, SAO_PAULO = ZoneInfo("Europe/Berlin"), ZoneInfo("America/Sao_Paulo")
DAY = 86_400_000


def policy(
    *, segments: str = "{}", features: str, zone: str = "Europe/Berlin", gold: str = "known_for > 99y"
) -> Oracle:
    return Oracle(f"""
policy: hand
currency: EUR
zone: {zone}
features: {features}
ladders:
  tier: [{{name: gold, when: "{gold}"}}, {{name: basic}}]
segments: {segments}
""")


def path(oracle: Oracle, dimension: str, *log, now: str | int | None = None) -> Steps:
    return oracle.paths(oracle.intake(log).accepted, None if now is None else ms(now))[dimension]


# -- rule 1


@pytest.mark.parametrize(
    ("zone", "entry", "window", "leaves"),
    [
        (BERLIN, "2026-03-01T12:00:00.000Z", "36h", "2026-03-03T00:00Z"),
        # a day is 24 h, whatever the clocks do on 29 March
        (BERLIN, "2026-03-28T12:00Z", "1d", "2026-03-29T12:00Z"),
        # 15:30 in winter, 15:30 in summer: the midnight is an hour earlier in UTC
        (BERLIN, "2026-03-10T14:30Z", "1mo", "2026-04-10T13:30Z"),
        # 31 January has no like in February: at the end of the 28th
        (BERLIN, "2026-01-31T09:00Z", "1mo", "2026-02-28T23:00Z"),
        (BERLIN, "2026-01-28T09:00Z", "1mo", "2026-02-28T09:00Z"),
        (BERLIN, "2024-02-29T09:00Z", "1y", "2025-02-28T23:00Z"),
        # to the day of the clocks going forward: 12:00 is 12 h after midnight, which the wall calls 13:00
        (BERLIN, "2026-02-28T11:00Z", "1mo", "2026-03-28T11:00Z"),
        (BERLIN, "2026-03-01T11:00Z", "1mo", "2026-04-01T10:00Z"),
        (BERLIN, "2027-02-28T11:00Z", "1mo", "2027-03-28T11:00Z"),
        # that day has 23 h: an entry 23.5 h after its midnight leaves at the end of it
        (BERLIN, "2027-02-28T22:30Z", "1mo", "2027-03-28T22:00Z"),
        # the other way: the entry's own day has 25 h, and 24.5 h of it have gone
        (BERLIN, "2026-10-25T22:30Z", "1mo", "2026-11-25T23:00Z"),
        # clocks went forward at midnight: 4 November 2018 began at 01:00, which was 03:00Z
        (SAO_PAULO, "2018-10-04T10:00Z", "1mo", "2018-11-04T10:00Z"),
    ],
)
def test_an_entry_leaves_its_window(zone: ZoneInfo, entry: str, window: str, leaves: str) -> None:
    assert window_exit(ms(entry), window, zone) == ms(leaves)


@settings(max_examples=200)
@given(
    st.sampled_from([BERLIN, SAO_PAULO, ZoneInfo("Asia/Shanghai"), ZoneInfo("Pacific/Apia")]),
    st.integers(0, 2_000_000_000_000),
    st.integers(0, 3 * DAY),
    st.sampled_from(["1mo", "2mo", "11mo", "1y", "4y"]),
)
def test_exits_never_run_backwards(zone: ZoneInfo, entry: int, later: int, window: str) -> None:
    assert entry < window_exit(entry, window, zone) <= window_exit(entry + later, window, zone)


@pytest.mark.parametrize(
    ("since", "span", "over"),
    [
        ("2024-02-29T09:00Z", "1y", "2025-02-28T09:00Z"),
        ("2024-02-29T09:00Z", "4y", "2028-02-29T09:00Z"),
        ("2026-01-31T09:00Z", "1mo", "2026-02-28T09:00Z"),
        ("2026-03-10T14:30Z", "1mo", "2026-04-10T13:30Z"),
        # 02:30 does not exist on 28 March 2027: an hour later, 03:30
        ("2027-02-28T01:30Z", "1mo", "2027-03-28T01:30Z"),
        # 02:30 comes twice on 25 October 2026: the first
        ("2026-09-25T00:30Z", "1mo", "2026-10-25T00:30Z"),
    ],
)
def test_an_anniversary_is_wall_time(since: str, span: str, over: str) -> None:
    assert anniversary(ms(since), span, BERLIN) == ms(over)


def test_an_entry_counts_until_the_instant_its_window_is_over() -> None:
    #   click            click      |leaves   |leaves
    # ──●────────────────●──────────┤─────────┤────
    #   0                400        1000      1400        "twice" needs both
    oracle = policy(features="{clicks: {count: click, window: 1s}}", segments='{twice: "clicks >= 2"}')
    assert path(oracle, "twice", click(0), click(400)) == [(400, True), (1000, False)]


def test_an_exit_and_an_entry_of_one_millisecond_are_one_evaluation() -> None:
    oracle = policy(features="{clicks: {count: click, window: 1s}}", segments='{any: "clicks >= 1"}')
    assert path(oracle, "any", click(0), click(1000)) == [(0, True), (2000, False)]


# -- rule 3: what is in the path when


def test_an_event_ahead_of_the_clock_counts_from_its_own_time() -> None:
    oracle = policy(features="{clicks: {count: click}}", segments='{any: "clicks >= 1"}')
    assert path(oracle, "any", click(500), now=499) == []
    assert path(oracle, "any", click(500), now=500) == [(500, True)]


def test_nobody_moves_before_the_first_event() -> None:
    oracle = policy(features="{clicks: {count: click}}", segments='{lazy: "not (clicks > 0)", any: "clicks >= 0"}')
    assert path(oracle, "lazy", form(700)) == [(700, True)]
    assert path(oracle, "any", click(700)) == [(700, True)]


# -- rule 5


def test_the_same_again_is_a_duplicate_and_another_content_a_conflict() -> None:
    log = [buy(5, 100, id="a"), buy(5, 100, id="a"), buy(5, 101, id="a"), click(5, id="a"), buy(6, 100, id="a")]
    intake = policy(features="{}").intake(log)
    assert intake.accepted == log[:1]
    assert intake.duplicates == [1]
    assert intake.complaints == {Complaint("id_conflict", place) for place in (2, 3, 4)}


def test_the_same_id_of_another_source_is_another_event() -> None:
    log = [click(5, id="a"), click(5, id="a", source="app")]
    assert policy(features="{}").intake(log).accepted == log


def test_the_retry_of_an_event_without_a_time_is_a_duplicate_whatever_its_stamp() -> None:
    log = [click(5, id="a", stamped=True), click(9, id="a", stamped=True)]
    assert policy(features="{}").intake(log).duplicates == [1]


def test_one_order_is_one_purchase() -> None:
    log = [buy(5, 100, "A", id="a"), buy(5, 100, "A", id="b"), buy(5, 200, "A", id="c"), buy(7, 200, "B", id="b")]
    intake = policy(features="{}").intake(log)
    assert intake.accepted == [log[0], log[3]]
    assert intake.duplicates == [1]
    assert intake.complaints == {Complaint("order_conflict", 2)}


# -- rule 7

SPEND = "{spend: {sum: purchase.amount, minus: refund.amount, window: 10s}, orders: {count: purchase}}"


def spend_steps(*log) -> Steps:
    """Where `spend` has which whole number of euros, as steps of a ladder."""
    rungs = ", ".join(f'{{name: e{n}, when: "spend >= {n}"}}' for n in range(9, 0, -1))
    oracle = Oracle(
        f"{{policy: p, currency: EUR, zone: UTC, features: {SPEND}, ladders: {{tier: [{rungs}, {{name: e0}}]}}}}"
    )
    return path(oracle, "tier", *log)


def test_a_refund_lowers_the_window_until_its_order_leaves() -> None:
    #   buy 5         refund 2      | order leaves (the refund with it)
    # ──●─────────────○─────────────┤
    #   0             4000          10000
    assert spend_steps(buy(0, 500, "A"), refund(4000, 200, "A")) == [(0, "e5"), (4000, "e3"), (10_000, "e0")]


def test_a_refund_waits_for_its_order() -> None:
    assert spend_steps(refund(0, 200, "A"), buy(4000, 500, "A")) == [(4000, "e3"), (14_000, "e0")]


def test_a_refund_without_an_order_is_an_entry_and_the_total_stops_at_nought() -> None:
    #   refund 3     buy 2      buy 5       | refund leaves | 2 leaves  | 5 leaves
    # ──○────────────●──────────●───────────┤───────────────┤───────────┤
    #   0            1000       2000        10000           11000       12000
    steps = [(2000, "e4"), (10_000, "e7"), (11_000, "e5"), (12_000, "e0")]
    assert spend_steps(refund(0, 300), buy(1000, 200), buy(2000, 500)) == steps


def test_a_refund_without_an_amount_takes_what_is_left() -> None:
    log = [buy(0, 500, "A"), refund(1, 200, "A"), refund(2, None, "A"), buy(3, 100)]
    assert spend_steps(*log) == [(0, "e5"), (1, "e3"), (2, "e0"), (3, "e1"), (10_003, "e0")]


def test_a_refund_names_an_order_without_a_key_by_its_id_and_source() -> None:
    assert spend_steps(buy(0, 500, id="x"), refund(1, 200, "x"))[1:2] == [(1, "e3")]
    assert spend_steps(buy(0, 500, id="x"), refund(1, 200, "x", source="app")) == [(0, "e5"), (10_000, "e0")]
    assert spend_steps(buy(0, 500, "A", id="x"), refund(1, 200, "x")) == [(0, "e5"), (10_000, "e0")]


def test_the_order_with_the_key_is_meant_before_the_one_with_the_id() -> None:
    log = [buy(0, 500, id="x"), buy(0, 300, "x"), refund(1, 200, "x"), refund(2, None, "x")]
    assert spend_steps(*log) == [(0, "e8"), (1, "e6"), (2, "e5"), (10_000, "e0")]


def test_refunds_count_while_they_are_in_effect_and_their_order_is_in_the_window() -> None:
    #   refund    order      | 1 s since the refund took effect   | order leaves
    # ──○─────────●──────────┼────────────────────────────────────┤
    #   0         500        1500                                 5500
    oracle = policy(
        features="{n: {count: refund, window: 5s}, last: {since_last: refund}}",
        segments='{any: "n > 0", fresh: "last < 1s"}',
    )
    log = [refund(0, 0, "A"), buy(500, 100, "A"), refund(600, 5, "A", "USD")]
    assert path(oracle, "any", *log) == [(500, True), (5500, False)]
    assert path(oracle, "fresh", *log) == [(500, True), (1500, False)]


def test_a_currency_without_a_rate_counts_as_nothing() -> None:
    assert spend_steps(buy(0, 500, currency="USD"), buy(1, 100)) == [(1, "e1"), (10_001, "e0")]


def test_a_fully_refunded_order_does_not_count_but_one_of_nothing_does() -> None:
    oracle = policy(features=SPEND, segments='{two: "orders >= 2"}')
    log = [buy(0, 0, "A"), buy(1, 100, "B"), refund(5, None, "B")]
    assert path(oracle, "two", *log) == [(1, True), (5, False)]
    assert path(oracle, "two", *log, refund(3, 0, "A")) == [(1, True), (3, False)]
    assert path(oracle, "two", *log[:2], refund(3, 0, "B")) == [(1, True)]


def complaints(*log) -> set[Complaint]:
    return policy(features="{}").intake(log).complaints


def test_the_arrival_that_raises_the_surplus_reports_it() -> None:
    exceeds = "refund_exceeds_order"
    assert complaints(buy(0, 500, "A"), refund(9, 300, "A"), refund(3, 300, "A")) == {Complaint(exceeds, 2)}
    assert complaints(refund(9, 300, "A"), refund(3, 300, "A"), buy(0, 500, "A")) == {Complaint(exceeds, 2)}
    assert complaints(buy(0, 500, "A"), refund(1, None, "A"), refund(2, 1, "A")) == {Complaint(exceeds, 2)}
    assert complaints(buy(0, 500, "A"), refund(2, None, "A"), refund(1, 1, "A")) == set()
    assert complaints(buy(0, 500, "A"), refund(2, 600, "A"), refund(3, 1, "A"), refund(1, 0, "A")) == {
        Complaint(exceeds, 1),
        Complaint(exceeds, 2),
    }


def test_a_refund_in_another_currency_is_reported_when_its_order_is_known() -> None:
    assert complaints(buy(0, 500, "A"), refund(1, 100, "A", "USD")) == {Complaint("refund_currency", 1)}
    assert complaints(refund(1, 100, "A", "USD"), buy(0, 500, "A")) == {Complaint("refund_currency", 1)}
    assert complaints(refund(1, 100, "A", None), buy(0, 500, "A", "USD")) == set()


# -- features and rules


def test_recency_falls_back_to_the_order_that_stands() -> None:
    #   buy A      buy B      B refunded      quiet > 5 s since A
    # ──●──────────●──────────○───────────────▼───
    #   0          4000       4500            5001
    oracle = policy(
        features="{quiet: {since_last: purchase}}", segments='{lost: "quiet > 5s", not_: "not (quiet > 5s)"}'
    )
    log = [buy(0, 100, "A"), buy(4000, 100, "B"), refund(4500, None, "B")]
    assert path(oracle, "lost", *log[:2]) == [(9001, True)]
    assert path(oracle, "lost", *log) == [(5001, True)]
    assert path(oracle, "lost", *log, refund(6000, None, "A")) == [(5001, True), (6000, False)]
    assert path(oracle, "not_", *log, refund(6000, None, "A")) == [(0, True), (5001, False), (6000, True)]


def test_tenure_runs_from_the_first_order_that_stands_and_known_for_from_the_first_event() -> None:
    oracle = policy(features="{}", segments='{old: "tenure >= 5s", known: "known_for >= 5s", young: "tenure <= 5s"}')
    log = [contact(0, "outbound"), buy(1000, 100, "A"), buy(3000, 100, "B"), refund(7000, None, "A")]
    assert path(oracle, "known", *log) == [(5000, True)]
    assert path(oracle, "old", *log) == [(6000, True), (7000, False), (8000, True)]
    assert path(oracle, "young", *log) == [(1000, True), (6001, False), (7000, True), (8001, False)]


def test_only_inbound_interactions_count() -> None:
    oracle = policy(features="{touches: {count: [click, interaction]}}", segments='{two: "touches >= 2"}')
    assert path(oracle, "two", click(0), contact(1, "outbound"), contact(2)) == [(2, True)]


VALUES = {
    "spend": Number(1000),
    "orders": Number(3),
    "quiet": Elapsed(0, 5000, BERLIN),
    "gone": Elapsed(None, 9, BERLIN),
    "region": Text("north"),
    "deal.time": Elapsed(0, 5000, BERLIN),
    "lost": UNKNOWN,
}


@pytest.mark.parametrize(
    "text",
    [
        "spend == 1_000 and orders != 2",
        "orders > 3 or orders > 1 and spend > 999.99",
        "not orders > 3 and not (orders < 3)",
        "spend between 1000 and 1000.00 and orders between 1 and 3",
        "orders in [1, 3] and orders not in [2]",
        "quiet == 5s and quiet >= 5s and quiet < 5001ms and quiet in [1d, 5s]",
        "not gone > 1d and not gone < 1d and not gone == 1d and not gone != 1d",
        "not gone in [1d] and not gone not in [1d] and not gone between 1s and 1d and not gone not between 1s and 1d",
        "3 == orders and 2 < orders and 1_000 >= spend and 5s <= quiet and spend > -1",
        "orders not between 4 and 9 and not orders not between 3 and 9",
        "region == 'north' and region != 'south' and region in ['x', \"north\"] and 'north' == region",
        "deal.time > 2s and not lost == 'north' and not lost != 'north' and not lost not in ['x']",
    ],
)
def test_a_condition_is_read_as_it_is_written(text: str) -> None:
    assert holds(text, VALUES)
    assert not holds(f"not ({text})", VALUES)


# -- what it is worth


def test_it_shares_no_code_with_the_core() -> None:
    here = Path(__file__).parent
    sources = [path for kind in ("oracle", "strategies") for path in here.glob(f"{kind}*.py")]
    assert len(sources) > 10
    imported = {
        node.module or ""
        for path in sources
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.ImportFrom)
    }
    assert not [module for module in imported if module.startswith("services")]


# -- the one idea in it: that only some instants matter


@settings(max_examples=60, deadline=None, suppress_health_check=[HealthCheck.too_slow, HealthCheck.data_too_large])
@given(scripts(TOY))
def test_nothing_changes_between_the_instants_looked_at(script: Script) -> None:
    oracle = Oracle(*script.eras)
    accepted = oracle.intake([logged.event for logged in script.log]).accepted
    assert oracle.paths(accepted, script.end_ms) == oracle.paths(accepted, script.end_ms, every_ms=True)

"""Rule 4: a record is bounded in bytes; before it is full it forgets the texts that no rule can tell."""

import pytest

from services.scorer.domain.entries import read_profile
from services.scorer.domain.eras import Policies
from services.scorer.domain.folding import LARGE, OTHER
from services.scorer.domain.scoring import Arrival
from tests.scorer.domain.rules.life_of import DAY, MIN, LifeOf, policy, told
from tests.scorer.domain.timeline import buy, click, ms, profile

FIRST = ms("2026-01-01T00:00Z")
PAGES = policy("""
attributes: [note]
features:
  prices: {count: click, window: 400d, where: "page == '/prices'"}
  elsewhere: {count: click, window: 400d, where: "page != '/prices'"}
  calls: {count: interaction, window: 400d, where: "channel in ['call', 'visit']"}
segments: {looking: "prices > 1 and elsewhere > 99_999", called: "calls > 99", many: "elsewhere > 549"}
""")
ONE_MIB = 1_048_576


def surfs(life: LifeOf, clicks: int, *, length: int, batch: int, since: int = 0) -> None:
    """A click a minute, each on another page, each 100th on the one that a rule asks for."""
    for first in range(since, since + clicks, batch):
        arrivals = []
        for number in range(first, first + batch):
            page = "/prices" if number % 100 == 0 else f"/{number}?".ljust(length, "x")
            event = click(FIRST + number * MIN, page=page)
            arrivals.append(Arrival(event, FIRST + number * MIN, number, b""))
        life.turn(*arrivals, until_ms=arrivals[-1].appended_ms)
        assert len(life.record) < ONE_MIB


@pytest.mark.parametrize(("length", "batch"), [(2_048, 1), (2_048, 600), (100, 800)])
def test_rule_04_pages_that_are_never_twice_the_same_do_not_make_a_record_too_long(length, batch):
    life = LifeOf(PAGES)
    life.sees(click(FIRST - 1))
    surfs(life, 4_800, length=length, batch=batch)
    assert not life.reports
    assert (life.figure("prices"), life.figure("elsewhere")) == (48, 4_752)
    life.sees(buy(FIRST + 4_800 * MIN, 1_00))
    assert life.amounts() == [1_00], "orders are still taken"


def test_rule_04_what_forgets_its_texts_is_still_the_same_event_and_decides_the_same():
    life = LifeOf(PAGES)
    surfs(life, 600, length=2_048, batch=1)
    assert life.path("many") == [(told(FIRST + 555 * MIN), True)], "550 elsewhere, and 6 of the prices"
    kept = [read_profile(entry.profile).fields for entry in life.customer.ledger.entries]
    assert kept[0] == (("page", "/prices"),)
    assert kept[1] == (("page", OTHER),)
    assert kept[-1] != (("page", OTHER),), "the newest are forgotten when it has grown again"
    newest = int(click(FIRST).id.removeprefix("auto-")) - 1  # ids count up
    again = click(FIRST + 100 * MIN + MIN, page="/101?".ljust(2_048, "x"), id=f"auto-{newest - 498}")
    assert life.turn(Arrival(again, life.now, 600, b""), until_ms=life.now).duplicates == 1


def test_rule_04_two_who_are_merged_forget_their_texts_together():
    one, other = LifeOf(PAGES, subject="a"), LifeOf(PAGES, subject="b")
    surfs(one, 200, length=2_048, batch=1)
    surfs(other, 200, length=2_048, batch=1, since=200)
    assert len(one.record) + len(other.record) > LARGE
    one.takes_in(other, FIRST + 400 * MIN)
    assert len(one.record) < 20_000
    assert (one.figure("prices"), one.figure("elsewhere")) == (4, 396)


def test_rule_04_what_waits_ahead_of_the_clock_forgets_its_texts_too():
    life = LifeOf(PAGES)
    ahead = [click(FIRST + MIN, page=f"/{number}".ljust(2_048, "x")) for number in range(600)]
    life.turn(*(Arrival(event, FIRST, number, b"") for number, event in enumerate(ahead)), until_ms=FIRST)
    assert len(life.record) < ONE_MIB
    life.until(FIRST + MIN)
    assert (life.reports, life.figure("elsewhere")) == ([], 600)


@pytest.mark.parametrize("asked", ["attributes: [page]\n", ""])
def test_rule_04_texts_that_are_kept_for_no_rule_on_events_are_forgotten_too(asked):
    body = asked + 'features: {seen: {count: click, window: 400d}}\nsegments: {busy: "seen > 599"}\n'
    life = LifeOf(Policies.only(policy(body)).keeping(() if asked else ["page"], 1))
    surfs(life, 1_200, length=2_048, batch=10)
    life.sees(buy(FIRST + 1_200 * MIN, 1_00))
    assert (life.reports, life.amounts(), life.figure("seen")) == ([], [1_00], 1_200)


def test_rule_04_up_to_the_cap_nothing_is_folded_however_long_the_texts():
    life = LifeOf(PAGES)
    surfs(life, 800, length=2_048, batch=1)
    assert (len(life.customer.ledger), life.customer.frozen) == (800, None)


def test_rule_04_events_ahead_of_the_clock_count_with_all_that_stands_there_of_them():
    life = LifeOf(PAGES)
    for first in range(0, 6_000, 1_000):
        ahead = [buy(FIRST + MIN, 1_00, source="s" * 128) for _ in range(1_000)]
        life.turn(*(Arrival(event, FIRST, first + n, b"") for n, event in enumerate(ahead)), until_ms=FIRST)
        assert len(life.record) < ONE_MIB
    assert {report.reason for report in life.reports} == {"ledger_full"}


def test_rule_04_a_rebuild_brings_no_texts_back():
    one, other = LifeOf(PAGES, subject="a"), LifeOf(PAGES, subject="b")
    surfs(one, 240, length=2_048, batch=1)
    surfs(other, 240, length=2_048, batch=1, since=240)
    own = LifeOf(PAGES, subject="a")
    own.record, own.now = one.record, one.now
    one.takes_in(other, FIRST + 480 * MIN)
    one.is_renewed(own, FIRST + 481 * MIN)
    assert len(one.record) < 20_000
    assert (one.figure("prices"), one.figure("elsewhere")) == (5, 475)


def test_rule_04_of_more_pages_than_a_table_holds_each_still_counts_as_one():
    life = LifeOf(
        policy("""
features: {elsewhere: {count: click, window: 400d, where: "page != '/prices'"}}
segments: {looking: "elsewhere > 300"}
""")
    )
    for number in range(400):
        life.sees(click(FIRST + number * MIN, page=f"/{number}"))
    path = life.path("looking")
    assert (life.figure("elsewhere"), path) == (400, [(told(FIRST + 300 * MIN), True)])
    life.sees(click(FIRST - 1, page="/late"))
    assert (life.figure("elsewhere"), life.path("looking")) == (401, [(told(FIRST + 299 * MIN), True)])


def test_rule_04_what_can_be_neither_folded_nor_forgotten_fills_a_record_and_is_told_then():
    life = LifeOf(PAGES)
    for day in range(0, 5_000, 50):
        events = [profile(FIRST + (day + n) * DAY, note=f"{day + n}".ljust(256, "x")) for n in range(50)]
        arrivals = [Arrival(e, life.now, day + n, b"") for n, e in enumerate(events)]
        life.turn(*arrivals, until_ms=FIRST + (day + 49) * DAY)
        assert len(life.record) < ONE_MIB
    assert {report.reason for report in life.reports} == {"ledger_full"}
    assert "1,000,000 bytes" in life.reports[0].detail
    assert len(life.record) > 990_000

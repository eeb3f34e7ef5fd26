"""Rule 11: two identities become one customer, and can be parted again whole."""

from itertools import permutations

import pytest

from schemas.events import Event
from services.scorer.domain.merging import MergeError
from services.scorer.domain.scoring import Arrival
from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import Time, buy, click, ms, override, refund

GOLD = policy("""
attributes: [region]
features:
  spend: {sum: purchase.amount, minus: refund.amount, window: 30d}
  orders: {count: purchase}
  seen: {count: click, window: 7d}
  quiet: {since_last: purchase}
ladders:
  tier: [{name: gold, when: "spend >= 100", grace: 3d}, {name: basic}]
segments: {looks: "seen >= 2", north: "region == 'north'"}
churn: {at_risk: "quiet >= 60d"}
""")
DIMENSIONS = ("tier", "looks", "north", "churn")


def person(subject: str, *events: Event) -> LifeOf:
    life = LifeOf(GOLD, subject=subject)
    life.sees(*events)
    return life


def bought(subject: str, time: Time, amount: int, **more: str) -> Event:
    return buy(time, amount * 100, subject=subject, **more)


def same(one: LifeOf, other: LifeOf) -> bool:
    return all(one.path(d) == other.path(d) for d in DIMENSIONS) and one.explained() == other.explained()


def test_rule_11_the_path_is_that_of_the_union_from_the_beginning_and_announced_net():
    #   a    60                                        merged: 120 from Mar 10 on, gold until Apr 3
    # ───────●────────────────────────────────────────┬──
    #   b               60                            │
    # ──────────────────●─────────────────────────────┘
    #        Mar 1      Mar 10                        Mar 20
    a = person("a", bought("a", "2026-03-01T00:00Z", 60))
    b = person("b", bought("b", "2026-03-10T00:00Z", 60))
    [change] = a.takes_in(b, "2026-03-20T00:00Z")
    assert (change.before, change.after, change.cause) == ("basic", "gold", "merge")
    assert change.effective_ms == ms("2026-03-10T00:00Z")
    a.until("2026-05-01T00:00Z")
    assert a.path() == [("2026-03-10T00:00Z", "gold"), ("2026-04-03T00:00Z", "basic")]


def test_rule_11_a_merge_comes_to_what_one_customer_from_the_beginning_would_have():
    mine = [bought("a", "2026-03-01T00:00Z", 60), click("2026-03-03T00:00Z", subject="a")]
    theirs = [click("2026-03-05T00:00Z", subject="b"), bought("b", "2026-03-10T00:00Z", 60)]
    a, b = person("a", *mine), person("b", *theirs)
    a.takes_in(b, "2026-03-20T00:00Z")
    a.until("2026-07-01T00:00Z")
    one = person("a", *sorted(mine + theirs, key=lambda e: e.time))
    one.until("2026-07-01T00:00Z")
    assert same(a, one)


def test_rule_11_the_other_identity_has_no_path_of_its_own_any_more():
    a, b = person("a"), person("b", bought("b", "2026-03-10T00:00Z", 100))
    a.takes_in(b, "2026-03-20T00:00Z")
    assert b.said()[-1][:2] == ("gold", "basic")
    assert b.of()[-1].cause == "merge"
    assert (b.path(), b.due()) == ([], None)
    assert a.path() == [("2026-03-10T00:00Z", "gold")]


def test_rule_11_an_event_filed_under_both_counts_once_and_parts_whole():
    a = person("a", bought("a", "2026-03-01T00:00Z", 60, id="e1"))
    b = person("b", bought("b", "2026-03-01T00:00Z", 60, id="e1"))
    a.takes_in(b, "2026-03-20T00:00Z")
    assert (a.figure("spend"), a.figure("orders")) == ("60.00", 1)
    a.gives_back(b, "2026-03-21T00:00Z")
    assert (a.figure("orders"), b.figure("orders")) == (1, 1)


@pytest.mark.parametrize(("into", "other"), [("a", "b"), ("b", "a")])
def test_rule_11_where_the_two_contradict_the_smaller_origin_stands(into, other):
    said = {"a": 30, "b": 80}
    one, two = (person(s, bought(s, "2026-03-01T00:00Z", said[s], id="e1")) for s in (into, other))
    one.takes_in(two, "2026-03-20T00:00Z")
    assert one.figure("spend") == "30.00"


def test_rule_11_of_two_orders_with_one_key_the_smaller_origin_s_stands():
    a = person("a", bought("a", "2026-03-02T00:00Z", 40, order="A", id="1"))
    b = person("b", bought("b", "2026-03-01T00:00Z", 90, order="A", id="2"))
    b.takes_in(a, "2026-03-20T00:00Z")
    assert (b.figure("spend"), b.figure("orders")) == ("40.00", 1)
    b.gives_back(a, "2026-03-21T00:00Z")
    assert (b.figure("spend"), a.figure("spend")) == ("90.00", "40.00")


def test_rule_11_a_refund_of_one_finds_the_order_of_the_other():
    a = person("a", bought("a", "2026-03-01T00:00Z", 100, order="A"))
    b = person("b", refund("2026-03-10T00:00Z", order="A", subject="b"))
    a.takes_in(b, "2026-03-20T00:00Z")
    assert a.path() == [("2026-03-01T00:00Z", "gold"), ("2026-03-13T00:00Z", "basic")]


def test_rule_11_an_order_that_changes_places_with_its_twin_is_heard_of_if_its_refunds_exceed_it():
    #   b    A: 80      refund 50        a merged in      A: 30, of a, the smaller origin
    # ───────●──────────●────────────────┬────────────────○──
    #        Mar 1      Mar 2            Mar 5            Mar 6      50 of 30: 20 too many
    b = person("b", bought("b", "2026-03-01T00:00Z", 80, order="A", id="1"), refund("2026-03-02T00:00Z", 50_00, "A"))
    b.takes_in(person("a"), "2026-03-05T00:00Z")
    twin = bought("a", "2026-03-01T00:00Z", 30, order="A", id="2")
    for _ in range(2):
        b.sees(twin, at="2026-03-06T00:00Z")
        assert b.figure("spend") == "0.00"
        assert [(r.reason, r.arrival.event.id) for r in b.reports] == [("refund_exceeds_order", "2")]


def test_rule_11_a_surplus_that_was_told_is_not_told_again_when_the_order_s_twin_counts():
    b = person("b", bought("b", "2026-03-01T00:00Z", 30, order="A", id="1"), refund("2026-03-02T00:00Z", 50_00, "A"))
    b.takes_in(person("a"), "2026-03-05T00:00Z")
    b.sees(bought("a", "2026-03-01T00:00Z", 30, order="A", id="2"), at="2026-03-06T00:00Z")
    assert [r.reason for r in b.reports] == ["refund_exceeds_order"]


def test_rule_11_a_twin_in_another_currency_than_its_refund_s_is_heard_of():
    b = person("b", bought("b", "2026-03-01T00:00Z", 80, id="n"), refund("2026-03-02T00:00Z", 50_00, "n"))
    b.takes_in(person("a"), "2026-03-05T00:00Z")
    b.sees(bought("a", "2026-03-01T00:00Z", 80, id="n", currency="USD"), at="2026-03-06T00:00Z")
    assert [(r.reason, r.arrival.event.id) for r in b.reports] == [("refund_currency", "n")]


def test_rule_11_events_that_still_arrive_for_the_old_id_are_the_customer_s_and_leave_with_it():
    a, b = person("a", bought("a", "2026-03-01T00:00Z", 60)), person("b")
    a.takes_in(b, "2026-03-05T00:00Z")
    [change] = a.sees(bought("b", "2026-03-10T00:00Z", 60))
    assert (change.after, change.cause) == ("gold", "event")
    a.gives_back(b, "2026-03-20T00:00Z")
    assert (a.figure("spend"), b.figure("spend")) == ("60.00", "60.00")
    assert a.path() == b.path() == []


def test_rule_11_an_event_sent_again_under_the_old_id_is_a_duplicate():
    event = bought("b", "2026-03-01T00:00Z", 60, id="e1")
    a, b = person("a"), person("b", event)
    a.takes_in(b, "2026-03-05T00:00Z")
    was = a.record
    assert a.sees(event, at="2026-03-06T00:00Z") == []
    assert (a.record, a.reports) == (was, [])


def test_rule_11_after_an_unmerge_both_are_as_if_they_had_never_met_announced_once_net():
    mine = [bought("a", "2026-03-01T00:00Z", 60)]
    theirs = [bought("b", "2026-03-10T00:00Z", 60), click("2026-03-11T00:00Z", subject="b")]
    a, b = person("a", *mine), person("b", *theirs)
    a.takes_in(b, "2026-03-20T00:00Z")
    seen = len(a.changes), len(b.changes)
    a.gives_back(b, "2026-03-25T00:00Z")
    assert [(c.before, c.after, c.cause) for c in a.changes[seen[0] :]] == [("gold", "basic", "merge")]
    assert b.changes[seen[1] :] == []
    alone, other = person("a", *mine), person("b", *theirs)
    for life in (a, b, alone, other):
        life.until("2026-07-01T00:00Z")
    assert same(a, alone)
    assert same(b, other)


def test_rule_11_who_is_parted_gets_their_position_back_with_revisions_that_have_no_gap():
    a, b = person("a"), person("b", bought("b", "2026-03-10T00:00Z", 100))
    a.takes_in(b, "2026-03-20T00:00Z")
    a.gives_back(b, "2026-03-25T00:00Z")
    assert [(s[0], s[1]) for s in b.said()] == [("basic", "gold"), ("gold", "basic"), ("basic", "gold")]
    assert [c.revision for c in b.of()] == [1, 2, 3]
    assert [c.revision for c in a.of()] == [1, 2]


def test_rule_11_two_who_are_one_cannot_be_merged_again_nor_in_a_circle():
    a, b = person("a"), person("b")
    a.takes_in(b, "2026-03-20T00:00Z")
    with pytest.raises(MergeError, match="one customer already"):
        a.takes_in(person("b"), "2026-03-21T00:00Z")
    with pytest.raises(MergeError, match="one customer already"):
        person("b").takes_in(a, "2026-03-21T00:00Z")
    with pytest.raises(MergeError, match="one customer already"):
        a.takes_in(person("a"), "2026-03-21T00:00Z")


def test_rule_11_who_was_parted_can_be_merged_again():
    a, b = (person(s, bought(s, "2026-03-01T00:00Z", 60)) for s in "ab")
    a.takes_in(b, "2026-03-05T00:00Z")
    a.gives_back(b, "2026-03-06T00:00Z")
    a.takes_in(b, "2026-03-07T00:00Z")
    assert (a.value(), b.path()) == ("gold", [])


def test_rule_11_after_an_unmerge_what_is_sent_again_is_known():
    event = bought("b", "2026-03-01T00:00Z", 60, id="e1")
    a, b = person("a"), person("b", event)
    a.takes_in(b, "2026-03-05T00:00Z")
    a.gives_back(b, "2026-03-06T00:00Z")
    outcome = b.turn(Arrival(event, ms("2026-03-07T00:00Z"), 1, b""), until_ms=ms("2026-03-07T00:00Z"))
    assert (outcome.duplicates, outcome.taken, outcome.altered) == (1, 0, False)


def test_rule_11_who_was_not_merged_in_cannot_be_parted():
    with pytest.raises(MergeError, match="not merged into"):
        person("a").gives_back(person("b"), "2026-03-21T00:00Z")


def test_rule_11_what_came_in_through_an_identity_leaves_with_it():
    a, b, c = (person(s, bought(s, "2026-03-01T00:00Z", 40)) for s in "abc")
    b.takes_in(c, "2026-03-05T00:00Z")
    a.takes_in(b, "2026-03-06T00:00Z")
    assert a.figure("spend") == "120.00"
    a.gives_back(b, "2026-03-07T00:00Z")
    assert (a.figure("spend"), b.figure("spend")) == ("40.00", "80.00")
    b.gives_back(c, "2026-03-08T00:00Z")
    assert (b.figure("spend"), c.figure("spend")) == ("40.00", "40.00")


@pytest.mark.parametrize("order", list(permutations("bcd")))
def test_rule_11_in_whatever_order_they_are_merged_it_comes_to_the_same(order):
    lives = {s: person(s, bought(s, f"2026-03-0{1 + i}T00:00Z", 30 + i, id="twin" if i < 2 else s))
             for i, s in enumerate("abcd")}  # fmt: skip
    for minute, name in enumerate(order):
        lives["a"].takes_in(lives[name], f"2026-03-10T00:{minute:02}Z")
    assert lives["a"].figure("spend") == "95.00", "30 of a, the twin of b does not count, 32 and 33"
    lives["a"].until("2026-06-01T00:00Z")
    assert lives["a"].path("churn") == [("2026-05-03T00:00Z", True)]


def test_rule_11_what_waits_for_its_time_is_merged_too():
    a, b = person("a", bought("a", "2026-03-01T00:00Z", 60)), person("b")
    b.sees(bought("b", "2026-03-10T00:04Z", 60), at="2026-03-10T00:00Z")
    a.takes_in(b, "2026-03-10T00:01Z")
    assert a.value() == "basic"
    a.until("2026-03-10T00:05Z")
    assert a.path() == [("2026-03-10T00:04Z", "gold")]


def test_rule_11_an_override_of_one_holds_for_both():
    a = person("a")
    b = person("b", override("2026-03-01T00:00Z", "2026-04-01T00:00Z", "tier", "gold", subject="b"))
    a.takes_in(b, "2026-03-10T00:00Z")
    assert a.value() == "gold"
    a.until("2026-05-01T00:00Z")
    assert a.path() == [("2026-03-01T00:00Z", "gold"), ("2026-04-01T00:00Z", "basic")]

"""Rule 12: everything up to an instant is forgotten for ever; what comes later is a new life."""

import msgspec

from schemas.events import Event
from services.scorer.domain.scoring import Arrival
from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import Time, buy, click, ms, override, profile

GOLD = policy("""
attributes: [region]
features:
  spend: {sum: purchase.amount, minus: refund.amount, window: 30d}
  orders: {count: purchase}
ladders:
  tier: [{name: gold, when: "spend >= 100"}, {name: basic}]
segments: {north: "region == 'greenland'", old_hand: "known_for >= 30d"}
""")
E = "2026-03-10T00:00Z"


def bought(time: Time, amount: int, subject: str = "a", **more: str) -> Event:
    return buy(time, amount * 100, subject=subject, **more)


def erased_life(*events: Event) -> LifeOf:
    life = LifeOf(GOLD, subject="a")
    life.sees(*events)
    life.is_erased(E)
    return life


FIRST = bought("2026-03-01T00:00Z", 100, id="e1")


def test_rule_12_nothing_is_left():
    #        100: gold         erased
    # ───────●────────────────╳──────────
    #        Mar 1            Mar 10
    said = profile("2026-03-02T00:00Z", region="greenland")
    life = erased_life(FIRST, msgspec.structs.replace(said, subject="a"))
    assert (life.path(), life.path("north"), life.path("old_hand")) == ([], [], [])
    told = life.explained("2026-03-11T00:00Z")
    assert (told.tiers, told.segments, told.next) == ({"tier": "basic"}, [], [])
    assert {value.value for value in told.features.values()} <= {None}
    assert life.due() is None
    assert b"greenland" not in life.record


def test_rule_12_what_is_announced_takes_back_and_tells_nothing():
    life = erased_life(FIRST)
    change = life.of()[-1]
    assert (change.before, change.after, change.path) == ("gold", "basic", [])
    assert (change.retracts, change.conditions, change.trigger, change.next) == ([], [], None, None)


def test_rule_12_events_up_to_the_instant_are_suppressed_for_ever_and_silently():
    life = erased_life(FIRST)
    was = life.record
    for event in (FIRST, bought("2026-03-09T00:00Z", 500), bought(E, 500), click("2026-01-01T00:00Z", subject="a")):
        outcome = life.turn(Arrival(event, ms("2026-03-11T00:00Z"), 9, b""), until_ms=ms("2026-03-11T00:00Z"))
        assert (outcome.taken, outcome.duplicates, outcome.reports, outcome.changes) == (0, 0, [], [])
    assert life.record == was


def test_rule_12_later_events_begin_a_new_life_from_zero():
    #        100 ╳      60            50: gold            30 d known again
    # ───────●───╳──────●─────────────●───────────────────▼──
    #            E      Mar 10 +1 ms  Mar 20              Apr 9
    life = erased_life(FIRST)
    life.sees(bought("2026-03-10T00:00:00.001Z", 60), bought("2026-03-20T00:00Z", 50))
    life.until("2026-04-09T12:00Z")
    assert life.figure("orders") == 2
    assert life.path()[:1] == [("2026-03-20T00:00Z", "gold")]
    assert life.path("old_hand") == [("2026-04-09T00:00:00.001Z", True)]


def test_rule_12_revisions_go_on():
    life = erased_life(FIRST)
    life.sees(bought("2026-03-20T00:00Z", 100))
    assert [c.revision for c in life.of()] == [1, 2, 3]


def test_rule_12_an_id_may_be_used_again_in_the_new_life():
    life = erased_life(FIRST)
    life.sees(bought("2026-03-20T00:00Z", 7, id="e1"))
    assert (life.figure("orders"), life.reports) == (1, [])


def test_rule_12_an_override_does_not_outlive_its_customer():
    life = erased_life(override("2026-03-01T00:00Z", "2027-03-01T00:00Z", "tier", "gold", subject="a"))
    assert (life.value(), life.due()) == ("basic", None)
    life.sees(bought("2026-03-20T00:00Z", 1))
    assert life.value() == "basic"


def test_rule_12_what_lies_ahead_of_the_instant_stays():
    life = LifeOf(GOLD, subject="a")
    life.sees(FIRST)
    life.sees(bought("2026-03-10T00:03Z", 100), at="2026-03-09T23:59Z")
    life.is_erased(E)
    life.until("2026-03-11T00:00Z")
    assert life.path() == [("2026-03-10T00:03Z", "gold")]


def test_rule_12_all_identities_merged_in_are_erased_and_stand_for_themselves_again():
    a, b, c = (LifeOf(GOLD, subject=s) for s in "abc")
    for life in (a, b, c):
        life.sees(bought("2026-03-01T00:00Z", 60, life.subject))
    b.takes_in(c, "2026-03-02T00:00Z")
    a.takes_in(b, "2026-03-03T00:00Z")
    assert a.value() == "gold"
    assert sorted(a.is_erased(E, b)) == ["b", "c"]
    assert (a.path(), a.figure("orders", "2026-03-11T00:00Z")) == ([], None)
    b.sees(bought("2026-03-05T00:00Z", 500, "b"), at="2026-03-11T00:00Z")
    assert b.figure("orders") is None
    b.sees(bought("2026-03-12T00:00Z", 100, "b"))
    assert b.value() == "gold"


def test_rule_12_what_is_ahead_of_the_clock_under_another_name_begins_that_ones_new_life():
    #        b is merged into a    b buys, posted 1 min ahead    a is erased    the purchase's time
    # ───────┼─────────────────────○─────────────────────────────┼──────────────●──
    a, b = LifeOf(GOLD, subject="a"), LifeOf(GOLD, subject="b")
    for life in (a, b):
        life.sees(bought("2026-03-01T00:00Z", 60, life.subject))
    a.takes_in(b, "2026-03-03T00:00Z")
    a.sees(bought("2026-03-10T00:01Z", 100, "b"), at="2026-03-09T23:59:59Z")
    a.is_erased(E, b)
    b.until("2026-03-11T00:00Z")
    assert (a.path(), b.path()) == ([], [("2026-03-10T00:01Z", "gold")])


def test_rule_12_it_stays_so_after_another_merge():
    a, b = erased_life(FIRST), LifeOf(GOLD, subject="b")
    b.sees(bought("2026-03-11T00:00Z", 60, "b"))
    b.takes_in(a, "2026-03-12T00:00Z")
    b.sees(FIRST, at="2026-03-13T00:00Z")
    assert b.figure("orders") == 1
    b.sees(bought("2026-03-13T00:00Z", 60, "a"))
    assert (b.figure("orders"), b.value()) == (2, "gold")


def test_rule_12_erased_twice_the_later_instant_holds():
    life = erased_life(FIRST)
    life.sees(bought("2026-03-15T00:00Z", 100))
    life.is_erased("2026-03-20T00:00Z")
    life.sees(bought("2026-03-18T00:00Z", 100), at="2026-03-21T00:00Z")
    assert (life.path(), life.figure("orders")) == ([], None)

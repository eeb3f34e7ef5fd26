"""The short way of a record: time is played up to the event, then the event, then time up to the instant asked for."""

import pytest

from schemas.events import Event
from services.scorer.domain.eras import Policies
from services.scorer.domain.packing import decode, opened
from services.scorer.domain.scoring import Arrival, score
from services.scorer.domain.short import take
from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import buy, click, ms, override, profile, refund, stage

ORDERS = policy("""
features: {orders: {count: purchase, window: 10d}}
ladders:
  tier:
    - {name: gold, when: "orders >= 2", grace: 2d}
    - {name: basic}
segments:
  keen: "orders >= 2"
""")


def gold() -> LifeOf:
    """Two orders, the first of which leaves the window on Mar 11."""
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 1_00))
    life.sees(buy("2026-03-02T00:00Z", 1_00))
    assert life.said() == [("basic", "gold", "2026-03-02T00:00Z", "event")]
    return life


def comes(life: LifeOf, time: str, until: str) -> None:
    """An order that finds timers unfired: nobody has looked since the last event."""
    life.turn(Arrival(buy(time, 1_00), ms(time), 0, b""), until_ms=ms(until))


def test_what_was_due_before_an_event_is_told_with_it_each_change_at_its_own_instant():
    #  keen, gold   keen ends   gold ends          order
    # ─●────────────▼───────────▼──────────────────●────
    #  Mar 2        Mar 11      Mar 13 (grace 2 d) Mar 20
    life = gold()
    comes(life, "2026-03-20T00:00Z", until="2026-03-20T00:00Z")
    assert life.said("keen")[1:] == [(True, False, "2026-03-11T00:00Z", "time")]
    assert life.said()[1:] == [("gold", "basic", "2026-03-13T00:00Z", "time")]
    assert [change.trigger for change in life.changes[2:]] == [None, None], "no event has done that"
    assert life.customer.changed_ms == ms("2026-03-13T00:00Z")
    assert life.customer.life.played_ms == ms("2026-03-20T00:00Z")


def test_what_is_due_at_the_instant_of_an_event_and_the_event_are_one_instant():
    #  two orders   one leaves as one comes: still two
    # ─●────────────●───────────────────────────────────
    #  Mar 2        Mar 11
    life = gold()
    comes(life, "2026-03-11T00:00Z", until="2026-03-11T00:00Z")
    assert life.said("keen") == [(False, True, "2026-03-02T00:00Z", "event")]
    assert life.due() == "2026-03-12T00:00Z", "when the second order leaves"
    life.until("2026-03-13T23:59Z")
    assert life.value() == "gold"
    life.until("2026-03-14T00:00Z")
    assert life.said()[1:] == [("gold", "basic", "2026-03-14T00:00Z", "time")]


def test_a_fall_that_is_due_at_the_instant_of_an_event_is_put_down_to_the_event():
    #  gold         grace begins             the order comes as it ends: one order, basic
    # ─●────────────╳────────────────────────▼──────────
    #  Mar 2        Mar 11                   Mar 13
    life = gold()
    comes(life, "2026-03-13T00:00Z", until="2026-03-13T00:00Z")
    assert life.said()[1:] == [("gold", "basic", "2026-03-13T00:00Z", "event")]
    assert life.said("keen")[1:] == [(True, False, "2026-03-11T00:00Z", "time")]


def test_what_is_due_after_the_event_by_the_instant_asked_for_is_told_after_it():
    #  keen ends   order: keen again       keen ends   gold ends   asked for
    # ─▼───────────●───────────────────────▼───────────▼───────────●
    #  Mar 11      Mar 11 12:00            Mar 12      Mar 14      Apr 1
    life = gold()
    comes(life, "2026-03-11T12:00Z", until="2026-04-01T00:00Z")
    assert life.said("keen")[1:] == [
        (True, False, "2026-03-11T00:00Z", "time"),
        (False, True, "2026-03-11T12:00Z", "event"),
        (True, False, "2026-03-12T00:00Z", "time"),
    ]
    assert life.said()[1:] == [("gold", "basic", "2026-03-14T00:00Z", "time")]
    assert [change.revision for change in life.of("keen")] == [1, 2, 3, 4]


def test_what_is_to_come_of_a_move_knows_of_the_policy_that_is_to_come():
    #  a policy is known that      order: keen    it takes effect: keen is no more to be had
    #  ────────────────────────────●──────────────▼──────
    #                              Mar 2          Mar 5
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 1_00))
    harder = policy("""
features: {orders: {count: purchase, window: 10d}}
ladders: {tier: [{name: gold, when: "orders >= 2", grace: 2d}, {name: basic}]}
segments: {keen: "orders >= 9"}
""")
    life.learns(harder, "2026-03-05T00:00Z", at="2026-03-01T12:00Z")
    life.sees(buy("2026-03-02T00:00Z", 1_00))
    [keen] = life.of("keen")
    assert keen.next == (ms("2026-03-05T00:00Z"), False)


def test_what_is_due_a_millisecond_before_an_event_is_no_work_of_the_event():
    life = gold()
    comes(life, "2026-03-11T00:00:00.001Z", until="2026-03-11T00:00:00.001Z")
    assert life.said("keen")[1:] == [
        (True, False, "2026-03-11T00:00Z", "time"),
        (False, True, "2026-03-11T00:00:00.001Z", "event"),
    ]


def returning() -> LifeOf:
    """Two orders with keys, one of which was sent back in part; a refund that waits for order C, and one of none."""
    life = LifeOf(ORDERS)
    life.sees(buy("2026-03-01T00:00Z", 5_00, order="A"))
    life.sees(buy("2026-03-02T00:00Z", 5_00, order="B"))
    life.sees(refund("2026-03-03T00:00Z", 1_00, order="A"))
    life.sees(refund("2026-03-03T00:00Z", order="C"))
    life.sees(refund("2026-03-03T00:00Z", 1_00))
    return life


def takes(life: LifeOf, *events: Event) -> bool:
    arrivals = [Arrival(event, ms(event.time.isoformat()), 0, b"") for event in events]
    record = opened(life.record, life.policies)
    return take(record, life.policies, arrivals, life.subject, arrivals[-1].appended_ms, True) is not None


LATER, LATER_STILL = "2026-03-04T00:00Z", "2026-03-04T00:01Z"


@pytest.mark.parametrize(
    "event",
    [
        buy(LATER, 1_00),
        buy(LATER, 1_00, order="D"),
        click(LATER),
        profile(LATER, region="north"),
        stage(LATER, "won"),
    ],
)
def test_what_settles_nothing_takes_the_short_way_of_one_who_has_sent_something_back_too(event):
    assert takes(returning(), event)
    assert takes(returning(), event, click(LATER_STILL))


@pytest.mark.parametrize(
    "events",
    [
        [buy(LATER, 1_00, order="A")],  # is known
        [buy(LATER, 1_00, order="C")],  # a refund waits for it
        [buy(LATER, 1_00, id="C")],
        [refund(LATER, 1_00, order="A")],
        [refund(LATER, 1_00)],
        [override(LATER, "2026-04-01T00:00Z", "tier", "gold")],
        [buy(LATER, 1_00, order="D"), buy(LATER_STILL, 1_00, order="D")],
        [buy(LATER, 1_00, id="D"), buy(LATER_STILL, 1_00, id="D")],
    ],
)
def test_what_may_settle_something_does_not(events):
    assert not takes(returning(), *events)


def test_what_is_to_come_is_exact_where_a_refund_of_no_order_leaves_by_itself():
    #  refund -1   20 orders of 1, one each hour      100: keen               leaves
    # ─╳───────────●●●●●●●●●●●●●●●●●●●●───────────────●──────────────────────▼────
    life = LifeOf(
        policy("""
features: {spend: {sum: purchase.amount, minus: refund.amount, window: 10d}}
segments: {keen: "spend >= 50"}
""")
    )
    life.sees(refund("2026-03-01T00:00Z", 1_00))
    for hour in range(20):
        life.sees(buy(ms("2026-03-02T00:00Z") + hour * 3_600_000, 1_00))
    life.sees(buy("2026-03-03T00:00Z", 100_00))
    [keen] = life.of("keen")
    assert keen.next == (ms("2026-03-13T00:00Z"), False)


def test_whose_first_event_moves_them_is_moved_whoever_has_begun_before():
    policies = Policies.only(
        policy("""
features: {spend: {sum: purchase.amount, window: 10d}}
segments: {keen: "spend >= 50"}
""")
    )
    for number, amount in enumerate([1_00, 100_00, 1_00, 100_00, 100_00]):
        at_ms = ms("2026-03-01T00:00Z") + number
        record, outcome = score(None, policies, [Arrival(buy(at_ms, amount), at_ms, number, b"")], at_ms)
        assert [(change.after, change.effective_ms) for change in outcome.changes] == [(True, at_ms)] * (amount > 50_00)
        life = decode(record, policies).life
        assert life.standings[life.machine.places["keen"]].revision == (amount > 50_00)

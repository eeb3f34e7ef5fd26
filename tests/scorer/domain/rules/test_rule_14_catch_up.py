"""Rule 14: after a stop, timers due in the past are played in event time between the backlog's events."""

from services.scorer.domain.scoring import Arrival, Change
from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import buy, click, ms

GOLD = policy("""
features:
  spend: {sum: purchase.amount, window: 30d}
  quiet: {since_last: purchase}
  seen: {count: click, window: 7d}
ladders:
  tier: [{name: gold, when: "spend >= 100", grace: 3d}, {name: basic}]
segments: {looks: "seen >= 2"}
churn: {at_risk: "quiet >= 60d"}
""")
EVENTS = [
    buy("2026-03-01T00:00Z", 100_00, id="1"),
    click("2026-03-02T00:00Z", id="2"),
    click("2026-03-03T00:00Z", id="3"),
    buy("2026-05-15T00:00Z", 120_00, id="4"),
    click("2026-08-01T00:00Z", id="5"),
]
NOW = "2026-09-01T00:00Z"


def essence(changes: list[Change]) -> list[tuple[object, ...]]:
    return sorted(
        (c.from_ms, c.dimension.name, c.before, c.after, c.cause, c.revision, c.next, tuple(c.path)) for c in changes
    )


def test_rule_14_what_was_missed_while_down_comes_out_between_the_backlog_s_events():
    #        buys     leaves  quiet 60 d    buys     leaves    quiet 60 d      the worker is back
    # ───────●────────▼───────▼─────────────●────────▼─────────▼───────────────┬──
    #        Mar 1    Apr 3   Apr 30        May 15   Jun 17    Jul 14          Sep 1
    life = LifeOf(GOLD)
    life.turn(*(Arrival(e, ms(e.time.isoformat()), i, b"") for i, e in enumerate(EVENTS)), until_ms=ms(NOW))
    assert life.path() == [
        ("2026-03-01T00:00Z", "gold"),
        ("2026-04-03T00:00Z", "basic"),
        ("2026-05-15T00:00Z", "gold"),
        ("2026-06-17T00:00Z", "basic"),
    ]
    assert life.path("churn") == [
        ("2026-04-30T00:00Z", True),
        ("2026-05-15T00:00Z", False),
        ("2026-07-14T00:00Z", True),
    ]
    times = [c.from_ms for c in life.changes]
    assert times == sorted(times)


def test_rule_14_catching_up_decides_what_would_have_been_decided_in_time():
    never_down, back = LifeOf(GOLD), LifeOf(GOLD)
    never_down.sees(*EVENTS)
    never_down.until(NOW)
    back.turn(*(Arrival(e, ms(e.time.isoformat()), i, b"") for i, e in enumerate(EVENTS)), until_ms=ms(NOW))
    assert essence(back.changes) == essence(never_down.changes)
    assert back.explained() == never_down.explained()


def test_rule_14_a_backlog_taken_in_pieces_decides_the_same():
    whole, pieces = LifeOf(GOLD), LifeOf(GOLD)
    arrivals = [Arrival(e, ms(e.time.isoformat()), i, b"") for i, e in enumerate(EVENTS)]
    whole.turn(*arrivals, until_ms=ms(NOW))
    for arrival in arrivals:
        pieces.turn(arrival, until_ms=arrival.appended_ms)
    pieces.turn(until_ms=ms(NOW))
    assert essence(pieces.changes) == essence(whole.changes)

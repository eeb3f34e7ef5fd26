"""One stream of events, in the form each system reads."""

import msgspec

from schemas.events import Event, Purchase
from services.bench.load import DAY_MS, LATEST_MS, Load, accepted, happenings, simple
from services.scorer.domain.instants import to_ms

NOW_MS = 1_800_000_000_000


def test_peers_and_tierline_are_given_the_same_happenings() -> None:
    for happening in happenings(Load(500, 50, days=60, late=0.1), NOW_MS):
        theirs = msgspec.json.decode(simple(happening))
        ours = msgspec.json.decode(accepted(happening), type=Event)  # type: ignore[arg-type]
        assert (theirs["event_id"], theirs["customer_id"], theirs["occurred_at"]) == (
            ours.id,
            ours.subject,
            to_ms(ours.time),
        )
        if isinstance(ours, Purchase):
            assert (theirs["type"], theirs["amount"]) == ("purchase", ours.data.amount_minor / 100)


def test_a_load_is_the_same_each_time_and_in_order_but_for_the_late_ones() -> None:
    # 60 days ago ──●──●──●──●──●──●──● now      came, in order
    #                  ╰──────── happened up to a second before, or, of the late ones, up to 30 days
    load = Load(20_000, 100, days=60, late=0.02)
    made = list(happenings(load, NOW_MS))
    assert made == list(happenings(load, NOW_MS))
    assert [h.came_ms for h in made] == sorted(h.came_ms for h in made)
    assert NOW_MS - 60 * DAY_MS <= made[0].came_ms <= made[-1].came_ms <= NOW_MS
    assert all(0 <= h.came_ms - h.at_ms <= LATEST_MS for h in made)
    late = sum(h.came_ms - h.at_ms > 1_000 for h in made)
    assert 0.015 < late / len(made) < 0.025
    assert len({h.customer for h in made}) == 100

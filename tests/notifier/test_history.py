"""A customer's path out of the decisions."""

import random
from datetime import UTC, datetime

from services.notifier.domain.history import Revision, paths


def day(number):
    return datetime(2026, 3, number, tzinfo=UTC)


def revision(number, begins, *path, dimension="tier"):
    steps = [(day(at), value) for at, value in path]
    return Revision(dimension=dimension, revision=number, from_=day(begins), path=steps)


# told 1, 2: ─────●3 silver──────●9 gold────────────
# late 3:    ─────●3 silver──●6 gold──────●12 silver
TOLD = [
    revision(1, 3, (3, "silver")),
    revision(2, 9, (9, "gold")),
    revision(3, 6, (6, "gold"), (12, "silver")),
    revision(1, 4, (4, True), dimension="active"),
]


def test_the_path_is_cut_at_from_and_goes_on():
    assert paths(TOLD) == {
        "tier": [(day(3), "silver"), (day(6), "gold"), (day(12), "silver")],
        "active": [(day(4), True)],
    }


def test_order_and_repetition_do_not_matter():
    chance = random.Random(7)
    for _ in range(20):
        told = [*TOLD, *chance.choices(TOLD, k=3)]
        chance.shuffle(told)
        assert paths(told) == paths(TOLD)


def test_a_path_may_become_empty():
    assert paths([*TOLD, revision(4, 1)])["tier"] == []

"""Flaps: moves back to the value left less than 30 days before."""

from services.scorer.domain.flaps import FLAP_MS, Flaps

DAY = 86_400_000


def test_a_move_back_within_thirty_days_is_a_flap():
    #  silver     gold             silver           gold
    # ────────────▲────────────────▼────────────────▲────
    #             day 0            day 40           day 69
    flaps = Flaps()
    assert not flaps.moved("c", "silver", "gold", 0)
    assert not flaps.moved("c", "gold", "silver", 40 * DAY)  # silver was left 40 days before
    assert flaps.moved("c", "silver", "gold", 69 * DAY)  # gold 29 days before


def test_at_thirty_days_it_is_none():
    flaps = Flaps()
    flaps.moved("c", "silver", "gold", 0)
    assert not flaps.moved("c", "gold", "silver", FLAP_MS)
    assert flaps.moved("c", "silver", "gold", 2 * FLAP_MS - 1)


def test_a_move_on_to_a_third_value_is_none():
    flaps = Flaps()
    flaps.moved("c", "silver", "gold", 0)
    assert not flaps.moved("c", "gold", "platinum", DAY)
    assert not flaps.moved("c", "platinum", "silver", 2 * DAY)


def test_customers_are_told_apart():
    flaps = Flaps()
    flaps.moved("c", "silver", "gold", 0)
    assert not flaps.moved("d", "gold", "silver", DAY)


def test_only_so_many_moves_are_remembered_and_none_beyond_thirty_days():
    flaps = Flaps(most=2)
    for who in "abc":
        flaps.moved(who, "silver", "gold", 0)
    assert not flaps.moved("a", "gold", "silver", DAY)  # forgotten
    assert flaps.moved("c", "gold", "silver", DAY)
    flaps.moved("z", "silver", "gold", DAY + FLAP_MS)
    assert len(flaps._left) == 1

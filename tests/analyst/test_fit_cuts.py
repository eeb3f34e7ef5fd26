"""Transactions of a day, cut points, the best customers, groups, and what is expected week by week."""

from bisect import bisect_right
from datetime import date
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.analyst.calibration import cuts, groups, tracking
from services.analyst.calibration.histories import histories, repeats
from services.analyst.calibration.purchases import Book, Order
from services.scorer.domain.churn import WEEK_MS, BgNbd
from tests.analyst.populations import customer

DAY = date(2026, 3, 1).toordinal()


def test_rule_13_orders_of_one_day_are_one_transaction():
    (seen,) = histories(Book("USD", [Order("c", DAY + 9, 40), Order("c", DAY, 100), Order("c", DAY, 50)]), DAY + 20)
    assert (seen.days, seen.money) == ((DAY, DAY + 9), (150, 40))
    assert (seen.orders, seen.spend, seen.repeats) == (3, 190, 1)
    asked = repeats([seen], DAY + 20)
    assert (asked.x[0], asked.recency[0], asked.age[0]) == (1, 9, 20)


def test_rule_13_a_fully_refunded_order_is_none():
    orders = [Order("c", DAY, 100), Order("c", DAY + 9, 40, [(DAY + 12, 40)]), Order("d", DAY, 40, [(DAY, 40)])]
    assert [c.days for c in histories(Book("USD", orders), DAY + 11)] == [(DAY, DAY + 9)]
    assert [c.days for c in histories(Book("USD", orders), DAY + 12)] == [(DAY,)]


def test_what_comes_after_the_last_day_is_not_seen():
    book = Book("USD", [Order("c", DAY, 100), Order("c", DAY + 1, 40), Order("d", DAY + 1, 5)], [("c", DAY + 1, 9)])
    (seen,) = histories(book, DAY)
    assert (seen.customer, seen.days, seen.spend) == ("c", (DAY,), 100)
    assert [c.spend for c in histories(book, DAY + 1)] == [131, 5]


def test_refunds_without_an_order_lower_the_spend_not_below_nothing():
    (seen,) = histories(Book("USD", [Order("c", DAY, 100)], [("c", DAY, 70), ("c", DAY, 70)]), DAY)
    assert (seen.spend, seen.money) == (0, (100,))


def test_only_customers_asked_for_are_kept():
    book = Book("USD", [Order("007", DAY, 100), Order("x", DAY, 100)])
    assert [c.customer for c in histories(book, DAY, frozenset({"7"}))] == ["007"]


def test_fifths_of_different_values_are_fifths():
    assert cuts.fifths(range(1, 101)) == [21, 41, 61, 81]


def test_fifths_keep_equal_values_together_and_part_the_rest():
    # 60 of 100 bought once: they are one group, and the other 40 are parted in four.
    orders = [1] * 60 + [2] * 10 + [3] * 10 + [4] * 10 + list(range(5, 15))
    assert cuts.fifths(orders) == [2, 3, 4, 5]


def test_fifths_of_few_values_end_above_them_all():
    assert cuts.fifths([1, 1, 2]) == [2, 3, 4, 5]
    assert cuts.fifths([0]) == [1, 2, 3, 4]


def test_a_value_that_most_have_does_not_swallow_its_neighbours():
    assert cuts.fifths([0] + [1] * 50 + [2, 3, 4]) == [1, 2, 3, 4]


@given(st.lists(st.integers(0, 10_000), min_size=1))
def test_fifths_are_four_ascending_cuts_above_zero_and_only_the_last_groups_are_empty(values):
    found = cuts.fifths(values)
    assert len(found) == 4
    assert found == sorted(set(found))
    assert found[0] > 0
    used = {bisect_right(found, value) for value in values}
    assert used == set(range(min(5, len(set(values)))))


def test_rfm_cuts_are_of_days_since_the_last_order_of_orders_and_of_spend():
    population = [customer([DAY - n - 1] * 1 + [DAY - n], [0, n * 100]) for n in range(10)]
    found = cuts.rfm(population, DAY)
    assert found.recency == [2, 4, 6, 8]
    assert found.frequency == [3, 4, 5, 6]
    assert found.monetary == [200, 400, 600, 800]


def test_top_spend_parts_those_who_bring_eighty_percent():
    spends = [500, 300, 50, 50, 50, 50]
    assert cuts.top_spend([customer([1], [spend]) for spend in spends]) == cuts.TopSpend(300, 2)
    spends[1] = 299
    assert cuts.top_spend([customer([1], [spend]) for spend in spends]) == cuts.TopSpend(50, 6)


def test_groups_part_what_is_far_apart_and_stand_by_spend():
    good = [customer(list(range(n, 100, 9)), [50_000] * len(range(n, 100, 9)), f"g{n}") for n in range(9)]
    gone = [customer([n], [n + 10], f"l{n}") for n in range(20)]
    found = groups.cluster([*gone, *good], 100, 2, seed=5)
    assert found.of_customer.tolist() == [1] * 20 + [0] * 9
    assert [group.customers for group in found.groups] == [9, 20]
    assert sum(group.revenue for group in found.groups) == pytest.approx(1)
    assert found.groups[1].orders == 1


def test_there_are_no_more_groups_than_different_customers():
    found = groups.cluster([customer([n % 2 + 1]) for n in range(10)], 10, 5, seed=1)
    assert [group.customers for group in found.groups] == [5, 5]


MODEL = BgNbd(0.5, 6.0, 0.9, 3.0, WEEK_MS)


def test_repeat_purchases_are_counted_at_the_end_of_each_week():
    #  first          repeat on day 6   day 7
    # ─┼──────────────┼─│──────────────┼──│   two weeks from the first purchase of all
    weeks = tracking.by_week(MODEL, [DAY, DAY + 3], [DAY + 6, DAY + 7], DAY + 14)
    assert [(week.ends - DAY, week.actual) for week in weeks] == [(6, 1), (13, 2)]


def test_repeat_purchases_are_expected_from_each_customers_own_beginning():
    together = tracking.by_week(MODEL, [DAY, DAY + 7], [], DAY + 20)
    alone = tracking.by_week(MODEL, [DAY], [], DAY + 20)
    assert [week.expected for week in together[1:]] == pytest.approx(
        [later.expected + earlier.expected for earlier, later in pairwise(alone)]
    )
    assert together[0].expected == alone[0].expected


def test_purchases_after_the_fit_are_means_over_customers_with_as_many_repeats():
    population = [customer([DAY]), customer([DAY]), customer([DAY, DAY + 9]), customer(list(range(DAY, DAY + 30)))]
    rows = tracking.after(MODEL, population, DAY + 30, 30, [0, 1, 3, 20])
    assert [(row.repeats, row.customers, row.actual) for row in rows] == [(0, 2, 0.5), (1, 1, 3.0), (7, 1, 20.0)]
    assert rows[2].expected > rows[1].expected

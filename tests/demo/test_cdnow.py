"""The demo's input: whole, in posting order, moved as one."""

from datetime import UTC, date, datetime, timedelta
from itertools import pairwise

from services.demo import cdnow

ALL = cdnow.purchases()


def test_all_purchases_of_all_customers_are_read():
    assert len(ALL) == 69_659
    assert len({p.customer for p in ALL}) == 23_570
    assert sum(p.amount == 0 for p in ALL) == 80
    assert (min(p.day for p in ALL), max(p.day for p in ALL)) == (date(1997, 1, 1), date(1998, 6, 30))


def test_a_line_of_the_file_is_what_it_says():
    # 00002 19970112  5   77.00 is line 4
    found = next(p for p in ALL if p.line == 4)
    assert found.event(0) == {
        "specversion": "1.0",
        "id": "4",
        "source": "cdnow",
        "type": "purchase",
        "subject": "cdnow-00002",
        "time": "1997-01-12T12:00:00+00:00",
        "data": {"amount": "77.00", "currency": "USD"},
    }


def test_equal_lines_are_different_purchases():
    assert len({p.line for p in ALL}) == len(ALL)


def test_customers_come_one_after_the_other_each_in_date_order():
    changes = sum(a.customer != b.customer for a, b in pairwise(ALL))
    assert changes == 23_570 - 1
    assert all((a.day, a.line) < (b.day, b.line) for a, b in pairwise(ALL) if a.customer == b.customer)


def test_the_last_day_becomes_yesterday_and_gaps_stay():
    today = date(2027, 3, 1)
    shift = cdnow.shift_to(today)
    newest = max(ALL, key=lambda p: p.day)
    oldest = min(ALL, key=lambda p: p.day)
    assert newest.at(shift) == datetime(2027, 2, 28, 12, tzinfo=UTC)
    assert newest.at(shift) - oldest.at(shift) == timedelta(days=545)


def test_a_sample_takes_whole_customers():
    sample = cdnow.purchases(10)
    customers = {p.customer for p in sample}
    assert len(customers) == 2_357
    assert sample == [p for p in ALL if p.customer in customers]

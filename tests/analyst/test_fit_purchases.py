"""What counts as a purchase in a file, and what is said of one that cannot be read."""

import gzip
import json
import lzma
from datetime import date
from zoneinfo import ZoneInfo

import pytest

from services.analyst.calibration.purchases import Unreadable, canonical, read, read_ids

UTC, SHANGHAI = ZoneInfo("UTC"), ZoneInfo("Asia/Shanghai")


def event(type_: str = "purchase", id_: str = "1", time: str = "2026-03-01T12:00:00Z", subject: str = "c", **data):
    if type_ == "purchase":
        data = {"amount": "10.00", "currency": "USD"} | data
    if type_ == "refund" and "amount" in data:
        data["currency"] = "USD"
    return {"id": id_, "source": "shop", "type": type_, "subject": subject, "time": time} | data


@pytest.fixture
def written(tmp_path):
    def write(*events: dict | str, name: str = "events.ndjson"):
        file = tmp_path / name
        file.write_text("\n".join(e if isinstance(e, str) else json.dumps(e) for e in events))
        return file

    return write


def orders(book):
    return [(order.customer, date.fromordinal(order.day).isoformat(), order.amount) for order in book.orders]


ROWS = ["00004 19970101  2   29.33", "00004 19970118  2   29.73", "00021 1997-01-01 3 63.34"]
READ = [("00004", "1997-01-01", 2933), ("00004", "1997-01-18", 2973), ("00021", "1997-01-01", 6334)]


def test_rows_by_blanks_with_and_without_a_header(written):
    assert orders(read(written(*ROWS), UTC)) == READ
    assert orders(read(written(" customer_id  date number_of_cds  dollar_value", *ROWS), UTC)) == READ
    assert read(written(*ROWS), UTC).currency == "USD"


def test_rows_by_commas_with_or_without_a_number_of_items(written):
    assert orders(read(written("customer,date,amount", *(",".join(row.split()) for row in ROWS)), UTC)) == READ
    assert orders(read(written("a,19970101,5"), UTC, "JPY")) == [("a", "1997-01-01", 5)]


@pytest.mark.parametrize(("suffix", "pack"), [(".xz", lzma.compress), (".gz", gzip.compress)])
def test_a_packed_file(tmp_path, suffix, pack):
    (file := tmp_path / f"rows{suffix}").write_bytes(pack("\ufeff".encode() + "\r\n".join(ROWS).encode()))
    assert orders(read(file, UTC)) == READ


@pytest.mark.parametrize(
    ("row", "said"),
    [
        ("00004 19970231 1 5.00", ":3: '19970231' is no date; write it as 1997-01-31"),
        ("00004 97-01-01 1 5.00", ":3: '97-01-01' is no date"),
        ("00004 19970101 1 5.001", ":3: '5.001' has 3 decimals, the currency has 2"),
        ("00004 19970101 1 -5.00", ":3: the amount is '-5.00'"),
        ("00004 19970101", ":3: 2 fields; a row is `customer date [items] amount`"),
    ],
)
def test_a_row_that_cannot_be_read_is_named(written, row, said):
    with pytest.raises(Unreadable) as refused:
        read(written(ROWS[0], "", row), UTC)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_events_in_shorthand_and_as_cloud_events(written):
    cloud = event(id_="2", time="2026-03-02T00:00:00Z")
    cloud = {k: cloud[k] for k in ("id", "source", "type", "subject", "time")} | {
        "specversion": "1.0",
        "data": {"amount": "3.50", "currency": "USD"},
    }
    book = read(written(event(), "", cloud, event("click", "3")), UTC)
    assert orders(book) == [("c", "2026-03-01", 1000), ("c", "2026-03-02", 350)]
    assert (book.currency, book.passed) == ("USD", 1)


def test_the_day_of_an_event_is_the_zones(written):
    file = written(event(time="2026-03-01T15:59:59.999Z"), event(id_="2", time="2026-03-01T16:00:00Z"))
    assert [day for _, day, _ in orders(read(file, SHANGHAI))] == ["2026-03-01", "2026-03-02"]
    assert [day for _, day, _ in orders(read(file, UTC))] == ["2026-03-01", "2026-03-01"]


def test_the_same_event_and_the_same_order_count_once(written):
    book = read(written(event(), event(), event(id_="2", order="o"), event(id_="3", order="o")), UTC)
    assert len(book.orders) == 2
    assert len(read(written(event(), event(subject="d")), UTC).orders) == 2


def test_a_refund_takes_from_its_order_what_is_left_from_its_day_on(written):
    days = ["2026-03-01T12:00:00Z", "2026-03-05T12:00:00Z", "2026-03-09T12:00:00Z"]
    (order,) = read(
        written(
            event("refund", "r2", days[2], order="1"),
            event("refund", "r1", days[1], order="1", amount="4.00"),
            event(time=days[0]),
        ),
        UTC,
    ).orders
    first = date(2026, 3, 1).toordinal()
    #  order 10.00   - 4.00        - the rest
    # ─┼─────────────┼─────────────┼──────
    #  1st           5th           9th
    assert [order.net(first + day) for day in (0, 3, 4, 7, 8)] == [1000, 1000, 600, 600, 0]
    assert [order.stands(first + day) for day in (0, 7, 8)] == [True, True, False]


def test_a_refund_never_takes_more_than_its_order(written):
    refunds = [event("refund", f"r{n}", order="o", amount="8.00") for n in range(3)]
    (order,) = read(written(event(order="o"), *refunds), UTC).orders
    assert sum(amount for _, amount in order.taken) == 1000


def test_a_refund_without_an_order_is_a_credit_and_one_of_an_unknown_order_is_passed_over(written):
    book = read(written(event(), event("refund", "r1", amount="2.00"), event("refund", "r2", order="x")), UTC)
    assert book.credits == [("c", date(2026, 3, 1).toordinal(), 200)]
    assert (book.orders[0].taken, book.passed) == ([], 1)


def test_an_order_of_nothing_stands(written):
    (order,) = read(written(event(amount="0")), UTC).orders
    assert order.stands(order.day)


@pytest.mark.parametrize(
    ("bad", "said"),
    [
        (event(id_="2", currency="EUR"), ":2: currency EUR, but the fit is in USD"),
        ("{", ":2: "),
        (event(id_="2", amount="1e3"), ":2: "),
        ({k: v for k, v in event(id_="2").items() if k != "time"}, ":2: the event has no time; say when it happened"),
    ],
)
def test_an_event_that_cannot_be_read_is_named(written, bad, said):
    with pytest.raises(Unreadable) as refused:
        read(written(event(), bad), UTC)
    assert said in str(refused.value)
    assert "\n" not in str(refused.value)


def test_a_currency_asked_for_that_the_events_are_not_in(written):
    with pytest.raises(Unreadable, match=":1: currency USD, but the fit is in EUR"):
        read(written(event()), UTC, "EUR")


def test_a_file_without_a_purchase_or_that_is_no_text(written, tmp_path):
    with pytest.raises(Unreadable, match="has no purchase"):
        read(written(event("click", "1")), UTC)
    with pytest.raises(Unreadable, match="has no purchase"):
        read(written(), UTC)
    (tmp_path / "binary").write_bytes(b"\xff\xfe")
    with pytest.raises(Unreadable, match="not text in UTF-8"):
        read(tmp_path / "binary", UTC)
    (tmp_path / "short.xz").write_bytes(lzma.compress(b"x" * 1000)[:-20])
    with pytest.raises(Unreadable, match=r"short\.xz cannot be read"):
        read(tmp_path / "short.xz", UTC)
    with pytest.raises(Unreadable, match="cannot be read: No such file"):
        read(tmp_path / "none", UTC)


def test_ids_are_compared_as_numbers_where_they_are_numbers(written):
    assert read_ids(written("4", "00021", "c-7", "", "c-07")) == {"4", "21", "c-7", "c-07"}
    assert canonical("00021") == "21"

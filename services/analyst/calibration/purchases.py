"""The purchases of a file. Two kinds are read, told apart by the first character; `.xz` and `.gz` are unpacked.

NDJSON  one event a line, as `POST /v1/events` takes it (CloudEvent or shorthand). Purchases and refunds count, other
        events are passed over; the same id of the same source counts once.
Rows    `customer date [items] amount`, parted by blanks or commas, the date as 19970131 or 1997-01-31: the layout of
        CDNOW. A first line that is no row is a header.
"""

import gzip
import lzma
import re
from collections.abc import Callable, Iterator
from datetime import UTC, date, datetime
from pathlib import Path
from zoneinfo import ZoneInfo

import msgspec

from schemas import events, money
from schemas.instants import EPOCH, LATEST
from schemas.problems import Refused
from services.ingest.normalise import Normaliser, Refusal

_ROW_CURRENCY = "USD"
_DATE = re.compile(r"([0-9]{4})(-?)([0-9]{2})\2([0-9]{2})")
_ACCEPTED = datetime(2200, 1, 1, tzinfo=UTC)  # the reader wants an instant of acceptance; files may be of any time


class Unreadable(Exception):
    """One line: the file, the row, what is wrong and what to do."""


class Order(msgspec.Struct):
    """day: ordinal of the calendar day in the zone.  amount: minor units.  taken: refunds of it, (day, minor units)"""

    customer: str
    day: int
    amount: int
    taken: list[tuple[int, int]] = msgspec.field(default_factory=list)

    def net(self, until: int) -> int:
        """What is left of it at the end of day `until`."""
        return max(0, self.amount - sum(amount for day, amount in self.taken if day <= until))

    def stands(self, until: int) -> bool:
        """Whether it counts: fully refunded orders do not, orders of amount zero do (rule 7)."""
        return self.amount == 0 or self.net(until) > 0


class Book(msgspec.Struct):
    """All purchases of a file, in one currency.

    credits: refunds that name no order: (customer, day, minor units)
    passed:  how many events were of other types, or refunds of orders not in the file
    """

    currency: str
    orders: list[Order]
    credits: list[tuple[str, int, int]] = msgspec.field(default_factory=list)
    passed: int = 0

    @property
    def digits(self) -> int:
        return money.digits(self.currency)


def read(file: Path, zone: ZoneInfo, currency: str | None = None) -> Book:
    """The purchases of a file. currency: of its money; by default the first event's, and US dollars for rows.

    Unreadable if there is none, or the first row that cannot be read.
    """
    lines = _lines(file)
    events_follow = next((text.startswith("{") for _, text in lines), False)
    book = _events(file, lines, zone, currency) if events_follow else _rows(file, lines, currency or _ROW_CURRENCY)
    if not book.orders:
        raise Unreadable(f"{file} has no purchase")
    return book


def read_ids(file: Path) -> frozenset[str]:
    """The customers' ids of a file, one a line."""
    return frozenset(canonical(text) for _, text in _lines(file))


def canonical(customer: str) -> str:
    """The id to compare by: CDNOW's rows write 00004 what its list of the sample writes 4."""
    return str(int(customer)) if customer.isascii() and customer.isdigit() and len(customer) < 20 else customer


def _lines(file: Path) -> list[tuple[int, str]]:
    """The lines that are not empty, each with its number from 1."""
    unpack: dict[str, Callable[[bytes], bytes]] = {".xz": lzma.decompress, ".gz": gzip.decompress}
    try:
        text = unpack.get(file.suffix, bytes)(file.read_bytes()).decode("utf-8-sig")
    except UnicodeDecodeError:
        raise Unreadable(f"{file} is not text in UTF-8") from None
    except (OSError, EOFError, lzma.LZMAError) as error:
        raise Unreadable(f"{file} cannot be read: {getattr(error, 'strerror', None) or error}") from None
    return [(number, line.strip()) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]


def _rows(file: Path, lines: list[tuple[int, str]], currency: str) -> Book:
    decimals = money.digits(currency)
    book = Book(currency, [])
    for number, line in lines:
        fields = line.replace(",", " ").split()
        if number == lines[0][0] and not any(character.isdigit() for character in line):
            continue
        if len(fields) not in (3, 4):
            raise Unreadable(f"{file}:{number}: {len(fields)} fields; a row is `customer date [items] amount`")
        try:
            book.orders.append(Order(fields[0], _ordinal(fields[1]), money.to_minor(fields[-1], decimals)))
        except (ValueError, Refused) as error:
            raise Unreadable(f"{file}:{number}: {error}") from None
    return book


def _ordinal(text: str) -> int:
    parts = _DATE.fullmatch(text)
    try:
        day = date(int(parts[1]), int(parts[3]), int(parts[4])) if parts is not None else None
    except ValueError:
        day = None
    if day is None:
        raise ValueError(f"{text[:40]!r} is no date; write it as 1997-01-31")
    if not EPOCH.date() <= day < LATEST.date():
        raise ValueError(f"{text} is before 1970 or after 5999")
    return day.toordinal()


def _events(file: Path, lines: list[tuple[int, str]], zone: ZoneInfo, currency: str | None) -> Book:
    book = Book(currency or "", [])
    orders: dict[tuple[str, ...], Order] = {}
    refunds: list[events.Refund] = []
    seen: set[tuple[str, str, str]] = set()
    for number, event in _read_events(file, lines):
        if (identity := (event.subject, event.source, event.id)) in seen:
            continue
        seen.add(identity)
        if not isinstance(event, events.Purchase | events.Refund):
            book.passed += 1
            continue
        book.currency = book.currency or event.data.currency or ""
        if event.data.currency not in (None, book.currency):
            raise Unreadable(
                f"{file}:{number}: currency {event.data.currency}, but the fit is in {book.currency}; "
                "give it the purchases of one currency (--currency says which)"
            )
        if isinstance(event, events.Refund):
            refunds.append(event)
            continue
        key = (event.subject, event.data.order) if event.data.order else identity
        if key not in orders:
            orders[key] = Order(event.subject, _day(event, zone), event.data.amount_minor)
            book.orders.append(orders[key])
    for refund in sorted(refunds, key=lambda r: r.time):
        _refund(book, orders, refund, zone)
    return book


def _read_events(file: Path, lines: list[tuple[int, str]]) -> Iterator[tuple[int, events.Event]]:
    normalise = Normaliser(allow_personal_subjects=True)
    for number, line in lines:
        event = normalise(line.encode(), _ACCEPTED)
        if isinstance(event, Refusal):
            raise Unreadable(f"{file}:{number}: {event.problem.detail}; {event.problem.fix}")
        if event.stamped:
            raise Unreadable(f"{file}:{number}: the event has no time; say when it happened")
        yield number, event


def _refund(book: Book, orders: dict[tuple[str, ...], Order], refund: events.Refund, zone: ZoneInfo) -> None:
    """It takes from its order at most what is left; see services/scorer/domain/orders.py."""
    day, amount, named = _day(refund, zone), refund.data.amount_minor, refund.data.order
    if named is None:
        book.credits.append((refund.subject, day, amount or 0))
        return
    order = orders.get((refund.subject, named)) or orders.get((refund.subject, refund.source, named))
    if order is None:
        book.passed += 1
        return
    day = max(day, order.day)
    left = order.net(max([day, *(earlier for earlier, _ in order.taken)]))
    order.taken.append((day, left if amount is None else min(amount, left)))


def _day(event: events.Event, zone: ZoneInfo) -> int:
    return event.time.astimezone(zone).toordinal()

"""The demo's input: the purchases of CDNOW (CDNOW.md), as they are posted.

The file ends on 1998-06-30. All dates are moved by one number of days, so that the last day is yesterday and every
gap stays what it was. The file knows no time of day: noon UTC stands for it.
"""

import lzma
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

import msgspec

FILE = Path(__file__).with_name("cdnow.txt.xz")
LAST_DAY = date(1998, 6, 30)
CURRENCY = "USD"
SOURCE = "cdnow"
_NOON = time(12, tzinfo=UTC)


class Purchase(msgspec.Struct, frozen=True):
    """line: its number in the file, from 1, the header being line 1.  amount: US dollars, 0 is possible."""

    line: int
    customer: str
    day: date
    amount: Decimal

    def at(self, shift_days: int) -> datetime:
        """When it happened, moved by so many days."""
        return datetime.combine(self.day + timedelta(days=shift_days), _NOON)

    def event(self, shift_days: int) -> dict[str, Any]:
        """The purchase as a CloudEvent for `POST /v1/events`."""
        return {
            "specversion": "1.0",
            "id": str(self.line),
            "source": SOURCE,
            "type": "purchase",
            "subject": self.customer,
            "time": self.at(shift_days).isoformat(),
            "data": {"amount": str(self.amount), "currency": CURRENCY},
        }


def purchases(sample: int = 1) -> list[Purchase]:
    """All purchases customer by customer, each customer's in date order, equal dates in the file's order.

    sample: take the first customer and then every `sample`-th.
    """
    by_customer: dict[str, list[Purchase]] = {}
    with lzma.open(FILE, "rt", encoding="ascii") as file:
        for number, line in enumerate(file, start=1):
            fields = line.split()
            if number == 1 or not fields:
                continue
            customer, day, _, amount = fields
            purchase = Purchase(
                line=number,
                customer=f"cdnow-{customer}",
                day=date(int(day[:4]), int(day[4:6]), int(day[6:])),
                amount=Decimal(amount),
            )
            by_customer.setdefault(purchase.customer, []).append(purchase)
    taken = list(by_customer)[::sample]
    return [p for customer in taken for p in sorted(by_customer[customer], key=lambda p: (p.day, p.line))]


def shift_to(today: date) -> int:
    """The number of days that moves the last day to the day before `today`."""
    return (today - timedelta(days=1) - LAST_DAY).days

"""What a customer has done by a day: orders made one transaction a calendar day (rule 13).

As in the papers, recency and age are counted in calendar days. The scorer counts them in milliseconds; the two differ
by less than a day.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray

from services.analyst.calibration.purchases import Book, canonical


class History(msgspec.Struct, frozen=True):
    """One customer at the end of a day.

    days:       the calendar days with an order that stands, ascending, as ordinals
    money:      what the orders of each of these days come to after refunds, minor units
    orders:     how many orders stand
    spend:      all money after refunds, those that name no order too; minor units, at least 0
    """

    customer: str
    days: tuple[int, ...]
    money: tuple[int, ...]
    orders: int
    spend: int

    @property
    def repeats(self) -> int:
        return len(self.days) - 1


class Repeats(msgspec.Struct, frozen=True):
    """What BG/NBD asks of a population, a number each customer: x, recency and age (days)."""

    x: NDArray[np.float64]
    recency: NDArray[np.float64]
    age: NDArray[np.float64]


def histories(book: Book, until: int, keep: frozenset[str] | None = None) -> list[History]:
    """Every customer with an order that stands at the end of day `until`; of those in `keep` only, if given."""
    days: dict[str, dict[int, int]] = {}
    count: dict[str, int] = {}
    for order in book.orders:
        if order.day > until or not order.stands(until) or (keep is not None and canonical(order.customer) not in keep):
            continue
        of_customer = days.setdefault(order.customer, {})
        of_customer[order.day] = of_customer.get(order.day, 0) + order.net(until)
        count[order.customer] = count.get(order.customer, 0) + 1
    credit: dict[str, int] = {}
    for customer, day, amount in book.credits:
        if day <= until:
            credit[customer] = credit.get(customer, 0) + amount
    return [
        History(
            customer=customer,
            days=tuple(sorted(of_customer)),
            money=tuple(of_customer[day] for day in sorted(of_customer)),
            orders=count[customer],
            spend=max(0, sum(of_customer.values()) - credit.get(customer, 0)),
        )
        for customer, of_customer in days.items()
    ]


def repeats(customers: Iterable[History], until: int) -> Repeats:
    rows = [(c.repeats, c.days[-1] - c.days[0], until - c.days[0]) for c in customers]
    x, recency, age = np.array(rows, dtype=np.float64).reshape(-1, 3).T
    return Repeats(x, recency, age)

"""Cut points: of recency, frequency and money into five groups each, and the spend of those who bring most revenue."""

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import accumulate

import msgspec

from services.analyst.calibration.histories import History

GROUPS = 5
TOP_SHARE_PERCENT = 80


class Cuts(msgspec.Struct, frozen=True):
    """Four cuts each, ascending; a value at or above k cuts is in group k + 1 (of recency: 5 - k).

    recency:   whole days since the last order
    frequency: orders
    monetary:  minor units
    """

    recency: list[int]
    frequency: list[int]
    monetary: list[int]


class TopSpend(msgspec.Struct, frozen=True):
    """Those who bring TOP_SHARE_PERCENT of revenue are the `customers` who spent `minor` or more."""

    minor: int
    customers: int


def rfm(customers: Sequence[History], until: int) -> Cuts:
    """Fifths of the population as far as equal values allow."""
    return Cuts(
        recency=fifths(until - customer.days[-1] for customer in customers),
        frequency=fifths(customer.orders for customer in customers),
        monetary=fifths(customer.spend for customer in customers),
    )


def fifths(values: Iterable[int]) -> list[int]:
    """Four different cuts above 0 that part the values into five groups as equal as can be.

    Equal values stay together, so a group may be larger than a fifth; the others then share the rest. No group is
    empty, unless there are fewer than five different values: then the last cuts are above them all.
    """
    rest = sorted(Counter(values).items())
    cuts: list[int] = []
    for groups in range(GROUPS, 1, -1):
        if len(rest) > 1:
            taken = _nearest(rest, groups)
            rest = rest[taken:]
            cuts.append(rest[0][0])
        else:
            cuts.append((rest.pop()[0] if rest else cuts[-1]) + 1)
    return cuts


def _nearest(counted: Sequence[tuple[int, int]], groups: int) -> int:
    """How many of the different values come nearest to one of so many groups, enough being left for the others."""
    share = sum(count for _, count in counted) / groups
    most = max(1, len(counted) - groups + 1)
    so_far = list(accumulate(count for _, count in counted[:most]))
    return min(range(most), key=lambda place: abs(so_far[place] - share)) + 1


def top_spend(customers: Iterable[History]) -> TopSpend:
    """The smallest group of best customers that brings the share, with all who spent as much as the last of them."""
    spends = sorted((customer.spend for customer in customers), reverse=True)
    wanted, brought = sum(spends) * TOP_SHARE_PERCENT, 0
    for spend in spends:
        brought += spend * 100
        if brought >= wanted:
            return TopSpend(spend, sum(other >= spend for other in spends))
    raise ValueError("no customers")

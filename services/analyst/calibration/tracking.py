"""How well BG/NBD tells what customers did: by number of repeat purchases, week by week, and after the fit's end."""

from collections.abc import Sequence

import msgspec
import numpy as np

from services.analyst.calibration import bg_nbd
from services.analyst.calibration.histories import History, repeats
from services.scorer.domain.churn import DAY_MS, BgNbd, expected_purchases
from services.scorer.domain.expected import per_survivor

MOST = 7
"""Customers with so many repeat purchases or more are counted together."""


class Frequency(msgspec.Struct, frozen=True):
    """Customers with so many repeat purchases, MOST standing for more too: as they were, as expected."""

    repeats: int
    customers: int
    expected: float


class Week(msgspec.Struct, frozen=True):
    """Repeat purchases of all customers until the end of a week, counted from the first purchase of all.

    ends: the week's last day, an ordinal
    """

    ends: int
    actual: int
    expected: float


class Later(msgspec.Struct, frozen=True):
    """Mean purchases in the horizon after the fit's end, of customers with so many repeat purchases before it.

    actual: None where the data end before the horizon does
    """

    repeats: int
    customers: int
    expected: float
    actual: float | None


def by_frequency(model: BgNbd, customers: Sequence[History], until: int) -> list[Frequency]:
    unit_days = model.unit_ms / DAY_MS
    parameters = np.array([model.r, model.alpha, model.a, model.b])
    expected = bg_nbd.frequencies(parameters, repeats(customers, until).age / unit_days, MOST)
    counts = np.bincount([min(customer.repeats, MOST) for customer in customers], minlength=MOST + 1)
    return [Frequency(k, int(counts[k]), float(expected[k])) for k in range(MOST + 1)]


def by_week(model: BgNbd, first_days: Sequence[int], repeat_days: Sequence[int], last: int) -> list[Week]:
    """Of customers who first bought on `first_days` and again on `repeat_days` (ordinals), to day `last`."""
    begin = min(first_days)
    arrived = np.bincount(np.array(first_days) - begin, minlength=last - begin + 1)
    returned = np.cumsum(np.bincount(np.array([*repeat_days, begin]) - begin, minlength=last - begin + 1)) - 1
    alpha_days = model.alpha * model.unit_ms / DAY_MS
    by_age = np.array([per_survivor(model.a, model.b, model.r, day / alpha_days) for day in range(last - begin + 1)])
    return [
        Week(begin + end, int(returned[end]), float(arrived[: end + 1] @ by_age[end::-1]))
        for end in range(6, last - begin + 1, 7)
    ]


def after(
    model: BgNbd, customers: Sequence[History], until: int, horizon_days: int, bought: Sequence[int] | None
) -> list[Later]:
    """bought: how often each customer bought in the horizon, None where the data end before it does."""
    known: dict[tuple[int, int, int], float] = {}
    expected, actual = [0.0] * (MOST + 1), [0] * (MOST + 1)
    count = [0] * (MOST + 1)
    for place, customer in enumerate(customers):
        key = (customer.repeats, customer.days[-1] - customer.days[0], until - customer.days[0])
        if key not in known:
            x, recency, age = key
            known[key] = expected_purchases(model, x, recency * DAY_MS, age * DAY_MS, horizon_days * DAY_MS)
        row = min(customer.repeats, MOST)
        count[row] += 1
        expected[row] += known[key]
        actual[row] += bought[place] if bought else 0
    return [
        Later(row, count[row], expected[row] / count[row], actual[row] / count[row] if bought else None)
        for row in range(MOST + 1)
        if count[row]
    ]

"""Populations to fit: the published sample, and made ones whose parameters are known."""

from datetime import date
from functools import cache
from pathlib import Path
from zoneinfo import ZoneInfo

import numpy as np

from services.analyst.calibration.histories import History, Repeats
from services.analyst.calibration.purchases import Book, read, read_ids
from services.demo import cdnow

UTC = ZoneInfo("UTC")
SAMPLE_IDS = Path(__file__).parent / "data" / "cdnow_sample_ids.txt.xz"
SAMPLE_UNTIL = date(1997, 9, 30)


@cache
def cdnow_book() -> Book:
    return read(cdnow.FILE, UTC)


@cache
def cdnow_sample() -> frozenset[str]:
    return read_ids(SAMPLE_IDS)


def customer(days: list[int], money: list[int] | None = None, name: str = "c") -> History:
    """Who bought on these days for this money, once a day."""
    spent = money or [100] * len(days)
    return History(name, tuple(days), tuple(spent), len(days), sum(spent))


def by_bg_nbd(r: float, alpha: float, a: float, b: float, *, customers: int, age: float, seed: int) -> Repeats:
    """Customers who buy as the model says: x, recency and age in the unit of alpha."""
    random = np.random.default_rng(seed)
    rows = []
    for rate, dropout in zip(random.gamma(r, 1 / alpha, customers), random.beta(a, b, customers), strict=True):
        x, recency, at = 0, 0.0, 0.0
        while True:
            at += random.exponential(1 / rate)
            if at > age:
                break
            x, recency = x + 1, at
            if random.random() < dropout:
                break
        rows.append((x, recency, age))
    return Repeats(*np.array(rows, dtype=np.float64).T)

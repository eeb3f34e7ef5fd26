"""k-means over recency, frequency and money, for the analyst to look at: no rule uses it."""

from collections.abc import Sequence

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.cluster.vq import ClusterError, kmeans2

from services.analyst.calibration.histories import History

_TRIES = 8


class Group(msgspec.Struct, frozen=True):
    """Customers near to each other; medians of theirs. spend: minor units.  revenue: share of all, 0 to 1"""

    customers: int
    recency_days: float
    orders: float
    spend: float
    revenue: float


class Groups(msgspec.Struct, frozen=True):
    """groups: the biggest spenders first.  of_customer: which group each customer is in, by index"""

    groups: list[Group]
    of_customer: NDArray[np.int64]


def cluster(customers: Sequence[History], until: int, k: int, seed: int) -> Groups:
    """At most k groups: of log recency, log frequency and log money, each brought to mean 0 and spread 1."""
    seen = np.array([(until - c.days[-1], c.orders, c.spend) for c in customers], dtype=np.float64)
    logs = np.log1p(seen)
    spread = logs.std(axis=0)
    points = (logs - logs.mean(axis=0)) / np.where(spread > 0, spread, 1)
    labels = _labels(points, min(k, len(np.unique(points, axis=0))), seed)
    groups = [(seen[labels == label], label) for label in np.unique(labels)]
    groups.sort(key=lambda group: (-float(np.median(group[0][:, 2])), float(np.median(group[0][:, 0]))))
    index = {label: place for place, (_, label) in enumerate(groups)}
    revenue = max(float(seen[:, 2].sum()), 1.0)
    return Groups(
        [
            Group(
                customers=len(part),
                recency_days=float(np.median(part[:, 0])),
                orders=float(np.median(part[:, 1])),
                spend=float(np.median(part[:, 2])),
                revenue=float(part[:, 2].sum()) / revenue,
            )
            for part, _ in groups
        ],
        np.array([index[label] for label in labels.tolist()]),
    )


def _labels(points: NDArray[np.float64], k: int, seed: int) -> NDArray[np.int64]:
    """The best of several tries, so that one unlucky beginning does not decide."""
    random = np.random.default_rng(seed)
    best, least = np.zeros(len(points), dtype=np.int64), np.inf
    for _ in range(_TRIES):
        try:
            centres, labels = kmeans2(points, k, iter=50, minit="++", missing="raise", rng=random)
        except ClusterError:  # a group ran empty: another beginning
            continue
        distance = float(((points - centres[labels]) ** 2).sum())
        if distance < least:
            best, least = labels.astype(np.int64), distance
    return best

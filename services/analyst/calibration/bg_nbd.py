"""BG/NBD by maximum likelihood (Fader, Hardie, Lee: "Counting Your Customers" the Easy Way, 2005)."""

import numpy as np
from numpy.typing import NDArray
from scipy.special import betaln, gammaln, psi

from services.analyst.calibration.histories import Repeats
from services.analyst.calibration.likelihood import Estimate, LogLikelihood, Vector, maximise

NAMES = ("r", "alpha", "a", "b")
FEWEST = 20
"""Customers with repeat purchases below which four parameters are not asked for."""


def estimate(customers: Repeats, unit_days: float) -> Estimate:
    """r, alpha, a, b with time in units of so many days. ValueError if too few customers have come back."""
    returned = int((customers.x > 0).sum())
    if returned < FEWEST:
        raise ValueError(f"{returned} customers have repeat purchases, at least {FEWEST} are needed")
    mean_age = float(customers.age.mean()) / unit_days
    starts = [
        (r, share * mean_age, a, b)
        for r, share, a, b in (
            (1, 1, 1, 1),
            (0.25, 0.15, 0.8, 2.5),
            (0.5, 0.5, 0.5, 5),
            (3, 2, 2, 8),
            (0.1, 0.05, 0.3, 1),
        )
    ]
    return maximise(NAMES, log_likelihood(customers, unit_days), starts, len(customers.x))


def log_likelihood(customers: Repeats, unit_days: float) -> LogLikelihood:
    """Of equation 6 in the paper, over the different (x, t_x, T) of the population, each times its customers."""
    seen = np.column_stack([customers.x, customers.recency / unit_days, customers.age / unit_days])
    (x, recency, age), weight = (part := np.unique(seen, axis=0, return_counts=True))[0].T, part[1]
    again = x > 0

    def of(parameters: Vector) -> tuple[float, Vector]:
        r, alpha, a, b = parameters
        s = r + x
        alive = -s * np.log(alpha + age)
        gone = np.full_like(alive, -np.inf)
        gone[again] = np.log(a / (b + x[again] - 1)) - s[again] * np.log(alpha + recency[again])
        either = np.logaddexp(alive, gone)
        share = np.exp(gone - either)  # of those who have gone, in the likelihood
        value = gammaln(s) - gammaln(r) + r * np.log(alpha) + betaln(a, b + x) - betaln(a, b) + either
        of_gone = np.divide(share, b + x - 1, out=np.zeros_like(share), where=again)
        both = psi(a + b) - psi(a + b + x)
        mean_log = (1 - share) * np.log(alpha + age) + share * np.log(alpha + recency)
        gradient = (
            psi(s) - psi(r) + np.log(alpha) - mean_log,
            r / alpha - s * ((1 - share) / (alpha + age) + share / (alpha + recency)),
            both + share / a,
            both + psi(b + x) - psi(b) - of_gone,
        )
        return float(weight @ value), np.array([weight @ part for part in gradient])

    return of


def frequencies(parameters: Vector, ages: Vector, most: int) -> NDArray[np.float64]:
    """Customers expected to have made 0, 1 ... most - 1, and most or more repeat purchases (equation 8).

    ages: each customer's, in the parameters' unit
    """
    r, alpha, a, b = parameters
    age, weight = np.unique(ages, return_counts=True)
    log_idle, log_busy = np.log(alpha / (alpha + age)), np.log(np.maximum(age, 1e-300) / (alpha + age))
    expected, made = [], np.zeros_like(age)  # made: probability of fewer than k purchases by one who cannot drop out
    for k in range(most):
        poisson = np.exp(gammaln(r + k) - gammaln(r) - gammaln(k + 1) + r * log_idle + k * log_busy)
        probability = np.exp(betaln(a, b + k) - betaln(a, b)) * poisson
        if k:
            probability += np.exp(betaln(a + 1, b + k - 1) - betaln(a, b)) * (1 - made)
        expected.append(float(weight @ probability))
        made += poisson
    return np.array([*expected, max(0.0, float(weight.sum()) - sum(expected))])

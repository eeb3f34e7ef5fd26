"""Gamma-Gamma by maximum likelihood (Fader, Hardie: The Gamma-Gamma Model of Monetary Value, 2013).

As in the note it is taken from the repeat transactions: how many a customer made, and their mean value. Days that
brought no money are left out, as a gamma distribution has no zero.
"""

from collections.abc import Iterable

import msgspec
import numpy as np
from numpy.typing import NDArray
from scipy.special import gammaln, psi

from services.analyst.calibration.histories import History
from services.analyst.calibration.likelihood import Estimate, LogLikelihood, Vector, maximise

NAMES = ("p", "q", "v")
FEWEST = 20


class Spends(msgspec.Struct, frozen=True):
    """A number each customer with repeat transactions that brought money: how many, and what they came to, major units.

    total: as binary floats; they are statistics here, no longer money
    """

    x: NDArray[np.float64]
    total: NDArray[np.float64]

    @property
    def correlation(self) -> float:
        """Of the number of transactions with their mean value. The model takes it for 0."""
        if len(self.x) < 2:
            return 0.0
        mean = self.total / self.x
        return float(np.corrcoef(self.x, mean)[0, 1]) if self.x.std() > 0 and mean.std() > 0 else 0.0


def spends(customers: Iterable[History], digits: int) -> Spends:
    """digits: of the currency, to make major units of minor ones."""
    paid = [[amount for amount in customer.money[1:] if amount] for customer in customers]
    rows = [(len(amounts), sum(amounts) / 10**digits) for amounts in paid if amounts]
    x, total = np.array(rows, dtype=np.float64).reshape(-1, 2).T
    return Spends(x, total)


def estimate(seen: Spends) -> Estimate:
    """p, q and v, the scale, in major units. ValueError if too few customers have come back."""
    if len(seen.x) < FEWEST:
        raise ValueError(f"{len(seen.x)} customers have repeat purchases with a value, at least {FEWEST} are needed")
    mean = float((seen.total / seen.x).mean())
    starts = [
        (p, q, share * mean) for p, q, share in ((1, 2, 1), (6, 4, 0.5), (3, 10, 3), (0.5, 1.5, 0.2), (20, 3, 0.1))
    ]
    found = maximise(NAMES, log_likelihood(seen), starts, len(seen.x))
    if not found.flaws and found.parameters["q"] <= 1:
        flaw = f"q is {found.parameters['q']:.3g}, not above 1: purchases have no mean value under it"
        return msgspec.structs.replace(found, flaws=[flaw])
    return found


def log_likelihood(seen: Spends) -> LogLikelihood:
    """Of equation 1a in the note: the density of each customer's mean value, given how many transactions."""
    x, total = seen.x, seen.total
    log_total, log_mean = np.log(total), np.log(total / x)

    def of(parameters: Vector) -> tuple[float, Vector]:
        p, q, v = parameters
        shape, log_all = p * x, np.log(v + total)
        value = (
            gammaln(shape + q)
            - gammaln(shape)
            - gammaln(q)
            + q * np.log(v)
            + shape * log_total
            - log_mean
            - (shape + q) * log_all
        )
        gradient = (
            x * (psi(shape + q) - psi(shape) + log_total - log_all),
            psi(shape + q) - psi(q) + np.log(v) - log_all,
            q / v - (shape + q) / (v + total),
        )
        return float(value.sum()), np.array([part.sum() for part in gradient])

    return of

"""What a customer who is still alive is expected to buy, under BG/NBD: the hard half of equation 10.

With dropout p ~ beta(a, b), rate ~ gamma(s, A) and u = horizon / A (a, b, s being those after what was seen), it is

    the mean over p of (1 - (1 + p u)^-s) / p  =  (a + b - 1) / (a - 1) * (1 - 2F1(s, a - 1; a + b - 1; -u))

The right side, Gauss's hypergeometric function, is how the paper writes it: 0/0 where a = 1, and it cancels badly
where the horizon is short or purchases are many. Both ways taken here add positive terms only. They agree to about
1e-12 wherever both can be used.
"""

import math
from typing import Final

_SERIES_AT_MOST: Final = 400.0  # terms; beyond that the integral is as quick
_NEGLIGIBLE: Final = 1e-17


def per_survivor(a: float, b: float, s: float, u: float) -> float:
    """Purchases to expect in a horizon of u = horizon / A; all of a, b, s above 0, u at least 0."""
    if 40 * (1 + u) + 2 * s * u <= _SERIES_AT_MOST:
        return by_series(a, b, s, u)
    return by_integral(a, b, s, u)


def by_series(a: float, b: float, s: float, u: float) -> float:
    """The sum over n of: probability of n purchases by one who can't drop out, times how many of n one who can makes.

    The first is negative binomial, with mean s u. The second is 1 + m_1 + ... + m_(n-1), where m_k is the mean of
    (1 - p)^k, the probability to go on after k purchases. About 40 (1 + u) + 2 s u terms.
    """
    z = u / (1 + u)
    probability = math.exp(-s * math.log1p(u))
    total, made, goes_on, n = 0.0, 0.0, 1.0, 0
    while True:
        n += 1
        probability *= (s + n - 1) / n * z
        made += goes_on
        goes_on *= (b + n - 1) / (a + b + n - 1)
        total += probability * made
        ratio = (s + n) / n * z  # the rest is less than a geometric series of this ratio
        if ratio < 1 and probability * made * ratio <= _NEGLIGIBLE * total * (1 - ratio):
            return total


def by_integral(a: float, b: float, s: float, u: float) -> float:
    """The mean over p by the trapezoid rule in y = log(p / (1 - p)), from the mode outwards, for any u.

    The density of y falls off exponentially on both sides and is analytic, so the rule's error is near e^-39 at this
    step. Far out it falls geometrically from step to step: the rest is added as one. At most a few hundred points.
    """
    mode = math.log(a / b)
    step = min(0.25, 0.5 * math.sqrt(1 / a + 1 / b))

    def density(y: float) -> float:
        return math.exp(_log_density(a, b, y) - _log_density(a, b, mode))

    def purchases(y: float) -> float:
        p = 1 / (1 + math.exp(-y))
        return -math.expm1(-s * math.log1p(p * u)) / p

    norm = density(mode)
    total = norm * purchases(mode)
    for way, decay, far in ((-1, a, max(a + b, u * (s + 1))), (1, b, max(a + b, s + 1))):
        y = mode
        while True:
            y += way * step
            weight = density(y)
            norm += weight
            total += weight * purchases(y)
            if weight <= _NEGLIGIBLE * norm and weight * purchases(y) <= _NEGLIGIBLE * total:
                break
            if math.exp(-way * y) * far < _NEGLIGIBLE:
                rest = weight / math.expm1(decay * step)
                norm += rest
                total += rest * purchases(y)
                break
    return total / norm


def _log_density(a: float, b: float, y: float) -> float:
    """Of beta(a, b) in y = log(p / (1 - p)), up to a constant: a log p + b log(1 - p)."""
    return -a * _softplus(-y) - b * _softplus(y)


def _softplus(y: float) -> float:
    """log(1 + e^y) without overflow."""
    return max(y, 0.0) + math.log1p(math.exp(-abs(y)))

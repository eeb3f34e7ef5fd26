"""How likely so few or so many events are under a base rate: the tails of Poisson's law, compared exactly enough.

The expected number is a fraction, the probability is not: a float decides where it is clear, 50 digits where it is not.
"""

import math
from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import Final

from services.scorer.domain.comparisons import Above, Known, Threshold

_CLEAR: Final = 1e-9
_DIGITS: Final = 50


class Tails:
    """P(X <= n), or with `more` P(X >= n), for X ~ Poisson(expected), against the limits asked for."""

    def __init__(self, asked: Sequence[Threshold], *, more: bool) -> None:
        self._more = more
        self._known = sum(1 << t.index for t in asked if isinstance(t.ask, Known))
        self._above = [(1 << t.index, Fraction(t.ask.limit)) for t in asked if isinstance(t.ask, Above)]

    def bits(self, count: int, expected: Fraction) -> int:
        """A probability is never exactly a limit: e to a fraction is not rational. (0 and 1 are: see `_exactly`.)"""
        if not self._above:
            return self._known
        near, bits = self.probability(count, expected), self._known
        for bit, limit in self._above:
            if (near > limit) if abs(near - limit) > _CLEAR else self._exactly(count, expected) > limit:
                bits |= bit
        return bits

    def probability(self, count: int, expected: Fraction) -> float:
        return _more(count, expected) if self._more else _up_to(count, expected)

    def _exactly(self, count: int, expected: Fraction) -> Fraction:
        if self._more:
            return Fraction(1) if count == 0 else 1 - _digits(count - 1, expected)
        return _digits(count, expected)


@lru_cache(maxsize=4_096)
def _up_to(count: int, expected: Fraction) -> float:
    mean = float(expected)
    return min(1.0, math.fsum(math.exp(k * math.log(mean) - mean - math.lgamma(k + 1)) for k in range(count + 1)))


def _more(count: int, expected: Fraction) -> float:
    return 1.0 if count == 0 else max(0.0, 1.0 - _up_to(count - 1, expected))


def _digits(count: int, expected: Fraction) -> Fraction:
    with localcontext(Context(prec=_DIGITS)):
        mean = Decimal(expected.numerator) / Decimal(expected.denominator)
        term = total = (-mean).exp()
        for k in range(1, count + 1):
            term = term * mean / k
            total += term
        return Fraction(total)

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
        self._above = [
            (1 << t.index, Fraction(t.ask.limit), t.ask.inclusive) for t in asked if isinstance(t.ask, Above)
        ]

    def bits(self, count: int, expected: Fraction) -> int:
        bits = self._known
        for bit, limit, inclusive in self._above:
            if self._is_above(limit, inclusive, count, expected):
                bits |= bit
        return bits

    def _is_above(self, limit: Fraction, inclusive: bool, count: int, expected: Fraction) -> bool:
        """A probability is 1 where it is certain; else it lies between 0 and 1, and is never exactly a limit: e to a
        fraction is not rational."""
        if self._more and count == 0:
            return limit < 1 or (inclusive and limit == 1)
        if not 0 < limit < 1:
            return limit <= 0
        near = self.probability(count, expected)
        return near > limit if abs(near - limit) > _CLEAR else self._exactly(count, expected) > limit

    def probability(self, count: int, expected: Fraction) -> float:
        return _more(count, expected) if self._more else _up_to(count, expected)

    def _exactly(self, count: int, expected: Fraction) -> Fraction:
        return 1 - _digits(count - 1, expected) if self._more else _digits(count, expected)


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

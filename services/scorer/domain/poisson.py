"""How likely so few or so many events are under a base rate: the tails of Poisson's law, compared exactly enough.

The expected number is a fraction, the probability is not: a float decides where it is clear, 50 digits where it is not.
A tail is summed from its greatest term outwards until nothing more is added, so that it costs as little for thousands
of events as for a few. With what is expected it only falls, or only rises: so for a number of events the answer turns
once, and where it does is remembered.
"""

import math
from collections.abc import Sequence
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from typing import Final

from services.scorer.domain.comparisons import Above, Known, Threshold
from services.scorer.domain.gauges import MOST_KEPT
from services.scorer.domain.ledger import NEVER

_CLEAR: Final = 1e-9
"""How near a float may come to a limit, relatively, before it is asked exactly; it is off by less than a tenth of that
for up to _PLAIN events, and by as much more as there are more."""
_PLAIN: Final = 10_000
_NOTHING: Final = 1e-17
"""A term that is so small a part of the sum adds nothing."""
_DIGITS: Final = 50


class _Limit:
    """turns: by number of events, the base from which on the answer is another"""

    def __init__(self, bit: int, limit: Fraction, inclusive: bool) -> None:
        self.bit, self.limit, self.inclusive = bit, limit, inclusive
        self.turns: dict[int, int] = {}


class Tails:
    """P(X <= n), or with `more` P(X >= n), for X ~ Poisson(base * share), against the limits asked for."""

    def __init__(self, asked: Sequence[Threshold], share: Fraction, *, more: bool) -> None:
        self._share, self._more = share, more
        self._known = sum(1 << t.index for t in asked if isinstance(t.ask, Known))
        self._above = [
            _Limit(1 << t.index, Fraction(t.ask.limit), t.ask.inclusive) for t in asked if isinstance(t.ask, Above)
        ]

    def bits(self, count: int, base: int) -> int:
        """base: above 0"""
        bits = self._known
        for limit in self._above:
            turn = limit.turns.get(count)
            if turn is None:
                if len(limit.turns) >= MOST_KEPT:
                    limit.turns.clear()
                turn = limit.turns[count] = self._turn(limit, count)
            if (base < turn) != self._more:
                bits |= limit.bit
        return bits

    def _turn(self, limit: "_Limit", count: int) -> int:
        """The first base for which the answer is not what it is for the least."""
        if not 0 < limit.limit < 1 or (self._more and count == 0):
            is_above = self._is_above(limit.limit, limit.inclusive, count, self._share)
            return NEVER if is_above != self._more else 0
        before = max(0, limit.turns.get(count - 1, 0) - 1)  # the more events, the later
        after = limit.turns.get(count + 1, before + 1)
        while self._is_above(limit.limit, limit.inclusive, count, after * self._share) != self._more:
            before, after = after, after + 2 * (after - before)
        while after - before > 1:
            middle = (before + after) // 2
            if self._is_above(limit.limit, limit.inclusive, count, middle * self._share) != self._more:
                before = middle
            else:
                after = middle
        return after

    def _is_above(self, limit: Fraction, inclusive: bool, count: int, expected: Fraction) -> bool:
        """A probability is 1 where it is certain; else it lies between 0 and 1, and is never exactly a limit: e to a
        fraction is not rational."""
        if self._more and count == 0:
            return limit < 1 or (inclusive and limit == 1)
        if not 0 < limit < 1:
            return limit <= 0
        near = self.probability(count, expected)
        if math.isclose(near, limit, rel_tol=_CLEAR * max(1.0, count / _PLAIN)):
            return self._exactly(count, expected) > limit
        return near > limit

    def probability(self, count: int, expected: Fraction) -> float:
        return _more(count, expected) if self._more else _up_to(count, expected)

    def _exactly(self, count: int, expected: Fraction) -> Fraction:
        return 1 - _digits(count - 1, expected) if self._more else _digits(count, expected)


def _up_to(count: int, expected: Fraction) -> float:
    mean = float(expected)
    return _lower(count, mean) if count < mean else 1.0 - _upper(count + 1, mean)


def _more(count: int, expected: Fraction) -> float:
    mean = float(expected)
    return _upper(count, mean) if count > mean else 1.0 - _lower(count - 1, mean)


def _lower(count: int, mean: float) -> float:
    """P(X <= count) below the mean, where the terms fall with k."""
    term = total = _term(count, mean) if count >= 0 else 0.0
    while count > 0 and term > total * _NOTHING:
        term *= count / mean
        total += term
        count -= 1
    return min(1.0, total)


def _upper(count: int, mean: float) -> float:
    """P(X >= count) above the mean, where the terms fall as k grows."""
    term = total = _term(count, mean)
    while term > total * _NOTHING:
        count += 1
        term *= mean / count
        total += term
    return min(1.0, total)


def _term(count: int, mean: float) -> float:
    return math.exp(count * math.log(mean) - mean - math.lgamma(count + 1))


def _digits(count: int, expected: Fraction) -> Fraction:
    with localcontext(Context(prec=_DIGITS)):
        mean = Decimal(expected.numerator) / Decimal(expected.denominator)
        term = total = (-mean).exp()
        for k in range(1, count + 1):
            term = term * mean / k
            total += term
        return Fraction(total)

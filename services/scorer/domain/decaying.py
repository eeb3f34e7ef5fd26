"""The gauge of a decaying score: points that halve after every half-life.

value(s) = sum of p * 2^(-(s - t) / h) = A * 2^(-(s - at) / h) after the last entry at `at`: closed form, so the instant
at which it comes to a limit is known. A float decides where it is clear, Decimal over the ledger where it is not.
"""

import math
from collections.abc import Callable, Sequence
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import Final

from services.scorer.domain.comparisons import Above, Threshold
from services.scorer.domain.entries import PURCHASE, REFUND, read_profile
from services.scorer.domain.features import Score, Which
from services.scorer.domain.gauges import Figure, Gauge, Reading, Registers, Setting
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.orders import Take

_CLEAR: Final = 1e-12  # of the sum of all points without their signs: far above what floats lose
_NEAR_MS: Final = 0.001  # of a whole ms
_DIGITS: Final = (60, 600, 3_000)
"""Digits to tell a value from a limit: what is a thousand half-lives old still makes 10 points more than 10."""
_LOST: Final = 22  # digits that rounding may have cost: 20 of them in what is left after 2^62 ms
_BITS: Final = 62  # of an age in ms: any that is before NEVER
_FAINT: Final = 1_000
"""Half-lives. Of older points only the sign is asked, where all else is the limit: their digits would take seconds."""

AMOUNT: Final = 0
AT: Final = 1
SIZE: Final = 2
"""Registers: the value at AT, that instant, and the value it would have were all points positive."""


class Decaying(Gauge):
    def __init__(self, feature: Score, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(Which(tuple(kind for kind, _ in feature.points)), asked, setting)
        self._points = dict(feature.points)
        self._half_life = feature.half_life.fixed_ms
        self._above = [
            (1 << t.index, Fraction(t.ask.limit), t.ask.inclusive) for t in asked if isinstance(t.ask, Above)
        ]

    def touched_by(self, profile: str) -> bool:
        return self.counts(profile) and read_profile(profile).kind != REFUND

    def fresh(self) -> Registers:
        return [0.0, 0, 0.0]

    def enter(self, registers: Registers, ledger: Ledger, index: int, at_ms: int) -> None:
        points = self._points[read_profile(ledger.profile(index)).kind] * ledger.weight(index)
        self._add(registers, float(points), at_ms)

    def _add(self, registers: Registers, points: float, at_ms: int) -> None:
        faded = 2.0 ** (-(at_ms - registers[AT]) / self._half_life) if registers[SIZE] else 0.0
        registers[:] = [registers[AMOUNT] * faded + points, at_ms, registers[SIZE] * faded + abs(points)]

    def take(self, registers: Registers, ledger: Ledger, take: Take, at_ms: int) -> None:
        registers[:] = self.fresh()
        for time_ms, points in self._given(ledger):
            self._add(registers, float(points), time_ms)

    def _given(self, ledger: Ledger) -> list[tuple[int, Fraction]]:
        """All points given by what has been entered and not taken away by it, with their instants, ascending."""
        given, entered_ms = [], ledger.entered_ms()
        for index in range(ledger.entered):
            kind = read_profile(ledger.profile(index)).kind
            if kind in self._points and kind != REFUND and (kind != PURCHASE or ledger.stands(index, entered_ms)):
                given.append((ledger.time(index), self._points[kind] * ledger.weight(index)))
        if REFUND in self._points:
            given += [(t.start_ms, self._points[REFUND]) for t in ledger.settlement.takes if t.start_ms <= entered_ms]
        return sorted(given)

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        bits, next_ms = 0, NEVER
        for bit, limit, inclusive in self._above:
            above = self._is_above(registers, ledger, at_ms, limit, inclusive=inclusive)
            bits |= bit * above
            if registers[AMOUNT] and limit and (registers[AMOUNT] > 0) == (limit > 0) and above == (limit > 0):
                next_ms = min(next_ms, self._crossing(registers, ledger, at_ms, limit, inclusive=inclusive))
        return bits, next_ms

    def _at(self, registers: Registers, at_ms: int) -> float:
        return float(registers[AMOUNT] * 2.0 ** (-(at_ms - registers[AT]) / self._half_life))

    def _is_above(self, registers: Registers, ledger: Ledger, at_ms: int, limit: Fraction, *, inclusive: bool) -> bool:
        value = self._at(registers, at_ms)
        error = _CLEAR * (registers[SIZE] * 2.0 ** (-(at_ms - registers[AT]) / self._half_life) + abs(float(limit)))
        if abs(value - limit) > error:
            return value > limit
        return self._exactly_above(ledger, at_ms, limit, inclusive=inclusive)

    def _exactly_above(self, ledger: Ledger, at_ms: int, limit: Fraction, *, inclusive: bool) -> bool:
        """At the instant, by all that has been entered."""
        given = self._given(ledger)
        fresh = [g for g in given if at_ms - g[0] <= _FAINT * self._half_life]
        faint = [points for time_ms, points in given if at_ms - time_ms > _FAINT * self._half_life]
        if faint and (min(faint) > 0 or max(faint) < 0):  # too little to matter, but where all else comes out even
            above = self._decided(fresh, at_ms, limit, sum(map(abs, faint), Fraction(0)))
            if above is not None:
                return faint[0] > 0 if above == 0 else above > 0
        above = self._decided(given, at_ms, limit, Fraction(0))
        return above > 0 if above else inclusive

    def _decided(
        self, given: Sequence[tuple[int, Fraction]], at_ms: int, limit: Fraction, faint: Fraction
    ) -> int | None:
        """1 above the limit, -1 below, 0 if no digit tells; None if points older than _FAINT, `faint` in all, may."""
        with localcontext(_context(_LOST)):
            unsure = (Decimal(faint.numerator) / faint.denominator * Decimal(2) ** -_FAINT) if faint else Decimal(0)
        gap, lost = Decimal(0), Decimal(0)
        for digits in _DIGITS:
            with localcontext(_context(digits)):
                gap, size = self._gap(given, at_ms, limit, _halving(self._half_life, digits))
                lost = size.scaleb(_LOST - digits)
                if abs(gap) > lost + 2 * unsure:
                    return 1 if gap > 0 else -1
        return 0 if abs(gap) <= lost else None

    def _gap(
        self, given: Sequence[tuple[int, Fraction]], at_ms: int, limit: Fraction, halving: Sequence[Decimal]
    ) -> tuple[Decimal, Decimal]:
        """The value less the limit, and the sum of all that goes into it without signs."""
        gap = -Decimal(limit.numerator) / limit.denominator
        size = abs(gap)
        for time_ms, points in given:
            term, age_ms = Decimal(points.numerator) / points.denominator, at_ms - time_ms
            for left in halving:
                if age_ms & 1:
                    term *= left
                age_ms >>= 1
                if not age_ms:
                    break
            gap, size = gap + term, size + abs(term)
        return gap, size

    def _crossing(self, registers: Registers, ledger: Ledger, at_ms: int, limit: Fraction, *, inclusive: bool) -> int:
        """The first ms after `at_ms` at which the answer is another: the value only comes nearer to 0.

        Too near to a whole ms to tell, it is asked exactly only once it has come: most often another entry comes first,
        and to ask takes the whole ledger. Until then it is a bound.
        """
        amount, since_ms, size = registers
        delay = self._half_life * math.log2(amount / float(limit))
        if delay >= NEVER:
            return NEVER
        error: float = max(_NEAR_MS, self._half_life * _CLEAR * size / abs(amount))
        if error < delay % 1 < 1 - error:
            return max(at_ms + 1, int(since_ms) + math.floor(delay) + 1)
        if since_ms + delay - error > at_ms + 1:
            return max(at_ms + 1, int(since_ms) + math.floor(delay - error))
        return _first_after(
            at_ms,
            since_ms + math.floor(delay),
            lambda ms: self._exactly_above(ledger, ms, limit, inclusive=inclusive) != (limit > 0),
        )

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        return self._at(registers, at_ms)

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        return [
            index
            for index in range(ledger.entered)
            if self.counts(profile := ledger.profile(index))
            and (read_profile(profile).kind != PURCHASE or ledger.stands(index, at_ms))
        ]


def _context(digits: int) -> Context:
    """With exponents as small as they come: points halved every second are 2 ** -31_536_000 of themselves in a year."""
    return Context(prec=digits, Emin=MIN_EMIN, Emax=MAX_EMAX)


@lru_cache(maxsize=64)
def _halving(half_life_ms: int, digits: int) -> list[Decimal]:
    """What is left after 1, 2, 4, 8 and so on ms: any age is a product of some, far quicker than a power of its own."""
    with localcontext(_context(digits)):
        left = [Decimal(2) ** (Decimal(-1) / half_life_ms)]
        while len(left) < _BITS:
            left.append(left[-1] * left[-1])
    return left


def _first_after(at_ms: int, estimate_ms: int, flipped: Callable[[int], bool]) -> int:
    """The first ms after `at_ms` at which `flipped` is true; it flips once, about at the estimate."""
    first = max(at_ms + 1, estimate_ms - 1)
    while first > at_ms + 1 and flipped(first - 1):
        first -= 1
    while not flipped(first):
        first += 1
    return first

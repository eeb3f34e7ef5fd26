"""What a condition may compare: each kind of value compares itself with a literal of the policy, exactly.

Reals are taken to 60 digits, never as binary floats; where a real may be equal to a literal, that is decided exactly.
"""

import operator
from collections.abc import Callable
from dataclasses import dataclass
from decimal import MAX_EMAX, MIN_EMIN, Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import Protocol
from zoneinfo import ZoneInfo

from tests.scorer.domain.oracle_calendar import FIXED, anniversary, parts

COMPARE: dict[str, Callable[[object, object], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
DIGITS = 60
SAME = Decimal("1e-45")
"""Reals nearer to each other than this, relative to the larger, are one number."""


def exactly(digits: int = DIGITS) -> Context:
    return Context(prec=digits, Emin=MIN_EMIN, Emax=MAX_EMAX)


@lru_cache(maxsize=5_000)
def number(literal: str) -> Fraction:
    return Fraction(literal.replace("_", ""))


def decimal(value: Fraction) -> Decimal:
    """In the digits of the context in force."""
    return Decimal(value.numerator) / Decimal(value.denominator)


class Operand(Protocol):
    """known: while it is not, every comparison is false."""

    @property
    def known(self) -> bool: ...

    def compare(self, sign: str, literal: str) -> bool: ...


@dataclass(frozen=True)
class Unknown:
    known: bool = False

    def compare(self, sign: str, literal: str) -> bool:
        return False


UNKNOWN = Unknown()


@dataclass(frozen=True)
class Number:
    """A count, a rational number, or money in major units."""

    value: Fraction | int
    known: bool = True

    def compare(self, sign: str, literal: str) -> bool:
        return COMPARE[sign](self.value, number(literal))


@dataclass(frozen=True)
class Money(Number):
    """In major units, exactly; people are shown the currency's decimals.

    modelled: a model's, which computes with floats: of two amounts that are as near either may be shown
    """

    modelled: bool = False


@dataclass(frozen=True)
class Text:
    value: str
    known: bool = True

    def compare(self, sign: str, literal: str) -> bool:
        return COMPARE[sign](self.value, literal[1:-1])


@dataclass(frozen=True)
class Elapsed:
    """How long it is, at `now`, since `since`; unknown if there is nothing to count from, or it is yet to come."""

    since: int | None
    now: int
    zone: ZoneInfo

    @property
    def known(self) -> bool:
        return self.since is not None and self.since <= self.now

    def compare(self, sign: str, literal: str) -> bool:
        return self.known and COMPARE[sign](self.now, self.reached(literal))

    def reached(self, literal: str) -> int:
        """The instant at which the literal's span has passed."""
        assert self.since is not None
        return anniversary(self.since, literal, self.zone)


@dataclass(frozen=True)
class Duration:
    """A length of time that does not grow with the clock; its literals are of fixed units."""

    ms: int
    known: bool = True

    def compare(self, sign: str, literal: str) -> bool:
        count, unit = parts(literal)
        return COMPARE[sign](self.ms, count * FIXED[unit])


@dataclass(frozen=True)
class RootRatio:
    """sqrt(square) / base, base > 0, compared by squares."""

    square: int
    base: int
    known: bool = True

    def compare(self, sign: str, literal: str) -> bool:
        return COMPARE[sign](Fraction(self.square), (number(literal) * self.base) ** 2)


@dataclass(frozen=True)
class Real:
    """A real number that is no rational, or that is exactly what it says."""

    value: Decimal
    known: bool = True

    def compare(self, sign: str, literal: str) -> bool:
        with localcontext(exactly()):
            return COMPARE[sign](self.value, decimal(number(literal)))


@dataclass(frozen=True)
class Alive:
    """P(alive): below p is what is below it by more than the last digits; at p itself it is not below (rule 13).

    `<` and `<=` are one question, `>` and `>=` its opposite; so nothing is ever equal.
    """

    value: Decimal
    known: bool = True

    def below(self, literal: str) -> bool:
        with localcontext(exactly()):
            return decimal(number(literal)) - self.value > SAME

    def compare(self, sign: str, literal: str) -> bool:
        if sign in ("==", "!="):
            return sign == "!="
        return self.below(literal) == (sign in ("<", "<="))


@dataclass(frozen=True)
class Decayed:
    """The sum of points * 2^(-age / half_life); entries are (points, age).

    With age = k * half_life + rest, the value is the sum over rests of 2^(-rest / half_life) * (a rational). The powers
    2^(-j / h), 0 <= j < h, are linearly independent over the rationals (x^h - 2 is irreducible, by Eisenstein), so the
    value equals a literal if and only if every rest's rational does so by itself: rest 0 the literal, the others 0.
    """

    entries: tuple[tuple[Fraction, int], ...]
    half_life: int
    known: bool = True

    def compare(self, sign: str, literal: str) -> bool:
        return COMPARE[sign](self.against(number(literal)), 0)

    def rests(self) -> tuple[int, dict[int, Fraction]]:
        """Whole halvings that all entries have in common, and what is left of each rest when those are put aside."""
        halved = [(points, *divmod(age, self.half_life)) for points, age in self.entries]
        common = min((halvings for _, halvings, _ in halved), default=0)
        sums: dict[int, Fraction] = {0: Fraction(0)}
        for points, halvings, rest in halved:
            sums[rest] = sums.get(rest, Fraction(0)) + points / 2 ** (halvings - common)
        return common, sums

    def against(self, limit: Fraction) -> int:
        """-1, 0 or 1: the value is below the limit, equal, or above."""
        common, rests = self.rests()
        if common > 10_000 and limit:
            return -1 if limit > 0 else 1  # nothing a policy can write is that near to 0
        rests[0] -= limit * 2**common if limit else 0
        if not any(rests.values()):
            return 0
        for digits in (DIGITS, 10 * DIGITS):
            with localcontext(exactly(digits)):
                terms = [decimal(q) * Decimal(2) ** (Decimal(-rest) / self.half_life) for rest, q in rests.items() if q]
                total = sum(terms, Decimal(0))
                if abs(total) > max(map(abs, terms)) * Decimal(10) ** (15 - digits):
                    return 1 if total > 0 else -1
        raise AssertionError(f"too close to tell: {self} against {limit}")

    @property
    def value(self) -> Decimal:
        common, rests = self.rests()
        with localcontext(exactly()):
            terms = [decimal(q) * Decimal(2) ** (Decimal(-rest) / self.half_life) for rest, q in rests.items()]
            return sum(terms, Decimal(0)) * Decimal(2) ** -common

"""Probabilities to 60 digits, each as its paper writes it.

x        repeat transactions.  tx, age   ms from the first transaction to the last, and to the instant asked about
"""

from decimal import Decimal, localcontext
from fractions import Fraction
from functools import lru_cache
from typing import NamedTuple

from tests.scorer.domain.oracle_operands import DIGITS, decimal, exactly

DAY = 86_400_000
UNITS = {"day": DAY, "week": 7 * DAY}


class BgNbd(NamedTuple):
    """Fader, Hardie and Lee (2005); alpha in ms."""

    r: Fraction
    alpha: Fraction
    a: Fraction
    b: Fraction


class GammaGamma(NamedTuple):
    """Fader and Hardie (2013); v in major units."""

    p: Fraction
    q: Fraction
    v: Fraction


@lru_cache(maxsize=20_000)
def alive(model: BgNbd, x: int, tx: int, age: int) -> Decimal:
    """1 / (1 + a / (b + x - 1) * ((alpha + T) / (alpha + tx))^(r + x)); 1 for x = 0."""
    with localcontext(exactly()):
        if x == 0:
            return Decimal(1)
        grown = decimal((model.alpha + age) / (model.alpha + tx)) ** decimal(model.r + x)
        return 1 / (1 + decimal(model.a / (model.b + x - 1)) * grown)


@lru_cache(maxsize=20_000)
def expected(model: BgNbd, x: int, tx: int, age: int, horizon: int) -> Decimal:
    """Equation 10 of the paper of 2005, with 2F1 by its series."""
    r, alpha, a, b = model
    with localcontext(exactly()):
        grown = decimal((alpha + age) / (alpha + age + horizon)) ** decimal(r + x)
        series = hypergeometric(r + x, b + x, a + b + x - 1, Fraction(horizon) / (alpha + age + horizon))
        return decimal((a + b + x - 1) / (a - 1)) * (1 - grown * series) * alive(model, x, tx, age)


def hypergeometric(a: Fraction, b: Fraction, c: Fraction, z: Fraction) -> Decimal:
    """2F1(a, b; c; z) = sum of (a)_n (b)_n / (c)_n * z^n / n!, for 0 <= z < 1."""
    with localcontext(exactly(DIGITS + 10)):
        at, bt, ct, zt = decimal(a), decimal(b), decimal(c), decimal(z)
        total = term = Decimal(1)
        n = 0
        while abs(term) > abs(total) * Decimal(10) ** -(DIGITS + 5) or n < 10:
            term *= (at + n) * (bt + n) / ((ct + n) * (n + 1)) * zt
            total += term
            n += 1
        return total


@lru_cache(maxsize=20_000)
def poisson_at_most(count: int, mean: Fraction) -> Decimal:
    """P(X <= count) = e^-mean * sum of mean^k / k!."""
    with localcontext(exactly()):
        rate = decimal(mean)
        term, total = Decimal(1), Decimal(0)
        for k in range(count + 1):
            total += term
            term *= rate / (k + 1)
        return (-rate).exp() * total


def value_of_a_purchase(model: GammaGamma, x: int, total: Fraction) -> Fraction:
    """(p / (p x + q - 1)) * (v + x * mean), with x * mean = total: equation 5 of the note of 2013."""
    return model.p * (model.v + total) / (model.p * x + model.q - 1)

"""Whether a customer is still a customer, how often they will buy, and for how much (rule 13).

P(alive) and expected purchases follow BG/NBD (Fader, Hardie, Lee: "Counting Your Customers" the Easy Way, 2005), the
value of a purchase follows Gamma-Gamma (Fader, Hardie: The Gamma-Gamma Model of Monetary Value, 2013). Throughout:

x         repeat transactions: transactions after the first
tx_ms     recency: from the first transaction to the last, ms
t_ms      age: from the first transaction to the instant asked about, ms; not below tx_ms

A parameter is the decimal number that Python writes for its float, which is what the policy says as long as that has
at most 15 digits.
"""

import math
import sys
from decimal import Context, Decimal, localcontext
from fractions import Fraction
from functools import lru_cache

import msgspec

from services.scorer.domain.expected import per_survivor

WEEK_MS = 604_800_000
DAY_MS = 86_400_000
LONGEST_MS = 100 * 366 * DAY_MS
"""An age beyond this is never reached: 100 years, the longest span a policy can name."""

_FARTHEST_MS = 2.0 * LONGEST_MS
_NEAR_MS = 0.001
_ERROR = 64 * sys.float_info.epsilon  # of the closed form in floats, relative to alpha + T; seen: below 10
_DIGITS = 50
_EXACTLY = Decimal("1e-30")  # nearer to a whole ms than 50 digits can part


class BgNbd(msgspec.Struct, frozen=True):
    """Purchases: rate ~ gamma(r, alpha), dropping out after a purchase ~ beta(a, b). alpha counts units of unit_ms.

    ValueError if a parameter is not above 0.
    """

    r: float
    alpha: float
    a: float
    b: float
    unit_ms: int = WEEK_MS

    def __post_init__(self) -> None:
        _above_zero(self)


class GammaGamma(msgspec.Struct, frozen=True):
    """Money a purchase: gamma(p, nu), nu ~ gamma(q, v). v and all sums are in one unit of money.

    ValueError if a parameter is not above 0, or q not above 1: then the mean of the population has no bound.
    """

    p: float
    q: float
    v: float

    def __post_init__(self) -> None:
        _above_zero(self)
        if self.q <= 1:
            raise ValueError(f"q = {self.q} must be above 1, else purchases have no mean value")


def p_alive(model: BgNbd, x: int, tx_ms: int, t_ms: int) -> float:
    """The probability that the customer still buys at age t_ms; 1 if they bought once (x = 0).

    To be shown, never compared: `falls_below` says when it counts as below a threshold.
    """
    if x == 0:
        return 1.0
    alpha_ms = model.alpha * model.unit_ms
    grown = (model.r + x) * math.log1p((t_ms - tx_ms) / (alpha_ms + tx_ms))
    gone = math.log(model.a / (model.b + (x - 1))) + grown
    return math.exp(-gone) / (1 + math.exp(-gone)) if gone > 0 else 1 / (1 + math.exp(gone))


def falls_below(model: BgNbd, x: int, tx_ms: int, p: Fraction) -> int | None:
    """The age (ms) from which on P(alive) counts as below p, if the customer buys no more.

    It is the first whole ms after the instant at which P(alive) is p. `< p` and `<= p` mean the same by definition.
    If P(alive) is below p from the last purchase on, it is tx_ms: no age is below the recency.
    None: it never is, since x = 0, or p <= 0, or it takes longer than LONGEST_MS.
    """
    return Fall(model, p).age_ms(x, tx_ms)


class Fall:
    """`falls_below` of one model and one p: what does not depend on recency is worked out once.

    The instant is (alpha + t_x) * growth - alpha, where growth = ((1/p - 1) * (b + x - 1) / a)^(1 / (r + x)).
    """

    def __init__(self, model: BgNbd, p: Fraction) -> None:
        self._model, self._p = model, p
        self._alpha_ms = model.alpha * model.unit_ms
        self._growths: dict[int, float] = {}  # by x; filled by several threads at once, each with the same

    def _growth(self, x: int) -> float:
        """No number where floats do not reach: p below 1e-308 is left to Decimal."""
        model, p = self._model, self._p
        if p <= 0 or not x:
            return math.inf
        if p >= 1:
            return 0.0
        try:
            odds = (p.denominator - p.numerator) / p.numerator
            return float((odds * (model.b + (x - 1)) / model.a) ** (1 / (model.r + x)))
        except OverflowError:
            return math.nan

    def age_ms(self, x: int, tx_ms: int) -> int | None:
        growth, alpha_ms = self._growths.get(x), self._alpha_ms
        if growth is None:
            growth = self._growths[x] = self._growth(x)
        age = (alpha_ms + tx_ms) * growth - alpha_ms
        if age >= _FARTHEST_MS:
            return None
        near_ms = _ERROR * (alpha_ms + age)
        if near_ms < _NEAR_MS:
            near_ms = _NEAR_MS
        last = int(age) if age < _FARTHEST_MS else 0
        if not near_ms < age - last < 1.0 - near_ms:  # not clear of whole ms, or below 0, or no number
            if self._p >= 1:
                return tx_ms
            last = _last_not_below(self._model, x, tx_ms, self._p)
        if last < tx_ms:
            return tx_ms
        return last + 1 if last < LONGEST_MS else None


def _last_not_below(model: BgNbd, x: int, tx_ms: int, p: Fraction) -> int:
    """The closed form of `Fall` in 50 digits, cut to a whole ms."""
    with localcontext(Context(prec=_DIGITS)):
        r, alpha, a, b = (Decimal(repr(value)) for value in (model.r, model.alpha, model.a, model.b))
        odds = Decimal(p.denominator - p.numerator) / Decimal(p.numerator)
        alpha_ms = alpha * model.unit_ms
        age = (alpha_ms + tx_ms) * (odds * (b + (x - 1)) / a) ** (1 / (r + x)) - alpha_ms
        whole = round(age)
        return whole if abs(age - whole) < _EXACTLY else math.floor(age)


def expected_purchases(model: BgNbd, x: int, tx_ms: int, t_ms: int, horizon_ms: int) -> float:
    """Transactions to expect in the horizon after age t_ms (equation 10 of the paper of 2005)."""
    u = horizon_ms / (model.alpha * model.unit_ms + t_ms)
    return p_alive(model, x, tx_ms, t_ms) * per_survivor(model.a, model.b + x, model.r + x, u)


def stepped_age(tx_ms: int, t_ms: int) -> int:
    """The age at which expected purchases are evaluated at age t_ms: at the last purchase, then at each whole day."""
    return max(tx_ms, t_ms // DAY_MS * DAY_MS)


@lru_cache(maxsize=8_192)  # a path that is played again asks of the same orders again
def expected_falls_to(model: BgNbd, x: int, tx_ms: int, limit: float, horizon_ms: int) -> int | None:
    """The first age (ms) at which `expected_purchases`, evaluated at `stepped_age`, is at most `limit`.

    It is tx_ms, or a whole number of days. Expected purchases only fall as age grows, so bisection finds it.
    None: never, since limit <= 0, or it takes longer than LONGEST_MS.
    """
    if limit <= 0:
        return None
    if expected_purchases(model, x, tx_ms, tx_ms, horizon_ms) <= limit:
        return tx_ms
    above, fallen = tx_ms // DAY_MS, LONGEST_MS // DAY_MS
    if expected_purchases(model, x, tx_ms, fallen * DAY_MS, horizon_ms) > limit:
        return None
    while fallen - above > 1:
        day = (above + fallen) // 2
        if expected_purchases(model, x, tx_ms, day * DAY_MS, horizon_ms) <= limit:
            fallen = day
        else:
            above = day
    return fallen * DAY_MS


def expected_value(model: GammaGamma, x: int, total: Fraction) -> Fraction:
    """The mean value to expect of a purchase of a customer whose x repeat purchases with a value add up to `total`.

    It lies between the customer's own mean and the population's, nearer to the own one the more purchases there are;
    x = 0 gives the population's, p v / (q - 1). In the unit of money of v and total.
    """
    p, q, v = _exactly(model)
    return p * (v + total) / (p * x + q - 1)


@lru_cache(maxsize=64)
def _exactly(model: GammaGamma) -> tuple[Fraction, Fraction, Fraction]:
    """p, q and v as they are written."""
    return Fraction(repr(model.p)), Fraction(repr(model.q)), Fraction(repr(model.v))


def _above_zero(model: BgNbd | GammaGamma) -> None:
    for name in model.__struct_fields__:
        value = getattr(model, name)
        if not (math.isfinite(value) and value > 0):
            raise ValueError(f"{name} = {value} must be a number above 0")

"""Prices: amounts of other currencies in the policy's, at the rate of their day (rule 8)."""

from bisect import bisect_right
from decimal import ROUND_HALF_EVEN, Context, Decimal

import msgspec

_EXACT = Context(prec=28, rounding=ROUND_HALF_EVEN)  # an amount has 16 digits, a rate 12 (`rates.py`)


class Rate(msgspec.Struct, frozen=True):
    """From `from_ms` on (a local midnight), one minor unit of the currency is `factor` of the policy's minor units."""

    from_ms: int
    factor: Decimal


class Prices(msgspec.Struct, frozen=True):
    """currency: the policy's.  rates: of every other currency, ascending."""

    currency: str
    rates: dict[str, tuple[Rate, ...]]

    def of(self, amount: int, currency: str, at_ms: int) -> int | None:
        """Minor units of the policy's currency, rounded half to even; None without a rate for that instant."""
        if currency == self.currency:
            return amount
        rates = self.rates.get(currency, ())
        place = bisect_right(rates, at_ms, key=lambda rate: rate.from_ms)
        if place == 0:
            return None
        return int(_EXACT.to_integral_value(_EXACT.multiply(Decimal(amount), rates[place - 1].factor)))

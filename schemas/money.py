"""Money: decimal text on the wire, integer minor units inside, never a binary float.

The currencies and their decimals are those of ISO 4217; codes without a minor unit (gold, test codes) are no money.
"""

import re

from iso4217 import Currency

from schemas.events import MAX_AMOUNT_MINOR
from schemas.problems import (
    AMOUNT_TOO_LARGE,
    INVALID_AMOUNT,
    NEGATIVE_AMOUNT,
    TOO_MANY_DECIMALS,
    UNKNOWN_CURRENCY,
    Refused,
)

DIGITS: dict[str, int] = {c.code: c.exponent for c in Currency if c.exponent is not None}
"""Code -> how many decimals its amounts have."""

_DECIMAL = re.compile(r"(-?)([0-9]+)(?:\.([0-9]+))?")
_LONGEST = len(str(MAX_AMOUNT_MINOR))


def digits(currency: str) -> int:
    """The decimals of a currency; Refused (unknown-currency) if ISO 4217 has none of this code."""
    try:
        return DIGITS[currency]
    except KeyError:
        known = currency.strip().upper()
        hint = f', did you mean "{known}"' if known in DIGITS else ""
        raise Refused(UNKNOWN_CURRENCY, f"{_shown(currency)} is no currency we know{hint}") from None


def to_minor(text: str, decimals: int) -> int:
    """`12.30` with 2 decimals -> 1230. Refused if it is no plain decimal number from 0 to 2^53-1 minor units.

    Decimals are counted as written: `12.300` has three, since who writes three may one day mean them.
    """
    parts = _DECIMAL.fullmatch(text)
    if parts is None:
        raise Refused(INVALID_AMOUNT, f"{_shown(text)} is not a plain decimal number")
    sign, whole, fraction = parts[1], parts[2], parts[3] or ""
    if sign and (whole + fraction).strip("0"):
        raise Refused(NEGATIVE_AMOUNT, f"the amount is {_shown(text)}")
    if len(fraction) > decimals:
        raise Refused(TOO_MANY_DECIMALS, f"{_shown(text)} has {len(fraction)} decimals, the currency has {decimals}")
    written = (whole + fraction.ljust(decimals, "0")).lstrip("0")
    # The length first: Python takes quadratic time over a number of a million digits, and refuses it in the end.
    if len(written) > _LONGEST or (minor := int(written or "0")) > MAX_AMOUNT_MINOR:
        raise Refused(AMOUNT_TOO_LARGE, f"{_shown(text)} is more than {MAX_AMOUNT_MINOR} minor units")
    return minor


def to_major(minor: int, decimals: int) -> str:
    """1230 with 2 decimals -> `12.30`."""
    if decimals == 0:
        return str(minor)
    whole, fraction = divmod(abs(minor), 10**decimals)
    return f"{'-' if minor < 0 else ''}{whole}.{fraction:0{decimals}}"


def _shown(text: str) -> str:
    return repr(text) if len(text) <= 40 else repr(text[:40]) + "..."

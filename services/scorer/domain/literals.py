"""Numbers as a policy writes them, exactly; ValueError says what is wrong with one."""

from collections.abc import Callable
from decimal import Decimal
from fractions import Fraction
from typing import TypeVar

from services.scorer.domain.expressions import Compared, Constant, ExpressionError

MOST_DIGITS = 15
"""What a float still tells apart: models compute with floats (`churn.py`)."""

LARGEST = 2**53
"""A limit of events or minor units is below it, as any one amount is: up to here a float tells whole numbers apart."""

T = TypeVar("T")


def number(text: str, most_digits: int = MOST_DIGITS) -> Fraction:
    """`12.50`, `-3`, `10_000`."""
    decimal = _decimal(text)
    if len(decimal.as_tuple().digits) > most_digits or -int(decimal.as_tuple().exponent) > most_digits:
        raise ValueError(f"{_shown(text)} has more than {most_digits} digits; round it")
    return Fraction(decimal)


def whole(text: str, what: str) -> int:
    """A number without decimals, of `what`."""
    return _scaled(text, 0, f"{what} is a whole number")


def minor_units(text: str, digits: int, currency: str) -> int:
    """Major units of money as minor units."""
    return _scaled(text, digits, f"{currency} has {digits} decimals" if digits else f"{currency} has none")


def read(constant: Constant, reader: Callable[[str], T]) -> T:
    """What the constant of an expression says; ExpressionError at its place."""
    try:
        return reader(constant.text)
    except ValueError as error:
        raise ExpressionError(constant.offset, str(error)) from error


def check_order(comparison: Compared) -> None:
    """ExpressionError if the numbers of a `between` stand the wrong way round."""
    low, high = comparison.constants
    if low.kind == high.kind == "number" and _decimal(low.text) > _decimal(high.text):
        raise ExpressionError(low.offset, f"the lower bound stands second; write between {high.text} and {low.text}")


def _scaled(text: str, digits: int, rule: str) -> int:
    decimal = _decimal(text)
    most = Decimal(LARGEST).scaleb(-digits)
    if abs(decimal) >= most:
        raise ValueError(f"{_shown(text)} is too large; write less than {most:,f}".replace(",", "_"))
    scaled = Fraction(decimal) * 10**digits
    if scaled.denominator != 1:
        raise ValueError(f"{_shown(text)} has too many decimals; {rule}")
    return int(scaled)


def _decimal(text: str) -> Decimal:
    return Decimal(text.replace("_", ""))


def _shown(text: str) -> str:
    return text if len(text) <= 40 else f"{text[:40]}..."

"""A policy's rates, compiled to prices: dated decimals become factors from local midnights on (rule 8)."""

from datetime import date, datetime
from decimal import Decimal
from zoneinfo import ZoneInfo

from schemas.money import DIGITS
from services.scorer.domain import literals
from services.scorer.domain.document import Document, nearest
from services.scorer.domain.instants import to_ms
from services.scorer.domain.prices import Prices, Rate

MOST_DIGITS = 12
"""Of a rate: with the 16 of an amount a product still fits the 28 of `prices.py`, so that it is exact."""


def prices(document: Document, zone: ZoneInfo) -> Prices:
    """PolicyError where a currency or a rate cannot be."""
    currency, rates = document.policy.currency, {}
    for other, dated in document.policy.rates.items():
        key = document.key("rates", other)
        if other not in DIGITS:
            key.refuse(unknown_currency(other))
        if other == currency:
            key.refuse(f"{other} is the policy's own currency; it needs no rate")
        if not dated:
            key.refuse(f"{other} has no rate; write it as {{2026-01-01: 7.10}}, or leave {other} out")
        shift = DIGITS[currency] - DIGITS[other]
        rates[other] = tuple(
            sorted((_rate(document, other, day, zone, shift) for day in dated), key=lambda rate: rate.from_ms)
        )
    return Prices(currency, rates)


def unknown_currency(code: str) -> str:
    """RMB is what people call CNY, though RUB is spelt more like it."""
    near = "did you mean 'CNY'?" if code == "RMB" else nearest(code, DIGITS)
    remedy = near or "write three letters of ISO 4217, as EUR"
    return f"{code!r} is not an ISO 4217 currency with minor units; {remedy}"


def _rate(document: Document, currency: str, day: str, zone: ZoneInfo, shift: int) -> Rate:
    """shift: decimals of the policy's currency less those of the other."""
    text, place = document.policy.rates[currency][day], document.place("rates", currency, day)
    try:
        rate = literals.number(text, MOST_DIGITS)
    except ValueError as error:
        place.refuse(str(error))
    if rate <= 0:
        place.refuse(f"a rate of {text} cannot be; it must be above 0")
    try:
        since = date.fromisoformat(day)
    except ValueError:
        document.key("rates", currency, day).refuse(f"there is no day {day}")
    midnight = to_ms(datetime(since.year, since.month, since.day, tzinfo=zone))
    return Rate(midnight, Decimal(text.replace("_", "")).scaleb(shift))

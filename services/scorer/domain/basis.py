"""What a value rests on: how many events contributed to it, the first and last of them, and how sure that is."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from services.scorer.domain.entries import read_profile
from services.scorer.domain.gauges import Gauge, Registers
from services.scorer.domain.ledger import Ledger
from services.scorer.domain.rules import Policy

HOUR_MS: Final = 3_600_000
"""What old clicks and interactions are kept by (`folding.py`)."""


class Basis(NamedTuple):
    """How many events contributed, the first and last of them (ms), how many of them are unpriced.

    bound: how many of them may have left the window already, as only their hour is known
    """

    entries: int
    first_ms: int | None
    last_ms: int | None
    unpriced: int
    bound: int


NOTHING: Final = Basis(0, None, None, 0, 0)


def basis_of(gauge: Gauge, registers: Registers, ledger: Ledger, at_ms: int, part: str, policy: Policy) -> Basis:
    """Of a part of what the gauge says at the instant, which is not before anything that took effect."""
    places = gauge.basis(registers, ledger, at_ms)
    if not places:
        return NOTHING
    first_ms, last_ms = ledger.time(places[0]), ledger.time(places[-1])
    priced = gauge.priced(places, registers, ledger, at_ms, part)
    unpriced = sum(_is_unpriced(ledger, place, policy) for place in priced)
    if not gauge.of_touches:
        return Basis(len(places), first_ms, last_ms, unpriced, 0)
    bound = _of_uncertain_hours(ledger, places) if gauge.windowed else 0
    return Basis(sum(map(ledger.weight, places)), first_ms, last_ms, unpriced, bound)


def _is_unpriced(ledger: Ledger, place: int, policy: Policy) -> bool:
    profile = ledger.profile(place)
    if profile[1:] == policy.currency:
        return False
    currency = read_profile(profile).currency
    return bool(currency) and policy.prices.of(0, currency, ledger.time(place)) is None


def _of_uncertain_hours(ledger: Ledger, places: Sequence[int]) -> int:
    """How many events stand in hours that may have begun before the window."""
    first_ms, bound = ledger.time(places[0]), 0
    for place in places:
        if ledger.time(place) >= first_ms + HOUR_MS:
            break
        bound += ledger.weight(place) - 1
    return bound

"""Features, computed naively: each from all purchases of a customer, at the moment a rule asks for it."""

from collections.abc import Sequence
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

from services.demo.naive_rules import FIXED_MS, SPAN, NotKnownHere, Value

MS = timedelta(milliseconds=1)
_UNITS = {"day": timedelta(days=1), "week": timedelta(weeks=1)}

Entries = Sequence[tuple[datetime, Decimal]]
"""A customer's purchases, when and how much, oldest first."""


class Moment(dict[str, Value]):
    """A customer's features at the instant `at`: money in major units, counts, milliseconds; None while unknown.

    policy:  the document as it was read from YAML
    entries: none later than `at`
    """

    def __init__(self, policy: Any, zone: ZoneInfo, entries: Entries, at: datetime) -> None:
        super().__init__()
        self._policy, self._zone, self._entries, self._at = policy, zone, entries, at

    def __missing__(self, name: str) -> Value:
        if name == "calibrated.top_spend":
            value: Value = Decimal(self._policy["calibration"]["top_spend"].replace("_", ""))
        else:
            value = self._feature(self._policy["features"][name])
        self[name] = value
        return value

    def _feature(self, said: Any) -> Value:
        window = said.get("window")
        entries = self._entries
        inside = [e for e in entries if window is None or self._at < leaves(e[0], window, self._zone)]
        match said:
            case {"count": kinds}:
                return len(inside) if _of_purchases(said, kinds) else 0
            case {"sum": what}:
                return sum((e[1] for e in inside), Decimal(0)) if _of_purchases(said, what) else Decimal(0)
            case {"since_last": kind}:
                return (self._at - entries[-1][0]) // MS if entries and _of_purchases(said, kind) else None
            case {"p_alive": "purchase"}:
                return self._alive(self._policy["calibration"]["bg_nbd"]) if entries else None
        raise NotKnownHere(f"feature {said}")

    def _alive(self, model: Any) -> Decimal:
        """BG/NBD's P(alive) of the days with purchases, by the formula of Fader, Hardie and Lee's note of 2008."""
        days: dict[date, datetime] = {}
        for when, _ in self._entries:
            days.setdefault(when.astimezone(self._zone).date(), when)
        first, last = min(days.values()), max(days.values())
        repeats = len(days) - 1
        if not repeats:
            return Decimal(1)
        r, alpha, a, b = (float(model[name]) for name in ("r", "alpha", "a", "b"))
        unit = _UNITS[model.get("unit", "week")]
        age = ((alpha + (self._at - first) / unit) / (alpha + (last - first) / unit)) ** (r + repeats)
        return Decimal(str(1 / (1 + a / (b + repeats - 1) * age)))


def _of_purchases(said: Any, kinds: str | list[str]) -> bool:
    """Whether purchases have a say in the feature; without one it is as if nothing had happened."""
    of_them = any(kind.startswith("purchase") for kind in ([kinds] if isinstance(kinds, str) else kinds))
    if of_them and "where" in said:
        raise NotKnownHere(f"feature {said}")
    return of_them


@lru_cache(maxsize=100_000)
def leaves(when: datetime, window: str, zone: ZoneInfo) -> datetime:
    """The first instant at which an entry of time `when` is no longer in the window.

    Months and years: the target day's midnight in the zone plus what had passed since the entry's own midnight, at
    most that day's end; a day the target month lacks becomes its last, left at its end.
    """
    span = SPAN.fullmatch(window)
    if span is None:
        raise NotKnownHere(f"window {window}")
    number, unit = int(span[1]), span[2]
    if unit in FIXED_MS:
        return when + number * FIXED_MS[unit] * MS
    day = when.astimezone(zone).date()
    months = day.month - 1 + number * (12 if unit == "y" else 1)
    first = date(day.year + months // 12, months % 12 + 1, 1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    target_end = _midnight(min(last, first + timedelta(days=day.day - 1)) + timedelta(days=1), zone)
    if day.day > last.day:
        return target_end
    passed = when - _midnight(day, zone)
    return min(_midnight(first.replace(day=day.day), zone) + passed, target_end)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)

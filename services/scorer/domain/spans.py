"""Spans of time: `30d` is 30 times 24 hours; `mo` and `y` follow the calendar of the policy's zone (rule 1)."""

import calendar
import re
from datetime import date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

import msgspec

from services.scorer.domain.instants import to_datetime, to_ms

UNITS_MS = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 604_800_000}
UNITS_MONTHS = {"mo": 1, "y": 12}
LONGEST_YEARS = 100

_SPAN = re.compile(r"([0-9][0-9_]*)(ms|s|min|h|d|w|mo|y)")


class Span(msgspec.Struct, frozen=True):
    """Either a fixed number of milliseconds or a number of calendar months; `text` as the policy writes it."""

    text: str
    fixed_ms: int = 0
    months: int = 0


def longest_ms(span: Span) -> int:
    """At most so long, wherever in the calendar."""
    return span.fixed_ms or (span.months * 3044 // 100 + 4) * UNITS_MS["d"]


def shortest_ms(span: Span) -> int:
    """At least so long."""
    return span.fixed_ms or (span.months * 3043 // 100 - 4) * UNITS_MS["d"]


def parse_span(text: str) -> Span:
    """`36h`, `30d`, `12mo`, `1y`; ValueError says what is wrong with it."""
    match = _SPAN.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is not a span of time; write it as 30d, 12mo or 1y")
    number, unit = int(match[1].replace("_", "")), match[2]
    span = (
        Span(text, fixed_ms=number * UNITS_MS[unit])
        if unit in UNITS_MS
        else Span(text, months=number * UNITS_MONTHS[unit])
    )
    if number < 1 or span.fixed_ms > LONGEST_YEARS * 366 * UNITS_MS["d"] or span.months > LONGEST_YEARS * 12:
        raise ValueError(f"{text!r} is out of range; use at least 1 and at most {LONGEST_YEARS} years")
    return span


def window_exit(span: Span, entry_ms: int, zone: ZoneInfo) -> int:
    """The first instant at which an entry of `entry_ms` is no longer in the window."""
    return entry_ms + span.fixed_ms if span.fixed_ms else _calendar_exit(span.months, entry_ms, zone)


def anniversary(span: Span, start_ms: int, zone: ZoneInfo) -> int:
    """The instant at which `span` has passed since `start_ms`; months are wall time, clamped to the month's end."""
    return start_ms + span.fixed_ms if span.fixed_ms else _calendar_anniversary(span.months, start_ms, zone)


def _months_later(day: date, months: int) -> tuple[date, bool]:
    """The day `months` later, and whether it had to be clamped to its month's last day."""
    month = day.year * 12 + day.month - 1 + months
    year, month = month // 12, month % 12 + 1
    last = calendar.monthrange(year, month)[1]
    return date(year, month, min(day.day, last)), day.day > last


@lru_cache(maxsize=16_384)
def _midnight(day: date, zone: ZoneInfo) -> int:
    """The first instant of the local day."""
    return to_ms(datetime(day.year, day.month, day.day, tzinfo=zone))


@lru_cache(maxsize=65_536)
def _calendar_exit(months: int, entry_ms: int, zone: ZoneInfo) -> int:
    """Target day's midnight plus what had elapsed since the entry's own midnight, at most that day's end.

    A clamped day (31 January + 1 month) leaves at its end, so exits never run backwards.
    """
    entered = to_datetime(entry_ms).astimezone(zone).date()
    target, clamped = _months_later(entered, months)
    end = _midnight(target + timedelta(days=1), zone)
    if clamped:
        return end
    return min(_midnight(target, zone) + entry_ms - _midnight(entered, zone), end)


@lru_cache(maxsize=65_536)
def _calendar_anniversary(months: int, start_ms: int, zone: ZoneInfo) -> int:
    wall = to_datetime(start_ms).astimezone(zone)
    day, _ = _months_later(wall.date(), months)
    return to_ms(wall.replace(year=day.year, month=day.month, day=day.day, fold=0))

"""The oracle's calendar: when an entry leaves a window, and anniversaries (rule 1).

Instants are integers, ms since 1970 UTC. A span is the text of a policy: `36h`, `30d`, `12mo`, `1y`.
"""

import calendar
import re
from datetime import UTC, date, datetime, timedelta
from functools import lru_cache
from zoneinfo import ZoneInfo

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
FIXED = {"ms": 1, "s": 1_000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
MONTHS = {"mo": 1, "y": 12}


def to_ms(t: datetime) -> int:
    return (t - EPOCH) // timedelta(milliseconds=1)


def to_datetime(ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=ms)


def wall(ms: int, zone: ZoneInfo) -> datetime:
    """What a clock on the wall in that zone shows, without an offset."""
    return to_datetime(ms).astimezone(zone).replace(tzinfo=None, fold=0)


@lru_cache(maxsize=50_000)
def parts(span: str) -> tuple[int, str]:
    found = re.fullmatch(r"([1-9][\d_]*)(ms|s|min|h|d|w|mo|y)", span)
    if found is None:
        raise ValueError(f"not a span: {span}")
    return int(found[1].replace("_", "")), found[2]


@lru_cache(maxsize=50_000)
def day_start(day: date, zone: ZoneInfo) -> int:
    """The first ms of that date in the zone; where the day is left out or begins later than 00:00, the first after.

    Midnight can come twice (clocks that go back at 00:01), so every offset in force around it is tried.
    """
    midnight = datetime(day.year, day.month, day.day, tzinfo=UTC)
    around = [midnight + timedelta(hours=hours) for hours in range(-36, 37)]
    offsets = {instant.astimezone(zone).utcoffset() or timedelta() for instant in around}
    midnights = [to_ms(midnight - offset) for offset in offsets]
    shown = [ms for ms in midnights if wall(ms, zone) == midnight.replace(tzinfo=None)]
    if shown:
        return min(shown)
    before, found = to_ms(around[0]), to_ms(around[-1])
    while found - before > 1:
        look = (before + found) // 2
        if wall(look, zone).date() >= day:
            found = look
        else:
            before = look
    return found


def add_months(day: date, months: int) -> tuple[date, bool]:
    """The same day so many months later, clamped to the month's last day, and whether it was clamped."""
    year, month = divmod(day.year * 12 + day.month - 1 + months, 12)
    last = calendar.monthrange(year, month + 1)[1]
    return date(year, month + 1, min(day.day, last)), day.day > last


@lru_cache(maxsize=50_000)
def window_exit(t: int, span: str, zone: ZoneInfo) -> int:
    """The first instant at which an entry made at `t` is no longer in the window."""
    count, unit = parts(span)
    if unit in FIXED:
        return t + count * FIXED[unit]
    own_day = wall(t, zone).date()
    target, clamped = add_months(own_day, count * MONTHS[unit])
    end_of_target = day_start(target + timedelta(days=1), zone)
    if clamped:
        return end_of_target
    return min(day_start(target, zone) + (t - day_start(own_day, zone)), end_of_target)


@lru_cache(maxsize=50_000)
def anniversary(t: int, span: str, zone: ZoneInfo) -> int:
    """The instant at which the span since `t` is over: for months and years by the clock on the wall.

    A time of day that the target day has twice is its first; one it has not (clocks go forward) is as much later as
    the clocks go forward, as RFC 5545 has it.
    """
    count, unit = parts(span)
    if unit in FIXED:
        return t + count * FIXED[unit]
    clock = wall(t, zone)
    target, _ = add_months(clock.date(), count * MONTHS[unit])
    return to_ms(datetime.combine(target, clock.time(), tzinfo=zone).replace(fold=0))

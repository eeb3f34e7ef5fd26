"""The time of an event: RFC 3339 with an offset on the wire, UTC cut to milliseconds inside."""

import re
from datetime import UTC, datetime, timedelta

from schemas.problems import INVALID_TIME, TIME_IN_FUTURE, TIME_OUT_OF_RANGE, Refused

LEAD = timedelta(minutes=5)
"""How far ahead of its acceptance an event may be: clocks differ, and it then counts from its own time on."""

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
LATEST = datetime(6000, 1, 1, tzinfo=UTC)
"""Below it the time of an event lies: a ledger keeps 47 bits of it."""

# Python's own reader takes more than RFC 3339: weeks, hours alone, commas, any character between date and time.
_RFC_3339 = re.compile(
    r"[0-9]{4}-[0-9]{2}-[0-9]{2}[Tt][0-9]{2}:[0-9]{2}:[0-9]{2}(?:\.[0-9]+)?(?:[Zz]|[+-][0-9]{2}:[0-5][0-9])"
)
_SECONDS = slice(17, 19)


def cut(instant: datetime) -> datetime:
    """Without what is below a millisecond."""
    return instant.replace(microsecond=instant.microsecond // 1000 * 1000)


def read(text: str, accepted: datetime) -> datetime:
    """The `instant` of an event; Refused also if it is not below LATEST, or more than LEAD after `accepted`."""
    found = instant(text)
    if found >= LATEST:
        raise Refused(TIME_OUT_OF_RANGE, f"{text[:64]!r} is after the year 5999")
    if found - accepted > LEAD:
        raise Refused(TIME_IN_FUTURE, f"{text[:64]!r} is {_span(found - accepted)} ahead of acceptance")
    return found


def instant(text: str) -> datetime:
    """`text` as UTC in whole milliseconds; second 60 is the next second.

    Refused if it is not RFC 3339 with an offset, or before 1970.
    """
    if _RFC_3339.fullmatch(text) is None:
        raise Refused(INVALID_TIME, f"{text[:64]!r} is not RFC 3339 with an offset")
    leap = text[_SECONDS] == "60"
    try:
        found = datetime.fromisoformat((text[:17] + "59" + text[19:] if leap else text).upper())
        # Beyond what datetime holds (year 1 or 9999 in another zone) is out of range like all else before 1970.
        found = found.astimezone(UTC) + timedelta(seconds=1) if leap else found.astimezone(UTC)
    except ValueError:
        raise Refused(INVALID_TIME, f"{text[:64]!r} is no date and time of the calendar") from None
    except OverflowError:
        raise Refused(TIME_OUT_OF_RANGE, f"{text[:64]!r} is out of range") from None
    if found.microsecond:
        found = cut(found)
    if found < EPOCH:
        raise Refused(TIME_OUT_OF_RANGE, f"{text[:64]!r} is before 1970")
    return found


def _span(ahead: timedelta) -> str:
    return f"{ahead.total_seconds():,.0f} s"

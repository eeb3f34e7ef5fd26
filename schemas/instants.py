"""An instant in the contracts: RFC 3339 with an offset. A time without one is refused, since nobody can place it."""

import re
from datetime import UTC, datetime, timedelta
from typing import Annotated

import msgspec

from schemas.problems import INVALID_TIME, TIME_OUT_OF_RANGE, Refused

Instant = Annotated[datetime, msgspec.Meta(tz=True)]

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


def asked(text: str) -> datetime:
    """The `instant` that somebody asks about; Refused also if it is not below LATEST."""
    found = instant(text)
    if found >= LATEST:
        raise Refused(TIME_OUT_OF_RANGE, f"{text[:64]!r} is after the year 5999")
    return found

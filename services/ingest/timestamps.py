"""The time of an event: RFC 3339 with an offset on the wire, UTC cut to milliseconds inside."""

from datetime import datetime, timedelta

from schemas.instants import asked
from schemas.problems import TIME_IN_FUTURE, Refused

LEAD = timedelta(minutes=5)
"""How far ahead of its acceptance an event may be: clocks differ, and it then counts from its own time on."""


def read(text: str, accepted: datetime) -> datetime:
    """The `instant` of an event; Refused also if it is not below LATEST, or more than LEAD after `accepted`."""
    found = asked(text)
    if found - accepted > LEAD:
        raise Refused(TIME_IN_FUTURE, f"{text[:64]!r} is {_span(found - accepted)} ahead of acceptance")
    return found


def _span(ahead: timedelta) -> str:
    return f"{ahead.total_seconds():,.0f} s"

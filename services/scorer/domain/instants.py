"""Instants: datetimes at the border, integer milliseconds since 1970 UTC inside."""

from datetime import UTC, datetime, timedelta
from functools import lru_cache
from typing import Final

LAST_MS: Final = 253_402_300_799_999
"""The last instant that can be told, of 31 December 9999: what is to happen later is as good as never."""

EPOCH: Final = datetime(1970, 1, 1, tzinfo=UTC)


def to_ms(moment: datetime) -> int:
    """Milliseconds since 1970 UTC; what is below a millisecond is cut. `moment` has an offset."""
    since = moment - EPOCH
    return since.days * 86_400_000 + since.seconds * 1_000 + since.microseconds // 1_000


@lru_cache(maxsize=8_192)  # a decision record names the same few instants again and again
def to_datetime(instant_ms: int) -> datetime:
    return EPOCH + timedelta(milliseconds=instant_ms)

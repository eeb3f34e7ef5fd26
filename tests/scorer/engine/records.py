"""Records of topic `events` as a consumer hands them over, for tests without a broker."""

from collections.abc import Iterable
from typing import NamedTuple

import msgspec

from schemas.events import Event
from services.scorer.domain.instants import to_ms

_encode = msgspec.json.Encoder().encode


class Fetched(NamedTuple):
    offset: int
    timestamp: int
    key: bytes | None
    value: bytes | None
    topic: str = "events"
    partition: int = 0
    timestamp_type: int = 1


def fetched(events: Iterable[Event], *, first: int = 0, appended_ms: int | None = None) -> list[Fetched]:
    """Events at consecutive offsets, appended at `appended_ms`, by default each at its own time."""
    return [
        Fetched(
            first + n, to_ms(event.time) if appended_ms is None else appended_ms, event.subject.encode(), _encode(event)
        )
        for n, event in enumerate(events)
    ]


def raw(value: bytes | None, key: bytes | None, *, offset: int = 0, timestamp: int = 0) -> Fetched:
    return Fetched(offset, timestamp, key, value)

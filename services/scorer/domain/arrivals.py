"""What arrives off the log, and what its sender must hear of it."""

from typing import NamedTuple

from schemas.decisions import DeadLetterReason
from schemas.events import Event


class Arrival:
    """An event off the topic: the broker's append time (ms), its offset, and its bytes as they stood there."""

    __slots__ = ("appended_ms", "event", "offset", "raw")

    def __init__(self, event: Event, appended_ms: int, offset: int, raw: bytes) -> None:
        self.event, self.appended_ms, self.offset, self.raw = event, appended_ms, offset, raw


class Report(NamedTuple):
    """Something the sender must hear of; becomes a dead letter."""

    reason: DeadLetterReason
    detail: str
    arrival: Arrival

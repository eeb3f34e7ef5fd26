"""What arrives off the log, and what its sender must hear of it."""

import msgspec

from schemas.decisions import DeadLetterReason
from schemas.events import Event


class Arrival(msgspec.Struct, frozen=True, gc=False):
    """An event off the topic: the broker's append time (ms), its offset, and its bytes as they stood there."""

    event: Event
    appended_ms: int
    offset: int
    raw: bytes


class Report(msgspec.Struct, frozen=True, gc=False):
    """Something the sender must hear of; becomes a dead letter."""

    reason: DeadLetterReason
    detail: str
    arrival: Arrival

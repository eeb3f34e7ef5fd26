"""A decision as far as the notifier acts on it. The record itself is kept as the bytes it came in."""

from datetime import datetime

import msgspec

from schemas.decisions import Cause, Kind, Step, Value


class Received(msgspec.Struct, frozen=True, gc=False):
    """Of a trigger, when ingest took the event off the wire."""

    received_at: datetime | None = None


class Turn(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="record", tag="decision"):
    """The part of `schemas.decisions.Decision` that playbooks, alerts and the history's order need.

    The fields mean what they mean there. Reading only these saves most of the time of reading the whole.
    """

    subject: str
    dimension: str
    kind: Kind
    revision: int
    sequence: int
    from_: datetime = msgspec.field(name="from")
    path: list[Step]
    before: Value
    after: Value
    effective_at: datetime
    decided_at: datetime
    cause: Cause
    policy: str = ""
    policy_digest: str = ""
    trigger: Received | None = None
    catching_up: bool = False

    @property
    def announced(self) -> bool:
        return self.before != self.after


class Marker(msgspec.Struct, frozen=True, kw_only=True, gc=False, tag_field="record", tag="caught_up"):
    """`schemas.decisions.CaughtUp`: what was held back up to `sequence` is free."""

    partition: int
    sequence: int

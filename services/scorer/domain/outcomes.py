"""What comes out of a turn of one customer: changes of paths, and what the senders must hear of."""

import msgspec

from schemas.decisions import Cause, Condition, Trigger, Value
from services.scorer.domain.arrivals import Report
from services.scorer.domain.paths import Path
from services.scorer.domain.rules import Dimension, Policy


class Change(msgspec.Struct, frozen=True, gc=False):
    """One dimension's path from `from_ms` on is now `path`; what held of the old one but no longer does is `retracts`.

    before, after: what was announced last, and what holds now; a change with both alike is recorded, not announced
    policy:        the one in force that decided
    """

    dimension: Dimension
    policy: Policy
    revision: int
    from_ms: int
    path: Path
    before: Value
    after: Value
    effective_ms: int
    cause: Cause
    trigger: Trigger | None
    conditions: list[Condition]
    next: tuple[int, Value] | None
    retracts: Path


class Outcome(msgspec.Struct, gc=False):
    """altered:   the state must be written; if only its due instant is another, it need not be
    due_before_ms, due_ms: when the customer's record said to look, and when to look now; NEVER if nothing is waited for
    """

    changes: list[Change]
    reports: list[Report]
    altered: bool
    due_before_ms: int
    due_ms: int
    taken: int
    duplicates: int = 0
    unpriced: int = 0

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


class Outcome(msgspec.Struct, frozen=True, gc=False):
    """altered: the state must be written.  moved: only its due instant is another, which need not be."""

    changes: list[Change]
    reports: list[Report]
    altered: bool
    moved: bool
    taken: int
    duplicates: int
    unpriced: int

"""What comes out of a turn of one customer: changes of paths, and what the senders must hear of."""

from typing import NamedTuple

from schemas.decisions import Cause, Condition, Trigger, Value
from services.scorer.domain.arrivals import Report
from services.scorer.domain.paths import Path
from services.scorer.domain.rules import Dimension, Policy


class Change(NamedTuple):
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


class Outcome:
    """altered:   the state must be written; if only its due instant is another, it need not be
    due_before_ms, due_ms: when the customer's record said to look, and when to look now; NEVER if nothing is waited for
    """

    __slots__ = ("altered", "changes", "due_before_ms", "due_ms", "duplicates", "reports", "taken", "unpriced")

    def __init__(
        self,
        changes: list[Change],
        reports: list[Report],
        altered: bool,
        due_before_ms: int,
        due_ms: int,
        taken: int,
        duplicates: int = 0,
        unpriced: int = 0,
    ) -> None:
        self.changes, self.reports, self.altered = changes, reports, altered
        self.due_before_ms, self.due_ms = due_before_ms, due_ms
        self.taken, self.duplicates, self.unpriced = taken, duplicates, unpriced

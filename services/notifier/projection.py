"""A customer's row: the scorer's state record, and what lists and filters need of it."""

from datetime import datetime
from typing import NamedTuple

from services.scorer.domain.instants import to_datetime
from services.scorer.domain.policy import Policy
from services.scorer.domain.state import decode

TIER = "tier"


class CustomerRow(NamedTuple):
    """As table `customers` has it."""

    subject: str
    partition: int
    state: bytes
    tier: str
    tier_since: datetime | None
    classes: dict[str, str]
    segments: list[str]
    churn: bool | None
    changed_at: datetime | None


class Projection:
    """Reads positions out of state records. Their order is the policy's: the record must be of the same policy."""

    def __init__(self, policy: Policy) -> None:
        self._names = [dimension.name for dimension in policy.dimensions]
        self._tier = self._names.index(TIER)
        self._classes = [i for i, dimension in enumerate(policy.dimensions) if dimension.kind == "class"]
        self._segments = [i for i, dimension in enumerate(policy.dimensions) if dimension.kind == "segment"]
        self._churn = next((i for i, dimension in enumerate(policy.dimensions) if dimension.kind == "churn"), None)
        self._initial = [dimension.initial for dimension in policy.dimensions]

    def row(self, subject: str, partition: int, record: bytes) -> CustomerRow:
        """StateError if the record cannot be read."""
        standings = decode(record).standings
        values = [standing.value for standing in standings] or self._initial
        tier_since = standings[self._tier].since_ms if standings else None
        changed_ms = max((s.since_ms for s in standings if s.revision and s.since_ms is not None), default=None)
        return CustomerRow(
            subject=subject,
            partition=partition,
            state=record,
            tier=str(values[self._tier]),
            tier_since=None if tier_since is None else to_datetime(tier_since),
            classes={self._names[i]: str(values[i]) for i in self._classes},
            segments=[self._names[i] for i in self._segments if values[i]],
            churn=None if self._churn is None else bool(values[self._churn]),
            changed_at=None if changed_ms is None else to_datetime(changed_ms),
        )

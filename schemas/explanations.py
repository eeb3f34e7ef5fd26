"""What a customer's page says of the customer at an instant: features, position, why, and what happens next."""

from typing import Literal

import msgspec

from schemas.decisions import Condition, Next
from schemas.instants import Instant

Unit = Literal["money", "count", "duration"]


class FeatureValue(msgspec.Struct, frozen=True, kw_only=True):
    """value: money in major units as a decimal string, counts as integers, durations in ms; None while unknown."""

    value: int | str | None
    unit: Unit
    entries: int
    first: Instant | None = None
    last: Instant | None = None
    unpriced: int = 0


class RuleView(msgspec.Struct, frozen=True, kw_only=True):
    """rule: `tier.gold`, a segment's name, or `churn`.  holds: whether its whole expression is true at the instant."""

    rule: str
    text: str
    holds: bool
    conditions: list[Condition]


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of the pure core for one customer at one instant.

    tiers:    the tier on each ladder
    segments: the segments the customer is in, sorted
    churn:    whether churn is raised; None if the policy has no churn rule
    next:     for each dimension that will change without any event, its first change, soonest first
    """

    at: Instant
    features: dict[str, FeatureValue]
    tiers: dict[str, str]
    segments: list[str]
    churn: bool | None
    rules: list[RuleView]
    next: list[Next]

"""What a customer's page says of the customer at an instant: features, position, why, and what happens next."""

from typing import Literal

import msgspec

from schemas.decisions import Condition, Figure, Next, Value
from schemas.instants import Instant

Unit = Literal["money", "count", "duration", "number", "text"]


class FeatureValue(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """value: in the feature's unit; None while unknown.

    entries, first, last: how many events it rests on, and the times of the earliest and latest of them
    unpriced: how many of them counted as 0 because their currency has no rate
    bound:    the value may be too high by at most so much, as older events are only known by the hour; 0 is exact
    """

    value: Figure
    unit: Unit
    entries: int
    first: Instant | None = None
    last: Instant | None = None
    unpriced: int = 0
    bound: int = 0


class RuleView(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """One rule of one position.

    rule:  `tier.gold`, `tier.gold.stay`, `type.growth`, a segment's name, or `churn`
    value: the position it is about.  part: whether it is for entering or for staying
    holds: whether its whole expression is true at the instant
    only_from: the classes that it takes customers from, where it does not take them from any
    """

    rule: str
    dimension: str
    value: Value
    part: Literal["when", "stay"] = "when"
    text: str
    holds: bool
    conditions: list[Condition]
    only_from: list[str] = []


class Held(msgspec.Struct, frozen=True, kw_only=True, omit_defaults=True):
    """Where a customer stands in one dimension.

    since:    event time from which it has held; None where everyone began
    computed: what the rules say, where an override masks it
    override: until when somebody's override holds, and why
    failing:  since when the tier has not been earned
    falls_at: when grace and dwell end, if nothing happens before
    strategy, resources: what the policy says of the class
    """

    value: Value
    since: Instant | None = None
    computed: Value | None = None
    override: "OverrideView | None" = None
    failing: Instant | None = None
    falls_at: Instant | None = None
    strategy: str | None = None
    resources: str | None = None


class OverrideView(msgspec.Struct, frozen=True, kw_only=True):
    owner: str
    reason: str
    until: Instant


class Explanation(msgspec.Struct, frozen=True, kw_only=True):
    """The answer of the pure core for one customer at one instant.

    at:       as asked, or later: the floor of a folded ledger, if that is later
    policy:   the name of the policy that holds at the instant.  currency: that of its money
    tiers:    the tier on each ladder.  classes: the class in each list of classes
    segments: the segments the customer is in, sorted
    churn:    whether churn is raised; None if the policy has no churn rule
    standing: by dimension, since when and how firmly
    next:     for each dimension that will change without any event, its first change, soonest first
    """

    at: Instant
    policy: str
    currency: str
    features: dict[str, FeatureValue]
    tiers: dict[str, str]
    classes: dict[str, str]
    segments: list[str]
    churn: bool | None
    standing: dict[str, Held]
    rules: list[RuleView]
    next: list[Next]

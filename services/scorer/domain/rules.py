"""What a compiled policy is: rules over thresholds, dimensions over rules, playbooks over dimensions."""

from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from schemas import policy as shape
from schemas.decisions import Kind, Value
from services.scorer.domain.comparisons import Comparison, Condition, Threshold, Truths
from services.scorer.domain.features import Feature


class Rule(msgspec.Struct, frozen=True):
    """One condition: `name` as `tier.gold`, a segment's name or `churn`; `compared` are its comparisons in order."""

    name: str
    text: str
    holds: Condition
    compared: tuple[Comparison, ...]


class Dimension(msgspec.Struct, frozen=True):
    """One thing a customer has a position in.

    values: a ladder's tiers, best first; (False, True) otherwise
    rules:  a ladder's `when` of every tier but the last; the one rule otherwise
    """

    name: str
    kind: Kind
    values: tuple[Value, ...]
    rules: tuple[Rule, ...]

    @property
    def initial(self) -> Value:
        """Where everyone begins: the last tier; outside."""
        return self.values[-1] if self.kind == "ladder" else False

    def position(self, truths: Truths) -> Value:
        """The best tier whose rule holds, else the last; whether the rule holds."""
        if self.kind != "ladder":
            return self.rules[0].holds(truths)
        for value, rule in zip(self.values, self.rules, strict=False):
            if rule.holds(truths):
                return value
        return self.values[-1]

    def rules_between(self, before: Value, after: Value) -> list[Rule]:
        """The rules that explain a move: of the better of the two positions, and of where it ended."""
        if self.kind != "ladder":
            return list(self.rules)
        better = min(self.values.index(before), self.values.index(after))
        places = sorted({better, self.values.index(after)})
        return [self.rules[i] for i in places if i < len(self.rules)]


class Playbook(msgspec.Struct, frozen=True):
    """What a transition of `dimension` triggers.

    value: where the move must end, None for anywhere
    when:  a rule of its own, asked of the ledger at the transition's decision (`explain.holds`)
    """

    on: str
    dimension: Dimension
    verb: Literal["enters", "leaves", "rises", "falls"]
    value: Value | None
    when: Rule | None
    task: shape.Task | None

    def enters(self, before: Value, after: Value) -> bool:
        """Whether this move is what the playbook waits for."""
        if before == after or (self.value is not None and after != self.value):
            return False
        if self.verb in ("rises", "falls"):
            rises = self.dimension.values.index(after) < self.dimension.values.index(before)
            return rises == (self.verb == "rises")
        return True


class Policy(msgspec.Struct, frozen=True):
    """A compiled policy.

    digest:     16 hex digits over everything that decides (playbooks do not)
    thresholds: every threshold that decides, by index
    looked_at:  the same, by the feature they are of
    swayed:     per threshold the indices of the dimensions it has a say in
    """

    name: str
    digest: str
    currency: str
    minor_digits: int
    zone: ZoneInfo
    features: tuple[Feature, ...]
    thresholds: tuple[Threshold, ...]
    looked_at: tuple[tuple[Feature, tuple[Threshold, ...]], ...]
    swayed: tuple[tuple[int, ...], ...]
    dimensions: tuple[Dimension, ...]
    playbooks: tuple[Playbook, ...]
    document: shape.Policy

    def dimension(self, name: str) -> Dimension:
        return next(d for d in self.dimensions if d.name == name)

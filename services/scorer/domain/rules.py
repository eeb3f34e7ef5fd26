"""What a compiled policy is: rules over thresholds, dimensions over rules, playbooks over dimensions."""

from fractions import Fraction
from typing import Literal
from zoneinfo import ZoneInfo

import msgspec

from schemas import policy as shape
from schemas.decisions import Kind, Value
from services.scorer.domain.comparisons import Comparison, Condition, Threshold
from services.scorer.domain.features import Feature
from services.scorer.domain.prices import Prices
from services.scorer.domain.spans import Span


class Rule(msgspec.Struct, frozen=True):
    """One condition: `name` as `tier.gold`, `tier.gold.stay`, `type.growth`, a segment's name or `churn`.

    compared: its comparisons in the order written
    bits:     the thresholds it asks for, as a mask of the truths
    """

    name: str
    text: str
    holds: Condition
    compared: tuple[Comparison, ...]
    bits: int


class Tier(msgspec.Struct, frozen=True):
    """A rung of a ladder. `when` is None for the last; spans may be of months (wall time of the policy's zone)."""

    name: str
    when: Rule | None
    stay: Rule | None = None
    grace: Span | None = None
    dwell: Span | None = None


class Class(msgspec.Struct, frozen=True):
    """One of a list, of which the first match holds. `when` is None for the last; `only_from`: None for any."""

    name: str
    when: Rule | None
    only_from: frozenset[str] | None = None
    dwell: Span | None = None
    strategy: str | None = None
    resources: str | None = None


class Ladder(msgspec.Struct, frozen=True):
    """Best tier first; everyone begins in the last."""

    name: str
    tiers: tuple[Tier, ...]
    bits: int
    kind: Kind = "ladder"

    @property
    def values(self) -> tuple[Value, ...]:
        return tuple(t.name for t in self.tiers)


class Classes(msgspec.Struct, frozen=True):
    """Everyone begins in the last."""

    name: str
    classes: tuple[Class, ...]
    bits: int
    kind: Kind = "class"

    @property
    def values(self) -> tuple[Value, ...]:
        return tuple(c.name for c in self.classes)


class Segment(msgspec.Struct, frozen=True):
    """A segment, or churn: inside or not, without memory. Everyone begins outside."""

    name: str
    rule: Rule
    bits: int
    kind: Kind = "segment"

    @property
    def values(self) -> tuple[Value, ...]:
        return (True, False)


Dimension = Ladder | Classes | Segment
"""One thing a customer has a position in. `values` are its positions, the last is where everyone begins; `bits` are the
thresholds that have a say, as a mask of the truths."""


class Playbook(msgspec.Struct, frozen=True):
    """What a transition of `dimension` triggers.

    value: where the move must end, None for anywhere; of a class that is left, where it must begin
    when:  a rule of its own, asked of the ledger at the transition's decision (`explain.applies`); its thresholds are
           in `thresholds`, not in the policy's
    task, alert, webhook: what it does, at least one of them
    """

    on: str
    dimension: Dimension
    verb: Literal["enters", "leaves", "rises", "falls"]
    value: Value | None
    when: Rule | None
    thresholds: tuple[Threshold, ...]
    task: shape.Task | None
    alert: bool = False
    webhook: str | None = None

    def waits_for(self, before: Value, after: Value) -> bool:
        """Whether the playbook waits for this move. From a tier that is no more nobody rises or falls."""
        if before == after:
            return False
        if self.verb == "leaves" and isinstance(self.dimension, Classes):
            return before == self.value
        if self.value is not None and after != self.value:
            return False
        if self.verb in ("rises", "falls"):
            values = self.dimension.values
            if before not in values or after not in values:
                return False
            return (values.index(after) < values.index(before)) == (self.verb == "rises")
        return True


class Pending(msgspec.Struct, frozen=True):
    """A part of a policy that is checked, but that no service carries out yet.

    place:  `file:line:column` of its name
    part:   as it is written, `holdout: 10%`
    remedy: what to do to put the policy in force without it
    """

    place: str
    part: str
    remedy: str

    @property
    def message(self) -> str:
        return f"checked, but not carried out yet: `{self.part}`; {self.remedy}"

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


class Policy(msgspec.Struct, frozen=True):
    """A compiled policy.

    digest:     16 hex digits over everything that decides (playbooks, hold-out and codes do not)
    prices:     money of other currencies in the policy's
    features:   all that the document names and `tenure` and `known_for` where asked for, in the document's order,
                attributes and scorecards after them
    thresholds: every threshold that decides, by index
    fields:     the event fields that its conditions on events ask for; of opportunities all, if it asks of their stage
    top_spend:  the calibration's, in minor units
    pending:    what it says and no service carries out yet, in the order of the document
    """

    name: str
    digest: str
    currency: str
    minor_digits: int
    zone: ZoneInfo
    prices: Prices
    features: tuple[Feature, ...]
    thresholds: tuple[Threshold, ...]
    dimensions: tuple[Dimension, ...]
    playbooks: tuple[Playbook, ...]
    fields: frozenset[str]
    top_spend: Fraction | None
    document: shape.Policy
    pending: tuple[Pending, ...] = ()

    def dimension(self, name: str) -> Dimension:
        return next(d for d in self.dimensions if d.name == name)

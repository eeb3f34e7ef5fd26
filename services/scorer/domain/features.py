"""Features as a policy defines them: what is kept per customer, of which events, over which window.

Definitions only, with every number exact. How they are kept as events come and time passes stands in `gauges.py`; what
is asked of them in `comparisons.py`.
"""

from collections.abc import Callable, Iterable, Mapping
from fractions import Fraction
from typing import Literal

import msgspec

from services.scorer.domain.churn import BgNbd, GammaGamma
from services.scorer.domain.spans import Span

Unit = Literal["money", "count", "duration", "number", "text"]

Fields = Mapping[str, str | Fraction]
"""An event's fields by name; `score` is a number, the others are texts. One that is not there is unknown."""


class Where(msgspec.Struct, frozen=True):
    """A condition on an event's fields.

    names: the fields it asks for, which entries must therefore keep
    texts: those that it compares them with: it cannot tell any others apart
    """

    text: str
    names: frozenset[str]
    texts: frozenset[str]
    holds: Callable[[Fields], bool]


class Which(msgspec.Struct, frozen=True):
    """The entries a feature is about: of these kinds (`entries.py`), and of these only where the condition holds."""

    kinds: tuple[int, ...]
    where: Where | None = None


class Count(msgspec.Struct, frozen=True):
    """How many entries the window holds; orders that were wholly refunded do not count."""

    name: str
    which: Which
    window: Span | None = None


class Sum(msgspec.Struct, frozen=True):
    """Money the window holds, in the policy's minor units; of purchases, or of purchases less their refunds, or of
    refunds. A total below 0 counts as 0.

    which: of one kind. The condition is asked of the order; its refunds follow it
    """

    name: str
    which: Which
    less_refunds: bool = False
    window: Span | None = None


class Mean(msgspec.Struct, frozen=True):
    """The mean score of feedback in the window; unknown without any."""

    name: str
    which: Which
    window: Span | None = None


class Feedback(msgspec.Struct, frozen=True):
    """The mean of feedback in the window, each brought to 0 to 100 and weighted by its kind; unknown without any.

    weights: per kind of entry, (kind, weight > 0); a rating r is (r - 1) * 25, an NPS n is n * 10, a complaint is 0
    """

    name: str
    which: Which
    weights: tuple[tuple[int, Fraction], ...]
    window: Span | None = None


class Ratio(msgspec.Struct, frozen=True):
    """One count or sum divided by another, money in major units; unknown while the other is 0."""

    name: str
    top: Count | Sum
    bottom: Count | Sum


class SinceLast(msgspec.Struct, frozen=True):
    """The time since the newest entry that stands at the instant."""

    name: str
    which: Which


class Tenure(msgspec.Struct, frozen=True):
    """The time since the first order that stands at the instant."""

    name: str = "tenure"


class KnownFor(msgspec.Struct, frozen=True):
    """The time since the first event of any kind."""

    name: str = "known_for"


class Regularity(msgspec.Struct, frozen=True):
    """The gaps between the orders that stand, from two gaps on.

    parts: `mean` and `spread` (the gaps' population standard deviation), durations; `variation` = spread / mean,
    unknown while the mean is 0
    """

    name: str


class Overdue(msgspec.Struct, frozen=True):
    """The time past the next order expected, which is the last order + the mean gap (cut to ms), from two gaps on;
    unknown before that instant."""

    name: str


class Trend(msgspec.Struct, frozen=True):
    """The entries of the last `recent` against those of the `base` before it, both fixed spans.

    With R of them recent, B in the base, and L = B * recent / base expected:
    "" = R / L;  `fewer` = P(X <= R) and `more` = P(X >= R) for X ~ Poisson(L); all unknown while B is 0
    """

    name: str
    which: Which
    recent: Span
    base: Span


class Score(msgspec.Struct, frozen=True):
    """Points per kind of entry, each halved after every `half_life` (a fixed span): sum of p * 2^(-age / half_life).

    points: (kind, points); wholly refunded orders give none
    """

    name: str
    points: tuple[tuple[int, Fraction], ...]
    half_life: Span


class PAlive(msgspec.Struct, frozen=True):
    """P(alive) of BG/NBD: 1 without a repeat purchase, unknown before the first purchase."""

    name: str
    model: BgNbd


class Expected(msgspec.Struct, frozen=True):
    """Purchases to expect within `horizon` (a fixed span): a step function of whole days of age; unknown before the
    first purchase."""

    name: str
    model: BgNbd
    horizon: Span


class Value(msgspec.Struct, frozen=True):
    """The expected value of a purchase (Gamma-Gamma), in major units, from the mean value of the repeat transactions,
    as the model is fitted: of all days with orders that stand but the first; unknown before the first purchase."""

    name: str
    model: GammaGamma


class Rfm(msgspec.Struct, frozen=True):
    """Scores of 1 to 5: part `r` by the age of the last order, `f` by the number of orders, `m` by the lifetime spend.

    Each has four cuts, ascending: r is 5 before the first cut's age and 1 from the last on; f and m are 1 below the
    first cut and 5 from the last on. monetary is in minor units. All unknown without an order that stands.
    """

    name: str
    recency: tuple[Span, ...]
    frequency: tuple[int, ...]
    monetary: tuple[int, ...]


class Stage(msgspec.Struct, frozen=True):
    """The stage of the opportunity that moved last (text, part ""), and the time since that move (part `time`)."""

    name: str


class Attribute(msgspec.Struct, frozen=True):
    """A profile field: the value with the newest event time, unknown where there is none."""

    name: str


class Scorecard(msgspec.Struct, frozen=True):
    """Points for features: weight * min(value / full, 1), never below 0; an unknown value gives 0.

    parts: (operand, weight, full), full as the operand's values are (of a sum minor units)
    """

    name: str
    parts: tuple[tuple["Operand", Fraction, Fraction], ...]


Feature = (
    Count
    | Sum
    | Mean
    | Feedback
    | Ratio
    | SinceLast
    | Tenure
    | KnownFor
    | Regularity
    | Overdue
    | Trend
    | Score
    | PAlive
    | Expected
    | Value
    | Rfm
    | Stage
    | Attribute
    | Scorecard
)


def wheres_of(features: Iterable[Feature]) -> list[Where]:
    """The conditions on events among them."""
    asked = (getattr(feature, "which", None) for feature in features)
    return [which.where for which in asked if isinstance(which, Which) and which.where is not None]


PARTS: dict[type, dict[str, Unit]] = {
    Count: {"": "count"},
    Sum: {"": "money"},
    Mean: {"": "number"},
    Feedback: {"": "number"},
    Ratio: {"": "number"},
    SinceLast: {"": "duration"},
    Tenure: {"": "duration"},
    KnownFor: {"": "duration"},
    Regularity: {"mean": "duration", "spread": "duration", "variation": "number"},
    Overdue: {"": "duration"},
    Trend: {"": "number", "fewer": "number", "more": "number"},
    Score: {"": "number"},
    PAlive: {"": "number"},
    Expected: {"": "number"},
    Value: {"": "money"},
    Rfm: {"r": "count", "f": "count", "m": "count"},
    Stage: {"": "text", "time": "duration"},
    Attribute: {"": "text"},
    Scorecard: {"": "number"},
}
"""What can be asked of each kind of feature: `x` for the part "", `x.mean` for `mean`. And its unit, but for a sum by a
count, which is money (`Operand.unit`)."""


class Operand(msgspec.Struct, frozen=True):
    """What a comparison asks of a feature: one of its parts."""

    feature: Feature
    part: str = ""

    @property
    def name(self) -> str:
        return f"{self.feature.name}.{self.part}" if self.part else self.feature.name

    @property
    def unit(self) -> Unit:
        """In what its values are shown."""
        feature = self.feature
        if isinstance(feature, Ratio) and isinstance(feature.top, Sum) and isinstance(feature.bottom, Count):
            return "money"
        return PARTS[type(feature)][self.part]

    @property
    def in_minor_units(self) -> bool:
        """Whether its values and constants are whole minor units. Money that is an average or expected is a number of
        major units, of which a cent has parts."""
        return isinstance(self.feature, Sum)

    @property
    def may_be_unknown(self) -> bool:
        return not isinstance(self.feature, Count | Sum | Score | Scorecard)

"""Comparisons of a feature with constants, and the thresholds every one of them comes down to.

A *threshold* is a feature above one limit. `x between 1 and 3` is above 0 and not above 3; `quiet < 90d` is known and
not yet 90 days. So one small thing is asked of a feature at an instant: is it above, and when will that flip by itself.
"""

from collections.abc import Callable, Mapping, Sequence
from typing import Literal

import msgspec

from services.scorer.domain.features import Age, Feature, Measure
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.spans import Span, anniversary

Operator = Literal["<", "<=", ">", ">=", "==", "!=", "between", "not between", "in", "not in"]

Truths = Sequence[bool] | Mapping[int, bool]
"""Per threshold of the policy, by index, whether its feature is above it at the instant looked at."""

Condition = Callable[[Truths], bool]


class Threshold(msgspec.Struct, frozen=True):
    """A quantity is above it while its value > `limit`; an age from `span` and `after_ms` past its start on.

    index: its place in the policy's list of thresholds
    span:  None asks no more of an age than that it is known
    """

    index: int
    feature: Feature
    limit: int = 0
    span: Span | None = None
    after_ms: int = 0

    def look(self, measure: Measure) -> tuple[bool, int]:
        """Whether the feature is above, and the first instant at which that flips by itself, or NEVER."""
        if not isinstance(measure, Age):
            return measure.value > self.limit, measure.crosses(self.limit)
        if measure.start_ms is None:
            return False, NEVER
        if self.span is None:
            return True, NEVER
        reached_ms = anniversary(self.span, measure.start_ms, measure.zone) + self.after_ms
        return (True, NEVER) if reached_ms <= measure.at_ms else (False, reached_ms)


class Comparison(msgspec.Struct, frozen=True):
    """`feature operator constants`, as the policy writes it in `text`.

    quantities, spans: the constants, in minor units or events, or spans for ages; two for between, any number for `in`
    thresholds:        what it comes down to
    truth:             whether it holds, by those thresholds; a comparison with an unknown is false
    """

    feature: Feature
    operator: Operator
    text: str
    quantities: tuple[int, ...]
    spans: tuple[Span, ...]
    thresholds: tuple[Threshold, ...]
    truth: Condition


def both(first: Condition, second: Condition) -> Condition:
    return lambda truths: first(truths) and second(truths)


def either(first: Condition, second: Condition) -> Condition:
    return lambda truths: first(truths) or second(truths)


def negated(condition: Condition) -> Condition:
    return lambda truths: not condition(truths)

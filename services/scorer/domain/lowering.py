"""Lowering: comparisons as written become conditions over thresholds, shared by the whole policy."""

from functools import reduce
from operator import itemgetter
from typing import Any

from services.scorer.domain.comparisons import Comparison, Condition, Operator, Threshold, both, either, negated
from services.scorer.domain.features import Feature
from services.scorer.domain.spans import Span

Constant = int | Span


class Thresholds:
    """The thresholds of one policy: each different one once."""

    def __init__(self) -> None:
        self.all: list[Threshold] = []

    def comparison(self, feature: Feature, operator: Operator, text: str, constants: list[Constant]) -> Comparison:
        """Constants are all quantities (minor units, events) or all spans, as the feature's family wants."""
        used: list[Threshold] = []
        truth = _Lowering(self, feature, used).condition(operator, constants)
        return Comparison(
            feature,
            operator,
            text,
            tuple(c for c in constants if isinstance(c, int)),
            tuple(c for c in constants if isinstance(c, Span)),
            tuple(used),
            truth,
        )

    def threshold(self, feature: Feature, **limit: Any) -> Threshold:
        wanted = Threshold(len(self.all), feature, **limit)
        for known in self.all:
            if (known.feature, known.limit, known.span, known.after_ms) == (
                feature,
                wanted.limit,
                wanted.span,
                wanted.after_ms,
            ):
                return known
        self.all.append(wanted)
        return wanted


class _Lowering:
    def __init__(self, thresholds: Thresholds, feature: Feature, used: list[Threshold]) -> None:
        self._thresholds, self._feature, self._used = thresholds, feature, used

    def condition(self, operator: Operator, constants: list[Constant]) -> Condition:  # noqa: PLR0911
        match operator:
            case ">":
                return self._above(constants[0])
            case ">=":
                return self._reached(constants[0])
            case "<":
                return self._not(self._reached(constants[0]))
            case "<=":
                return self._not(self._above(constants[0]))
            case "between":
                return self._within(*constants)
            case "not between":
                return self._not(self._within(*constants))
            case "==" | "in":
                return self._one_of(constants)
            case "!=" | "not in":
                return self._not(self._one_of(constants))

    def _reached(self, constant: Constant) -> Condition:
        """At least the constant."""
        return self._at(limit=constant - 1) if isinstance(constant, int) else self._at(span=constant)

    def _above(self, constant: Constant) -> Condition:
        """More than the constant, for an age by a millisecond."""
        return self._at(limit=constant) if isinstance(constant, int) else self._at(span=constant, after_ms=1)

    def _within(self, low: Constant, high: Constant) -> Condition:
        return both(self._reached(low), negated(self._above(high)))

    def _one_of(self, constants: list[Constant]) -> Condition:
        return reduce(either, [self._within(c, c) for c in constants])

    def _not(self, condition: Condition) -> Condition:
        """The opposite, which is false too while an age is unknown."""
        opposite = negated(condition)
        return both(self._at(span=None), opposite) if self._feature.unit == "duration" else opposite

    def _at(self, **limit: Any) -> Condition:
        threshold = self._thresholds.threshold(self._feature, **limit)
        if threshold not in self._used:
            self._used.append(threshold)
        return itemgetter(threshold.index)

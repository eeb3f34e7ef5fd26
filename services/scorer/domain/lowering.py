"""Lowering: comparisons as written become conditions over thresholds, shared by the whole policy."""

from collections.abc import Sequence
from fractions import Fraction
from functools import reduce

from services.scorer.domain.comparisons import (
    Above,
    Ask,
    Comparison,
    Condition,
    Constant,
    Equals,
    Known,
    Operator,
    Reached,
    Threshold,
    bit,
    both,
    either,
    negated,
)
from services.scorer.domain.features import Operand, PAlive
from services.scorer.domain.spans import Span


class Thresholds:
    """The thresholds of one policy: each different one once."""

    def __init__(self) -> None:
        self._known: dict[tuple[Operand, Ask], Threshold] = {}

    @property
    def all(self) -> tuple[Threshold, ...]:
        """By index."""
        return tuple(self._known.values())

    def comparison(self, operand: Operand, operator: Operator, text: str, constants: Sequence[Constant]) -> Comparison:
        """Constants are all of the kind that the operand wants (`comparisons.Constant`)."""
        lowering = _Lowering(self, operand)
        truth = lowering.condition(operator, constants)
        return Comparison(operand, operator, text, tuple(constants), tuple(lowering.used), truth)

    def threshold(self, operand: Operand, ask: Ask) -> Threshold:
        return self._known.setdefault((operand, ask), Threshold(len(self._known), operand, ask))


class _Lowering:
    """used: the thresholds of the comparison, in the order they were asked for."""

    def __init__(self, thresholds: Thresholds, operand: Operand) -> None:
        self._thresholds, self._operand = thresholds, operand
        self.used: list[Threshold] = []

    def condition(self, operator: Operator, constants: Sequence[Constant]) -> Condition:  # noqa: PLR0911
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
                return self._within(constants[0], constants[1])
            case "not between":
                return self._not(self._within(constants[0], constants[1]))
            case "==" | "in":
                return self._one_of(constants)
            case "!=" | "not in":
                return self._not(self._one_of(constants))

    def _reached(self, constant: Constant) -> Condition:
        """At least the constant."""
        match constant:
            case int():
                return self._asked(Above(constant - 1))
            case Fraction():
                return self._asked(Above(constant, inclusive=True))
            case Span():
                return self._asked(Reached(constant))
            case str():
                return self._asked(Equals(constant))

    def _above(self, constant: Constant) -> Condition:
        """More than the constant, for a duration by a millisecond. P(alive) is never equal to one (rule 13)."""
        match constant:
            case int():
                return self._asked(Above(constant))
            case Fraction():
                return self._asked(Above(constant, inclusive=isinstance(self._operand.feature, PAlive)))
            case Span():
                return self._asked(Reached(constant, after_ms=1))
            case str():
                raise AssertionError("texts have no order")  # the compiler has refused it

    def _within(self, low: Constant, high: Constant) -> Condition:
        return both(self._reached(low), negated(self._above(high)))

    def _one_of(self, constants: Sequence[Constant]) -> Condition:
        return reduce(either, [self._reached(c) if isinstance(c, str) else self._within(c, c) for c in constants])

    def _not(self, condition: Condition) -> Condition:
        """The opposite, which is false too while the operand is unknown."""
        opposite = negated(condition)
        return both(self._asked(Known()), opposite) if self._operand.may_be_unknown else opposite

    def _asked(self, ask: Ask) -> Condition:
        threshold = self._thresholds.threshold(self._operand, ask)
        if threshold not in self.used:
            self.used.append(threshold)
        return bit(threshold)

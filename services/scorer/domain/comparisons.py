"""Comparisons of a feature with constants: whether one holds at an instant, and when that flips by itself."""

from collections.abc import Iterable
from typing import Literal

import msgspec

from services.scorer.domain.features import Age, Feature, Measure, Quantity
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.spans import Span, anniversary

Operator = Literal["<", "<=", ">", ">=", "==", "!=", "between", "not between", "in", "not in"]


class Comparison(msgspec.Struct, frozen=True):
    """`feature operator constants`.

    index:     its place in the policy's list of comparisons
    text:      as the policy writes it
    constants: quantities in minor units or events, or spans for ages; two for between, any number for `in`
    """

    index: int
    feature: Feature
    operator: Operator
    text: str
    quantities: tuple[int, ...] = ()
    spans: tuple[Span, ...] = ()

    def holds(self, measure: Measure) -> bool:
        """A comparison with an unknown is false."""
        if isinstance(measure, Quantity):
            return _compare(self.operator, measure.value, self.quantities)
        if measure.start_ms is None:
            return False
        boundaries = tuple(anniversary(span, measure.start_ms, measure.zone) for span in self.spans)
        return _compare(self.operator, measure.at_ms, boundaries)

    def next_flip(self, measure: Measure, holds: bool) -> int:
        """The first instant after the measure's at which, with no further event, this flips; NEVER if it will not."""
        if isinstance(measure, Age):
            return self._age_flips(measure)
        if measure.only_falls:
            return min(map(measure.falls_to, self._limits()), default=NEVER)
        for instant, value in measure.steps():
            if _compare(self.operator, value, self.quantities) != holds:
                return instant
        return NEVER

    def _limits(self) -> Iterable[int]:
        """Falling to or below one of these can flip it."""
        match self.operator:
            case ">" | "<=":
                return self.quantities
            case ">=" | "<":
                return (self.quantities[0] - 1,)
            case "between" | "not between":
                return (self.quantities[1], self.quantities[0] - 1)
            case _:
                return tuple(limit for q in self.quantities for limit in (q, q - 1))

    def _age_flips(self, age: Age) -> int:
        if age.start_ms is None:
            return NEVER
        boundaries = [anniversary(span, age.start_ms, age.zone) for span in self.spans]
        match self.operator:
            case ">=" | "<":
                instants = boundaries
            case ">" | "<=":
                instants = [boundaries[0] + 1]
            case "between" | "not between":
                instants = [boundaries[0], boundaries[1] + 1]
            case _:
                instants = [instant for b in boundaries for instant in (b, b + 1)]
        return min((i for i in instants if i > age.at_ms), default=NEVER)


def _compare(operator: Operator, value: int, constants: tuple[int, ...]) -> bool:  # noqa: PLR0911
    match operator:
        case ">":
            return value > constants[0]
        case ">=":
            return value >= constants[0]
        case "<":
            return value < constants[0]
        case "<=":
            return value <= constants[0]
        case "between":
            return constants[0] <= value <= constants[1]
        case "not between":
            return not constants[0] <= value <= constants[1]
        case "==" | "in":
            return value in constants
        case "!=" | "not in":
            return value not in constants

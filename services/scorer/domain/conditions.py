"""Conditions over features: names resolved, constants read in the unit of what they are compared with, then lowered."""

from collections.abc import Callable, Iterable, Iterator, Mapping
from fractions import Fraction
from functools import reduce

from services.scorer.domain import expressions, literals
from services.scorer.domain.comparisons import Comparison, Condition, Constant, both, either, negated
from services.scorer.domain.document import Place, suggest
from services.scorer.domain.expressions import ExpressionError
from services.scorer.domain.features import PARTS, Expected, Feature, Operand, PAlive
from services.scorer.domain.lowering import Thresholds
from services.scorer.domain.rules import Rule
from services.scorer.domain.spans import Span, parse_span

TOP_SPEND = f"{expressions.CALIBRATED}.top_spend"
EQUALITIES = ("==", "!=", "in", "not in")


class Conditions:
    """Compiles the expressions of one policy.

    features:  by name, everything that a rule may ask for
    top_spend: the calibration's, in minor units
    unasked:   by name, what has positions: no rule may ask for it
    """

    def __init__(
        self,
        features: Mapping[str, Feature],
        currency: str,
        digits: int,
        top_spend: Fraction | None,
        unasked: Mapping[str, str],
    ) -> None:
        self._features, self._currency, self._digits, self._top_spend = features, currency, digits, top_spend
        self._unasked = unasked

    def rule(self, name: str, text: str, place: Place, thresholds: Thresholds) -> Rule:
        """PolicyError at the place where the expression cannot be."""
        try:
            tree = expressions.parse(text)
            compared = tuple(self._comparison(node, thresholds) for node in expressions.comparisons(tree))
        except ExpressionError as error:
            place.refuse(f"{name}: {error.message}", offset=error.offset)
        bits = reduce(int.__or__, (1 << t.index for comparison in compared for t in comparison.thresholds))
        return Rule(name, text, _joined(tree, iter(compared)), compared, bits)

    def _comparison(self, node: expressions.Compared, thresholds: Thresholds) -> Comparison:
        operand = self._operand(node)
        if operand.unit == "text" and node.operator not in EQUALITIES:
            raise ExpressionError(node.offset, f"{node.name!r} is a text; compare it with ==, !=, in or not in")
        if isinstance(operand.feature, PAlive | Expected) and node.operator in EQUALITIES:
            raise ExpressionError(node.offset, f"{node.name!r} is never exactly a number; compare it with < or >")
        constants = [self._constant(constant, operand) for constant in node.constants]
        if node.operator.endswith("between"):
            literals.check_order(node)
            low, high = constants
            if isinstance(low, Span) and isinstance(high, Span) and _backwards(low, high):
                message = f"the lower bound stands second; write between {high.text} and {low.text}"
                raise ExpressionError(node.constants[0].offset, message)
        return thresholds.comparison(operand, node.operator, node.text, constants)

    def _operand(self, node: expressions.Compared) -> Operand:
        name, _, part = node.name.partition(".")
        feature = self._features.get(name)
        if feature is None and name in self._unasked:
            message = f"{name!r} is {self._unasked[name]}; a condition asks for features, not where a customer stands"
            raise ExpressionError(node.offset, message)
        if feature is None:
            message = f"there is no feature {name!r}; {suggest(name, self._features)}"
            raise ExpressionError(node.offset, message)
        parts = PARTS[type(feature)]
        if part not in parts:
            there = ", ".join(f"{name}.{p}" if p else name for p in parts)
            raise ExpressionError(node.offset, f"{name!r} has no value {node.name!r} to compare; write {there}")
        return Operand(feature, part)

    def _constant(self, constant: expressions.Constant, operand: Operand) -> Constant:
        name, unit = operand.name, operand.unit
        if constant.kind == "calibrated":
            return self._calibrated(constant, operand)
        match unit:
            case "duration":
                if constant.kind != "span":
                    hint = f"{constant.text}d" if constant.kind == "number" else "90d"
                    message = f"{name!r} is a duration; compare it with a span such as {hint}"
                    raise ExpressionError(constant.offset, message)
                return literals.read(constant, parse_span)
            case "text":
                if constant.kind == "text" and not constant.text:
                    message = f"the text is empty; {name!r} is a text such as 'A', or unknown"
                    raise ExpressionError(constant.offset, message)
                if constant.kind != "text":
                    raise ExpressionError(constant.offset, f"{name!r} is a text; compare it with one such as 'A'")
                return constant.text
        if constant.kind != "number":
            wrong = "a duration" if constant.kind == "span" else "a text"
            shown = {"money": "an amount", "count": "a count", "number": "a number"}[unit]
            raise ExpressionError(constant.offset, f"{name!r} is {shown}, not {wrong}; compare it with a number")
        match unit:
            case "money" if operand.in_minor_units:
                return literals.read(constant, self._money)
            case "count":
                return literals.read(constant, lambda text: literals.whole(text, repr(name)))
            case _:
                return literals.read(constant, literals.number)

    def _money(self, text: str) -> int:
        return literals.minor_units(text, self._digits, self._currency)

    def _calibrated(self, constant: expressions.Constant, operand: Operand) -> Constant:
        if constant.text != TOP_SPEND:
            raise ExpressionError(constant.offset, f"there is no {constant.text!r}; the calibration gives {TOP_SPEND}")
        if self._top_spend is None:
            message = "the calibration has no top_spend; add it, or let `tierline fit` write it"
            raise ExpressionError(constant.offset, message)
        if operand.in_minor_units:
            return int(self._top_spend)
        if operand.unit in ("money", "number"):
            return Fraction(self._top_spend, 10**self._digits)
        raise ExpressionError(constant.offset, f"{operand.name!r} is a {operand.unit}, {TOP_SPEND} is money")


def _joined(node: expressions.Node, compared: Iterator[Comparison]) -> Condition:
    """The tree's condition; `compared` are its comparisons in the order written."""
    match node:
        case expressions.And(parts=parts):
            return _reduced(both, parts, compared)
        case expressions.Or(parts=parts):
            return _reduced(either, parts, compared)
        case expressions.Not(inner=inner):
            return negated(_joined(inner, compared))
        case expressions.Compared():
            return next(compared).truth


def _reduced(
    join: Callable[[Condition, Condition], Condition], parts: Iterable[expressions.Node], compared: Iterator[Comparison]
) -> Condition:
    return reduce(join, [_joined(part, compared) for part in parts])


def _backwards(low: Span, high: Span) -> bool:
    """Whether the first span is surely the longer one."""
    if low.months and high.months:
        return low.months > high.months
    return bool(low.fixed_ms and high.fixed_ms) and low.fixed_ms > high.fixed_ms

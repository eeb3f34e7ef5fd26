"""Rules, read naively: a policy's expression as Python's own parser sees it, turned into what can be asked again."""

import ast
import re
from collections.abc import Callable, Mapping
from datetime import timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any

Value = Decimal | int | list[Any] | None
Features = Mapping[str, Value]

FIXED_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
SPAN = re.compile(r"\b([0-9]+)(ms|min|mo|s|h|d|w|y)\b")
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


class NotKnownHere(Exception):
    """The policy says something this recomputation does not know; str() names it."""


def holds(rule: str, features: Features) -> bool:
    """Whether a rule is true: comparisons joined by and, or, not. A comparison with an unknown is false."""
    return _read(rule)(features)


@lru_cache(maxsize=1000)
def names_in(rule: str) -> frozenset[str]:
    """The features the rule asks for."""
    return frozenset(node.id for node in ast.walk(_parsed(rule)[0]) if isinstance(node, ast.Name))


@lru_cache(maxsize=1000)
def delays_in(rule: str) -> frozenset[timedelta]:
    """How long after an event the rule may turn: after the durations it names, with some comparisons a ms later."""
    operators = {type(op) for node in ast.walk(_parsed(rule)[0]) if isinstance(node, ast.Compare) for op in node.ops}
    named_ms = [int(number) * FIXED_MS[unit] for number, unit in SPAN.findall(rule)]
    more_ms = [0] if operators <= {ast.Lt, ast.GtE} else [0, 1]
    return frozenset(timedelta(milliseconds=ms + more) for ms in named_ms for more in more_ms)


def _parsed(rule: str) -> tuple[ast.expr, str]:
    def as_ms(span: re.Match[str]) -> str:
        if span[2] not in FIXED_MS:
            raise NotKnownHere(f"{span[0]} in a rule")
        return str(int(span[1]) * FIXED_MS[span[2]])

    text = SPAN.sub(as_ms, " ".join(rule.split()))
    try:
        return ast.parse(text, mode="eval").body, text
    except SyntaxError as error:
        raise NotKnownHere(f"rule {rule!r}") from error


@lru_cache(maxsize=1000)
def _read(rule: str) -> Callable[[Features], bool]:
    return _truth(*_parsed(rule))


def _truth(node: ast.expr, text: str) -> Callable[[Features], bool]:
    match node:
        case ast.BoolOp(op=op, values=values):
            parts = [_truth(part, text) for part in values]
            if isinstance(op, ast.And):
                return lambda features: all(part(features) for part in parts)
            return lambda features: any(part(features) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            inner = _truth(operand, text)
            return lambda features: not inner(features)
        case ast.Compare(left=left, ops=ops, comparators=rest):
            sides = [_value(side, text) for side in [left, *rest]]
            tests = [_COMPARE[type(op)] for op in ops]

            def compared(features: Features) -> bool:
                values = [side(features) for side in sides]
                if None in values:
                    return False
                return all(test(values[i], values[i + 1]) for i, test in enumerate(tests))

            return compared
    raise NotKnownHere(f"{ast.unparse(node)} in a rule")


def _value(node: ast.expr, text: str) -> Callable[[Features], Value]:
    match node:
        case ast.List(elts=items):
            values = [_value(item, text) for item in items]
            return lambda features: [value(features) for value in values]
        case ast.Name() | ast.Attribute(value=ast.Name()):
            name = ast.unparse(node)

            def feature(features: Features) -> Value:
                try:
                    return features[name]
                except KeyError:
                    raise NotKnownHere(f"{name} in a rule") from None

            return feature
        case ast.Constant(value=int() | float()):
            # From the text: a decimal number must not pass through a binary float.
            constant = Decimal((ast.get_source_segment(text, node) or "").replace("_", ""))
            return lambda features: constant
    raise NotKnownHere(f"{ast.unparse(node)} in a rule")

"""Comparisons of a feature with constants, and the thresholds every one of them comes down to.

A *threshold* is one yes/no question about an operand: above a limit, past a span, equal to a text, known at all.
`x between 1 and 3` is at least 1 and not above 3; `quiet < 90d` is known and not yet 90 days. Each different one of a
policy is a bit of an integer, the *truths*; a condition is a function of the truths.
"""

from collections.abc import Callable
from fractions import Fraction
from typing import Literal

import msgspec

from services.scorer.domain.features import Operand
from services.scorer.domain.spans import Span

Operator = Literal["<", "<=", ">", ">=", "==", "!=", "between", "not between", "in", "not in"]

Truths = int
"""A bit per threshold of the policy: bit i tells whether threshold i holds at the instant looked at."""

Condition = Callable[[Truths], bool]

Constant = int | Fraction | Span | str
"""Of sums minor units and of counts events (int), of numbers and other money Fraction, of durations Span, of texts
str."""


class Above(msgspec.Struct, frozen=True):
    """value > limit, or value >= limit. Of money and counts (int) only the strict form is used."""

    limit: int | Fraction
    inclusive: bool = False


class Reached(msgspec.Struct, frozen=True):
    """A duration has come to `span` and `after_ms` more."""

    span: Span
    after_ms: int = 0


class Equals(msgspec.Struct, frozen=True):
    text: str


class Known(msgspec.Struct, frozen=True):
    """There is a value."""


Ask = Above | Reached | Equals | Known


class Threshold(msgspec.Struct, frozen=True):
    """index: its place in the policy's list of thresholds, and its bit in the truths."""

    index: int
    operand: Operand
    ask: Ask


class Comparison(msgspec.Struct, frozen=True):
    """`operand operator constants`, as the policy writes it in `text`.

    constants:  two for between, any number for `in`
    thresholds: what it comes down to
    truth:      whether it holds, by those thresholds; a comparison with an unknown is false
    """

    operand: Operand
    operator: Operator
    text: str
    constants: tuple[Constant, ...]
    thresholds: tuple[Threshold, ...]
    truth: Condition


def bit(threshold: Threshold) -> Condition:
    mask = 1 << threshold.index
    return lambda truths: bool(truths & mask)


def both(first: Condition, second: Condition) -> Condition:
    return lambda truths: first(truths) and second(truths)


def either(first: Condition, second: Condition) -> Condition:
    return lambda truths: first(truths) or second(truths)


def negated(condition: Condition) -> Condition:
    return lambda truths: not condition(truths)

"""Conditions on an event's fields: `where: "channel == 'call'"`, asked of each entry of a feature.

A field that an entry does not have is unknown, and every comparison with it is false.
"""

import operator
from collections.abc import Callable, Iterable, Iterator
from fractions import Fraction
from itertools import pairwise, product
from math import prod

from services.scorer.domain import expressions, literals
from services.scorer.domain.comparisons import Operator
from services.scorer.domain.document import suggest
from services.scorer.domain.entries import COMPLAINT, INTERACTION, KEPT, NPS, OUTBOUND, RATING
from services.scorer.domain.expressions import And, Compared, Constant, ExpressionError, Node, Not, Or
from services.scorer.domain.features import Fields, Where, Which

KIND_SAYS: dict[int, dict[str, str]] = {
    INTERACTION: {"direction": "inbound"},
    OUTBOUND: {"direction": "outbound"},
    RATING: {"kind": "rating"},
    NPS: {"kind": "nps"},
    COMPLAINT: {"kind": "complaint"},
}
"""Fields that follow from the kind."""

SCALES = {RATING: (1, 5), NPS: (0, 10)}
"""Kinds whose amount is the field `score`, in hundredths: the lowest and the highest score that ingest takes."""

MOST_TRIED = 10_000
"""Combinations of fields."""

ALWAYS_KEPT = frozenset({"direction", "kind"})
"""Those of KIND_SAYS: nothing more is kept for them."""

_ORDERS: dict[str, Callable[[str | Fraction, str | Fraction], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_EQUALITIES = ("==", "!=", "in", "not in")


def compiled(text: str, kinds: Iterable[int]) -> Which:
    """The entries of these kinds for which the condition holds; ExpressionError if it cannot be asked of them.

    A condition that names `direction` is asked of the interactions that the house began, too.
    """
    tree = expressions.parse(text)
    compared = tuple(expressions.comparisons(tree))
    names = {comparison.name for comparison in compared}
    kinds = tuple(kinds)
    if INTERACTION in kinds and "direction" in names:
        kinds = (*kinds, OUTBOUND)
    known = {name for kind in kinds for name in _fields(kind)}
    for comparison in compared:
        _check(comparison, known, kinds)
    condition = _condition(tree)
    if not names <= {"direction", "kind"}:
        texts = frozenset(constant.text for c in compared for constant in c.constants if constant.kind == "text")
        return Which(kinds, Where(text, frozenset(names), texts, condition))
    # the kinds alone decide, so nothing needs to be asked of the entries
    matching = tuple(kind for kind in kinds if condition(KIND_SAYS.get(kind, {})))
    if not matching:
        raise ExpressionError(0, "no event can meet this condition")
    return Which(matching)


def can_pass(which: Which) -> bool:
    """Whether there can be an entry that meets the condition; True where too many would have to be tried."""
    if which.where is None:
        return True
    compared = tuple(expressions.comparisons(expressions.parse(which.where.text)))
    return any(_can_pass(kind, which.where, compared) for kind in which.kinds)


def _can_pass(kind: int, where: Where, compared: Iterable[Compared]) -> bool:
    """Any value between two that the condition names does as well as any other, and so does any other text."""
    choices: dict[str, list[str | Fraction | None]] = {}
    for name in where.names:
        named = {_constant(constant) for c in compared if c.name == name for constant in c.constants}
        if name in (said := KIND_SAYS.get(kind, {})):
            choices[name] = [said[name]]
        elif name == "score" and kind in SCALES:
            choices[name] = [*_scores(kind, named)]
        elif name in KEPT[kind]:
            choices[name] = [None, *named, "".join(map(str, named)) + "?"]
    if prod(map(len, choices.values())) > MOST_TRIED:
        return True
    tried = (zip(choices, values, strict=True) for values in product(*choices.values()))
    return any(where.holds({name: value for name, value in fields if value is not None}) for fields in tried)


def _scores(kind: int, named: Iterable[str | Fraction]) -> Iterator[Fraction]:
    """Those named that are on the scale, and one between any two."""
    low, high = SCALES[kind]
    on_scale = {score for score in named if isinstance(score, Fraction) and low <= score <= high}
    at = sorted({Fraction(low), *on_scale, Fraction(high)})
    yield from at
    yield from ((a + b) / 2 for a, b in pairwise(at))


def _fields(kind: int) -> set[str]:
    return {*KEPT[kind], *KIND_SAYS.get(kind, ())}


def _check(comparison: Compared, known: set[str], kinds: tuple[int, ...]) -> None:
    name = comparison.name
    if name not in known:
        message = f"these events have no field {name!r}; {suggest(name, known)}"
        raise ExpressionError(comparison.offset, message)
    if name != "score" and comparison.operator not in _EQUALITIES:
        raise ExpressionError(comparison.offset, f"{name!r} is a text; compare it with ==, !=, in or not in")
    if comparison.operator.endswith("between"):
        literals.check_order(comparison)
    said = {values[name] for kind in kinds if name in (values := KIND_SAYS.get(kind, {}))}
    for constant in comparison.constants:
        if constant.kind != ("number" if name == "score" else "text"):
            wanted = "a number; compare it with one such as 3" if name == "score" else "a text; put it in quotes"
            raise ExpressionError(constant.offset, f"{name!r} is {wanted}")
        if name == "score":
            literals.read(constant, literals.number)
        if said and constant.text not in said:
            raise ExpressionError(
                constant.offset, f"{name!r} is never {constant.text!r}; {suggest(constant.text, said)}"
            )


def _condition(node: Node) -> Callable[[Fields], bool]:
    match node:
        case And(parts=parts):
            conditions = [_condition(part) for part in parts]
            return lambda fields: all(condition(fields) for condition in conditions)
        case Or(parts=parts):
            conditions = [_condition(part) for part in parts]
            return lambda fields: any(condition(fields) for condition in conditions)
        case Not(inner=inner):
            condition = _condition(inner)
            return lambda fields: not condition(fields)
        case Compared():
            return _comparison(node)


def _comparison(compared: Compared) -> Callable[[Fields], bool]:
    name, constants = compared.name, [_constant(c) for c in compared.constants]
    holds = _holds(compared.operator, constants)
    return lambda fields: (value := fields.get(name)) is not None and holds(value)


def _holds(sign: Operator, constants: list[str | Fraction]) -> Callable[[str | Fraction], bool]:
    match sign:
        case "==" | "in":
            return lambda value: value in constants
        case "!=" | "not in":
            return lambda value: value not in constants
        case "between":
            return lambda value: constants[0] <= value <= constants[1]  # type: ignore[operator]
        case "not between":
            return lambda value: not constants[0] <= value <= constants[1]  # type: ignore[operator]
        case _:
            compare = _ORDERS[sign]
            return lambda value: compare(value, constants[0])


def _constant(constant: Constant) -> str | Fraction:
    return literals.number(constant.text) if constant.kind == "number" else constant.text

"""Whether a condition can hold at all: an exact answer for each operand by itself, from the cells of its values.

A condition is brought into the form "one of these boxes": in a box each operand is within some of its cells. A box in
which an operand has no cell left is empty; so is one in which what two operands tell of the events behind them
contradicts (`evidence.py`). Where operands depend on each other in other ways (a ratio is its one part by its other),
a condition that cannot hold may pass as one that can, never the other way round.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import reduce
from itertools import combinations_with_replacement

import msgspec

from services.scorer.domain import expressions
from services.scorer.domain.cells import Cell, cells
from services.scorer.domain.comparisons import Comparison, Threshold
from services.scorer.domain.evidence import Claim, claims, contradict
from services.scorer.domain.features import Feature, Operand
from services.scorer.domain.rules import Rule

MOST_BOXES = 1_024
MOST_COMPARED = 100_000
"""Pairs of claims, of two operands."""

Box = Mapping[Operand, int]
"""Per operand the cells it may be in, as a mask."""


class Within(msgspec.Struct, frozen=True):
    """The operand is in one of these cells. No cell at all: never."""

    operand: Operand
    mask: int


class All(msgspec.Struct, frozen=True):
    """Without parts: always."""

    parts: tuple["Formula", ...]


class Any(msgspec.Struct, frozen=True):
    parts: tuple["Formula", ...]


Formula = Within | All | Any


class Formulas:
    """Of these rules, and only these: what is looked at together grows fast."""

    def __init__(self, *rules: Rule) -> None:
        asked: dict[Operand, set[Threshold]] = {}
        for comparison in (c for rule in rules for c in rule.compared):
            asked.setdefault(comparison.operand, set()).update(comparison.thresholds)
        self._cells = {operand: cells(operand, of) for operand, of in asked.items()}
        told = {operand: _told(operand, of, asked[operand]) for operand, of in self._cells.items() if of is not None}
        self._apart = [*_kept_apart(told)]

    def of(self, rule: Rule, *, holds: bool = True) -> Formula:
        """That the rule holds, or that it does not."""
        return self._of(expressions.parse(rule.text), iter(rule.compared), holds)

    def of_part(self, node: expressions.Node, compared: Iterable[Comparison], *, holds: bool = True) -> Formula:
        """The same of a part of a rule; `compared` are its comparisons in the order written."""
        return self._of(node, iter(compared), holds)

    def possible(self, *formulas: Formula) -> bool:
        """Whether all can hold at once; True where that is not known."""
        try:
            return any(self._consistent(box) for box in _boxes(All(formulas)))
        except OverflowError:
            return True

    def never_ends(self, formula: Formula, only_grows: Callable[[Feature], bool]) -> bool:
        """Whether it holds for ever once it does, `only_grows` being what never becomes less, nor unknown again."""
        match formula:
            case All(parts=parts) | Any(parts=parts):
                return all(self.never_ends(part, only_grows) for part in parts)
            case Within(operand=operand, mask=mask):
                of = self._cells[operand]
                # the cells from some cell on
                return only_grows(operand.feature) and of is not None and (mask | (mask - 1)) == (1 << len(of)) - 1

    def _of(self, node: expressions.Node, compared: Iterator[Comparison], holds: bool) -> Formula:
        match node:
            case expressions.And(parts=parts) | expressions.Or(parts=parts):
                inner = tuple([self._of(part, compared, holds) for part in parts])
                return All(inner) if isinstance(node, expressions.And) == holds else Any(inner)
            case expressions.Not(inner=negated):
                return self._of(negated, compared, not holds)
            case expressions.Compared():
                return self._leaf(next(compared), holds)

    def _leaf(self, comparison: Comparison, holds: bool) -> Formula:
        of = self._cells[comparison.operand]
        if of is None:
            return All(())
        mask = sum(1 << i for i, cell in enumerate(of) if comparison.truth(cell.truths) == holds)
        return Within(comparison.operand, mask)

    def _consistent(self, box: Box) -> bool:
        return all(
            any(box[other] & together for i, together in enumerate(apart) if box[one] >> i & 1)
            for one, other, apart in self._apart
            if one in box and other in box
        )


def _told(operand: Operand, of: Sequence[Cell], asked: Iterable[Threshold]) -> list[list[Claim]]:
    """Per cell what it tells; the first one is that nothing is known, where that can be."""
    return [claims(operand, cell, known=i > 0 or not operand.may_be_unknown, asked=asked) for i, cell in enumerate(of)]


def _kept_apart(told: Mapping[Operand, list[list[Claim]]]) -> Iterator[tuple[Operand, Operand, list[int]]]:
    """Pairs of operands, and for each cell of the one the cells of the other that can go with it, as a mask; of an
    operand with itself the cells there can be at all. Pairs that would take too long are left out."""
    for one, other in combinations_with_replacement(told, 2):
        if sum(map(len, told[one])) * sum(map(len, told[other])) <= MOST_COMPARED:
            yield (
                one,
                other,
                [
                    sum(
                        1 << j
                        for j, theirs in enumerate(told[other])
                        if (one is not other or i == j) and not contradict(mine, theirs)
                    )
                    for i, mine in enumerate(told[one])
                ],
            )


def _boxes(formula: Formula) -> list[Box]:
    """OverflowError where there are too many to look at."""
    match formula:
        case Within(operand=operand, mask=mask):
            return [{operand: mask}] if mask else []
        case Any(parts=parts):
            return _few([box for part in parts for box in _boxes(part)])
        case All(parts=parts):
            return reduce(_crossed, map(_boxes, parts), [{}])


def _crossed(left: list[Box], right: list[Box]) -> list[Box]:
    if len(left) * len(right) > MOST_BOXES:
        raise OverflowError
    return [box for a in left for b in right if (box := _met(a, b)) is not None]


def _met(a: Box, b: Box) -> Box | None:
    met = {**a, **b}
    for operand in a.keys() & b.keys():
        met[operand] = a[operand] & b[operand]
        if not met[operand]:
            return None
    return met


def _few(boxes: list[Box]) -> list[Box]:
    if len(boxes) > MOST_BOXES:
        raise OverflowError
    return boxes

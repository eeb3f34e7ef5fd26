"""Whether a condition can hold at all: an exact answer for each operand by itself, from the cells of its values.

A condition is brought into the form "one of these boxes": in a box each operand is within some of its cells. A box in
which an operand has no cell left is empty; so is one in which what two operands tell of the events behind them
contradicts (`evidence.py`). Where operands depend on each other in other ways (a ratio is its one part by its other),
a condition that cannot hold may pass as one that can, never the other way round.
"""

from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from functools import lru_cache, reduce
from itertools import combinations_with_replacement

import msgspec

from services.scorer.domain import expressions
from services.scorer.domain.cells import Cell, cells
from services.scorer.domain.comparisons import Comparison, Threshold
from services.scorer.domain.evidence import Claim, claims, contradict
from services.scorer.domain.features import Feature, Operand
from services.scorer.domain.rules import Rule

MOST_BOXES = 1_024
MOST_COMPARED = 200_000
"""Pairs of claims, a fifth of a second or so; what is not known by then passes as possible."""

Box = Mapping[Operand, int]
"""Per operand the cells it may be in, as a mask."""


_tree = lru_cache(maxsize=1_024)(expressions.parse)  # of one ladder each is looked at with every other


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
        self._told = {o: _told(o, of, asked[o]) for o, of in self._cells.items() if of is not None}
        self._together: dict[tuple[Operand, int, Operand, int], bool] = {}
        self._compared = 0

    def of(self, rule: Rule, *, holds: bool = True) -> Formula:
        """That the rule holds, or that it does not."""
        return self._of(_tree(rule.text), iter(rule.compared), holds)

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
            self._go_together(one, box[one], other, box[other])
            for one, other in combinations_with_replacement([operand for operand in box if operand in self._told], 2)
        )

    def _go_together(self, one: Operand, mine: int, other: Operand, theirs: int) -> bool:
        """Whether some of these cells of the one can go with some of those of the other; of an operand with itself
        whether one of them can be at all. OverflowError once too much has been compared."""
        pair = one, mine, other, theirs
        if pair not in self._together:
            cells_of_other = [*enumerate(self._told[other])]
            self._together[pair] = any(
                self._allowed(told, of_other)
                for i, told in enumerate(self._told[one])
                if mine >> i & 1
                for j, of_other in (cells_of_other if one is not other else [(i, told)])
                if theirs >> j & 1
            )
        return self._together[pair]

    def _allowed(self, mine: list[Claim], theirs: list[Claim]) -> bool:
        self._compared += len(mine) * len(theirs)
        if self._compared > MOST_COMPARED:
            raise OverflowError
        return not contradict(mine, theirs)


def _told(operand: Operand, of: Sequence[Cell], asked: Iterable[Threshold]) -> list[list[Claim]]:
    """Per cell what it tells; the first one is that nothing is known, where that can be."""
    return [claims(operand, cell, known=i > 0 or not operand.may_be_unknown, asked=asked) for i, cell in enumerate(of)]


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

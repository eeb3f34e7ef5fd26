"""Whether a condition can hold at all: an exact answer for each operand by itself, from the cells of its values.

A condition is brought into the form "one of these boxes": in a box each operand is within some of its cells. A box in
which an operand has no cell left is empty; so is one in which the shorter of two windows would hold more than the
longer, or a window an order although the last is older than that. Where operands depend on each other in other ways
(tenure is never longer than known_for), a condition that cannot hold may pass as one that can, never the other way
round.
"""

from collections.abc import Callable, Iterator, Mapping
from functools import reduce

import msgspec

from services.scorer.domain import expressions
from services.scorer.domain.cells import Cell, cells, longest_ms, shortest_ms
from services.scorer.domain.comparisons import Comparison, Reached, Threshold
from services.scorer.domain.entries import PURCHASE, REFUND
from services.scorer.domain.features import Count, Feature, Operand, SinceLast, Sum, Tenure, Which
from services.scorer.domain.rules import Rule
from services.scorer.domain.spans import Span

MOST_BOXES = 1_024

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
        self._ages = {
            operand: [(t.ask, 1 << t.index) for t in of if isinstance(t.ask, Reached)] for operand, of in asked.items()
        }
        self._dated = [
            (counted, since) for counted in asked for since in asked if _dated(counted.feature, since.feature)
        ]
        self._never_more = [
            (small, large)
            for small in asked
            for large in asked
            if small is not large and _never_more(small.feature, large.feature)
        ]

    def of(self, rule: Rule, *, holds: bool = True) -> Formula:
        """That the rule holds, or that it does not."""
        return self._of(expressions.parse(rule.text), iter(rule.compared), holds)

    def of_one(self, comparison: Comparison, *, holds: bool = True) -> Formula:
        return self._leaf(comparison, holds)

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
            any(few.low < many.high for few in self._in(box, small) for many in self._in(box, large))
            for small, large in self._never_more
            if small in box and large in box
        ) and all(
            any(
                self._together(counted.feature, number, since, place, age)
                for number in self._in(box, counted)
                for place, age in self._placed(box, since)
            )
            for counted, since in self._dated
            if counted in box and since in box
        )

    def _together(self, counted: Feature, number: Cell, since: Operand, place: int, age: Cell) -> bool:
        """Whether the window can hold so many while the time since the newest, or the first, is in the cell at `place`:
        the first of these cells is that it is not known."""
        assert isinstance(counted, Count | Sum)
        known = place > 0
        if number.low >= _ABOVE_NOTHING:
            newest = isinstance(since.feature, SinceLast)
            return known and not (
                newest and any(age.truths & bit and _surely_out(ask, counted.window) for ask, bit in self._ages[since])
            )
        if number.high <= _ABOVE_NOTHING and isinstance(counted, Count) and _part_of(_of(since.feature), counted.which):
            young = any(not age.truths & bit and _surely_in(ask, counted.window) for ask, bit in self._ages[since])
            return not known or (counted.window is not None and not young)
        return True

    def _in(self, box: Box, operand: Operand) -> list[Cell]:
        return [cell for _, cell in self._placed(box, operand)]

    def _placed(self, box: Box, operand: Operand) -> list[tuple[int, Cell]]:
        return [(i, cell) for i, cell in enumerate(self._cells[operand] or ()) if box[operand] >> i & 1]


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


def _never_more(small: Feature, large: Feature) -> bool:
    """Whether the one is never above the other, as it is of fewer of the same entries.

    Not of sums less refunds: one without an order may fall out of the shorter window alone.
    """
    match small, large:
        case Count(), Count():
            return _part_of(small.which, large.which) and _lasts_as_long(small.window, large.window)
        case Sum(), Sum():
            plain = not small.less_refunds and not large.less_refunds
            return plain and _part_of(small.which, large.which) and _lasts_as_long(small.window, large.window)
    return False


_ABOVE_NOTHING = (0, 1)


def _dated(counted: Feature, since: Feature) -> bool:
    """Whether what the one counts is among what the other is the age of. Refunds have an instant of their own."""
    if not isinstance(counted, Count | Sum) or not isinstance(since, SinceLast | Tenure):
        return False
    return REFUND not in counted.which.kinds and _part_of(counted.which, _of(since))


def _of(since: Feature) -> Which:
    return since.which if isinstance(since, SinceLast) else Which((PURCHASE,))


def _surely_out(reached: Reached, window: Span | None) -> bool:
    """Whether what is so old has left the window, wherever in the calendar."""
    if window is None:
        return False
    if reached.span.months and window.months:
        return reached.span.months > window.months
    return shortest_ms(reached.span) + reached.after_ms >= longest_ms(window)


def _surely_in(reached: Reached, window: Span | None) -> bool:
    """Whether what is not yet so old is still in the window."""
    if window is None:
        return True
    if reached.span.months and window.months:
        return reached.span.months < window.months
    return longest_ms(reached.span) + reached.after_ms <= shortest_ms(window)


def _part_of(small: Which, large: Which) -> bool:
    same = large.where is None or (small.where is not None and small.where.text == large.where.text)
    return same and set(small.kinds) <= set(large.kinds)


def _lasts_as_long(short: Span | None, long: Span | None) -> bool:
    if long is None or short is None:
        return long is None
    if short.months and long.months:
        return short.months <= long.months
    return longest_ms(short) <= shortest_ms(long)

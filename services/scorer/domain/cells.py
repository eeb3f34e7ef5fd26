"""The values of an operand, parted by the thresholds that are asked of it: within a cell all answers are the same.

Of a count with the thresholds above 2 and above 5 the cells are: up to 2; 3 to 5; 6 and more. Together with the least
and greatest value there can be, they tell which answers can go together.
"""

from collections.abc import Iterable, Sequence
from fractions import Fraction
from typing import NamedTuple

from services.scorer.domain.comparisons import Above, Equals, Known, Reached, Threshold
from services.scorer.domain.entries import NPS
from services.scorer.domain.features import (
    Count,
    Expected,
    Feedback,
    Mean,
    Operand,
    PAlive,
    Ratio,
    Regularity,
    Rfm,
    Score,
    Scorecard,
    Sum,
    Trend,
    Value,
)
from services.scorer.domain.spans import longest_ms, shortest_ms

MOST = 256
DAY_MS = 86_400_000

Cut = tuple[Fraction | int, int]
"""Between the values below a limit and those above it: (limit, 0) where the limit is above, (limit, 1) where below."""

LOWEST: Cut = (Fraction(-(10**30)), 0)
HIGHEST: Cut = (Fraction(10**30), 0)


class Cell(NamedTuple):
    """truths: the answers of its values.  low, high: its numbers, where it is of numbers"""

    truths: int
    low: Cut = LOWEST
    high: Cut = HIGHEST


def cells(operand: Operand, thresholds: Iterable[Threshold]) -> tuple[Cell, ...] | None:
    """All the cells that a value can be in, ascending, unknown first; None where there are too many to look at.

    thresholds: those of this operand
    """
    known, asked = 0, []
    for threshold in thresholds:
        if isinstance(threshold.ask, Known):
            known = 1 << threshold.index
        else:
            asked.append(threshold)
    match operand.unit:
        case "duration":
            found = _of_durations(asked)
        case "text":
            found = _of_texts(asked)
        case _:
            found = _of_numbers(asked, *bounds(operand))
    if found is None:
        return None
    if known:
        found = [cell._replace(truths=cell.truths | known) for cell in found]
    return (Cell(0), *found) if operand.may_be_unknown else tuple(found)


def bounds(operand: Operand) -> tuple[Fraction | int, Fraction | int]:  # noqa: PLR0911 - one a kind
    """The least and the greatest value there can be, of an operand that is a number."""
    unlimited = HIGHEST[0]
    match operand.feature:
        case Count() | Sum() | Ratio() | Expected() | Value() | Regularity():
            return 0, unlimited
        case Mean(which=which):
            return (0, 10) if NPS in which.kinds else (1, 5)
        case Feedback():
            return 0, 100
        case Trend():
            return 0, 1 if operand.part else unlimited
        case PAlive():
            return 0, 1
        case Rfm():
            return 1, 5
        case Score(points=points):
            signs = {number > 0 for _, number in points}
            return (LOWEST[0] if False in signs else 0), (unlimited if True in signs else 0)
        case Scorecard(parts=parts):
            return 0, sum((weight for _, weight, _ in parts), Fraction(0))
    return LOWEST[0], unlimited


def _of_numbers(asked: Sequence[Threshold], least: Fraction | int, greatest: Fraction | int) -> list[Cell]:
    cuts: list[tuple[Cut, int]] = sorted(
        ((t.ask.limit, 0 if t.ask.inclusive else 1), 1 << t.index) for t in asked if isinstance(t.ask, Above)
    )
    found: list[Cell] = []
    truths, low = 0, LOWEST
    for high, passed in [*cuts, (HIGHEST, 0)]:
        if (least, 0) < high and low < (greatest, 1):
            found.append(Cell(truths, max(low, (least, 0)), high))
        truths, low = truths | passed, high
    return found


def _of_durations(asked: Sequence[Threshold]) -> list[Cell] | None:
    """Months differ in length: which of 30d and 1mo is reached first depends on the month."""
    ordered = sorted(
        (
            (shortest_ms(t.ask.span), longest_ms(t.ask.span), t.ask, 1 << t.index)
            for t in asked
            if isinstance(t.ask, Reached)
        ),
        key=lambda cut: (cut[0], cut[1], cut[2].after_ms),
    )
    found = [0]
    for i, (_, _, ask, mask) in enumerate(ordered):
        before = [other for _, _, earlier, other in ordered[:i] if _surely_before(earlier, ask)]
        sooner = [other for _, _, earlier, other in ordered[:i] if _surely_before(ask, earlier)]
        reached = [t | mask for t in found if all(t & other for other in before)]
        found = [t for t in found if not any(t & other for other in sooner)] + reached
        if len(found) > MOST:
            return None
    return [Cell(truths) for truths in found]


def _surely_before(first: Reached, second: Reached) -> bool:
    """Whether who has come to the second has always come to the first."""
    if first.span.months and second.span.months:
        return (first.span.months, first.after_ms) <= (second.span.months, second.after_ms)
    return longest_ms(first.span) + first.after_ms <= shortest_ms(second.span) + second.after_ms


def _of_texts(asked: Sequence[Threshold]) -> list[Cell]:
    return [Cell(0), *(Cell(1 << t.index) for t in asked if isinstance(t.ask, Equals))]

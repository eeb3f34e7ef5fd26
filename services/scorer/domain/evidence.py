"""What the value of a feature tells of the events behind it, and so which values never go together.

`orders == 0` tells that no order stands, `basket > 3` that one does, `quiet < 30d` that one of less than 30 days does.
All of it is brought into one form: at least, or at most, so many entries (or so much money) of these kinds, of such an
age. Two claims contradict each other where whatever the one counts the other counts too, and it is too much.

An order that was wholly refunded is none, but a sum without `minus` still has its money: from such a sum no order
follows. Of two sums less refunds the longer window may hold less: refunds without an order leave by themselves.
"""

from collections.abc import Iterable, Iterator
from typing import Literal, NamedTuple

from services.scorer.domain.cells import Cell
from services.scorer.domain.comparisons import Reached, Threshold
from services.scorer.domain.entries import OVERRIDE, PURCHASE, REFUND, STAGE
from services.scorer.domain.features import (
    Count,
    Expected,
    Feature,
    Feedback,
    KnownFor,
    Mean,
    Operand,
    Overdue,
    PAlive,
    Ratio,
    Regularity,
    Rfm,
    SinceLast,
    Stage,
    Sum,
    Tenure,
    Trend,
    Value,
    Which,
)
from services.scorer.domain.spans import Span, longest_ms, shortest_ms

ORDERS = Which((PURCHASE,))
EVERYTHING = Which(tuple(range(OVERRIDE + 1)))
UNLIMITED = 10**30
NOTHING = (0, 1)
"""The cut between 0 and what is above it."""


class Age(NamedTuple):
    """Of any age without a span; else within that window, younger than span and `after_ms`, or not younger."""

    span: Span | None = None
    is_: Literal["in window", "younger", "older"] = "in window"
    after_ms: int = 0


class Claim(NamedTuple):
    """So many entries that stand, or so much money in minor units: paid, or left of it less refunds."""

    of: Literal["entries", "paid", "left"]
    which: Which
    age: Age = Age()
    least: int = 0
    most: int = UNLIMITED


def claims(operand: Operand, cell: Cell, *, known: bool, asked: Iterable[Threshold]) -> list[Claim]:  # noqa: PLR0911
    """What a value within the cell tells.  asked: the thresholds of the operand"""
    if not known:
        return [*_of_unknown(operand)]
    match operand.feature:
        case Count() | Sum() as total:
            return [*_of_total(total, *_whole(cell))]
        case Ratio(top=top, bottom=bottom):
            above, none = cell.low >= NOTHING, cell.high <= NOTHING
            return [*_of_total(bottom, least=1), *_of_total(top, int(above), 0 if none else UNLIMITED)]
        case SinceLast() | Tenure() | KnownFor() | Stage() as since if operand.unit == "duration":
            return [*_of_age(since, cell, asked)]
        case Overdue():
            return [*_of_overdue(cell, asked)]
        case Rfm() as rfm:
            return [*_of_scores(rfm, operand.part, *_whole(cell))]
        case PAlive():  # 1 until there are orders of two days
            return [Claim("entries", ORDERS, least=2 if cell.high <= (1, 0) else 1)]
    return [*_of_known(operand.feature)]


def contradict(one: Iterable[Claim], other: Iterable[Claim]) -> bool:
    return any(_too_much(a, b) or _too_much(b, a) for a in one for b in other)


def _of_unknown(operand: Operand) -> Iterator[Claim]:
    match operand.feature:
        case SinceLast(which=which):
            yield Claim("entries", which, most=0)
        case Tenure() | PAlive() | Expected() | Value() | Rfm():
            yield Claim("entries", ORDERS, most=0)
        case KnownFor():
            yield Claim("entries", EVERYTHING, most=0)
        case Ratio(bottom=bottom):
            yield from _of_total(bottom, most=0)
        case Regularity() if operand.part != "variation":
            yield Claim("entries", ORDERS, most=2)


def _of_known(feature: Feature) -> Iterator[Claim]:
    """What it takes that there is a value at all."""
    match feature:
        case Expected() | Value():
            yield Claim("entries", ORDERS, least=1)
        case Regularity():
            yield Claim("entries", ORDERS, least=3)
        case Mean(which=which, window=window) | Feedback(which=which, window=window):
            yield Claim("entries", which, Age(window), least=1)
        case Trend(which=which):
            yield Claim("entries", which, least=1)
        case Stage():
            yield Claim("entries", Which((STAGE,)), least=1)


def _of_total(total: Count | Sum, least: int = 0, most: int = UNLIMITED) -> Iterator[Claim]:
    which, age = total.which, Age(total.window)
    if isinstance(total, Count):
        yield Claim("entries", which, age, least, most)
        return
    yield Claim("paid", which, age, least, UNLIMITED if total.less_refunds else most)
    if total.less_refunds:
        yield Claim("left", which, age, least, most)
    if least > 0 and (total.less_refunds or REFUND in which.kinds):
        yield Claim("entries", which, age, least=1)


def _of_age(since: SinceLast | Tenure | KnownFor | Stage, cell: Cell, asked: Iterable[Threshold]) -> Iterator[Claim]:
    """The age is that of the newest entry, of the oldest, or (of a stage) of one between."""
    which = ORDERS
    match since:
        case SinceLast():
            which = since.which
        case KnownFor():
            which = EVERYTHING
        case Stage():
            which = Which((STAGE,))
    yield Claim("entries", which, least=1)
    for reached, younger, older in _spans(cell, asked):
        if reached:
            yield Claim("entries", which, older, least=1)
            if isinstance(since, SinceLast):
                yield Claim("entries", which, younger, most=0)
        else:
            yield Claim("entries", which, younger, least=1)
            if isinstance(since, Tenure | KnownFor):
                yield Claim("entries", which, older, most=0)


def _of_overdue(cell: Cell, asked: Iterable[Threshold]) -> Iterator[Claim]:
    """It is counted from a while after the last order."""
    yield Claim("entries", ORDERS, least=3)
    for reached, younger, older in _spans(cell, asked):
        if reached:
            yield Claim("entries", ORDERS, older, least=1)
            yield Claim("entries", ORDERS, younger, most=0)


def _spans(cell: Cell, asked: Iterable[Threshold]) -> Iterator[tuple[bool, Age, Age]]:
    """Whether each span asked for has been reached; younger than that, and not younger."""
    for threshold in asked:
        if isinstance(threshold.ask, Reached):
            younger = Age(threshold.ask.span, "younger", threshold.ask.after_ms)
            yield bool(cell.truths >> threshold.index & 1), younger, younger._replace(is_="older")


def _of_scores(rfm: Rfm, part: str, lowest: int, highest: int) -> Iterator[Claim]:
    """Scores go from 1 below the first cut to 5 from the last on; of recency the other way round."""
    yield Claim("entries", ORDERS, least=1)
    if part == "r":
        for span in rfm.recency[5 - lowest :][:1]:  # not passed
            yield Claim("entries", ORDERS, Age(span, "younger"), least=1)
        if highest < 5:
            passed = Age(rfm.recency[4 - highest], "older")
            yield Claim("entries", ORDERS, passed, least=1)
            yield Claim("entries", ORDERS, passed._replace(is_="younger"), most=0)
        return
    cuts = rfm.frequency if part == "f" else rfm.monetary
    least, most = cuts[lowest - 2] if lowest > 1 else 0, cuts[highest - 1] - 1 if highest <= len(cuts) else UNLIMITED
    if part == "f":
        yield Claim("entries", ORDERS, least=least, most=most)
    else:
        yield from _of_total(Sum(rfm.name, ORDERS, less_refunds=True), least, most)


def _whole(cell: Cell) -> tuple[int, int]:
    """The least and the greatest whole number in the cell."""
    (low, above), (high, through) = cell.low, cell.high
    return int(low) + above, int(high) - 1 + through


def _too_much(few: Claim, many: Claim) -> bool:
    """Whether the one claims more than the other allows, of what the other counts as well."""
    if few.least <= many.most or few.of != many.of or not _among(few, many):
        return False
    return few.of != "left" or _among(many, few)


def _among(few: Claim, many: Claim) -> bool:
    """Whether whatever the one counts is surely among what the other counts."""
    same = many.which.where is None or (few.which.where is not None and few.which.where.text == many.which.where.text)
    if not same or not set(few.which.kinds) <= set(many.which.kinds):
        return False
    if many.age.span is None:
        return True
    if few.age.span is None or (few.age.is_ == "older") != (many.age.is_ == "older"):
        return False
    if REFUND in few.which.kinds and few.age.is_ != many.age.is_:
        return False  # a refund leaves windows with its order, but is as old as itself
    return _passed_first(many.age, few.age) if few.age.is_ == "older" else _passed_first(few.age, many.age)


def _passed_first(short: Age, long: Age) -> bool:
    """Whether who has not passed the one has surely not passed the other, an older entry than this not excepted.

    Of two windows of as many months the exits keep the entries' order. Anniversaries do not: those of 30 January 10:00
    and of 31 January 09:00 are both on 28 February.
    """
    assert short.span is not None
    assert long.span is not None
    if short.span.months and long.span.months:
        windows = short.is_ == long.is_ == "in window"
        return short.span.months < long.span.months or (windows and short.span.months == long.span.months)
    return longest_ms(short.span) + short.after_ms <= shortest_ms(long.span) + long.after_ms

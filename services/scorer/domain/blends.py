"""Gauges made of several counts and sums: means, ratios, trends and scorecards."""

from collections.abc import Collection, Sequence
from fractions import Fraction
from math import lcm

from services.scorer.domain.comparisons import Threshold
from services.scorer.domain.entries import NPS, RATING, read_profile
from services.scorer.domain.features import Count, Feature, Feedback, Mean, Ratio, Scorecard, Sum, Trend, Which
from services.scorer.domain.gauges import Figure, Numbers, Reading, Registers, Setting
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.orders import Take
from services.scorer.domain.poisson import Tails
from services.scorer.domain.spans import Span
from services.scorer.domain.windows import VALUE, Total, Windowed


class Blend(Windowed):
    """Made of totals; its registers are theirs, in a list each."""

    def __init__(
        self, which: Which | None, parts: Sequence[Windowed], asked: Sequence[Threshold], setting: Setting
    ) -> None:
        super().__init__(which, asked, setting)
        self.parts = tuple(parts)

    def touched_by(self, profile: str) -> bool:
        return any(part.touched_by(profile) for part in self.parts)

    def refundable(self) -> bool:
        return any(part.refundable() for part in self.parts)

    def fresh(self) -> Registers:
        return [part.fresh() for part in self.parts]

    def copy(self, registers: Registers) -> Registers:
        return [part.copy(own) for part, own in zip(self.parts, registers, strict=True)]

    def enter(self, registers: Registers, ledger: Ledger, index: int, at_ms: int) -> None:
        profile = ledger.profile(index)
        for part, own in zip(self.parts, registers, strict=True):
            if part.touched_by(profile):
                part.enter(own, ledger, index, at_ms)

    def take(self, registers: Registers, ledger: Ledger, take: Take, at_ms: int) -> None:
        for part, own in zip(self.parts, registers, strict=True):
            if part.refundable():
                part.take(own, ledger, take, at_ms)

    def expire(self, registers: Registers, ledger: Ledger, at_ms: int) -> None:
        for part, own in zip(self.parts, registers, strict=True):
            part.expire(own, ledger, at_ms)

    def next_exit(self, registers: Registers, ledger: Ledger) -> int:
        return min(p.next_exit(own, ledger) for p, own in zip(self.parts, registers, strict=True))

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        self.expire(registers, ledger, at_ms)
        bits = self.answer(registers)
        return bits, self.changes_ms(registers, ledger, at_ms) if self.bits else NEVER

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        found = (part.basis(own, ledger, at_ms) for part, own in zip(self.parts, registers, strict=True))
        return sorted({index for part in found for index in part})

    def priced(
        self, places: Sequence[int], registers: Registers, ledger: Ledger, at_ms: int, part: str
    ) -> Collection[int]:
        found: set[int] = set()
        for one, own in zip(self.parts, registers, strict=True):
            found.update(one.priced(one.basis(own, ledger, at_ms), own, ledger, at_ms, ""))
        return found


class OneNumber(Blend):
    """A blend that comes to one exact number."""

    def __init__(
        self, which: Which | None, parts: Sequence[Windowed], asked: Sequence[Threshold], setting: Setting
    ) -> None:
        super().__init__(which, parts, asked, setting)
        self._numbers = Numbers(asked)

    def answer(self, registers: Registers) -> int:
        return self._numbers.bits(self.number(registers))

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        self.expire(registers, ledger, at_ms)
        return self.number(registers)


class Average(OneNumber):
    """A mean of feedback: the sum of scores, in whole units, over the sum of weights."""

    def __init__(self, feature: Mean | Feedback, asked: Sequence[Threshold], setting: Setting) -> None:
        scale = isinstance(feature, Feedback)
        given = feature.weights if isinstance(feature, Feedback) else [(k, Fraction(1)) for k in feature.which.kinds]
        whole = lcm(*(weight.denominator for _, weight in given))
        weights = {kind: int(weight * whole) for kind, weight in given}
        parts = [_Points(feature, setting, weights, scale=scale, weighed=weighed) for weighed in (True, False)]
        super().__init__(feature.which, parts, asked, setting)

    def number(self, registers: Registers) -> Fraction | None:
        (points, *_), (weight, *_) = registers
        return Fraction(points, weight * 100) if weight else None


class _Points(Total):
    """Scores of feedback in hundredths, times their weights; or the weights alone.

    scale: bring each to 0 to 100 first
    """

    def __init__(
        self, feature: Mean | Feedback, setting: Setting, weights: dict[int, int], *, scale: bool, weighed: bool
    ) -> None:
        super().__init__(Count(feature.name, feature.which, feature.window), (), setting)
        self._weights, self._scale, self._weighed = weights, scale, weighed

    def share(self, ledger: Ledger, index: int) -> int:
        kind = read_profile(ledger.profile(index)).kind
        weight = self._weights[kind]
        if not self._weighed:
            return weight
        score = ledger.amount(index)
        if self._scale:
            score = (score - 100) * 25 if kind == RATING else score * 10 if kind == NPS else 0
        return weight * score


class Quotient(OneNumber):
    """One total over another."""

    def __init__(self, feature: Ratio, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(None, [Total(f, (), setting) for f in (feature.top, feature.bottom)], asked, setting)

    def number(self, registers: Registers) -> Fraction | None:
        top, bottom = (part.number(own) for part, own in zip(self.parts, registers, strict=True))
        return top / bottom if top is not None and bottom else None


class TrendGauge(Blend):
    """What the last `recent` holds against `recent + base`."""

    def __init__(self, feature: Trend, asked: Sequence[Threshold], setting: Setting) -> None:
        both = Span("", fixed_ms=feature.recent.fixed_ms + feature.base.fixed_ms)
        parts = [
            Total(Count(feature.name, feature.which, feature.recent), (), setting),
            Total(Count(feature.name, feature.which, both), (), setting),
        ]
        super().__init__(feature.which, parts, asked, setting)
        self._share = Fraction(feature.recent.fixed_ms, feature.base.fixed_ms)
        ratio = [t for t in asked if not t.operand.part]
        self._ratio = Numbers(ratio) if ratio else None
        self._fewer = Tails([t for t in asked if t.operand.part == "fewer"], self._share, more=False)
        self._more = Tails([t for t in asked if t.operand.part == "more"], self._share, more=True)

    def number(self, registers: Registers) -> Fraction | None:
        recent, expected = self._counts(registers)
        return recent / expected if expected else None

    def _counts(self, registers: Registers) -> tuple[int, Fraction]:
        recent, whole = registers[0][VALUE], registers[1][VALUE]
        return recent, (whole - recent) * self._share

    def answer(self, registers: Registers) -> int:
        recent, whole = registers[0][VALUE], registers[1][VALUE]
        base = whole - recent
        if not base:
            return 0
        bits = self._fewer.bits(recent, base) | self._more.bits(recent, base)
        return bits if self._ratio is None else bits | self._ratio.bits(recent / (base * self._share))

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        self.expire(registers, ledger, at_ms)
        recent, expected = self._counts(registers)
        if not expected:
            return None
        if not part:
            return self.number(registers)
        return (self._fewer if part == "fewer" else self._more).probability(recent, expected)


class Card(OneNumber):
    """A scorecard."""

    def __init__(self, feature: Scorecard, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(
            None, [made_of_totals(operand.feature, (), setting) for operand, _, _ in feature.parts], asked, setting
        )
        self._weights = [(weight, full) for _, weight, full in feature.parts]

    def number(self, registers: Registers) -> Fraction:
        points = Fraction(0)
        for part, own, (weight, full) in zip(self.parts, registers, self._weights, strict=True):
            value = Fraction(max(0, own[VALUE])) if isinstance(part, Total) else part.number(own)
            if value is not None:
                points += weight * min(max(value, Fraction(0)) / full, Fraction(1))
        return points


def made_of_totals(feature: Feature, asked: Sequence[Threshold], setting: Setting) -> Windowed:
    """The gauge of a feature that is made of counts and sums; ValueError for any other."""
    match feature:
        case Count() | Sum():
            return Total(feature, asked, setting)
        case Mean() | Feedback():
            return Average(feature, asked, setting)
        case Ratio():
            return Quotient(feature, asked, setting)
        case Trend():
            return TrendGauge(feature, asked, setting)
        case Scorecard():
            return Card(feature, asked, setting)
    raise ValueError(f"{feature.name} is not made of counts and sums")

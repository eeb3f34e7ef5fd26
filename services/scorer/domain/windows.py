"""Gauges over windows: counts and sums, means, ratios, trends and scorecards of them (rules 1, 7 and 8).

What a window holds is a run of entries of the ledger, from its *head* to the newest; as time passes the head moves.
A refund of an order lowers what the window holds of that order until the order leaves.
"""

from bisect import bisect_left
from collections.abc import Sequence
from fractions import Fraction
from math import lcm

from services.scorer.domain.comparisons import Threshold
from services.scorer.domain.entries import NPS, PURCHASE, RATING, REFUND, TOUCHES, Entry, read_profile
from services.scorer.domain.features import Count, Feedback, Mean, Operand, Ratio, Scorecard, Sum, Trend, Which
from services.scorer.domain.gauges import Figure, Gauge, Limits, Numbers, Reading, Registers, Setting, voids
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.orders import Take
from services.scorer.domain.poisson import Tails
from services.scorer.domain.spans import Span, window_exit

_PURCHASE, _REFUND = chr(65 + PURCHASE), chr(65 + REFUND)

FURTHEST = 64
"""How many exits ahead are looked at for the one that changes an answer; if none does, it is looked again then."""

VALUE, HEAD, CROSSING, PASSED = range(4)
"""A total's registers: what the window holds (below 0 by refunds of their own), its head, and for as long as it is
above PASSED limits, the entry with whose exit it falls to the next lower one (-1: not known)."""


class Total(Gauge):
    """A count or a sum."""

    def __init__(self, feature: Count | Sum, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(feature.which, asked, setting)
        self.window = feature.window
        self.windowed = feature.window is not None
        self._fixed_ms = feature.window.fixed_ms if feature.window else 0
        self.money = isinstance(feature, Sum)
        self.of_touches = any(kind in TOUCHES for kind in feature.which.kinds)
        self.less_refunds = isinstance(feature, Sum) and feature.less_refunds
        self.of_refunds = REFUND in feature.which.kinds
        self._of_no_order = feature.which.where is None  # a refund of its own has no order to ask
        self.limits = Limits(asked)
        self._currency = setting.prices.currency
        self._profiles: dict[str, bool] = {}

    def counts(self, profile: str) -> bool:
        known = self._profiles.get(profile)
        if known is None:
            known = self._profiles[profile] = super().counts(profile)
        return known

    def touched_by(self, profile: str) -> bool:
        return profile[0] != _REFUND and self.counts(profile)  # a refund counts when it takes effect

    def fresh(self) -> Registers:
        return [0, 0, -1, 0]

    def enter(self, registers: Registers, ledger: Ledger, index: int, at_ms: int) -> None:
        if self.window is not None:
            self.expire(registers, ledger, at_ms)
        registers[VALUE] += self.share(ledger, index)

    def meet(self, registers: Registers, ledger: Ledger, index: int, at_ms: int, entry: Entry) -> Reading:
        windowed = self.windowed
        if windowed:
            self.expire(registers, ledger, at_ms)
        share = 1
        if self.money:
            share = entry.amount if entry.profile[1:] == self._currency else self.share(ledger, index)
        value = registers[VALUE] = registers[VALUE] + share
        limits = self.limits
        passed = bisect_left(limits.limits, value if value > 0 else 0)
        if not windowed or (passed == 0 and not ledger.refunds):
            return limits.masks[passed], NEVER
        return limits.masks[passed], self._falls(registers, ledger, at_ms, passed)

    def take(self, registers: Registers, ledger: Ledger, take: Take, at_ms: int) -> None:
        place = ledger.place(take.order or take.refund)
        if self.window is not None:
            self.expire(registers, ledger, at_ms)
            if place < registers[HEAD]:
                return
        registers[VALUE] += self.change(ledger, place, take)
        registers[CROSSING] = -1

    def share(self, ledger: Ledger, index: int) -> int:
        """What an entry that is no refund adds when it takes effect."""
        if not self.money:
            return ledger.weight(index)
        amount = ledger.amount(index)
        return amount if self._own(ledger.profile(index)) else self.price(ledger, index, amount) or 0

    def change(self, ledger: Ledger, place: int, take: Take) -> int:
        """What a refund's effect adds to what is held of the entry at `place`, its order or itself."""
        if self.money:
            if self.of_refunds:
                return self.off(ledger, place, take)
            mine = self._of_no_order if take.order is None else self.counts(ledger.profile(place))
            return -self.off(ledger, place, take) if self.less_refunds and mine else 0
        return self.of_refunds - (voids(ledger, take) and self.counts(ledger.profile(place)))

    def off(self, ledger: Ledger, place: int, take: Take) -> int:
        """The refund's money, as the difference of what its order's refunds come to after it and before it."""
        after = self.price(ledger, place, take.taken) or 0
        return after - (self.price(ledger, place, take.taken - take.amount) or 0)

    def price(self, ledger: Ledger, index: int, amount: int) -> int | None:
        """The amount in the policy's minor units at the rate of the entry's time; None without one."""
        profile = ledger.profile(index)
        if self._own(profile):
            return amount
        return self.setting.prices.of(amount, read_profile(profile).currency, ledger.time(index))

    def _own(self, profile: str) -> bool:
        """Whether the money is in the policy's currency, as far as that can be seen at a glance."""
        return profile[1:] == self._currency

    def held(self, ledger: Ledger, index: int, before_ms: int) -> int:
        """What is held of an entry just before the instant: its share and the refunds in effect."""
        profile = ledger.profile(index)
        kind = read_profile(profile).kind
        if not ledger.refunds:
            return self.share(ledger, index) if self.counts(profile) else 0
        if kind == REFUND:
            own = [t for t in ledger.settlement.takes if t.order is None and ledger.place(t.refund) == index]
            return sum(self.change(ledger, index, t) for t in own if t.start_ms < before_ms)
        held = self.share(ledger, index) if self.counts(profile) else 0
        if kind == PURCHASE:
            held += sum(self.change(ledger, index, t) for t in ledger.takes(index, before_ms))
        return held

    def exit(self, ledger: Ledger, index: int) -> int:
        """The instant at which the entry leaves the window."""
        if self._fixed_ms:
            return ledger.time(index) + self._fixed_ms
        return NEVER if self.window is None else window_exit(self.window, ledger.time(index), self.setting.zone)

    def expire(self, registers: Registers, ledger: Ledger, at_ms: int, known_ms: int = NEVER) -> None:
        """Drop what has left the window by the instant; of refunds, those in effect by `known_ms` have been counted."""
        head = registers[HEAD]
        while head < ledger.entered and (exit_ms := self.exit(ledger, head)) <= at_ms:
            registers[VALUE] -= self.held(ledger, head, min(exit_ms, known_ms + 1))
            head += 1
            registers[HEAD] = head

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        if self.window is not None:
            self.expire(registers, ledger, at_ms)
        limits = self.limits
        passed = limits.passed(max(0, registers[VALUE]))
        if self.window is None:
            return limits.masks[passed], NEVER
        return limits.masks[passed], self._falls(registers, ledger, at_ms, passed)

    def _falls(self, registers: Registers, ledger: Ledger, at_ms: int, passed: int) -> int:
        """When what is above `passed` limits no longer is, at least a bound of it."""
        if ledger.refunds:
            return _ahead(self, registers, ledger, at_ms)
        if passed == 0 or self.limits.limits[passed - 1] < 0:
            return NEVER
        if registers[PASSED] != passed or registers[CROSSING] < registers[HEAD]:
            registers[PASSED] = passed
            registers[CROSSING] = self._crossing(ledger, self.limits.limits[passed - 1])
        return self.exit(ledger, registers[CROSSING])

    def _crossing(self, ledger: Ledger, limit: int) -> int:
        """The entry with whose exit the window falls to the limit: walk back from the newest until it is exceeded."""
        rest, index = 0, ledger.entered
        while rest <= limit:
            index -= 1
            if self.counts(ledger.profile(index)):
                rest += self.share(ledger, index)
        return index

    def answer(self, registers: Registers, ledger: Ledger) -> object:
        """What the asked comes down to, to see whether it changes."""
        return self.limits.passed(max(0, registers[VALUE]))

    def next_exit(self, registers: Registers, ledger: Ledger) -> int:
        """The next instant at which an entry leaves; NEVER if none does."""
        return NEVER if registers[HEAD] >= ledger.entered else self.exit(ledger, registers[HEAD])

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        self.expire(registers, ledger, at_ms)
        return int(max(0, registers[VALUE]))

    def number(self, registers: Registers) -> Fraction | None:
        """The value in major units or events, for what is made of it."""
        value = max(0, registers[VALUE])
        return Fraction(value, 10**self.setting.minor_digits) if self.money else Fraction(value)

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        self.expire(registers, ledger, at_ms)
        head = registers[HEAD] if self.window is not None else 0
        found = ledger.places_of(self.touched_by, head)
        if ledger.refunds and not self.money:
            found = [p for p in found if ledger.profile(p)[0] != _PURCHASE or ledger.stands(p, at_ms)]
        if ledger.refunds and (self.of_refunds or self.less_refunds):
            for take in ledger.settlement.takes:
                anchor = ledger.place(take.order or take.refund)
                mine = self.of_refunds or (
                    self._of_no_order if take.order is None else self.counts(ledger.profile(anchor))
                )
                if mine and anchor >= head and take.start_ms <= at_ms:
                    found.append(ledger.place(take.refund))
            found.sort()
        return found


def _ahead(gauge: "Total | _Composite", registers: Registers, ledger: Ledger, at_ms: int) -> int:
    """When the answer changes as entries leave; at least a bound of it."""
    copy = gauge.copy(registers)
    answer = gauge.answer(copy, ledger)
    exit_ms = NEVER
    for _ in range(FURTHEST):
        exit_ms = gauge.next_exit(copy, ledger)
        if exit_ms >= NEVER:
            return NEVER
        gauge.expire(copy, ledger, exit_ms, at_ms)
        if gauge.answer(copy, ledger) != answer:
            return exit_ms
    return exit_ms


class _Composite(Gauge):
    """Made of totals; its registers are theirs, in a list each."""

    windowed = True

    def __init__(
        self, which: Which | None, parts: "Sequence[Part]", asked: Sequence[Threshold], setting: Setting
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

    def expire(self, registers: Registers, ledger: Ledger, at_ms: int, known_ms: int = NEVER) -> None:
        for part, own in zip(self.parts, registers, strict=True):
            part.expire(own, ledger, at_ms, known_ms)

    def next_exit(self, registers: Registers, ledger: Ledger) -> int:
        return min(p.next_exit(own, ledger) for p, own in zip(self.parts, registers, strict=True))

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        self.expire(registers, ledger, at_ms)
        bits = self.answer(registers, ledger)
        return bits, _ahead(self, registers, ledger, at_ms) if self.bits else NEVER

    def answer(self, registers: Registers, ledger: Ledger) -> int:
        return 0

    def number(self, registers: Registers) -> Fraction | None:
        """The value, if it is one number."""
        return None

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        found = (part.basis(own, ledger, at_ms) for part, own in zip(self.parts, registers, strict=True))
        return sorted({index for part in found for index in part})


Part = Total | _Composite


class Average(_Composite):
    """A mean of feedback: the sum of scores, in whole units, over the sum of weights."""

    def __init__(self, feature: Mean | Feedback, asked: Sequence[Threshold], setting: Setting) -> None:
        scale = isinstance(feature, Feedback)
        given = feature.weights if isinstance(feature, Feedback) else [(k, Fraction(1)) for k in feature.which.kinds]
        whole = lcm(*(weight.denominator for _, weight in given))
        weights = {kind: int(weight * whole) for kind, weight in given}
        parts = [_Points(feature, setting, weights, scale=scale, weighed=weighed) for weighed in (True, False)]
        super().__init__(feature.which, parts, asked, setting)
        self._numbers = Numbers(asked)

    def number(self, registers: Registers) -> Fraction | None:
        (points, *_), (weight, *_) = registers
        return Fraction(points, weight * 100) if weight else None

    def answer(self, registers: Registers, ledger: Ledger) -> int:
        return self._numbers.bits(self.number(registers))

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        self.expire(registers, ledger, at_ms)
        return self.number(registers)


class _Points(Total):
    """Scores of feedback in hundredths, times their weights; or the weights alone.

    scale: bring each to 0 to 100 first
    """

    def __init__(
        self, feature: Mean | Feedback, setting: Setting, weights: dict[int, int], *, scale: bool, weighed: bool
    ) -> None:
        super().__init__(Count(feature.name, feature.which, feature.window), (), setting)
        self._weights, self._scale, self._weighed = weights, scale, weighed

    def meet(self, registers: Registers, ledger: Ledger, index: int, at_ms: int, entry: Entry) -> Reading:
        self.enter(registers, ledger, index, at_ms)
        return self.read(registers, ledger, at_ms)

    def share(self, ledger: Ledger, index: int) -> int:
        kind = read_profile(ledger.profile(index)).kind
        weight = self._weights[kind]
        if not self._weighed:
            return weight
        score = ledger.amount(index)
        if self._scale:
            score = (score - 100) * 25 if kind == RATING else score * 10 if kind == NPS else 0
        return weight * score


class Quotient(_Composite):
    """One total over another."""

    def __init__(self, feature: Ratio, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(None, [Total(f, (), setting) for f in (feature.top, feature.bottom)], asked, setting)
        self._numbers = Numbers(asked)

    def number(self, registers: Registers) -> Fraction | None:
        top, bottom = (part.number(own) for part, own in zip(self.parts, registers, strict=True))
        return top / bottom if top is not None and bottom else None

    def answer(self, registers: Registers, ledger: Ledger) -> int:
        return self._numbers.bits(self.number(registers))

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        self.expire(registers, ledger, at_ms)
        return self.number(registers)


class TrendGauge(_Composite):
    """What the last `recent` holds against `recent + base`."""

    def __init__(self, feature: Trend, asked: Sequence[Threshold], setting: Setting) -> None:
        both = Span("", fixed_ms=feature.recent.fixed_ms + feature.base.fixed_ms)
        parts = [
            Total(Count(feature.name, feature.which, feature.recent), (), setting),
            Total(Count(feature.name, feature.which, both), (), setting),
        ]
        super().__init__(feature.which, parts, asked, setting)
        self._share = Fraction(feature.recent.fixed_ms, feature.base.fixed_ms)
        self._ratio = Numbers([t for t in asked if not t.operand.part])
        self._fewer = Tails([t for t in asked if t.operand.part == "fewer"], more=False)
        self._more = Tails([t for t in asked if t.operand.part == "more"], more=True)

    def _counts(self, registers: Registers) -> tuple[int, Fraction]:
        recent, whole = registers[0][VALUE], registers[1][VALUE]
        return recent, (whole - recent) * self._share

    def answer(self, registers: Registers, ledger: Ledger) -> int:
        recent, expected = self._counts(registers)
        if not expected:
            return 0
        return (
            self._ratio.bits(recent / expected) | self._fewer.bits(recent, expected) | self._more.bits(recent, expected)
        )

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        self.expire(registers, ledger, at_ms)
        recent, expected = self._counts(registers)
        if not expected:
            return None
        if not part:
            return recent / expected
        return (self._fewer if part == "fewer" else self._more).probability(recent, expected)


class Card(_Composite):
    """A scorecard."""

    def __init__(self, feature: Scorecard, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(None, [part_gauge(operand, setting) for operand, _, _ in feature.parts], asked, setting)
        self._weights = [(weight, full) for _, weight, full in feature.parts]
        self._numbers = Numbers(asked)

    def number(self, registers: Registers) -> Fraction:
        points = Fraction(0)
        for part, own, (weight, full) in zip(self.parts, registers, self._weights, strict=True):
            value = Fraction(max(0, own[VALUE])) if isinstance(part, Total) else part.number(own)
            if value is not None:
                points += weight * min(max(value, Fraction(0)) / full, Fraction(1))
        return points

    def answer(self, registers: Registers, ledger: Ledger) -> int:
        return self._numbers.bits(self.number(registers))

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        self.expire(registers, ledger, at_ms)
        return self.number(registers)


def part_gauge(operand: Operand, setting: Setting) -> "Total | Average | Quotient":
    """The gauge of a scorecard's part, or of whatever else is made of counts, sums and means."""
    match operand.feature:
        case Count() | Sum() as feature:
            return Total(feature, (), setting)
        case Mean() | Feedback() as feature:
            return Average(feature, (), setting)
        case Ratio() as feature:
            return Quotient(feature, (), setting)
    raise ValueError(f"{operand.name} is not made of counts, sums or means")

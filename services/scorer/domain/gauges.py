"""Gauges: how a feature is kept while events come and time passes, and what its policy asks of it.

A gauge's *registers* are a short list of plain numbers, kept in the customer's state; where the ledger is at hand a
register names an entry by its index. All of a gauge can be had again from the ledger alone: `enter` every entry that
took effect, in order. What is asked at an instant is `read`: which thresholds hold, and a lower bound of the instant
at which, with no further event, that changes.
"""

import math
from bisect import bisect_left
from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import Any, Final, NamedTuple
from zoneinfo import ZoneInfo

from services.scorer.domain.comparisons import Above, Equals, Known, Reached, Threshold
from services.scorer.domain.entries import PURCHASE, REFUND, Entry, read_profile
from services.scorer.domain.features import Which
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.orders import Take
from services.scorer.domain.prices import Prices
from services.scorer.domain.spans import anniversary
from services.scorer.domain.where import KIND_SAYS

ORDERS: Final = Which((PURCHASE,))

MOST_KEPT: Final = 4_096
"""Of what is remembered by profile, of which there may be any number; then it begins again."""

Registers = list[Any]

Reading = tuple[int, int]
"""(the gauge's thresholds that hold, as bits of the truths; a lower bound of when that changes by itself, or NEVER)"""

Figure = int | Fraction | float | str | None
"""A part's value: minor units, events, ms, a number, a text; None while unknown."""


class Setting(NamedTuple):
    """What of its policy every gauge may need."""

    zone: ZoneInfo
    prices: Prices
    minor_digits: int


class Gauge:
    """The base: nothing is kept, nothing is asked.

    bits: the thresholds asked of the feature, as a mask of the truths
    """

    orders_only = False
    """Whether a refund matters only in that it may void an order."""
    windowed = False
    """Whether entries leave as time passes."""
    exact = False
    """Whether `meet` tells the very instant, where one threshold is asked."""
    of_touches = True
    """Whether entries may be among them that stand for several events."""

    def __init__(self, which: Which | None, asked: Sequence[Threshold], setting: Setting) -> None:
        self.which, self.setting = which, setting
        self.bits = sum(1 << t.index for t in asked)

    def counts(self, profile: str) -> bool:
        """Whether entries of this profile are among those the feature is about."""
        which = self.which
        if which is None:
            return False
        read = read_profile(profile)
        return read.kind in which.kinds and (which.where is None or which.where.holds(fields_of(profile)))

    def touched_by(self, profile: str) -> bool:
        """Whether an entry of this profile may change the registers."""
        return self.counts(profile)

    def refundable(self) -> bool:
        """Whether refunds may change the registers."""
        return self.which is not None and (PURCHASE in self.which.kinds or REFUND in self.which.kinds)

    def fresh(self) -> Registers:
        return []

    def copy(self, registers: Registers) -> Registers:
        return registers.copy()

    def enter(self, registers: Registers, ledger: Ledger, index: int, at_ms: int) -> None:
        """The entry takes effect at its time, `at_ms`; all that came before has."""

    def meet(self, registers: Registers, ledger: Ledger, index: int, at_ms: int, entry: Entry) -> Reading | None:
        """`enter` and then `read`, for the entry just appended; nothing was due before it, nothing is refunded.

        None if the same thresholds hold as before, and for no shorter: what was read last still bounds it.
        """
        self.enter(registers, ledger, index, at_ms)
        return self.read(registers, ledger, at_ms)

    def take(self, registers: Registers, ledger: Ledger, take: Take, at_ms: int) -> None:
        """A refund takes effect. By default what is kept is built again from the orders that stand."""
        if self.orders_only and not voids(ledger, take):
            return
        registers[:] = self.fresh()
        for index in ledger.orders(at_ms):
            if self.counts(ledger.profile(index)):
                self.enter(registers, ledger, index, ledger.time(index))

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        """`at_ms` is not before anything that took effect."""
        return 0, NEVER

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        return None

    def glance(self, registers: Registers, ledger: Ledger, at_ms: int) -> tuple[int, int, int, int] | None:
        """The value, how many entries it rests on, all of them priced, the first and the last by index (where there is
        any); None if that takes more than a glance."""
        return None

    def below(self, registers: Registers) -> int:
        """How far below the value it stands: refunds that name no order may take a sum below the 0 it is told as."""
        return 0

    def start_ms(self, registers: Registers, at_ms: int, value: Figure) -> int | None:
        """Of a duration, from when on a calendar span it is held against is measured; None while unknown."""
        return at_ms - value if isinstance(value, int) else None

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        """The entries the value rests on, by index, ascending."""
        return []

    def priced(
        self, places: Sequence[int], registers: Registers, ledger: Ledger, at_ms: int, part: str
    ) -> Collection[int]:
        """Of these entries, its basis, those whose money has a say in this part: without a rate it counts as 0."""
        return ()


def voids(ledger: Ledger, take: Take) -> bool:
    """Whether it is this refund that takes the last of its order."""
    order = take.order
    if order is None or take.taken != order.amount:
        return False
    return next(t for t in ledger.settlement.of_order[order.id] if t.taken == order.amount) == take


def fields_of(profile: str) -> dict[str, str | Fraction]:
    """An entry's fields as conditions on events read them."""
    read = read_profile(profile)
    fields: dict[str, str | Fraction] = dict(read.fields)
    if "score" in fields:
        fields["score"] = Fraction(int(str(fields["score"])), 100)
    return fields | KIND_SAYS.get(read.kind, {})


class Limits:
    """`value > limit` for several integer limits at once.

    limits: ascending.  masks: by how many of them a value is above, their bits.  ahead: the same way, the next limit
    """

    def __init__(self, asked: Sequence[Threshold]) -> None:
        above = sorted((int(t.ask.limit), t.index) for t in asked if isinstance(t.ask, Above))
        self.limits = [limit for limit, _ in above]
        self.ahead = [*self.limits, math.inf]
        self.masks = [0]
        for _, index in above:
            self.masks.append(self.masks[-1] | 1 << index)

    def passed(self, value: int) -> int:
        """How many limits, from the lowest, the value is above; `masks` of it are their bits."""
        return bisect_left(self.limits, value)


class Numbers:
    """`value > limit` and `value >= limit` for exact numbers that may be unknown, and `known`."""

    def __init__(self, asked: Sequence[Threshold]) -> None:
        self._known = sum(1 << t.index for t in asked if isinstance(t.ask, Known))
        self._above = [
            (1 << t.index, Fraction(t.ask.limit), t.ask.inclusive) for t in asked if isinstance(t.ask, Above)
        ]

    def bits(self, value: Fraction | None) -> int:
        if value is None:
            return 0
        bits = self._known
        for bit, limit, inclusive in self._above:
            if value > limit or (inclusive and value == limit):
                bits |= bit
        return bits


class Ages:
    """The time since an instant against spans: each is reached once and then stays."""

    def __init__(self, asked: Sequence[Threshold], zone: ZoneInfo, part: str = "") -> None:
        mine = [t for t in asked if t.operand.part == part]
        self._known = sum(1 << t.index for t in mine if isinstance(t.ask, Known))
        self._spans = [(1 << t.index, t.ask.span, t.ask.after_ms) for t in mine if isinstance(t.ask, Reached)]
        self._zone = zone

    def read(self, start_ms: int | None, at_ms: int) -> Reading:
        if start_ms is None:
            return 0, NEVER
        if at_ms < start_ms:
            return 0, start_ms
        bits, next_ms = self._known, NEVER
        for bit, span, after_ms in self._spans:
            reached_ms = anniversary(span, start_ms, self._zone) + after_ms
            if reached_ms <= at_ms:
                bits |= bit
            elif reached_ms < next_ms:
                next_ms = reached_ms
        return bits, next_ms


def texts(asked: Sequence[Threshold]) -> dict[str, int]:
    """The bits of each text asked for; of any other text `known` alone, which stands at ""."""
    known = sum(1 << t.index for t in asked if isinstance(t.ask, Known))
    bits = {"": known}
    for t in asked:
        if isinstance(t.ask, Equals):
            bits[t.ask.text] = bits.get(t.ask.text, known) | 1 << t.index
    return bits

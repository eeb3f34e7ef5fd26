"""Gauges of time: since the newest entry, since the first, between orders, and past the next one expected.

An order that is wholly refunded is gone from that instant on, and what is kept is built again from the others.
"""

from collections.abc import Sequence
from fractions import Fraction
from math import isqrt

from services.scorer.domain.comparisons import Above, Known, Reached, Threshold
from services.scorer.domain.entries import REFUND, Entry
from services.scorer.domain.features import (
    KnownFor,
    Overdue,
    Regularity,
    SinceLast,
    Tenure,
)
from services.scorer.domain.gauges import (
    ORDERS,
    Ages,
    Figure,
    Gauge,
    Reading,
    Registers,
    Setting,
)
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.orders import Take
from services.scorer.domain.spans import anniversary


class Since(Gauge):
    """The time since the newest entry of some kinds. Registers: its instant."""

    orders_only = True

    def __init__(self, feature: SinceLast, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(feature.which, asked, setting)
        self._ages = Ages(asked, setting.zone)
        self._of_refunds = REFUND in feature.which.kinds

    def touched_by(self, profile: str) -> bool:
        return self.counts(profile) and not self._of_refunds

    def fresh(self) -> Registers:
        return [None]

    def enter(self, registers: Registers, ledger: Ledger, index: int, at_ms: int) -> None:
        registers[0] = at_ms

    def take(self, registers: Registers, ledger: Ledger, take: Take, at_ms: int) -> None:
        if self._of_refunds:
            registers[0] = at_ms
        else:
            super().take(registers, ledger, take, at_ms)

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        return self._ages.read(registers[0], at_ms)

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        return None if registers[0] is None else at_ms - registers[0]

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        start_ms = registers[0]
        if start_ms is None:
            return []
        if self._of_refunds:
            takes = [t for t in ledger.settlement.takes if t.start_ms == start_ms]
            return [ledger.place(t.refund) for t in takes[:1]]
        return [i for i in range(ledger.entered) if ledger.time(i) == start_ms and self.counts(ledger.profile(i))][-1:]


class First(Since):
    """The time since the first order."""

    def __init__(self, feature: Tenure, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(SinceLast(feature.name, ORDERS), asked, setting)

    def enter(self, registers: Registers, ledger: Ledger, index: int, at_ms: int) -> None:
        if registers[0] is None:
            registers[0] = at_ms

    def meet(self, registers: Registers, ledger: Ledger, index: int, at_ms: int, entry: Entry) -> Reading | None:
        return super().meet(registers, ledger, index, at_ms, entry) if registers[0] is None else None


class Beginning(Gauge):
    """The time since the first event of any kind."""

    def __init__(self, feature: KnownFor, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(None, asked, setting)
        self._ages = Ages(asked, setting.zone)

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        return self._ages.read(ledger.time(0), at_ms)

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        return at_ms - ledger.time(0)

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        return [0]


class Rhythm(Gauge):
    """Regularity, and what is overdue by it. Registers: gaps, first order, last order, the sum of squares in two."""

    orders_only = True

    def __init__(self, feature: Regularity | Overdue, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(ORDERS, asked, setting)
        self._overdue = isinstance(feature, Overdue)
        self._ages = Ages(asked, setting.zone)
        self._spans = [(1 << t.index, t.operand.part, t.ask) for t in asked if t.operand.part in ("mean", "spread")]
        self._variation = [(1 << t.index, t.ask) for t in asked if t.operand.part == "variation"]

    def fresh(self) -> Registers:
        return [-1, 0, 0, 0, 0]

    def enter(self, registers: Registers, ledger: Ledger, index: int, at_ms: int) -> None:
        gaps, first, last, high, low = registers
        if gaps < 0:
            registers[:] = [0, at_ms, at_ms, 0, 0]
            return
        squares = (high << 32 | low) + (at_ms - last) ** 2
        registers[:] = [gaps + 1, first, at_ms, squares >> 32, squares & 0xFFFFFFFF]

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        if self._overdue:
            return self._ages.read(self._expected_ms(registers), at_ms)
        if registers[0] < 2:
            return 0, NEVER
        bits, start_ms = 0, registers[2]
        for bit, part, ask in self._spans:
            length = self.value(registers, ledger, at_ms, part)
            if isinstance(ask, Known):
                bits |= bit
            elif isinstance(ask, Reached):
                needed = anniversary(ask.span, start_ms, self.setting.zone) - start_ms + ask.after_ms
                if isinstance(length, int) and length >= needed:
                    bits |= bit
        for bit, ask in self._variation:
            if self._varies(registers, ask):
                bits |= bit
        return bits, NEVER

    @staticmethod
    def _sums(registers: Registers) -> tuple[int, int, int]:
        """How many gaps, their sum, and n * (sum of squares) - sum^2."""
        gaps, first, last, high, low = registers
        total = last - first
        return gaps, total, gaps * (high << 32 | low) - total * total

    def _varies(self, registers: Registers, ask: object) -> bool:
        """variation = sqrt(n * S2 - S1^2) / S1, compared by squares."""
        _, total, spread = self._sums(registers)
        if total == 0:
            return False
        if isinstance(ask, Known):
            return True
        assert isinstance(ask, Above)
        if ask.limit < 0:
            return True
        ours, theirs = Fraction(spread, total * total), Fraction(ask.limit) ** 2
        return ours > theirs or (ask.inclusive and ours == theirs)

    def _expected_ms(self, registers: Registers) -> int | None:
        gaps, first, last, _, _ = registers
        return last + (last - first) // gaps if gaps >= 2 else None

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        if self._overdue:
            expected_ms = self._expected_ms(registers)
            return None if expected_ms is None or at_ms < expected_ms else at_ms - expected_ms
        if registers[0] < 2:
            return None
        gaps, total, spread = self._sums(registers)
        if part == "mean":
            return total // gaps
        if part == "spread":
            return isqrt(spread) // gaps
        return isqrt(spread * 10**12) / 10**6 / total if total else None

    def start_ms(self, registers: Registers, at_ms: int, value: Figure) -> int | None:
        if self._overdue:
            return super().start_ms(registers, at_ms, value)
        return None if value is None else registers[2]

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        return list(ledger.orders(at_ms))

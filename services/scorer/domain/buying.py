"""Gauges of what orders say of a customer: alive or gone, how many to expect, what worth, and RFM (rule 13).

Only orders that stand count. One that is wholly refunded is gone from that instant on, and what is kept is built again
from the others.
"""

from collections.abc import Collection, Sequence
from datetime import date
from fractions import Fraction
from functools import lru_cache
from typing import Final
from zoneinfo import ZoneInfo

from services.scorer.domain import churn
from services.scorer.domain.comparisons import Above, Known, Threshold
from services.scorer.domain.entries import Entry
from services.scorer.domain.features import (
    Expected,
    PAlive,
    Rfm,
    Sum,
    Value,
)
from services.scorer.domain.gauges import (
    ORDERS,
    Figure,
    Gauge,
    Limits,
    Numbers,
    Reading,
    Registers,
    Setting,
    voids,
)
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.orders import Take
from services.scorer.domain.spans import anniversary
from services.scorer.domain.windows import VALUE, Total


class Days(Gauge):
    """The days with orders. Registers: how many after the first, the first order of the first day and of the last."""

    orders_only = True

    def __init__(self, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(ORDERS, asked, setting)
        self._known = sum(1 << t.index for t in asked if isinstance(t.ask, Known))
        self._above = [
            (1 << t.index, Fraction(t.ask.limit), t.ask.inclusive) for t in asked if isinstance(t.ask, Above)
        ]

    def fresh(self) -> Registers:
        return [-1, 0, 0]

    def enter(self, registers: Registers, ledger: Ledger, index: int, at_ms: int) -> None:
        repeats, last = registers[0], registers[2]
        if repeats < 0:
            registers[:] = [0, at_ms, at_ms]
        elif at_ms - last > LONGEST_DAY_MS or not same_day(at_ms, last, self.setting.zone):
            registers[0], registers[2] = repeats + 1, at_ms

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        return list(ledger.orders(at_ms))


LONGEST_DAY_MS: Final = 26 * 3_600_000
"""No day of any zone is longer, clocks set back included."""


def same_day(one_ms: int, other_ms: int, zone: ZoneInfo) -> bool:
    """Whether both instants are of one calendar day of the zone."""
    if one_ms - other_ms > LONGEST_DAY_MS:
        return False
    return _day_of(one_ms, zone) == _day_of(other_ms, zone)


@lru_cache(maxsize=16_384)
def _day_of(at_ms: int, zone: ZoneInfo) -> date:
    return to_datetime(at_ms).astimezone(zone).date()


class Alive(Days):
    """P(alive), held against a limit by the instant at which it comes down to it."""

    exact = True

    def __init__(self, feature: PAlive, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(asked, setting)
        self._model = feature.model
        self._falls = [(bit, churn.Fall(feature.model, limit)) for bit, limit, _ in self._above]
        self._bits_of_one = sum(bit for bit, limit, inclusive in self._above if limit < 1 or (inclusive and limit == 1))

    def meet(self, registers: Registers, ledger: Ledger, index: int, at_ms: int, entry: Entry) -> Reading | None:
        repeats, first, last = registers
        if repeats < 0:
            return super().meet(registers, ledger, index, at_ms, entry)
        if at_ms - last <= LONGEST_DAY_MS and same_day(at_ms, last, self.setting.zone):
            return None  # one transaction
        registers[0], registers[2] = repeats + 1, at_ms
        return self._again(repeats + 1, first, at_ms, at_ms)

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        repeats, first, last = registers
        if repeats < 0:
            return 0, NEVER
        if repeats == 0:
            return self._known | self._bits_of_one, NEVER
        return self._again(repeats, first, last, at_ms)

    def _again(self, repeats: int, first: int, last: int, at_ms: int) -> Reading:
        """Of one who has come again."""
        bits, next_ms = self._known, NEVER
        for bit, fall in self._falls:
            age_ms = fall.age_ms(repeats, last - first)
            if age_ms is None:
                bits |= bit
            elif at_ms - first < age_ms:
                bits |= bit
                if first + age_ms < next_ms:
                    next_ms = first + age_ms
        return bits, next_ms

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        repeats, first, last = registers
        return None if repeats < 0 else churn.p_alive(self._model, repeats, last - first, at_ms - first)


class Expecting(Days):
    """Purchases to expect, stepping down at whole days of age."""

    def __init__(self, feature: Expected, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(asked, setting)
        self._model, self._horizon_ms = feature.model, feature.horizon.fixed_ms

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        repeats, first, last = registers
        if repeats < 0:
            return 0, NEVER
        bits, next_ms = self._known, NEVER
        for bit, limit, _ in self._above:
            age_ms = churn.expected_falls_to(self._model, repeats, last - first, float(limit), self._horizon_ms)
            falls_ms = NEVER if age_ms is None else first + age_ms
            if at_ms < falls_ms:
                bits |= bit
                next_ms = min(next_ms, falls_ms)
        return bits, next_ms

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        repeats, first, last = registers
        if repeats < 0:
            return None
        age_ms = churn.stepped_age(last - first, at_ms - first)
        return churn.expected_purchases(self._model, repeats, last - first, age_ms, self._horizon_ms)


_NO_DAY: Final = -2
_FIRST_DAY: Final = -1


class Worth(Gauge):
    """The value of a purchase, from the repeat transactions as it is fitted. Registers: of the days after the first how
    many brought money, its sum, the newest day of all and its money, _NO_DAY without one or _FIRST_DAY."""

    def __init__(self, feature: Value, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(ORDERS, asked, setting)
        self._model = feature.model
        self._numbers = Numbers(asked)
        self._money = Total(Sum(feature.name, ORDERS, less_refunds=True), (), setting)

    def fresh(self) -> Registers:
        return [0, 0, 0, _NO_DAY]

    def enter(self, registers: Registers, ledger: Ledger, index: int, at_ms: int) -> None:
        self._add(registers, at_ms, self._money.share(ledger, index))

    def take(self, registers: Registers, ledger: Ledger, take: Take, at_ms: int) -> None:
        registers[:] = self.fresh()
        for index in ledger.orders(at_ms):
            self._add(registers, ledger.time(index), self._money.held(ledger, index, at_ms + 1))

    def _add(self, registers: Registers, time_ms: int, money: int) -> None:
        days, total, newest, of_day = registers
        if of_day == _NO_DAY:
            registers[2:] = [time_ms, _FIRST_DAY]
            return
        if not same_day(time_ms, newest, self.setting.zone):
            newest, of_day = time_ms, 0
        if of_day != _FIRST_DAY:
            registers[:] = [days + (of_day == 0 and money > 0), total + money, newest, of_day + money]

    def _worth(self, registers: Registers) -> Fraction | None:
        days, total, _, of_day = registers
        if of_day == _NO_DAY:
            return None
        return churn.expected_value(self._model, days, Fraction(total, 10**self.setting.minor_digits))

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        return self._numbers.bits(self._worth(registers)), NEVER

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        return self._worth(registers)

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        return list(ledger.orders(at_ms))

    def priced(
        self, places: Sequence[int], registers: Registers, ledger: Ledger, at_ms: int, part: str
    ) -> Collection[int]:
        """That of the first day says nothing."""
        return [p for p in places if not same_day(ledger.time(p), ledger.time(places[0]), self.setting.zone)]


class Grid(Gauge):
    """RFM scores. Registers: the last order, how many, and the totals of their money."""

    def __init__(self, feature: Rfm, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(ORDERS, asked, setting)
        self._feature = feature
        self._limits = {part: Limits([t for t in asked if t.operand.part == part]) for part in "rfm"}
        self._known = sum(1 << t.index for t in asked if isinstance(t.ask, Known))
        self._money = Total(Sum(feature.name, ORDERS, less_refunds=True), (), setting)

    def fresh(self) -> Registers:
        return [None, 0, self._money.fresh()]

    def copy(self, registers: Registers) -> Registers:
        return [registers[0], registers[1], registers[2].copy()]

    def enter(self, registers: Registers, ledger: Ledger, index: int, at_ms: int) -> None:
        registers[0], registers[1] = at_ms, registers[1] + 1
        self._money.enter(registers[2], ledger, index, at_ms)

    def take(self, registers: Registers, ledger: Ledger, take: Take, at_ms: int) -> None:
        self._money.take(registers[2], ledger, take, at_ms)
        if voids(ledger, take):
            orders = list(ledger.orders(at_ms))
            registers[0] = ledger.time(orders[-1]) if orders else None
            registers[1] = len(orders)

    def _cut_instants(self, last_ms: int) -> list[int]:
        return [anniversary(span, last_ms, self.setting.zone) for span in self._feature.recency]

    def scores(self, registers: Registers, at_ms: int) -> dict[str, int]:
        last, orders, money = registers
        passed = sum(instant <= at_ms for instant in self._cut_instants(last))
        spent = max(0, money[VALUE])
        return {
            "r": 5 - passed,
            "f": 1 + sum(orders >= cut for cut in self._feature.frequency),
            "m": 1 + sum(spent >= cut for cut in self._feature.monetary),
        }

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        if registers[0] is None:
            return 0, NEVER
        bits = self._known
        for part, score in self.scores(registers, at_ms).items():
            limits = self._limits[part]
            bits |= limits.masks[limits.passed(score)]
        if not self._limits["r"].limits:
            return bits, NEVER
        return bits, min((i for i in self._cut_instants(registers[0]) if i > at_ms), default=NEVER)

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        return None if registers[0] is None else self.scores(registers, at_ms)[part]

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        return list(ledger.orders(at_ms))

    def priced(
        self, places: Sequence[int], registers: Registers, ledger: Ledger, at_ms: int, part: str
    ) -> Collection[int]:
        return places if part == "m" else ()

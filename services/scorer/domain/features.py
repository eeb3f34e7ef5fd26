"""Features: numbers kept per customer, each measured at an instant, and when a measured number changes by itself.

Two families. A *quantity* (count or sum) is what its window holds; it changes by itself as entries leave. An *age*
(since_last, tenure, known_for) is the time since an instant; it grows with every millisecond. An entry at `t` is in
window `W` at `s` if and only if t <= s < t + W (rule 1).
"""

from bisect import bisect_right
from collections.abc import Iterator
from typing import Literal, NamedTuple
from zoneinfo import ZoneInfo

import msgspec

from services.scorer.domain.ledger import NEVER, Column, Ledger
from services.scorer.domain.spans import Span, window_exit

Unit = Literal["money", "count", "duration"]


class Basis(NamedTuple):
    """What a measure rests on: how many events contributed, the first and last of them (ms), how many unpriced."""

    entries: int
    first_ms: int | None
    last_ms: int | None
    unpriced: int


NO_BASIS = Basis(0, None, None, 0)


class Quantity:
    """A count or sum at an instant: `value` in minor units or events, never below 0."""

    def __init__(self, column: Column, at_ms: int, window: Span | None, zone: ZoneInfo) -> None:
        self._column, self._at_ms, self._window, self._zone = column, at_ms, window, zone
        high = self._high = bisect_right(column.starts, at_ms)
        if column.plain:
            self._low = 0 if window is None else self._first_inside(window)
            self.value = sum(column.amounts[self._low : high])
        else:
            self._low = 0
            self._inside = [i for i in range(high) if column.ends[i] > at_ms and self._exit(i) > at_ms]
            self.value = max(0, sum(column.amounts[i] for i in self._inside))

    def _first_inside(self, window: Span) -> int:
        anchors, at_ms = self._column.anchors, self._at_ms
        if window.fixed_ms:
            return bisect_right(anchors, at_ms - window.fixed_ms, 0, self._high)
        return bisect_right(anchors, at_ms, 0, self._high, key=lambda anchor: window_exit(window, anchor, self._zone))

    def _exit(self, item: int) -> int:
        return NEVER if self._window is None else window_exit(self._window, self._column.anchors[item], self._zone)

    def crosses(self, limit: int) -> int:
        """The first instant at which, with no further event, the value crosses `limit`; NEVER if it does not."""
        if self._window is None:
            return NEVER
        if self._column.plain:
            return self._falls_to(limit)
        above = self.value > limit
        return next((instant for instant, value in self._steps() if (value > limit) != above), NEVER)

    def _falls_to(self, limit: int) -> int:
        """Where values can but fall: walk back from the newest entry until the rest exceeds the limit."""
        if self.value <= limit or limit < 0:
            return NEVER
        rest, item = 0, self._high
        while rest <= limit:
            item -= 1
            rest += self._column.amounts[item]
        return self._exit(item)

    def _steps(self) -> Iterator[tuple[int, int]]:
        """(instant, value from then on) as entries leave the window, one step an instant."""
        exits = sorted((self._exit(i), self._column.amounts[i]) for i in self._inside)
        rest = sum(amount for _, amount in exits)
        for place, (exit_ms, amount) in enumerate(exits):
            rest -= amount
            if place + 1 == len(exits) or exits[place + 1][0] != exit_ms:
                yield exit_ms, max(0, rest)

    def basis(self) -> Basis:
        column, low, high = self._column, self._low, self._high
        if column.plain:
            if low == high:
                return NO_BASIS
            return Basis(high - low, column.times[low], column.times[high - 1], sum(column.unpriced[low:high]))
        times = [column.times[i] for i in self._inside]
        unpriced = sum(column.unpriced[i] for i in self._inside)
        return Basis(len(times), min(times, default=None), max(times, default=None), unpriced)


class Age(NamedTuple):
    """The time since `start_ms`; None while there is nothing to count from."""

    start_ms: int | None
    at_ms: int
    zone: ZoneInfo

    @property
    def value(self) -> int | None:
        """Milliseconds."""
        return None if self.start_ms is None else self.at_ms - self.start_ms

    def basis(self) -> Basis:
        return Basis(0 if self.start_ms is None else 1, self.start_ms, self.start_ms, 0)


Measure = Quantity | Age


class CountFeature(msgspec.Struct, frozen=True):
    """How many entries of these kinds the window holds; orders that were wholly refunded do not count."""

    name: str
    kinds: tuple[int, ...]
    window: Span | None
    zone: ZoneInfo
    unit: Unit = "count"

    def measure(self, ledger: Ledger, at_ms: int) -> Quantity:
        return Quantity(ledger.counted(self.kinds), at_ms, self.window, self.zone)


class SumFeature(msgspec.Struct, frozen=True):
    """Money of one kind the window holds, purchases also less their refunds; a total below 0 counts as 0."""

    name: str
    kind: int
    less_refunds: bool
    window: Span | None
    zone: ZoneInfo
    unit: Unit = "money"

    def measure(self, ledger: Ledger, at_ms: int) -> Quantity:
        return Quantity(ledger.summed(self.kind, less_refunds=self.less_refunds), at_ms, self.window, self.zone)


class SinceLastFeature(msgspec.Struct, frozen=True):
    """The time since the newest entry of a kind that stands at the instant."""

    name: str
    kind: int
    zone: ZoneInfo
    unit: Unit = "duration"

    def measure(self, ledger: Ledger, at_ms: int) -> Age:
        column = ledger.counted((self.kind,))
        item = bisect_right(column.starts, at_ms) - 1
        while item >= 0 and column.ends[item] <= at_ms:
            item -= 1
        return Age(column.starts[item] if item >= 0 else None, at_ms, self.zone)


class TenureFeature(msgspec.Struct, frozen=True):
    """The time since the first order that stands at the instant."""

    kind: int
    zone: ZoneInfo
    name: str = "tenure"
    unit: Unit = "duration"

    def measure(self, ledger: Ledger, at_ms: int) -> Age:
        column = ledger.counted((self.kind,))
        for start_ms, end_ms in zip(column.starts, column.ends, strict=True):
            if start_ms > at_ms:
                break
            if end_ms > at_ms:
                return Age(start_ms, at_ms, self.zone)
        return Age(None, at_ms, self.zone)


class KnownForFeature(msgspec.Struct, frozen=True):
    """The time since the first event of any kind."""

    zone: ZoneInfo
    name: str = "known_for"
    unit: Unit = "duration"

    def measure(self, ledger: Ledger, at_ms: int) -> Age:
        return Age(ledger.began_ms if ledger.began_ms <= at_ms else None, at_ms, self.zone)


Feature = CountFeature | SumFeature | SinceLastFeature | TenureFeature | KnownForFeature

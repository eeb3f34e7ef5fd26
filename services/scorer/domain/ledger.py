"""The ledger as features read it: columns of what counts, from when, and by which instant it leaves a window.

Built from the entries whenever they change, and only the columns that are asked for.
"""

from bisect import bisect_right
from collections.abc import Iterable, Sequence
from operator import attrgetter

import msgspec

from services.scorer.domain.entries import PURCHASE, REFUND, Entry
from services.scorer.domain.orders import Settlement, settle

NEVER = 2**62
"""An instant later than any other."""


Row = tuple[int, int, int, int, bool, int]
"""(start, anchor, amount, end, unpriced, time) of one item of a column."""


class Column(msgspec.Struct, frozen=True):
    """Parallel lists, in order of `starts`: item i counts from starts[i] on, until its window leaves anchors[i].

    times:    when the events themselves happened
    amounts:  signed minor units in the policy's currency, or 1 each where a column only counts
    ends:     the instant from which the item no longer stands (its order was refunded), NEVER for most
    unpriced: money counted as 0 because its currency has no rate
    plain:    starts are anchors, nothing ends early, no amount is negative: slices can be summed and cut by bisection
    """

    starts: list[int]
    anchors: list[int]
    amounts: list[int]
    ends: list[int]
    unpriced: list[bool]
    times: list[int]
    plain: bool


class Ledger:
    """A customer's entries in event-time order (ties by id hash), read in the policy's currency."""

    def __init__(self, entries: list[Entry], currency: str) -> None:
        self.entries = entries
        self.currency = currency
        self._columns: dict[tuple[str, tuple[int, ...]], Column] = {}
        self._settlement: Settlement | None = None
        self._starts: list[int] | None = None

    def with_entries(self, more: Sequence[Entry]) -> "Ledger":
        """Another ledger that also has `more`, in their places."""
        entries = self.entries + list(more)
        entries.sort(key=attrgetter("time_ms", "id"))
        return Ledger(entries, self.currency)

    @property
    def settlement(self) -> Settlement:
        if self._settlement is None:
            self._settlement = settle(self.entries)
        return self._settlement

    @property
    def began_ms(self) -> int:
        """The time of the first event; NEVER without one."""
        return self.entries[0].time_ms if self.entries else NEVER

    def next_start(self, after_ms: int) -> int:
        """The first instant after `after_ms` at which an entry or a refund takes effect; NEVER if there is none."""
        if not self.entries or self.entries[-1].time_ms <= after_ms:
            return NEVER  # no refund takes effect later than both itself and its order
        if self._starts is None:
            self._starts = [e.time_ms for e in self.entries]
        return self._starts[bisect_right(self._starts, after_ms)]

    def counted(self, kinds: tuple[int, ...]) -> Column:
        """A column of ones: the entries of these kinds that stand."""
        column = self._columns.get(("count", kinds))
        if column is None:
            rows = [row for kind in kinds for row in self._rows(kind, sign=0)]
            column = self._columns["count", kinds] = self._column(rows, self._is_plain(kinds))
        return column

    def summed(self, kind: int, *, less_refunds: bool) -> Column:
        """A column of money: purchases or refunds, purchases also less their refunds."""
        kinds = (kind, REFUND) if less_refunds else (kind,)
        column = self._columns.get(("sum", kinds))
        if column is None:
            rows = list(self._rows(kind, sign=1))
            if less_refunds:
                rows += self._rows(REFUND, sign=-1)
            plain = not (REFUND in kinds and self.settlement.takes)
            column = self._columns["sum", kinds] = self._column(rows, plain)
        return column

    def _is_plain(self, kinds: tuple[int, ...]) -> bool:
        if REFUND in kinds:
            return not self.settlement.takes
        return PURCHASE not in kinds or not self.settlement.voided_ms

    def _rows(self, kind: int, sign: int) -> Iterable[Row]:
        """What counts of one kind; sign 0 makes every amount 1.

        A refunded order ends only where it is counted: its money is taken off by the refunds themselves.
        """
        if kind == REFUND:
            for take in self.settlement.takes:
                anchor = take.start_ms if take.order is None else take.order.time_ms
                of = take.refund if take.order is None else take.order
                priced = of.currency == self.currency
                yield (
                    take.start_ms,
                    anchor,
                    sign * take.amount * priced if sign else 1,
                    NEVER,
                    bool(sign) and not priced,
                    take.refund.time_ms,
                )
        elif kind == PURCHASE:
            voided = {} if sign else self.settlement.voided_ms
            for e in self.entries:
                if e.kind == PURCHASE:
                    priced = e.currency == self.currency
                    amount = sign * e.amount * priced if sign else 1
                    yield e.time_ms, e.time_ms, amount, voided.get(e.id, NEVER), bool(sign) and not priced, e.time_ms
        else:
            for e in self.entries:
                if e.kind == kind:
                    yield e.time_ms, e.time_ms, 1, NEVER, False, e.time_ms

    @staticmethod
    def _column(rows: Sequence[Row], plain: bool) -> Column:
        if not rows:
            return EMPTY
        starts, anchors, amounts, ends, unpriced, times = map(list, zip(*sorted(rows), strict=True))
        return Column(starts, anchors, amounts, ends, unpriced, times, plain)


EMPTY = Column([], [], [], [], [], [], True)

"""Gauges over windows: counts and sums (rules 1, 7 and 8); what is made of several stands in `blends.py`.

What a window holds is a run of entries of the ledger, from its *head* to the newest; as time passes the head moves.
A refund of an order lowers what the window holds of that order until the order leaves.
"""

from abc import ABC, abstractmethod
from bisect import bisect_left
from collections.abc import Collection, Sequence
from fractions import Fraction
from typing import Final

from services.scorer.domain.comparisons import Threshold
from services.scorer.domain.entries import PURCHASE, REFUND, TOUCHES, Entry, letter, read_profile
from services.scorer.domain.features import Count, Sum
from services.scorer.domain.gauges import MOST_KEPT, Figure, Gauge, Limits, Reading, Registers, Setting, voids
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.orders import Take
from services.scorer.domain.spans import shortest_ms, window_exit

_PURCHASE: Final = letter(PURCHASE)
_REFUND: Final = letter(REFUND)

AHEAD: Final = 16
"""How many exits ahead are looked at for the one that changes an answer; if none does, look again then. Who has many
events meets the next one before most of what would be foreseen."""
FURTHEST: Final = 64
"""How many entries are looked at for the one with whose exit a total falls to a limit; then the other way round."""

VALUE: Final = 0
HEAD: Final = 1
CROSSING: Final = 2
PASSED: Final = 3
"""A total's registers: what the window holds (below 0 by refunds of their own), its head, and for as long as it is
above PASSED limits, the entry with whose exit it falls to the next lower one (-1: not known)."""


class Windowed(Gauge, ABC):
    """What entries leave as time passes, the earliest first."""

    windowed = True

    @abstractmethod
    def expire(self, registers: Registers, ledger: Ledger, at_ms: int) -> None:
        """Drop what has left the window by the instant."""

    @abstractmethod
    def next_exit(self, registers: Registers, ledger: Ledger) -> int:
        """The next instant at which an entry leaves; NEVER if none does."""

    @abstractmethod
    def answer(self, registers: Registers) -> int:
        """What is asked, answered: another number if and only if another threshold holds."""

    @abstractmethod
    def number(self, registers: Registers) -> Fraction | None:
        """The value in major units, events or points, for what is made of it; None while unknown."""

    def changes_ms(self, registers: Registers, ledger: Ledger, at_ms: int) -> int:
        """When the answer changes as entries leave; at least a bound of it."""
        copy = self.copy(registers)
        answer = self.answer(copy)
        exit_ms = NEVER
        for _ in range(AHEAD):
            exit_ms = self.next_exit(copy, ledger)
            if exit_ms >= NEVER:
                return NEVER
            self.expire(copy, ledger, exit_ms)
            if self.answer(copy) != answer:
                return exit_ms
        return exit_ms


class Total(Windowed):
    """A count or a sum."""

    exact = True

    def __init__(self, feature: Count | Sum, asked: Sequence[Threshold], setting: Setting) -> None:
        super().__init__(feature.which, asked, setting)
        self.window = feature.window
        self.windowed = feature.window is not None
        self._fixed_ms = feature.window.fixed_ms if feature.window else 0
        self._shortest_ms = shortest_ms(feature.window) if feature.window else NEVER
        self.money = isinstance(feature, Sum)
        self.of_touches = any(kind in TOUCHES for kind in feature.which.kinds)
        self.less_refunds = isinstance(feature, Sum) and feature.less_refunds
        self.of_refunds = REFUND in feature.which.kinds
        self._refundable = self.refundable()
        self._of_no_order = feature.which.where is None  # a refund of its own has no order to ask
        limits = Limits(asked)
        self._limits, self._ahead, self._masks = limits.limits, limits.ahead, limits.masks
        self._currency = setting.prices.currency
        self._plain = _PURCHASE + self._currency  # the profile of most orders
        self._profiles: dict[str, bool] = {}

    def counts(self, profile: str) -> bool:
        known = self._profiles.get(profile)
        if known is None:
            if len(self._profiles) >= MOST_KEPT:
                self._profiles.clear()
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

    def meet(self, registers: Registers, ledger: Ledger, index: int, at_ms: int, entry: Entry) -> Reading | None:
        if self.windowed and ledger.time(registers[HEAD]) <= at_ms - self._shortest_ms:
            self.expire(registers, ledger, at_ms)
        value: int = registers[VALUE]
        ahead = self._ahead[bisect_left(self._limits, value)]
        if not self.money:
            value += 1
        else:
            value += entry.amount if entry.profile == self._plain else self.share(ledger, index)
        registers[VALUE] = value
        if value <= ahead:  # what enters adds to what is held
            return None
        passed = bisect_left(self._limits, value)
        return self._masks[passed], self._falls(registers, ledger, at_ms, passed) if self.windowed else NEVER

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
        return amount if ledger.profile(index) == self._plain else self.price(ledger, index, amount) or 0

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
        if not (ledger.refunds and self._refundable):
            return self.share(ledger, index) if self.counts(profile) else 0
        kind = read_profile(profile).kind
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

    def expire(self, registers: Registers, ledger: Ledger, at_ms: int) -> None:
        head = registers[HEAD]
        if self._fixed_ms and not (ledger.refunds and self._refundable):
            began_ms, entered = at_ms - self._fixed_ms, ledger.entered
            while head < entered and ledger.time(head) <= began_ms:
                if self.counts(ledger.profile(head)):
                    registers[VALUE] -= self.share(ledger, head)
                head += 1
            registers[HEAD] = head
            return
        left_ms = at_ms - self._shortest_ms
        while head < ledger.entered and ledger.time(head) <= left_ms:  # else the calendar need not be asked
            exit_ms = self.exit(ledger, head)
            if exit_ms > at_ms:
                break
            registers[VALUE] -= self.held(ledger, head, exit_ms)
            head += 1
            registers[HEAD] = head

    def read(self, registers: Registers, ledger: Ledger, at_ms: int) -> Reading:
        if self.windowed:
            self.expire(registers, ledger, at_ms)
        held: int = registers[VALUE]
        passed = bisect_left(self._limits, held if held > 0 else 0)
        if not self.windowed or (passed == 0 and not (ledger.refunds and self._refundable)):
            return self._masks[passed], NEVER
        return self._masks[passed], self._falls(registers, ledger, at_ms, passed)

    def _falls(self, registers: Registers, ledger: Ledger, at_ms: int, passed: int) -> int:
        """When what is above `passed` limits no longer is, at least a bound of it."""
        if ledger.refunds and self._refundable and self._rises(ledger):
            return self.changes_ms(registers, ledger, at_ms)
        if passed == 0 or self._limits[passed - 1] < 0:
            return NEVER
        crossing: int = registers[CROSSING]
        if registers[PASSED] != passed or crossing < registers[HEAD]:
            registers[PASSED] = passed
            crossing = registers[CROSSING] = self._crossing(registers, ledger, self._limits[passed - 1])
        return ledger.time(crossing) + self._fixed_ms if self._fixed_ms else self.exit(ledger, crossing)

    def _crossing(self, registers: Registers, ledger: Ledger, limit: int) -> int:
        """The entry with whose exit the window falls to the limit: where little is too much the oldest ones soon take
        that away; else walk back from the newest until the limit is exceeded."""
        excess, head = registers[VALUE] - limit, registers[HEAD]
        refunded = ledger.refunds and self._refundable
        if excess <= limit:
            for index in range(head, min(ledger.entered, head + FURTHEST)):
                if self.counts(ledger.profile(index)):
                    excess -= self.held(ledger, index, NEVER) if refunded else self.share(ledger, index)
                    if excess <= 0:
                        return index
        rest = 0
        for index in ledger.backwards(self.counts):
            rest += self.held(ledger, index, NEVER) if refunded else self.share(ledger, index)
            if rest > limit:
                return index
        raise AssertionError("what a window holds is above no limit that it has passed")

    def _rises(self, ledger: Ledger) -> bool:
        """Whether the total may become greater as entries leave: refunds that name no order do, by themselves."""
        return self.of_refunds or (self.less_refunds and any(t.order is None for t in ledger.settlement.takes))

    def answer(self, registers: Registers) -> int:
        return bisect_left(self._limits, max(0, registers[VALUE]))

    def next_exit(self, registers: Registers, ledger: Ledger) -> int:
        return NEVER if registers[HEAD] >= ledger.entered else self.exit(ledger, registers[HEAD])

    def value(self, registers: Registers, ledger: Ledger, at_ms: int, part: str) -> Figure:
        if self.windowed:
            self.expire(registers, ledger, at_ms)
        held: int = registers[VALUE]
        return held if held > 0 else 0

    def below(self, registers: Registers) -> int:
        held: int = registers[VALUE]
        return -held if held < 0 else 0

    def number(self, registers: Registers) -> Fraction | None:
        value = max(0, registers[VALUE])
        return Fraction(value, 10**self.setting.minor_digits) if self.money else Fraction(value)

    def glance(self, registers: Registers, ledger: Ledger, at_ms: int) -> tuple[int, int, int, int] | None:
        if ledger.refunds and self._refundable:
            return None
        if self.windowed:
            self.expire(registers, ledger, at_ms)
        if self.money:
            for profile in ledger.profiles:
                if profile[0] == _PURCHASE and profile != self._plain:
                    return None  # some may be unpriced
        value = registers[VALUE]
        seen = ledger.glance(self.counts, registers[HEAD])
        if seen is None or (self.of_touches and seen[0] != value):  # some stand for several
            return None
        return value, *seen

    def basis(self, registers: Registers, ledger: Ledger, at_ms: int) -> list[int]:
        self.expire(registers, ledger, at_ms)
        head = registers[HEAD] if self.window is not None else 0
        found = ledger.places_of(self.touched_by, head)
        if ledger.refunds and self._refundable and not self.money:
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

    def priced(
        self, places: Sequence[int], registers: Registers, ledger: Ledger, at_ms: int, part: str
    ) -> Collection[int]:
        return places if self.money else ()

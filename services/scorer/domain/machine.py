"""A policy made ready to run: a gauge for each feature that some rule asks for, a mover for each dimension."""

from collections.abc import Callable, Sequence
from typing import Any, Final

import msgspec

from services.scorer.domain.blends import made_of_totals
from services.scorer.domain.buying import Alive, Expecting, Grid, Worth
from services.scorer.domain.comparisons import Threshold
from services.scorer.domain.decaying import Decaying
from services.scorer.domain.entries import Entry
from services.scorer.domain.features import (
    Attribute,
    Count,
    Expected,
    Feature,
    Feedback,
    KnownFor,
    Mean,
    Overdue,
    PAlive,
    Ratio,
    Regularity,
    Rfm,
    Score,
    Scorecard,
    SinceLast,
    Stage,
    Sum,
    Tenure,
    Trend,
    Value,
)
from services.scorer.domain.gauges import MOST_KEPT, Gauge, Reading, Registers, Setting
from services.scorer.domain.intervals import Beginning, First, Rhythm, Since
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.moments import Effect
from services.scorer.domain.positions import Mover, SegmentMover, mover_of
from services.scorer.domain.profiles import Noted, Staged
from services.scorer.domain.rules import Policy
from services.scorer.domain.standing import Standing

_each_packed: Final = msgspec.msgpack.Decoder(list[msgspec.Raw]).decode
_standing: Final = msgspec.msgpack.Decoder(Standing).decode
_encode: Final = msgspec.msgpack.Encoder().encode

Step = tuple[int, int, Standing]
"""(a mover's index, the place that was left, the standing now)"""


class Machine:
    """gauges: with their bits.  movers: a dimension each, in the policy's order

    all:    the movers' indexes.  places: the same by their dimension's name.  dimensions: those, by name
    begun:  the standings of one whose first event has come, before it is looked at
    asked:  by mover, the gauges that have a say, each with its index
    flipping: by mover, the gauge of a segment that is one threshold of its, asked nothing else, and exact; else None
    """

    def __init__(self, policy: Policy) -> None:
        self.policy = policy
        self.setting = Setting(policy.zone, policy.prices, policy.minor_digits)
        asked: dict[str, list[Threshold]] = {}
        for threshold in policy.thresholds:
            asked.setdefault(threshold.operand.feature.name, []).append(threshold)
        features = {t.operand.feature.name: t.operand.feature for t in policy.thresholds}
        self.gauges = tuple(gauge_of(f, asked[name], self.setting) for name, f in features.items())
        self.movers: tuple[Mover, ...] = tuple(mover_of(d, policy.zone) for d in policy.dimensions)
        self.all = tuple(range(len(self.movers)))
        self.places = {mover.dimension.name: i for i, mover in enumerate(self.movers)}
        self.dimensions = {mover.dimension.name: mover.dimension for mover in self.movers}
        self.asked = tuple(tuple((i, g) for i, g in enumerate(self.gauges) if g.bits & m.bits) for m in self.movers)
        self.flipping = tuple(
            self._flipping(mover, asked) for mover, asked in zip(self.movers, self.asked, strict=True)
        )
        self.refundable = tuple((i, gauge) for i, gauge in enumerate(self.gauges) if gauge.refundable())
        self.kept = {name: i for i, name in enumerate(features)}
        self.begun = msgspec.Raw(_encode([Standing(mover.initial).packed() for mover in self.movers]))
        self.worded: dict[tuple[str, str | bool, str | bool], list[Any]] = {}
        """By move (dimension, before, after), what its conditions say whoever is asked; kept for `explain.py`."""
        self._unmoved: set[int] = set()
        """Truths by which nobody moves who has just begun, whenever that is: such a standing has no time of its own."""
        self._concerned: dict[int, tuple[int, ...]] = {}
        self._meetings: dict[str, tuple[tuple[int, Callable[..., Reading | None], int], ...]] = {}
        self._touched: dict[str, tuple[tuple[int, Gauge], ...]] = {}
        self._unasked: dict[str, Gauge] = {}

    def measure(self, feature: Feature, registers: Sequence[Registers], ledger: Ledger) -> tuple[Gauge, Registers]:
        """A feature's gauge and its registers now: those kept, or made for the occasion if no rule asks for it."""
        place = self.kept.get(feature.name)
        if place is not None:
            kept = self.gauges[place]
            return kept, kept.copy(registers[place]) if kept.windowed else registers[place]
        gauge = self._unasked.get(feature.name)
        if gauge is None:
            gauge = self._unasked[feature.name] = gauge_of(feature, (), self.setting)
        return gauge, registers_of(gauge, ledger)

    @staticmethod
    def _flipping(mover: Mover, asked: Sequence[tuple[int, Gauge]]) -> int | None:
        if not isinstance(mover, SegmentMover) or len(asked) > 1 or mover.bits & (mover.bits - 1):
            return None
        place, gauge = asked[0]
        return place if gauge.exact and gauge.bits == mover.bits else None

    def concerned(self, changed: int) -> tuple[int, ...]:
        """The movers in which these thresholds have a say, by index."""
        concerned = self._concerned.get(changed)
        if concerned is None:
            if len(self._concerned) >= MOST_KEPT:
                self._concerned.clear()
            concerned = tuple(i for i, mover in enumerate(self.movers) if changed & mover.bits)
            self._concerned[changed] = concerned
        return concerned

    def read(self, registers: Sequence[Registers], ledger: Ledger, at_ms: int) -> tuple[int, int, dict[int, int]]:
        """The thresholds that hold at the instant, when something may change at the earliest, and by index what every
        gauge says of when it changes."""
        truths, soonest, said = 0, NEVER, {}
        for i, gauge in enumerate(self.gauges):
            bits, next_ms = gauge.read(registers[i], ledger, at_ms)
            truths |= bits
            said[i] = next_ms
            if next_ms < soonest:
                soonest = next_ms
        return truths, soonest, said

    def step(
        self, packed: msgspec.Raw, truths: int, stepping: Sequence[int], at_ms: int
    ) -> tuple[msgspec.Raw, int, list[Step]]:
        """Let these movers move their standings, which nobody's override masks: the standings as they are then, when
        one of them moves again at the earliest though no truth changes, and what moved."""
        if packed is self.begun and truths in self._unmoved:
            return packed, NEVER, []
        standings: list[Any] = _each_packed(packed)
        soonest, moved = NEVER, []
        for i in stepping:
            mover, standing = self.movers[i], _standing(standings[i])
            before = standing.place
            next_ms = mover.step(standing, truths, at_ms)
            if next_ms < soonest:
                soonest = next_ms
            if standing.place != before:
                standing.revision += 1
                moved.append((i, before, standing))
            standings[i] = standing.packed()
        after = msgspec.Raw(_encode(standings))
        if packed is self.begun and stepping is self.all and after == packed and soonest == NEVER:
            if len(self._unmoved) >= MOST_KEPT:
                self._unmoved.clear()
            self._unmoved.add(truths)
        return after, soonest, moved

    def touched(self, profile: str) -> tuple[tuple[int, Gauge], ...]:
        """The gauges that an entry of this profile may change, each with its index."""
        touched = self._touched.get(profile)
        if touched is None:
            if len(self._touched) >= MOST_KEPT:
                self._touched.clear()
            touched = tuple((i, gauge) for i, gauge in enumerate(self.gauges) if gauge.touched_by(profile))
            self._touched[profile] = touched
        return touched

    def meet(
        self, registers: list[Registers], ledger: Ledger, place: int, entry: Entry, truths: int, due_ms: int
    ) -> tuple[int, int, dict[int, int] | None]:
        """Let the entry just appended into the registers: the thresholds that hold now, when something may change at
        the earliest, and by index what the gauges that have another answer say of when it changes."""
        profile, at_ms, said = entry.profile, entry.time_ms, None
        ledger.entered = place + 1
        for i, meet, others in self._meetings.get(profile) or self._meeting(profile):
            reading = meet(registers[i], ledger, place, at_ms, entry)
            if reading is None:
                continue
            bits, next_ms = reading
            truths = truths & others | bits
            if next_ms < due_ms:
                due_ms = next_ms
            if said is None:
                said = {i: next_ms}
            else:
                said[i] = next_ms
        return truths, due_ms, said

    def _meeting(self, profile: str) -> tuple[tuple[int, Callable[..., Reading | None], int], ...]:
        """Of the gauges touched index, `meet`, and the thresholds that are none of theirs."""
        if len(self._meetings) >= MOST_KEPT:
            self._meetings.clear()
        meeting = self._meetings[profile] = tuple((i, gauge.meet, ~gauge.bits) for i, gauge in self.touched(profile))
        return meeting

    def fresh(self) -> list[Registers]:
        return [gauge.fresh() for gauge in self.gauges]

    def enter(self, registers: list[Registers], ledger: Ledger, effect: Effect) -> tuple[tuple[int, Gauge], ...]:
        """Let one effect into the registers; the gauges it may have changed."""
        if effect.take is not None:
            for i, gauge in self.refundable:
                gauge.take(registers[i], ledger, effect.take, effect.at_ms)
            return self.refundable
        ledger.entered = effect.place + 1
        touched = self.touched(ledger.profile(effect.place))
        for i, gauge in touched:
            gauge.enter(registers[i], ledger, effect.place, effect.at_ms)
        return touched

    def registers_at(self, ledger: Ledger, effects: Sequence[Effect], at_ms: int) -> list[Registers]:
        """The registers of all gauges at an instant, had from the ledger alone."""
        registers, ledger.entered = self.fresh(), 0
        for effect in effects:
            if effect.at_ms > at_ms:
                break
            self.enter(registers, ledger, effect)
        return registers


def registers_of(gauge: Gauge, ledger: Ledger) -> Registers:
    """One gauge's registers over all that has been entered, had from the ledger alone."""
    registers, entered = gauge.fresh(), ledger.entered
    until_ms = ledger.time(entered - 1) if entered else 0
    refundable = gauge.refundable()
    for effect in ledger.effects():
        if effect.place >= entered or effect.at_ms > until_ms:
            continue
        if effect.take is None:
            ledger.entered = effect.place + 1
            if gauge.touched_by(ledger.profile(effect.place)):
                gauge.enter(registers, ledger, effect.place, effect.at_ms)
        elif refundable:
            gauge.take(registers, ledger, effect.take, effect.at_ms)
    ledger.entered = entered
    return registers


def gauge_of(feature: Feature, asked: Sequence[Threshold], setting: Setting) -> Gauge:  # noqa: PLR0911
    """The gauge that keeps a feature."""
    match feature:
        case Count() | Sum() | Mean() | Feedback() | Ratio() | Trend() | Scorecard():
            return made_of_totals(feature, asked, setting)
        case SinceLast():
            return Since(feature, asked, setting)
        case Tenure():
            return First(feature, asked, setting)
        case KnownFor():
            return Beginning(feature, asked, setting)
        case Regularity() | Overdue():
            return Rhythm(feature, asked, setting)
        case PAlive():
            return Alive(feature, asked, setting)
        case Expected():
            return Expecting(feature, asked, setting)
        case Value():
            return Worth(feature, asked, setting)
        case Rfm():
            return Grid(feature, asked, setting)
        case Score():
            return Decaying(feature, asked, setting)
        case Stage():
            return Staged(feature, asked, setting)
        case Attribute():
            return Noted(feature, asked, setting)

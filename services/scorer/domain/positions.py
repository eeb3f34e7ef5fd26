"""Positions: where the truths of an instant put a customer in each dimension (rule 6).

A ladder remembers since when a tier is held and since when it has not been earned, a list of classes since when a
class is held; segments and churn have no memory. What the rules say is looked up by their truths once seen.
"""

from abc import ABC, abstractmethod
from collections.abc import Sequence
from typing import Final
from zoneinfo import ZoneInfo

from schemas.decisions import Value
from services.scorer.domain.comparisons import Truths
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.rules import Class, Classes, Dimension, Ladder, Rule, Segment, Tier
from services.scorer.domain.spans import Span, anniversary
from services.scorer.domain.standing import Standing

_MOST_SEEN: Final = 4_096


class Mover(ABC):
    """Moves a standing by the truths of one instant.

    bits:   the thresholds that have a say
    values: the dimension's positions; the last is where everyone begins
    """

    def __init__(self, dimension: Dimension) -> None:
        self.dimension = dimension
        self.bits = dimension.bits
        self.values: tuple[Value, ...] = dimension.values
        self.initial = len(self.values) - 1
        self._seen: dict[Truths, int] = {}

    def step(self, standing: Standing, truths: Truths, at_ms: int) -> int:
        """Move `standing` to where it belongs now; a bound of when it moves again though no truth changes."""
        mine = truths & self.bits
        place = self._seen.get(mine)
        if place is None:
            place = self._look_up(mine)
        if place != standing.place:
            standing.place, standing.since_ms = place, at_ms
        return NEVER

    def cross(self, standing: Standing, before: "Mover", truths: Truths, at_ms: int) -> None:
        """Another policy holds from this instant on: carry the standing over from the same dimension of the old one."""
        value = before.values[standing.place]
        if value in self.values:
            standing.place = self.values.index(value)
        else:
            self.forget(standing, truths, at_ms)

    def forget(self, standing: Standing, truths: Truths, at_ms: int) -> None:
        """Put the standing where the rules alone say, without memory."""
        standing.place, standing.since_ms, standing.failing_ms = self._first(truths & self.bits), at_ms, None

    def _first(self, truths: Truths) -> int:
        return self._look_up(truths)

    def _look_up(self, truths: Truths) -> int:
        place = self._seen.get(truths)
        if place is None:
            if len(self._seen) >= _MOST_SEEN:
                self._seen.clear()
            place = self._seen[truths] = self._evaluate(truths)
        return place

    @abstractmethod
    def _evaluate(self, truths: Truths) -> int:
        """What the rules say by these truths, to be looked up from then on."""


class SegmentMover(Mover):
    def __init__(self, segment: Segment) -> None:
        super().__init__(segment)
        self._rule = segment.rule

    def _evaluate(self, truths: Truths) -> int:
        return 0 if self._rule.holds(truths) else 1


class LadderMover(Mover):
    def __init__(self, ladder: Ladder, zone: ZoneInfo) -> None:
        super().__init__(ladder)
        self._tiers: Sequence[Tier] = ladder.tiers
        self._zone = zone
        self._kept: dict[Truths, int] = {}  # per truths the tiers whose `stay or when` holds, as bits

    def step(self, standing: Standing, truths: Truths, at_ms: int) -> int:
        mine = truths & self.bits
        best = self._look_up(mine)
        place = standing.place
        if best < place:
            standing.place, standing.since_ms, standing.failing_ms = best, at_ms, None
            return NEVER
        kept = self._keeps(mine)
        if kept >> place & 1:
            standing.failing_ms = None
            return NEVER
        if standing.failing_ms is None:
            standing.failing_ms = at_ms
        falls_ms = self.falls_ms(standing)
        if falls_ms > at_ms:
            return falls_ms
        standing.place = next(i for i in range(place + 1, len(self._tiers)) if kept >> i & 1)
        standing.since_ms, standing.failing_ms = at_ms, None
        return NEVER

    def falls_ms(self, standing: Standing) -> int:
        """When the grace period and the least time in the tier have both passed."""
        tier, failing_ms, since_ms = self._tiers[standing.place], standing.failing_ms, standing.since_ms
        if failing_ms is None:
            return NEVER
        falls_ms = self._later(failing_ms, tier.grace)
        return falls_ms if since_ms is None else max(falls_ms, self._later(since_ms, tier.dwell))

    def _later(self, start_ms: int, span: Span | None) -> int:
        return start_ms if span is None else anniversary(span, start_ms, self._zone)

    def _evaluate(self, truths: Truths) -> int:
        return next(i for i, tier in enumerate(self._tiers) if _holds(tier.when, truths))

    def _keeps(self, truths: Truths) -> int:
        kept = self._kept.get(truths)
        if kept is None:
            if len(self._kept) >= _MOST_SEEN:
                self._kept.clear()
            kept = self._kept[truths] = sum(
                1 << i
                for i, tier in enumerate(self._tiers)
                if _holds(tier.when, truths) or (tier.stay is not None and tier.stay.holds(truths))
            )
        return kept


class ClassMover(Mover):
    def __init__(self, classes: Classes, zone: ZoneInfo) -> None:
        super().__init__(classes)
        self._classes: Sequence[Class] = classes.classes
        self._zone = zone

    def step(self, standing: Standing, truths: Truths, at_ms: int) -> int:
        """Where one move lets another be made, it is made at once: added looks change nothing."""
        matching = self._look_up(truths & self.bits)
        while True:
            place = standing.place
            target = next(i for i in range(len(self._classes)) if matching >> i & 1 and self._may_enter(i, place))
            if target == place:
                return NEVER
            dwell = self._classes[place].dwell
            if dwell is not None and standing.since_ms is not None:
                free_ms = anniversary(dwell, standing.since_ms, self._zone)
                if free_ms > at_ms:
                    return free_ms
            standing.place, standing.since_ms = target, at_ms

    def _may_enter(self, place: int, present: int) -> bool:
        allowed = self._classes[place].only_from
        return allowed is None or place == present or self._classes[present].name in allowed

    def _first(self, truths: Truths) -> int:
        """Who is in no class comes from none either."""
        matching = self._look_up(truths)
        return next(i for i, one in enumerate(self._classes) if matching >> i & 1 and one.only_from is None)

    def _evaluate(self, truths: Truths) -> int:
        """The classes whose `when` holds, as bits."""
        return sum(1 << i for i, c in enumerate(self._classes) if _holds(c.when, truths))


def mover_of(dimension: Dimension, zone: ZoneInfo) -> Mover:
    match dimension:
        case Ladder():
            return LadderMover(dimension, zone)
        case Classes():
            return ClassMover(dimension, zone)
        case Segment():
            return SegmentMover(dimension)


def _holds(rule: Rule | None, truths: Truths) -> bool:
    return rule is None or rule.holds(truths)

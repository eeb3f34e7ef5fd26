"""Paths: where a customer stands over time, played from one instant at which that can change to the next.

Between two such instants nothing can change, so nothing is looked at (rule 2). All entries and expiries of one
millisecond are applied, then there is one look (rule 1).
"""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from schemas.decisions import Value
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.policy import Policy

Positions = tuple[Value, ...]
"""Per dimension of the policy, by index, the value held."""

Path = list[tuple[int, Value]]
"""(instant, value from then on) of one dimension, ascending; the dimension's initial value holds before."""


class Moment(NamedTuple):
    """What holds at an instant.

    next_ms:  a lower bound of the next instant at which, with no further event, anything changes; NEVER if nothing will
    truths:   per threshold of the policy, by index, whether its feature is above it
    flips:    per threshold the next instant at which that flips by itself
    start_ms: the next instant at which an entry already known takes effect
    """

    at_ms: int
    positions: Positions
    next_ms: int
    truths: list[bool]
    flips: list[int]
    start_ms: int


def initial(policy: Policy) -> Positions:
    """Where everyone stands before the first event."""
    return tuple(d.initial for d in policy.dimensions)


def look(policy: Policy, ledger: Ledger, at_ms: int) -> Moment:
    """Evaluate every rule at one instant. Before the first event everyone is where everyone begins."""
    truths, flips = [False] * len(policy.thresholds), [NEVER] * len(policy.thresholds)
    for feature, thresholds in policy.looked_at:
        measure = feature.measure(ledger, at_ms)
        for threshold in thresholds:
            truths[threshold.index], flips[threshold.index] = threshold.look(measure)
    start_ms = ledger.next_start(at_ms)
    begun = ledger.began_ms <= at_ms
    positions = tuple([d.position(truths) for d in policy.dimensions]) if begun else initial(policy)
    return Moment(at_ms, positions, min(start_ms, min(flips, default=NEVER)), truths, flips, start_ms)


def look_next(policy: Policy, ledger: Ledger, last: Moment) -> Moment:
    """Look at `last.next_ms`; only what may flip there is measured, unless an entry takes effect."""
    at_ms = last.next_ms
    if at_ms >= last.start_ms:
        return look(policy, ledger, at_ms)
    truths, flips = last.truths.copy(), last.flips.copy()
    swayed: set[int] = set()
    for index, flip in enumerate(last.flips):
        if flip <= at_ms:
            threshold = policy.thresholds[index]
            truths[index], flips[index] = threshold.look(threshold.feature.measure(ledger, at_ms))
            swayed.update(policy.swayed[index])
    positions = last.positions
    if swayed:
        now = list(positions)
        for i in swayed:
            now[i] = policy.dimensions[i].position(truths)
        positions = tuple(now)
    return Moment(at_ms, positions, min(last.start_ms, min(flips, default=NEVER)), truths, flips, last.start_ms)


class Course:
    """The moments of one ledger from an instant on, in order, each looked at once: what time alone will bring."""

    def __init__(self, policy: Policy, ledger: Ledger, from_ms: int) -> None:
        self._policy, self._ledger = policy, ledger
        self._moments = [look(policy, ledger, from_ms)]

    @property
    def first(self) -> Moment:
        return self._moments[0]

    def moments(self, place: int = 0) -> Iterator[Moment]:
        """From the one at `place` on, to the last at which anything can change."""
        while True:
            while place >= len(self._moments):
                if self._moments[-1].next_ms >= NEVER:
                    return
                self._moments.append(look_next(self._policy, self._ledger, self._moments[-1]))
            yield self._moments[place]
            place += 1

    def changes_after(self, place: int, wanted: Iterable[int]) -> dict[int, tuple[int, Value]]:
        """For each wanted dimension index the first change after the moment at `place`, as (instant, value)."""
        changes: dict[int, tuple[int, Value]] = {}
        missing = set(wanted)
        positions = self._moments[place].positions
        for moment in self.moments(place + 1):
            if moment.positions != positions:
                for i in [i for i in missing if moment.positions[i] != positions[i]]:
                    changes[i] = (moment.at_ms, moment.positions[i])
                    missing.remove(i)
                if not missing:
                    break
        return changes


def paths(policy: Policy, ledger: Ledger, until_ms: int) -> list[Path]:
    """Each dimension's whole path up to and with `until_ms`."""
    held = list(initial(policy))
    steps: list[Path] = [[] for _ in held]
    for moment in Course(policy, ledger, ledger.began_ms).moments():
        if moment.at_ms > until_ms:
            break
        for i, value in enumerate(moment.positions):
            if value != held[i]:
                held[i] = value
                steps[i].append((moment.at_ms, value))
    return steps

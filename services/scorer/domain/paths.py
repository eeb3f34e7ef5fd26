"""Paths: where a customer stands over time, played from one instant at which that can change to the next.

Between two such instants nothing can change, so nothing is looked at (rule 2). All entries and expiries of one
millisecond are applied, then there is one look (rule 1).
"""

from collections.abc import Iterator
from typing import NamedTuple

from schemas.decisions import Value
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.policy import Policy

Positions = tuple[Value, ...]
"""Per dimension of the policy, by index, the value held."""

Path = list[tuple[int, Value]]
"""(instant, value from then on) of one dimension, ascending; the dimension's initial value holds before."""


class Moment(NamedTuple):
    """What holds at an instant, and a lower bound of the next one at which, with no further event, anything changes."""

    at_ms: int
    positions: Positions
    next_ms: int


def initial(policy: Policy) -> Positions:
    """Where everyone stands before the first event."""
    return tuple(d.initial for d in policy.dimensions)


def look(policy: Policy, ledger: Ledger, at_ms: int) -> Moment:
    """Evaluate every rule at one instant. Before the first event everyone is where everyone begins."""
    if ledger.began_ms > at_ms:
        return Moment(at_ms, initial(policy), ledger.began_ms)
    truths: list[bool] = [False] * sum(len(comparisons) for _, comparisons in policy.comparisons)
    next_ms = ledger.next_start(at_ms)
    for feature, comparisons in policy.comparisons:
        measure = feature.measure(ledger, at_ms)
        for comparison in comparisons:
            holds = truths[comparison.index] = comparison.holds(measure)
            next_ms = min(next_ms, comparison.next_flip(measure, holds))
    return Moment(at_ms, tuple([d.position(truths) for d in policy.dimensions]), next_ms)


def play(policy: Policy, ledger: Ledger, from_ms: int, until_ms: int) -> Iterator[Moment]:
    """Every instant in [from_ms, until_ms] at which anything can change, `from_ms` itself first, in order."""
    instant = from_ms
    while instant <= until_ms and instant < NEVER:
        moment = look(policy, ledger, instant)
        yield moment
        instant = moment.next_ms


def paths(policy: Policy, ledger: Ledger, until_ms: int) -> list[Path]:
    """Each dimension's whole path up to and with `until_ms`."""
    held = list(initial(policy))
    steps: list[Path] = [[] for _ in held]
    for moment in play(policy, ledger, ledger.began_ms, until_ms):
        for i, value in enumerate(moment.positions):
            if value != held[i]:
                held[i] = value
                steps[i].append((moment.at_ms, value))
    return steps


def next_changes(policy: Policy, ledger: Ledger, now: Moment, wanted: set[int]) -> dict[int, tuple[int, Value]]:
    """For each wanted dimension index the first change that comes with no further event, as (instant, value)."""
    changes: dict[int, tuple[int, Value]] = {}
    for moment in play(policy, ledger, now.next_ms, NEVER - 1):
        for i in wanted:
            if i not in changes and moment.positions[i] != now.positions[i]:
                changes[i] = (moment.at_ms, moment.positions[i])
        if len(changes) == len(wanted):
            break
    return changes

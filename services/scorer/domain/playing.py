"""A customer as known, played to any instant and beyond: for explanations, and for what comes next."""

from collections.abc import Sequence

from schemas.decisions import Value
from services.scorer.domain.eras import Policies
from services.scorer.domain.ledger import NEVER, Effect
from services.scorer.domain.life import Life
from services.scorer.domain.paths import Paths, fold
from services.scorer.domain.state import Customer


def fold_customer(customer: Customer, policies: Policies, at_ms: int) -> tuple[Life, Paths, list[Effect]]:
    """The life up to and with the instant, its paths, and the effects already known that are still to come.

    By all policies given, also by those that decided the past anew later.
    """
    ledger = customer.ledger.with_entries([w.entry for w in customer.waiting])
    life, paths = fold(policies, ledger, at_ms, len(policies.eras), customer.frozen)
    return life, paths, [e for e in ledger.effects() if e.at_ms > at_ms]


def coming(life: Life, effects: Sequence[Effect], names: Sequence[str]) -> dict[str, tuple[int, Value]]:
    """The first change of each of these dimensions if no other event comes, as (instant, value)."""
    if not effects and not life.overrides and not life.expects_a_policy():
        return _by_time_alone(life, names)
    life = life.copy()
    missing = set(names)
    found: dict[str, tuple[int, Value]] = {}
    for instant in life.play(effects, NEVER - 1):
        for moved in instant.moved:
            name = moved.dimension.name
            if name in missing:
                found[name] = (instant.at_ms, moved.after)
                missing.remove(name)
        if not missing:
            break
    return found


def _by_time_alone(life: Life, names: Sequence[str]) -> dict[str, tuple[int, Value]]:
    """The same where nothing but time can change anything: only what has a say in these dimensions is played on."""
    ledger, truths, at_ms = life.ledger, life.truths, life.played_ms
    movers = [(m, s.copy()) for m, s in life.placed() if m.dimension.name in names]
    moves = [mover.step(standing, truths, at_ms) for mover, standing in movers]
    asked = 0
    for mover, _ in movers:
        asked |= mover.bits
    gauges = [(g, g.copy(r)) for g, r in zip(life.machine.gauges, life.registers, strict=False) if g.bits & asked]
    nexts = [gauge.read(own, ledger, at_ms)[1] for gauge, own in gauges]
    found: dict[str, tuple[int, Value]] = {}
    while movers:
        at_ms = min([*nexts, *moves])
        if at_ms >= NEVER:
            break
        before = truths
        for i, (gauge, own) in enumerate(gauges):
            if nexts[i] <= at_ms:
                bits, nexts[i] = gauge.read(own, ledger, at_ms)
                truths = truths & ~gauge.bits | bits
        for i, (mover, standing) in enumerate(movers):
            if moves[i] <= at_ms or (truths ^ before) & mover.bits:
                shown = standing.shown
                moves[i] = mover.step(standing, truths, at_ms)
                if standing.shown != shown:
                    found[mover.dimension.name] = (at_ms, mover.values[standing.shown])
        if found:
            left = [i for i, (mover, _) in enumerate(movers) if mover.dimension.name not in found]
            if len(left) < len(movers):
                movers, moves = [movers[i] for i in left], [moves[i] for i in left]
                kept = [i for i, (gauge, _) in enumerate(gauges) if any(gauge.bits & mover.bits for mover, _ in movers)]
                gauges, nexts = [gauges[i] for i in kept], [nexts[i] for i in kept]
    return found


def coming_to(customer: Customer, names: Sequence[str]) -> dict[str, tuple[int, Value]]:
    """The same of a customer as they stand."""
    life = customer.life
    if not customer.waiting:
        return coming(life, (), names)
    ledger = life.ledger.with_entries([w.entry for w in customer.waiting])
    return coming(life.copy(ledger), [e for e in ledger.effects() if e.at_ms > life.played_ms], names)

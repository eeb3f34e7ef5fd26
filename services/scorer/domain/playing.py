"""A customer as known, played to any instant and beyond: for explanations, and for what comes next."""

from collections.abc import Sequence

from schemas.decisions import Value
from services.scorer.domain.eras import Policies
from services.scorer.domain.ledger import NEVER, Effect
from services.scorer.domain.life import Life, Paths, fold
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


def coming_to(customer: Customer, names: Sequence[str]) -> dict[str, tuple[int, Value]]:
    """The same of a customer as they stand."""
    life = customer.life
    if not customer.waiting:
        return coming(life, (), names)
    ledger = life.ledger.with_entries([w.entry for w in customer.waiting])
    return coming(life.copy(ledger), [e for e in ledger.effects() if e.at_ms > life.played_ms], names)

"""A customer as known, played to any instant and beyond: for explanations, and for what comes next."""

from collections.abc import Sequence

from schemas.decisions import Value
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import LAST_MS
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.life import Life
from services.scorer.domain.moments import Effect, Moved
from services.scorer.domain.now import Now
from services.scorer.domain.paths import Paths, relive
from services.scorer.domain.standing import Standing
from services.scorer.domain.state import Customer


def as_of(customer: Customer, at_ms: int) -> int:
    """The instant as of which what is asked can be answered: not before the floor of a folded ledger."""
    frozen = customer.frozen
    if frozen is None or customer.ledger.began_ms(NEVER) > frozen.floor_ms:
        return at_ms
    return max(at_ms, frozen.floor_ms)


def relive_customer(customer: Customer, policies: Policies, at_ms: int) -> tuple[Life, Paths, list[Effect]]:
    """The life up to and with the instant, its paths, and the effects already known that are still to come.

    By all policies given, also by those that decided the past anew later. What happened after an instant that is past,
    or waits but was received after it, does not come: it says what was to happen without it. The instant is one of
    `as_of`.
    """
    happened = [e for e in customer.ledger.entries if e.time_ms <= at_ms]
    played_ms = customer.life.played_ms
    waited = [w.entry for w in customer.waiting if at_ms >= (played_ms if w.received_ms is None else w.received_ms)]
    ledger = Ledger.of([*happened, *waited])
    life, paths = relive(policies, ledger, at_ms, len(policies.eras), customer.frozen)
    return life, paths, [e for e in ledger.effects() if e.at_ms > at_ms]


def coming(life: Life, effects: Sequence[Effect], names: Sequence[str]) -> dict[str, tuple[int, Value]]:
    """The first change of each of these dimensions if no other event comes, as (instant, value)."""
    if not (effects or life.overrides or life.expects_a_policy() or life.is_at_floor()):
        return _by_time_alone(life, names)
    life = life.copy()
    missing = set(names)
    found: dict[str, tuple[int, Value]] = {}
    for instant in life.play(effects, LAST_MS):
        for moved in instant.moved:
            name = moved.dimension.name
            if name in missing:
                found[name] = (instant.at_ms, moved.after)
                missing.remove(name)
        if not missing:
            break
    return found


def moving_underneath(life: Life, name: str) -> tuple[int, Moved] | None:
    """The first move of one dimension by what the rules say, overrides aside, if no event comes at all."""
    life = life.copy()
    life.overrides = []
    for standing in life.standings:
        standing.masked = -1
    for instant in life.play((), LAST_MS):
        for moved in instant.moved:
            if moved.dimension.name == name:
                return instant.at_ms, moved
    return None


def _by_time_alone(life: Life, names: Sequence[str]) -> dict[str, tuple[int, Value]]:
    """The same where nothing but time can change anything: each dimension by itself, with what has a say in it."""
    found: dict[str, tuple[int, Value]] = {}
    if life.era < 0:
        return found
    places, now = life.machine.places, life.now(life.played_ms)
    for name in names:
        if name in places:
            change = next_of(now, places[name], life.standings[places[name]])
            if change is not None:
                found[name] = change
    return found


def next_of(now: Now, place: int, standing: Standing) -> tuple[int, Value] | None:
    """The first change of one mover's dimension by time alone, as (instant, value)."""
    machine, ledger, truths, at_ms, said = now.machine, now.ledger, now.truths, now.at_ms, now.said
    mover, shown, flipping = machine.movers[place], standing.shown, machine.flipping[place]
    if flipping is not None and said and flipping in said and not ledger.refunds:  # when the gauge has just said
        next_ms = said[flipping]
        return None if next_ms >= NEVER else (next_ms, mover.values[1 - shown])
    standing, gauges, nexts = standing.copy(), [], []
    for i, gauge in machine.asked[place]:
        own = now.registers[i]
        if gauge.windowed:
            own = gauge.copy(own)
        gauges.append((gauge, own))
        known_ms = now.nexts[i] if now.nexts is not None else said.get(i) if said else None
        nexts.append(gauge.read(own, ledger, at_ms)[1] if known_ms is None else known_ms)
    moves_ms = mover.step(standing, truths, at_ms)
    while True:
        at_ms = moves_ms
        for next_ms in nexts:
            if next_ms < at_ms:
                at_ms = next_ms
        if at_ms > LAST_MS:
            return None
        before = truths
        for i, (gauge, own) in enumerate(gauges):
            if nexts[i] <= at_ms:
                bits, nexts[i] = gauge.read(own, ledger, at_ms)
                truths = truths & ~gauge.bits | bits
        if moves_ms <= at_ms or (truths ^ before) & mover.bits:
            moves_ms = mover.step(standing, truths, at_ms)
            if standing.shown != shown:
                return at_ms, mover.values[standing.shown]


def coming_to(customer: Customer, names: Sequence[str]) -> dict[str, tuple[int, Value]]:
    """The same of a customer as they stand."""
    life = customer.life
    if not customer.waiting:
        return coming(life, (), names)
    ledger = life.ledger.with_entries([w.entry for w in customer.waiting])
    return coming(life.copy(ledger), [e for e in ledger.effects() if e.at_ms > life.played_ms], names)

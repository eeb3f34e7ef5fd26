"""Why a customer stands where they stand, what is missing for more, and what happens next (rule 15)."""

import math
from collections.abc import Sequence
from datetime import datetime
from fractions import Fraction
from typing import Final, NamedTuple

from schemas.decisions import Condition, Figure, Next, Value
from schemas.explanations import Explanation, FeatureValue, Held, OverrideView, RuleView
from services.scorer.domain.basis import basis_of
from services.scorer.domain.comparisons import Comparison, Constant, Truths
from services.scorer.domain.entries import read_profile
from services.scorer.domain.eras import Policies
from services.scorer.domain.features import PARTS, Feature, Operand, Unit
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.life import Life, Override
from services.scorer.domain.machine import Machine, gauge_of, registers_of
from services.scorer.domain.now import Now
from services.scorer.domain.paths import Paths
from services.scorer.domain.playing import as_of, coming, moving_underneath, relive_customer
from services.scorer.domain.positions import LadderMover, Mover
from services.scorer.domain.rules import Classes, Dimension, Ladder, Playbook, Policy, Rule
from services.scorer.domain.spans import Span, anniversary
from services.scorer.domain.standing import Standing
from services.scorer.domain.state import Customer

Known = int | Fraction | float | str | None
Shown = Figure | list[Figure]

DIGITS: Final = 6
"""Numbers that are no money and no count are shown with so many decimals."""


def explain(customer: Customer, policies: Policies, at_ms: int) -> Explanation:
    """The whole answer for one customer at one instant, from the entries known; of an instant before the floor of a
    folded ledger as of the floor, and `at` says so (rule 4)."""
    at_ms = as_of(customer, at_ms)
    life, paths, effects = relive_customer(customer, policies, at_ms)
    begun = life.era >= 0
    machine = life.machine if begun else policies.eras[policies.at(at_ms, life.known)].machine
    policy, now = machine.policy, life.now(at_ms)
    standings = life.standings if begun else [Standing(m.initial) for m in machine.movers]
    shown = {m.dimension.name: m.values[s.shown] for m, s in zip(machine.movers, standings, strict=True)}
    next_ = coming(life, effects, list(shown))
    kinds = {d.name: d.kind for d in policy.dimensions}
    return Explanation(
        at=to_datetime(at_ms),
        policy=policy.name,
        currency=policy.currency,
        features={
            operand.name: _feature(life, machine, operand, at_ms) if begun else _nothing(operand)
            for feature in policy.features
            for operand in _operands(feature)
        },
        tiers={name: str(value) for name, value in shown.items() if kinds[name] == "ladder"},
        classes={name: str(value) for name, value in shown.items() if kinds[name] == "class"},
        segments=sorted(name for name, value in shown.items() if kinds[name] == "segment" and value),
        churn=next((bool(value) for name, value in shown.items() if kinds[name] == "churn"), None),
        standing={m.dimension.name: _held(m, s, life, paths) for m, s in zip(machine.movers, standings, strict=True)},
        rules=[_rule_view(now, rule, d, value, part) for d in policy.dimensions for rule, value, part in _rules(d)]
        if begun
        else [],
        next=[
            Next(at=to_datetime(instant), dimension=name, after=value)
            for name, (instant, value) in sorted(next_.items(), key=lambda change: (change[1][0], change[0]))
        ],
    )


def applies(playbook: Playbook, customer: Customer, policies: Policies, at_ms: int) -> bool:
    """Whether the playbook's own condition holds at the instant; True without one."""
    if playbook.when is None:
        return True
    at_ms = as_of(customer, at_ms)
    life, _, _ = relive_customer(customer, policies, at_ms)
    if life.era < 0:
        return False
    truths: Truths = 0
    for feature in {t.operand.feature.name: t.operand.feature for t in playbook.thresholds}.values():
        asked = [t for t in playbook.thresholds if t.operand.feature.name == feature.name]
        gauge = gauge_of(feature, asked, life.machine.setting)
        truths |= gauge.read(registers_of(gauge, life.ledger), life.ledger, at_ms)[0]
    return playbook.when.holds(truths)


def conditions_of(dimension: Dimension, before: Value, after: Value, now: Now) -> list[Condition]:
    """The conditions that explain a move, as they stand at the instant by the policy of then; none of a dimension that
    it does not know, or knows as another kind."""
    machine = now.machine
    known = machine.dimensions.get(dimension.name)
    if known is None or known.kind != dimension.kind:
        return []
    asked = machine.worded.get((dimension.name, before, after))
    if asked is None:
        rules = rules_between(known, before, after)
        asked = machine.worded[dimension.name, before, after] = [a for rule in rules for a in _asked(machine, rule)]
    return [_condition(now, a) for a in asked]


def rules_between(dimension: Dimension, before: Value, after: Value) -> list[Rule]:
    """The rules that explain a move: of the better of the two positions and of where it ended; of what was left also
    what would have let it stay."""
    match dimension:
        case Ladder(tiers=tiers):
            places = [i for i, t in enumerate(tiers) if t.name in (before, after)]
            rules = [tiers[i].when for i in places if tiers[i].name == after or i == places[0]]
            rules += [t.stay for t in tiers if t.name == before]
        case Classes(classes=classes):
            rules = [c.when for c in classes if c.name in (before, after)]
        case _:
            rules = [dimension.rule]
    return [rule for rule in rules if rule is not None]


def money(minor: int, digits: int) -> str:
    """Minor units as a decimal string in major units, `-1230` with two digits is `-12.30`."""
    if not digits:
        return str(minor)
    whole, part = divmod(abs(minor), 10**digits)
    return f"{'-' if minor < 0 else ''}{whole}.{part:0{digits}}"


# -- rules


def _rules(dimension: Dimension) -> list[tuple[Rule, Value, str]]:
    match dimension:
        case Ladder(tiers=tiers):
            return [
                (rule, t.name, part)
                for t in tiers
                for rule, part in ((t.when, "when"), (t.stay, "stay"))
                if rule is not None
            ]
        case Classes(classes=classes):
            return [(c.when, c.name, "when") for c in classes if c.when is not None]
        case _:
            return [(dimension.rule, True, "when")]


def _rule_view(now: Now, rule: Rule, dimension: Dimension, value: Value, part: str) -> RuleView:
    return RuleView(
        rule=rule.name,
        dimension=dimension.name,
        value=value,
        part="stay" if part == "stay" else "when",
        text=rule.text,
        holds=rule.holds(now.truths),
        conditions=[_condition(now, asked) for asked in _asked(now.machine, rule)],
        only_from=_only_from(dimension, value),
    )


def _only_from(dimension: Dimension, value: Value) -> list[str]:
    """The classes that this one takes customers from, in their order; empty where it takes them from any."""
    if not isinstance(dimension, Classes):
        return []
    allowed = next(c.only_from for c in dimension.classes if c.name == value) or ()
    return [c.name for c in dimension.classes if c.name in allowed]


class _Asked(NamedTuple):
    """What of a condition is the same whoever is asked.

    place:     of the feature's gauge among those kept, None if no rule of the policy asks for it
    threshold: as it is shown, None if it goes by the value
    """

    rule: str
    comparison: Comparison
    operand: str
    part: str
    unit: Unit
    place: int | None
    threshold: Shown | None


def _asked(machine: Machine, rule: Rule) -> list[_Asked]:
    asked = []
    for comparison in rule.compared:
        operand, threshold = comparison.operand, None
        if not any(isinstance(c, Span) and not c.fixed_ms for c in comparison.constants):
            threshold = _shown(comparison, _thresholds(comparison, None, machine.policy), machine.policy)
        place = machine.kept.get(operand.feature.name)
        asked.append(_Asked(rule.name, comparison, operand.name, operand.part, operand.unit, place, threshold))
    return asked


def _condition(now: Now, asked: _Asked) -> Condition:
    rule, comparison, operand, part, unit, place, threshold = asked
    machine, ledger, at_ms = now.machine, now.ledger, now.at_ms
    if place is None:
        gauge, registers = machine.measure(comparison.operand.feature, now.registers, ledger)
    else:
        gauge, registers = machine.gauges[place], now.registers[place]
        if gauge.windowed:
            registers = gauge.copy(registers)
    policy, seen = machine.policy, gauge.glance(registers, ledger, at_ms)
    value: Known
    if seen is not None:
        value, entries, first, last = seen
        first_ms, last_ms = (ledger.time(first), ledger.time(last)) if entries else (None, None)
        unpriced = bound = 0
    else:
        value = gauge.value(registers, ledger, at_ms, part)
        entries, first_ms, last_ms, unpriced, bound = basis_of(gauge, registers, ledger, at_ms, part, policy)
    held, missing = comparison.truth(now.truths), None
    if threshold is None or not held:
        start_ms = gauge.start_ms(registers, at_ms, value)
        constants = _thresholds(comparison, start_ms, policy)
        if threshold is None:
            threshold = _shown(comparison, constants, policy)
        missing = None if held else _missing(comparison, constants, value, gauge.below(registers))
    return Condition(
        rule=rule,
        text=comparison.text,
        operand=operand,
        operator=comparison.operator,
        threshold=threshold,  # type: ignore[arg-type]
        value=shown_as(value, unit, policy.minor_digits),
        holds=held,
        entries=entries,
        first=None if first_ms is None else to_datetime(first_ms),
        last=None if last_ms is None else to_datetime(last_ms),
        unpriced=unpriced,
        short_by=None if missing is None else _short_by(missing, unit, policy.minor_digits),
        bound=bound,
    )


def _shown(comparison: Comparison, constants: Sequence[int | Fraction | str], policy: Policy) -> Shown:
    """What the operand is compared with, as it is shown."""
    shown = [_limit(c, comparison.operand.unit, policy.minor_digits) for c in constants]
    return shown[0] if len(shown) == 1 and not comparison.operator.endswith("in") else shown


def _limit(constant: int | Fraction | str, unit: Unit, digits: int) -> Figure:
    """A constant as it is shown; money with all the decimals that the policy gives it, and at least the currency's."""
    if unit != "money" or not isinstance(constant, Fraction):
        return shown_as(constant, unit, digits)
    while 10**digits % constant.denominator:
        digits += 1
    return money(int(constant * 10**digits), digits)


def _thresholds(comparison: Comparison, start_ms: int | None, policy: Policy) -> list[int | Fraction | str]:
    return [_threshold(c, start_ms, policy) for c in comparison.constants]


def _threshold(constant: Constant, start_ms: int | None, policy: Policy) -> int | Fraction | str:
    """A constant in the operand's unit; a calendar span that cannot be measured yet stays as written."""
    if not isinstance(constant, Span):
        return constant
    if constant.fixed_ms:
        return constant.fixed_ms
    return constant.text if start_ms is None else anniversary(constant, start_ms, policy.zone) - start_ms


def _missing(
    comparison: Comparison, constants: Sequence[int | Fraction | str], value: object, below: int
) -> int | Fraction | float | None:
    """How much more of the operand, which stands that far below its value, would make the comparison true: 0 if any
    more; None if more would not, or nothing is known."""
    least = constants[0]
    if comparison.operator not in (">", ">=", "between") or isinstance(value, str) or value is None:
        return None
    if isinstance(least, str) or not isinstance(value, int | Fraction | float):
        return None
    whole = comparison.operator == ">" and isinstance(value, int)
    short = least - value + whole + below
    if comparison.operator == "between" and short <= 0:
        return None
    return max(short, 0)


def _short_by(missing: int | Fraction | float, unit: Unit, digits: int) -> Figure:
    """What is missing as it is shown: never too little, never nothing."""
    if isinstance(missing, int) and missing > 0:
        return shown_as(missing, unit, digits)
    shown = digits if unit == "money" else DIGITS
    scaled = missing * 10**shown
    steps = max(1, math.ceil(round(scaled, DIGITS) if isinstance(scaled, float) else scaled))
    return money(steps, digits) if unit == "money" else shown_as(Fraction(steps, 10**shown), unit, digits)


# -- values


def _operands(feature: Feature) -> list[Operand]:
    return [Operand(feature, part) for part in PARTS[type(feature)]]


def _feature(life: Life, machine: Machine, operand: Operand, at_ms: int) -> FeatureValue:
    gauge, registers = machine.measure(operand.feature, life.registers, life.ledger)
    value = gauge.value(registers, life.ledger, at_ms, operand.part)
    basis = basis_of(gauge, registers, life.ledger, at_ms, operand.part, machine.policy)
    return FeatureValue(
        value=shown_as(value, operand.unit, machine.policy.minor_digits),
        unit=operand.unit,
        entries=basis.entries,
        first=_when(basis.first_ms),
        last=_when(basis.last_ms),
        unpriced=basis.unpriced,
        bound=basis.bound,
    )


def _nothing(operand: Operand) -> FeatureValue:
    return FeatureValue(value=None, unit=operand.unit, entries=0)


def shown_as(value: object, unit: Unit, digits: int) -> Figure:
    """A value as it is written: money, of which an int is minor units, as a decimal string; other numbers rounded."""
    if value is None or isinstance(value, str):
        return value
    if isinstance(value, int):
        return money(value, digits) if unit == "money" else value
    assert isinstance(value, Fraction | float)
    if unit == "money":
        return money(_minor(value, digits), digits)
    rounded = round(float(value), DIGITS)
    return int(rounded) if rounded.is_integer() else rounded


def _minor(major: Fraction | float, digits: int) -> int:
    """Major units in whole minor ones, rounded half to even."""
    scale: int = 10**digits
    return round(Fraction(major) * scale)


def _held(mover: Mover, standing: Standing, life: Life, paths: Paths) -> Held:
    steps = paths.steps.get(mover.dimension.name)
    override = None
    masking: list[Override] = []
    if standing.masked >= 0:  # at a floor, what was told there may be older than the newest word known now
        said = (mover.dimension.name, mover.values[standing.masked])
        masking = [o for o in life.overrides if (o[3], o[4]) == said]
    if masking:
        newest = max(masking, key=lambda o: (o[1], o[2]))
        fields = dict(read_profile(life.ledger.profile(newest[2])).fields)
        override = OverrideView(owner=fields["owner"], reason=fields["reason"], until=to_datetime(newest[0]))
    said_of = {}
    if isinstance(mover.dimension, Classes):
        said_of = {c.name: c for c in mover.dimension.classes}
    of_class = said_of.get(str(mover.values[standing.shown]))
    return Held(
        value=mover.values[standing.shown],
        since=_when(steps[-1][0]) if steps else None,
        computed=mover.values[standing.place] if standing.masked >= 0 else None,
        override=override,
        failing=_when(standing.failing_ms),
        falls_at=_when(_falls_ms(mover, standing, life)),
        strategy=of_class.strategy if of_class else None,
        resources=of_class.resources if of_class else None,
    )


def _falls_ms(mover: Mover, standing: Standing, life: Life) -> int | None:
    """When a tier that is not earned any more will be left; another policy that decides by then may say otherwise."""
    if not isinstance(mover, LadderMover) or standing.failing_ms is None:
        return None
    falls_ms = mover.falls_ms(standing)
    if life.next_era_ms() > falls_ms:
        return falls_ms
    change = moving_underneath(life, mover.dimension.name)
    if change is None:
        return None
    at_ms, moved = change
    values = moved.dimension.values
    is_lower = moved.before in values and values.index(moved.before) < values.index(moved.after)
    return at_ms if is_lower else None


def _when(instant_ms: int | None) -> datetime | None:
    return None if instant_ms is None else to_datetime(instant_ms)

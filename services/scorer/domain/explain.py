"""Why a customer stands where they stand, what is missing for more, and what happens next (rule 15)."""

from datetime import datetime

from schemas.decisions import Condition, Next
from schemas.explanations import Explanation, FeatureValue, RuleView
from services.scorer.domain.comparisons import Comparison, Truths
from services.scorer.domain.features import Age, Measure, Quantity, Unit
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.ledger import Ledger
from services.scorer.domain.paths import Course, Moment
from services.scorer.domain.policy import Playbook, Policy, Rule
from services.scorer.domain.spans import anniversary
from services.scorer.domain.state import Customer


def explain(customer: Customer, policy: Policy, at_ms: int) -> Explanation:
    """The whole answer for one customer at one instant, from the entries known."""
    ledger = Ledger(customer.entries, policy.currency)
    course = Course(policy, ledger, at_ms)
    held = dict(zip((d.name for d in policy.dimensions), course.first.positions, strict=True))
    coming = course.changes_after(0, range(len(policy.dimensions)))
    return Explanation(
        at=to_datetime(at_ms),
        features={f.name: _feature(policy, f.unit, f.measure(ledger, at_ms)) for f in policy.features},
        tiers={d.name: str(held[d.name]) for d in policy.dimensions if d.kind == "ladder"},
        segments=sorted(d.name for d in policy.dimensions if d.kind == "segment" and held[d.name]),
        churn=next((bool(held[d.name]) for d in policy.dimensions if d.kind == "churn"), None),
        rules=[
            RuleView(
                rule=rule.name,
                text=rule.text,
                holds=rule.holds(course.first.truths),
                conditions=conditions(rule, policy, ledger, course.first),
            )
            for d in policy.dimensions
            for rule in d.rules
        ],
        next=[
            Next(at=to_datetime(instant), dimension=policy.dimensions[i].name, after=value)
            for i, (instant, value) in sorted(coming.items(), key=lambda change: (change[1][0], change[0]))
        ],
    )


def applies(playbook: Playbook, customer: Customer, policy: Policy, at_ms: int) -> bool:
    """Whether the playbook's own condition holds at the instant; True without one."""
    return playbook.when is None or holds(playbook.when, Ledger(customer.entries, policy.currency), at_ms)


def holds(rule: Rule, ledger: Ledger, at_ms: int) -> bool:
    """Whether one rule's expression is true at the instant."""
    truths = {
        t.index: t.look(comparison.feature.measure(ledger, at_ms))[0]
        for comparison in rule.compared
        for t in comparison.thresholds
    }
    return rule.holds(truths)


def conditions(rule: Rule, policy: Policy, ledger: Ledger, moment: Moment) -> list[Condition]:
    """Every comparison of the rule as it stands at the moment."""
    measures = {c.feature.name: c.feature.measure(ledger, moment.at_ms) for c in rule.compared}
    return [_condition(rule, policy, c, measures[c.feature.name], moment.truths) for c in rule.compared]


def money(minor: int, digits: int) -> str:
    """Minor units as a decimal string in major units, `-1230` with two digits is `-12.30`."""
    if not digits:
        return str(minor)
    whole, part = divmod(abs(minor), 10**digits)
    return f"{'-' if minor < 0 else ''}{whole}.{part:0{digits}}"


def _condition(rule: Rule, policy: Policy, comparison: Comparison, measure: Measure, truths: Truths) -> Condition:
    basis, unit = measure.basis(), comparison.feature.unit
    held = comparison.truth(truths)
    thresholds = _thresholds(comparison, measure)
    shown = [money(t, policy.minor_digits) if unit == "money" and isinstance(t, int) else t for t in thresholds]
    missing = None if held else _missing(comparison, measure)
    return Condition(
        rule=rule.name,
        text=comparison.text,
        operand=comparison.feature.name,
        operator=comparison.operator,
        threshold=shown[0] if len(thresholds) == 1 and not comparison.operator.endswith("in") else shown,
        value=_shown(policy, unit, measure.value),
        holds=held,
        entries=basis.entries,
        first=_when(basis.first_ms),
        last=_when(basis.last_ms),
        unpriced=basis.unpriced,
        short_by=_shown(policy, unit, missing),
    )


def _thresholds(comparison: Comparison, measure: Measure) -> list[int | str]:
    """Minor units, events, or ms; a calendar span that cannot be measured yet stays as written."""
    if isinstance(measure, Quantity):
        return list(comparison.quantities)
    if measure.start_ms is None:
        return [span.fixed_ms or span.text for span in comparison.spans]
    return [anniversary(span, measure.start_ms, measure.zone) - measure.start_ms for span in comparison.spans]


def _missing(comparison: Comparison, measure: Measure) -> int | None:
    """How much more of the operand would make the comparison true; None if more would not, or nothing is known."""
    if measure.value is None or comparison.operator not in (">", ">=", "between"):
        return None
    if isinstance(measure, Age) and measure.start_ms is not None:
        least = anniversary(comparison.spans[0], measure.start_ms, measure.zone) - measure.start_ms
    else:
        least = comparison.quantities[0]
    short = least - measure.value + (comparison.operator == ">")
    return short if short > 0 else None


def _feature(policy: Policy, unit: Unit, measure: Measure) -> FeatureValue:
    basis = measure.basis()
    return FeatureValue(
        value=_shown(policy, unit, measure.value),
        unit=unit,
        entries=basis.entries,
        first=_when(basis.first_ms),
        last=_when(basis.last_ms),
        unpriced=basis.unpriced,
    )


def _shown(policy: Policy, unit: Unit, value: int | None) -> int | str | None:
    return money(value, policy.minor_digits) if unit == "money" and value is not None else value


def _when(instant_ms: int | None) -> datetime | None:
    return None if instant_ms is None else to_datetime(instant_ms)

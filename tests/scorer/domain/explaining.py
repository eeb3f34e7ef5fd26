"""Holds the core's explanation of a customer against the oracle: where, why, what is missing, what next."""

from collections.abc import Mapping, Sequence
from decimal import Decimal

from schemas.decisions import Condition
from schemas.events import Event
from schemas.explanations import Explanation, FeatureValue
from tests.scorer.domain import oracle_rules
from tests.scorer.domain.oracle import Oracle, Steps
from tests.scorer.domain.oracle_calendar import to_ms
from tests.scorer.domain.oracle_rules import Elapsed, Number, Operand


def check(told: Explanation, oracle: Oracle, accepted: Sequence[Event], future: Mapping[str, Steps], at: int) -> None:
    """AssertionError where `told` is not what the oracle says of `at`; `future` are the whole paths to come."""
    positions, values = oracle.positions(accepted, at), oracle.values(accepted, at)
    assert to_ms(told.at) == at
    assert told.tiers == {name: positions[name] for name in oracle.policy["ladders"]}
    assert told.segments == sorted(name for name in oracle.policy.get("segments", {}) if positions[name])
    assert told.churn == positions.get("churn")
    assert set(oracle.features) <= set(told.features)
    for name, feature in told.features.items():
        check_value(feature, values[name], oracle, name, at)
        if name in oracle.features and feature.unit != "duration":
            times, unpriced = oracle.basis(name, accepted, at)
            assert feature.entries == len(times), name
            assert feature.unpriced == unpriced or feature.unit == "count", name
            assert [t and to_ms(t) for t in (feature.first, feature.last)] == (
                [times[0], times[-1]] if times else [None] * 2
            )
    check_next(told, future, at)
    assert {rule.rule: rule.text for rule in told.rules} == oracle.rules
    if min((to_ms(event.time) for event in accepted), default=at + 1) > at:
        return  # before the first event nobody moves, whatever holds
    for rule in told.rules:
        assert rule.holds == oracle_rules.holds(rule.text, values), rule.text
        for condition in rule.conditions:
            assert agrees(condition, values, oracle.digits), condition


def check_value(feature: FeatureValue, expected: Operand, oracle: Oracle, name: str, at: int) -> None:
    if isinstance(expected, Elapsed):
        assert feature.unit == "duration"
        assert feature.value == (None if expected.since is None else at - expected.since), name
        assert feature.entries == (expected.since is not None)
    elif "count" in oracle.features[name]:
        assert (feature.unit, feature.value) == ("count", expected.value), name
    else:
        assert (feature.unit, feature.value) == ("money", f"{expected.value:.{oracle.digits}f}"), name


def check_next(told: Explanation, future: Mapping[str, Steps], at: int) -> None:
    coming = {name: next((step for step in path if step[0] > at), None) for name, path in future.items()}
    expected = [(step[0], name, step[1]) for name, step in coming.items() if step is not None]
    found = [(to_ms(n.at), n.dimension, n.after) for n in told.next]
    assert sorted(found, key=str) == sorted(expected, key=str)
    assert [t for t, _, _ in found] == sorted(t for t, _, _ in found), "soonest first"


def agrees(condition: Condition, values: Mapping[str, Operand], digits: int) -> bool:
    """Whether the comparison stands as `values` have it: its operand's value, whether it holds, what is missing."""
    operand = values[condition.operand]
    if isinstance(operand, Elapsed):
        shown: object = None if operand.since is None else operand.now - operand.since
    else:
        shown = f"{operand.value:.{digits}f}" if isinstance(condition.value, str) else operand.value
    unit = Decimal(1).scaleb(-digits) if isinstance(condition.value, str) else Decimal(1)
    exact = condition.operator in ("==", "!=", "in", "not in")  # nothing is "short" of these
    missing = None if condition.holds or exact else short_by(condition.text, operand, unit)
    found = None if condition.short_by is None else Decimal(condition.short_by)
    holds = oracle_rules.holds(condition.text, values)
    return (condition.value, condition.holds, found) == (shown, holds, missing)


def short_by(text: str, operand: Operand, unit: Decimal) -> Decimal | None:
    """The least that, added to the operand, makes the comparison hold; None where more of it does not help."""
    literals = [token for token in oracle_rules.tokens(text) if token[0].isdigit()]
    if isinstance(operand, Elapsed):
        if operand.since is None:
            return None
        reached = [operand.reached(literal) - operand.now for literal in literals]
    else:
        reached = [Decimal(literal.replace("_", "")) - operand.value for literal in literals]
    tries = sorted(Decimal(step) + extra for step in reached for extra in (0, unit) if step + extra > 0)
    name = oracle_rules.tokens(text)[0]
    return next((step for step in tries if oracle_rules.holds(text, {name: more(operand, step)})), None)


def more(operand: Operand, step: Decimal) -> Operand:
    if isinstance(operand, Number):
        return Number(operand.value + step)
    return Elapsed(operand.since, operand.now + int(step), operand.zone)

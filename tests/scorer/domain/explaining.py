"""Holds the core's explanation of a customer against the oracle: where, why, what is missing, what next."""

from collections.abc import Mapping, Sequence
from decimal import ROUND_HALF_EVEN, Decimal, localcontext
from fractions import Fraction
from math import isclose, sqrt

from schemas.decisions import Condition
from schemas.events import Event
from schemas.explanations import Explanation, FeatureValue
from tests.scorer.domain import oracle_rules
from tests.scorer.domain.oracle import Oracle, Steps, initial
from tests.scorer.domain.oracle_calendar import FIXED, parts, to_ms
from tests.scorer.domain.oracle_features import Values
from tests.scorer.domain.oracle_operands import (
    Decayed,
    Duration,
    Elapsed,
    Money,
    Number,
    Operand,
    RootRatio,
    Text,
    decimal,
    exactly,
    number,
)

COUNTED = ("count", "mean", "feedback")
"""Kinds of features of which the oracle knows what they rest on."""


def check(told: Explanation, oracle: Oracle, accepted: Sequence[Event], future: Mapping[str, Steps], at: int) -> None:
    """AssertionError where `told` is not what the oracle says of `at`; `future` are the whole paths to come."""
    course, values = oracle.course(accepted, at), oracle.values(accepted, at)
    book, positions = values.book, course.output
    assert to_ms(told.at) == at
    assert told.tiers == {name: positions[name] for name in book.ladders}
    assert told.classes == {name: positions[name] for name in book.classes}
    inside = {name for name in book.segments if positions[name]}
    assert told.segments == sorted(inside - {"churn"})
    assert told.churn == (positions["churn"] if "churn" in book.segments else None)
    check_next(told, future, at, [*initial(book)])
    if min((to_ms(event.time) for event in accepted), default=at + 1) > at:
        return  # before the first event nobody moves, whatever holds
    for name, held in told.standing.items():
        standing = course.standings.get(name)
        if standing is not None:
            assert (held.failing and to_ms(held.failing)) == standing.failing, name
            assert (held.computed or held.value) == standing.value
    assert {name.partition(".")[0] for name in told.features} >= set(book.features)
    for name, feature in told.features.items():
        assert agrees_with(feature.value, values[name], book.digits), (name, feature, values[name])
        check_basis(name, feature, oracle, accepted, at)
    assert {rule.rule: rule.text for rule in told.rules} == book.rules
    for rule in told.rules:
        assert rule.holds == oracle_rules.holds(book.rule(rule.text), values), rule.text
        for condition in rule.conditions:
            assert agrees(condition, values), condition


def check_basis(name: str, feature: FeatureValue, oracle: Oracle, accepted: Sequence[Event], at: int) -> None:
    book = oracle.books[oracle.era_at(at)]
    if not any(kind in book.features.get(name, ()) for kind in COUNTED):
        return
    times, unpriced = oracle.basis(name, accepted, at)
    assert feature.entries == len(times), name
    assert feature.unpriced == unpriced, name
    ends = [times[0], times[-1]] if times else [None] * 2
    assert [t and to_ms(t) for t in (feature.first, feature.last)] == ends, name


def agrees_with(shown: object, operand: Operand, digits: int) -> bool:
    """Whether a figure is the operand's: exactly where it can be, reals to six decimals."""
    if not operand.known:
        return shown is None
    match operand:
        case Text(value):
            return shown == value
        case Elapsed(since, now):
            return since is not None and shown == now - since
        case Duration(ms):
            return shown == ms
        case Money():
            return isinstance(shown, str) and agrees_with_money(shown, operand, digits)
        case RootRatio(square, base):
            real = sqrt(square) / base
        case _:
            real = float(operand.value)  # type: ignore[attr-defined]  # all others have one
    return isinstance(shown, int | float) and isclose(shown, real, rel_tol=1e-9, abs_tol=1.1e-6)


def agrees_with_money(shown: str, operand: Money, digits: int) -> bool:
    """Whether it is the nearest amount with the currency's decimals, of two the one that ends in an even digit."""
    with localcontext(exactly()):
        exact, cent = decimal(Fraction(operand.value)), Decimal(1).scaleb(-digits)
        if shown != f"{Decimal(shown):.{digits}f}":
            return False
        if operand.modelled:
            return abs(Decimal(shown) - exact) <= cent / 2 + abs(exact) * Decimal("1e-9")
        return Decimal(shown) == exact.quantize(cent, ROUND_HALF_EVEN)


def check_next(told: Explanation, future: Mapping[str, Steps], at: int, names: Sequence[str]) -> None:
    coming = {name: next((step for step in future.get(name, []) if step[0] > at), None) for name in names}
    expected = [(step[0], name, step[1]) for name, step in coming.items() if step is not None]
    found = [(to_ms(n.at), n.dimension, n.after) for n in told.next]
    assert [t for t, _, _ in found] == sorted(t for t, _, _ in found), "soonest first"
    horizon = max((step[0] for path in future.values() for step in path), default=at)
    assert sorted([one for one in found if one[0] <= horizon], key=str) == sorted(expected, key=str)


def agrees(condition: Condition, values: Values) -> bool:
    """Whether the comparison stands as `values` have it: its operand's value, whether it holds, what is missing."""
    operand = values[condition.operand]
    if not agrees_with(condition.value, operand, values.book.digits):
        return False
    text = values.book.rule(condition.text)
    if isinstance(operand, Money) and not written_in_full(condition, text, values.book.digits):
        return False
    if condition.holds != oracle_rules.holds(text, values):
        return False
    return condition.short_by is None or enough(condition, text, operand, values.book.digits)


def written_in_full(condition: Condition, text: str, digits: int) -> bool:
    """Whether what money is compared with is shown to the last decimal of the policy, and to the currency's."""
    compared = oracle_rules.read(text)
    assert isinstance(compared, oracle_rules.Compared)
    shown = condition.threshold if isinstance(condition.threshold, list) else [condition.threshold]
    return len(shown) == len(compared.literals) and all(
        isinstance(one, str) and Fraction(one) == number(literal) and len(one.partition(".")[2]) >= digits
        for one, literal in zip(shown, compared.literals, strict=True)
    )


def enough(condition: Condition, text: str, operand: Operand, digits: int) -> bool:
    """Whether so much more of a number or a duration makes the comparison hold, or come to its limit."""
    assert not condition.holds
    assert condition.short_by is not None
    more = Fraction(str(condition.short_by))
    compared = oracle_rules.read(text)
    assert isinstance(compared, oracle_rules.Compared)
    low = compared.literals[0]
    match operand:
        case Money(value):
            return more > 0 and value + more >= number(low) - Fraction(1, 2 * 10**digits)
        case Number(value):
            return isclose(value + more, number(low), abs_tol=1.0 if isinstance(condition.value, int) else 1.1e-6) or (
                value + more > number(low)
            )
        case Elapsed(since, now):
            return since is not None and now + more >= operand.reached(low)
        case Duration(ms):
            count, unit = parts(low)
            return ms + more >= count * FIXED[unit]
        case Decayed() | _:
            return True

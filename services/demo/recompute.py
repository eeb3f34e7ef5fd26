"""The naive recomputation: where every customer stands at one instant, straight from the file and the policy's YAML.

It checks the scorer, so it shares no code with it (an import rule holds that) and cares for nothing but being plain:
at the instant asked, go through all purchases of a customer, compute what the rules ask for, try every rule. It knows
purchases only, since the file has nothing else: all other kinds of events count 0. Classes are not looked at, nor are
features that only classes and pages ask for.
"""

import ast
import re
from collections.abc import Callable, Iterable
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from functools import lru_cache
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import yaml

from services.demo.cdnow import CURRENCY, Purchase

Number = Decimal | int
Value = Number | list[Any] | None
_MS = timedelta(milliseconds=1)
_FIXED_MS = {"ms": 1, "s": 1000, "min": 60_000, "h": 3_600_000, "d": 86_400_000, "w": 7 * 86_400_000}
_SPAN = re.compile(r"\b([0-9]+)(ms|min|mo|s|h|d|w|y)\b")
_COMPARE: dict[type[ast.cmpop], Callable[[Any, Any], bool]] = {
    ast.Lt: lambda a, b: a < b,
    ast.LtE: lambda a, b: a <= b,
    ast.Gt: lambda a, b: a > b,
    ast.GtE: lambda a, b: a >= b,
    ast.Eq: lambda a, b: a == b,
    ast.NotEq: lambda a, b: a != b,
    ast.In: lambda a, b: a in b,
    ast.NotIn: lambda a, b: a not in b,
}


class NotKnownHere(Exception):
    """The policy says something this recomputation does not know; str() names it."""


class Position(msgspec.Struct, frozen=True):
    """Where a customer stands: the tier, the segments, and churn (None if the policy has no such rule)."""

    tier: str
    segments: frozenset[str]
    churn: bool | None


def recompute(policy_yaml: str, purchases: Iterable[Purchase], shift_days: int, at: datetime) -> dict[str, Position]:
    """Every customer's position at the instant `at`, dates moved by `shift_days`. NotKnownHere as said above."""
    policy = yaml.load(policy_yaml, Loader=yaml.BaseLoader)  # scalars as they are written
    # A purchase in a currency that has no rate counts as an order, with nothing spent.
    worth = 1 if policy["currency"] == CURRENCY else 0
    zone = ZoneInfo(policy["zone"])
    history: dict[str, list[tuple[datetime, Decimal]]] = {}
    for purchase in purchases:
        when = purchase.at(shift_days)
        if when <= at:
            history.setdefault(purchase.customer, []).append((when, purchase.amount * worth))
    asked = {name: said for name, said in policy["features"].items() if name in _named(policy)}
    return {customer: _position(policy, asked, zone, entries, at) for customer, entries in history.items()}


def _named(policy: Any) -> set[str]:
    """The names in the rules of the tiers, the segments and churn."""
    ladder = policy["ladders"]["tier"]
    for rung in ladder:
        if set(rung) - {"name", "when"}:
            raise NotKnownHere(f"tier {rung}")
    rules = [rung["when"] for rung in ladder if "when" in rung]
    rules += [*(policy.get("segments") or {}).values(), *(policy.get("churn") or {}).values()]
    return {node.id for rule in rules for node in ast.walk(_parsed(rule)[0]) if isinstance(node, ast.Name)}


def _position(
    policy: Any, asked: dict[str, Any], zone: ZoneInfo, entries: list[tuple[datetime, Decimal]], at: datetime
) -> Position:
    features = {name: _feature(said, zone, entries, at) for name, said in asked.items()}
    ladder = policy["ladders"]["tier"]
    churn = policy.get("churn")
    return Position(
        tier=next(rung["name"] for rung in ladder if "when" not in rung or holds(rung["when"], features)),
        segments=frozenset(name for name, rule in (policy.get("segments") or {}).items() if holds(rule, features)),
        churn=holds(churn["at_risk"], features) if churn else None,
    )


def _feature(said: Any, zone: ZoneInfo, entries: list[tuple[datetime, Decimal]], at: datetime) -> Number | None:
    """A feature's value at `at`: money in major units, a count, or milliseconds; None while unknown."""
    window = said.get("window")
    inside = [(when, amount) for when, amount in entries if window is None or at < leaves(when, window, zone)]
    if "count" in said:
        kinds = [said["count"]] if isinstance(said["count"], str) else said["count"]
        return len(inside) if "purchase" in kinds else 0
    if "sum" in said:
        return sum((amount for _, amount in inside), Decimal(0)) if said["sum"] == "purchase.amount" else Decimal(0)
    if "since_last" in said:
        if said["since_last"] != "purchase" or not inside:
            return None
        return (at - max(when for when, _ in inside)) // _MS
    raise NotKnownHere(f"feature {said}")


@lru_cache(maxsize=100_000)
def leaves(when: datetime, window: str, zone: ZoneInfo) -> datetime:
    """The first instant at which an entry of time `when` is no longer in the window.

    Months and years: the target day's midnight in the zone plus what had passed since the entry's own midnight, at
    most that day's end; a day the target month lacks becomes its last, left at its end.
    """
    span = _SPAN.fullmatch(window)
    if span is None:
        raise NotKnownHere(f"window {window}")
    number, unit = int(span[1]), span[2]
    if unit in _FIXED_MS:
        return when + number * _FIXED_MS[unit] * _MS
    day = when.astimezone(zone).date()
    months = day.month - 1 + number * (12 if unit == "y" else 1)
    first = date(day.year + months // 12, months % 12 + 1, 1)
    last = (first + timedelta(days=31)).replace(day=1) - timedelta(days=1)
    target_end = _midnight(min(last, first + timedelta(days=day.day - 1)) + timedelta(days=1), zone)
    if day.day > last.day:
        return target_end
    passed = when - _midnight(day, zone)
    return min(_midnight(first.replace(day=day.day), zone) + passed, target_end)


def _midnight(day: date, zone: ZoneInfo) -> datetime:
    return datetime.combine(day, time(), zone).astimezone(UTC)


def holds(rule: str, features: dict[str, Number | None]) -> bool:
    """Whether a rule is true: comparisons joined by and, or, not. A comparison with an unknown is false."""
    tree, text = _parsed(rule)
    return _truth(tree, text, features)


@lru_cache(maxsize=1000)
def _parsed(rule: str) -> tuple[ast.expr, str]:
    def as_ms(span: re.Match[str]) -> str:
        if span[2] not in _FIXED_MS:
            raise NotKnownHere(f"{span[0]} in a rule")
        return str(int(span[1]) * _FIXED_MS[span[2]])

    text = _SPAN.sub(as_ms, " ".join(rule.split()))
    return ast.parse(text, mode="eval").body, text


def _truth(node: ast.expr, text: str, features: dict[str, Number | None]) -> bool:
    match node:
        case ast.BoolOp(op=ast.And(), values=parts):
            return all(_truth(part, text, features) for part in parts)
        case ast.BoolOp(op=ast.Or(), values=parts):
            return any(_truth(part, text, features) for part in parts)
        case ast.UnaryOp(op=ast.Not(), operand=part):
            return not _truth(part, text, features)
        case ast.Compare(left=left, ops=ops, comparators=rest):
            values = [_value(side, text, features) for side in [left, *rest]]
            if None in values:
                return False
            return all(_COMPARE[type(op)](values[i], values[i + 1]) for i, op in enumerate(ops))
    raise NotKnownHere(f"{ast.unparse(node)} in a rule")


def _value(node: ast.expr, text: str, features: dict[str, Number | None]) -> Value:
    match node:
        case ast.List(elts=items):
            return [_value(item, text, features) for item in items]
        case ast.Name(id=name) if name in features:
            return features[name]
        case ast.Constant(value=int() | float()):
            # From the text: a decimal number must not pass through a binary float.
            return Decimal((ast.get_source_segment(text, node) or "").replace("_", ""))
    raise NotKnownHere(f"{ast.unparse(node)} in a rule")

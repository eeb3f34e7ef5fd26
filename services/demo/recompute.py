"""The naive recomputation: where every customer stands at one instant, straight from the file and the policy's YAML.

It checks the scorer, so it shares no code with it (an import rule holds that) and cares for nothing but being plain:
at the instant asked, go through all purchases of a customer, compute what the rules ask for, try every rule. Only
classes that ask where one comes `from` have a past: they are tried at every instant at which a rule of theirs may turn.
It knows purchases only, since the file has nothing else: all other kinds of events count 0.
"""

from collections.abc import Iterable
from datetime import datetime, timedelta
from typing import Any
from zoneinfo import ZoneInfo

import msgspec
import yaml

from services.demo.cdnow import CURRENCY, Purchase
from services.demo.naive_features import Entries, Moment, leaves
from services.demo.naive_rules import NotKnownHere, delays_in, holds, names_in

_OF_A_TIER = {"name", "when"}
_OF_A_CLASS = {"name", "when", "from", "strategy", "resources"}


class Position(msgspec.Struct, frozen=True):
    """Where a customer stands: the tier, the class of each list, the segments, churn (None without such a rule)."""

    tier: str
    segments: frozenset[str]
    churn: bool | None
    classes: dict[str, str] = {}


def recompute(policy_yaml: str, purchases: Iterable[Purchase], shift_days: int, at: datetime) -> dict[str, Position]:
    """Every customer's position at the instant `at`, dates moved by `shift_days`. NotKnownHere if it can't tell."""
    policy = _read(policy_yaml)
    # A purchase in a currency that has no rate counts as an order, with nothing spent.
    worth = 1 if policy["currency"] == CURRENCY else 0
    zone = ZoneInfo(policy["zone"])
    history: dict[str, list[tuple[datetime, Any]]] = {}
    for purchase in purchases:
        when = purchase.at(shift_days)
        if when <= at:
            history.setdefault(purchase.customer, []).append((when, purchase.amount * worth))
    return {customer: _position(policy, zone, sorted(entries), at) for customer, entries in history.items()}


def begins(policy_yaml: str) -> dict[str, str]:
    """Where everyone begins: by name the last rung of the ladder `tier`, and the last class of each list."""
    policy = _read(policy_yaml)
    return {"tier": policy["ladders"]["tier"][-1]["name"]} | {
        name: said[-1]["name"] for name, said in policy.get("classes", {}).items()
    }


def _read(policy_yaml: str) -> Any:
    policy = yaml.load(policy_yaml, Loader=yaml.BaseLoader)  # scalars as they are written
    places = [(_OF_A_TIER, rung) for rung in policy["ladders"]["tier"]]
    places += [(_OF_A_CLASS, one) for said in policy.get("classes", {}).values() for one in said]
    for known, place in places:
        if set(place) - known:
            raise NotKnownHere(f"{place}")
    return policy


def _position(policy: Any, zone: ZoneInfo, entries: Entries, at: datetime) -> Position:
    now = Moment(policy, zone, entries, at)
    churn = policy.get("churn")
    return Position(
        tier=next(rung["name"] for rung in policy["ladders"]["tier"] if "when" not in rung or holds(rung["when"], now)),
        segments=frozenset(name for name, rule in (policy.get("segments") or {}).items() if holds(rule, now)),
        churn=holds(churn["at_risk"], now) if churn else None,
        classes={
            name: _class(policy, zone, said, entries, now, at) for name, said in policy.get("classes", {}).items()
        },
    )


def _class(policy: Any, zone: ZoneInfo, said: Any, entries: Entries, now: Moment, at: datetime) -> str:
    held: str = said[-1]["name"]
    if not any("from" in one for one in said):
        return _enters(said, held, now)
    rules = [one["when"] for one in said if "when" in one]
    delays = frozenset().union(*(delays_in(rule) for rule in rules))
    windows = _windows(policy, rules)
    turns = {when + delay for when, _ in entries for delay in (timedelta(), *delays)}
    turns |= {leaves(when, window, zone) for when, _ in entries for window in windows}
    for instant in sorted(turn for turn in turns if turn <= at):
        held = _enters(said, held, Moment(policy, zone, [e for e in entries if e[0] <= instant], instant))
    return held


def _windows(policy: Any, rules: list[str]) -> set[str]:
    """Of the features the rules ask for; NotKnownHere if one moves in another way than by purchases leaving."""
    features = {name: policy["features"].get(name, {}) for rule in rules for name in names_in(rule)}
    for name, said in features.items():
        if not said.keys() & {"count", "sum", "since_last"}:
            raise NotKnownHere(f"{name} in classes with a past")
    return {said["window"] for said in features.values() if "window" in said}


def _enters(said: Any, held: str, now: Moment) -> str:
    """The class that one who is in `held` is in now: the first that fits and may be entered, until that is the same."""
    while True:
        fits = (one for one in said if "from" not in one or held in one["from"] or held == one["name"])
        entered = next(one["name"] for one in fits if "when" not in one or holds(one["when"], now))
        if entered == held:
            return held
        held = entered

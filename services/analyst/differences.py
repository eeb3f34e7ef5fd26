"""What differs between two policies, in what they say and not in how they are written."""

import re
from collections import Counter
from collections.abc import Iterator, Mapping, Sequence
from decimal import Decimal
from typing import Any, Literal

import msgspec

from schemas import policy as shape
from services.scorer.domain import expressions
from services.scorer.domain.spans import UNITS_MONTHS, UNITS_MS

Item = tuple[str, ...]
"""Section and names, as ("ladders", "tier", "gold")."""
_Deed = tuple[str, str]
"""What a playbook waits for, and what it does."""

CONDITIONS = {"when", "stay", "where", "at_risk"}
UNORDERED = {"count", "trend", "from"}
TEXTS = {"strategy", "title", "to", "webhook"}  # where "007" is not "7"


class Difference(msgspec.Struct, frozen=True, omit_defaults=True):
    """item:    section and names, as ["ladders", "tier", "gold"]
    setting: what of it, as `when`; None where the whole was added or removed, or where only its place changed
    before, after: conditions with single blanks, numbers without `_`, spans in the largest unit that is a whole number
        of them; the whole as `setting: value, ...`
    """

    item: Item
    change: Literal["added", "removed", "changed", "moved"]
    setting: str | None = None
    before: str | None = None
    after: str | None = None


def differences(old: shape.Policy, new: shape.Policy) -> list[Difference]:
    """In the order of the new policy, what was removed at the end of its section. Both are compiled ones' documents."""
    several = _several(old) | _several(new)
    before, after = dict(_items(old, several)), dict(_items(new, several))
    found = [
        difference
        for item, settings in after.items()
        for difference in (_changed(item, before[item], settings) if item in before else [_added(item, settings)])
    ]
    found += [Difference(item, "removed", before=_shown(before[item])) for item in before if item not in after]
    found += _moved(before, after)
    sections = list(dict.fromkeys(item[0] for item in [*after, *before]))
    return sorted(found, key=lambda difference: sections.index(difference.item[0]))


def _added(item: Item, settings: Mapping[str, str]) -> Difference:
    return Difference(item, "added", after=_shown(settings))


def _changed(item: Item, before: Mapping[str, str], after: Mapping[str, str]) -> Iterator[Difference]:
    for setting in dict.fromkeys([*after, *before]):
        if before.get(setting) != after.get(setting):
            yield Difference(item, "changed", setting, before.get(setting), after.get(setting))


def _moved(before: Mapping[Item, Any], after: Mapping[Item, Any]) -> Iterator[Difference]:
    """Ladders and classes of which those that stayed stand in another order."""
    for group in dict.fromkeys(item[:2] for item in after if item[0] in ("ladders", "classes")):
        was = [item[2] for item in before if item[:2] == group and item in after]
        now = [item[2] for item in after if item[:2] == group and item in before]
        if was != now:
            yield Difference(group, "moved", before=", ".join(was), after=", ".join(now))


def _items(policy: shape.Policy, several: set[_Deed]) -> Iterator[tuple[Item, dict[str, str]]]:
    """Everything a policy is made of, with its settings in one form."""
    said = msgspec.to_builtins(policy)
    yield ("policy",), {name: said[name] for name in ("policy", "currency", "zone")}
    for name in policy.attributes:
        yield ("attributes", name), {}
    for section in ("rates", "features"):
        for name, settings in said.get(section, {}).items():
            yield (section, name), dict(_settings(settings))
    for section in ("ladders", "classes"):
        for name, rungs in said.get(section, {}).items():
            for rung in rungs:
                yield (section, name, rung.pop("name")), dict(_settings(rung))
    for name, condition in policy.segments.items():
        yield ("segments", name), {"when": _text("when", condition)}
    for card, parts in said.get("scorecards", {}).items():
        for name, part in parts.items():
            yield ("scorecards", card, name), dict(_settings(part))
    for name, part in said.get("calibration", {}).items():
        yield ("calibration", name), dict(_settings(part if isinstance(part, dict) else {"value": part}))
    if policy.churn is not None:
        yield ("churn",), {"at_risk": _text("at_risk", policy.churn.at_risk)}
    yield from _effects(said, several)


def _effects(said: Mapping[str, Any], several: set[_Deed]) -> Iterator[tuple[Item, dict[str, str]]]:
    """What decides nothing. A playbook goes by what it waits for and does; where several wait for the same and do the
    same, by when they do it too, and by their order."""
    met: Counter[Item] = Counter()
    for playbook in said.get("playbooks", []):
        deed = _deed(playbook)
        settings = dict(_settings({name: value for name, value in playbook.items() if name != "on"}))
        item: Item = ("playbooks", *deed)
        if deed in several and "when" in settings:
            item = (*item, f"when {settings['when']}")
        met[item] += 1
        yield item if met[item] == 1 else (*item, f"the same again, {met[item]}"), settings
    for name, setting in (("holdout", "share"), ("code", "template")):
        if name in said:
            yield (name,), {setting: _scalar(said[name])}


def _several(policy: shape.Policy) -> set[_Deed]:
    """What more than one of the policy's playbooks wait for and do."""
    counts = Counter(map(_deed, msgspec.to_builtins(policy).get("playbooks", [])))
    return {deed for deed, count in counts.items() if count > 1}


def _deed(playbook: Mapping[str, Any]) -> _Deed:
    does = playbook["task"]["title"] if "task" in playbook else playbook.get("webhook", "alert")
    return " ".join(playbook["on"].split()), does


def _settings(settings: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, str]]:
    for name, value in settings.items():
        if isinstance(value, Mapping):
            yield from _settings(value, f"{prefix}{name}.")
        else:
            yield f"{prefix}{name}", _text(name, value)


def _text(setting: str, value: str | Sequence[str]) -> str:
    if setting in CONDITIONS and isinstance(value, str):
        return expressions.written(_plain(expressions.parse(value)))
    if not isinstance(value, str):
        parts = [_text("", part) for part in value]
        return ", ".join(sorted(parts) if setting in UNORDERED else parts)
    return value if setting in TEXTS else _scalar(value)


def _plain(node: expressions.Node) -> expressions.Node:
    match node:
        case expressions.And(parts=parts):
            return expressions.And(tuple(map(_plain, parts)))
        case expressions.Or(parts=parts):
            return expressions.Or(tuple(map(_plain, parts)))
        case expressions.Not(inner=inner):
            return expressions.Not(_plain(inner))
        case expressions.Compared(constants=constants):
            plain = (c if c.kind == "text" else c._replace(text=_scalar(c.text)) for c in constants)
            return node._replace(constants=tuple(plain))


def _scalar(text: str) -> str:
    """Numbers and spans without `_` and idle zeros, `24h` as `1d`; anything else as it is."""
    number = re.fullmatch(r"(-?[0-9][0-9_]*(?:\.[0-9]+)?)(%|[a-z]*)", text)
    if number is None:
        return text
    value, unit = Decimal(number[1].replace("_", "")), number[2]
    for units, known in ((("d", "h", "min", "s", "ms"), UNITS_MS), (("y", "mo"), UNITS_MONTHS)):
        if unit in known:
            value *= known[unit]
            unit = next(u for u in units if value % known[u] == 0)
            value /= known[unit]
    return format(value.normalize(), "f") + unit


def _shown(settings: Mapping[str, str]) -> str:
    return ", ".join(f"{name}: {value}" for name, value in settings.items())

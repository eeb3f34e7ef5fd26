"""A customer at an instant, for people: where they stand and since when, why, what is missing, what comes next."""

import itertools
from collections.abc import Iterator, Sequence
from datetime import datetime

from schemas.decisions import Condition, Value
from schemas.explanations import Explanation, Held, RuleView, Unit
from services.analyst import words


def lines(subject: str, known: Explanation) -> Iterator[str]:
    """Lines without their ends."""
    return _Portrait(known).lines(subject)


class _Portrait:
    def __init__(self, known: Explanation) -> None:
        self._known, self._currency = known, known.currency
        self._units: dict[str, Unit] = {name: feature.unit for name, feature in known.features.items()}

    def lines(self, subject: str) -> Iterator[str]:
        known = self._known
        yield f"{subject} at {words.instant(known.at)}, by policy {known.policy}"
        for name in (*known.tiers, *known.classes):
            yield ""
            yield from self._held(name, known.standing[name])
        apart = [name for name in known.standing if name not in known.tiers and name not in known.classes]
        if apart:
            yield ""
            width = max(map(len, apart))
            for name in apart:
                yield from self._segment(name, known.standing[name], width)
        yield ""
        yield from self._features()
        yield ""
        yield from self._next()

    # -- ladders and classes

    def _held(self, name: str, held: Held) -> Iterator[str]:
        yield f"{name}: {words.position(held.value)}, {_since(held.since)}"
        yield from self._firmness(name, held)
        if held.strategy is not None:
            yield f"  what to do: {held.strategy}"
        if held.resources is not None:
            yield f"  {held.resources} of the effort is meant for such customers"
        earned = _computed(held)
        rules = [rule for rule in self._known.rules if rule.dimension == name]
        yield from self._why([rule for rule in rules if rule.value == earned])
        for rule in _better(rules, earned) if name in self._known.tiers else _before(rules, earned):
            missing = [c for c in rule.conditions if not c.holds] or rule.conditions
            only = f" (only from {', '.join(rule.only_from)})" if rule.only_from else ""
            yield from self._rule(f"{rule.value}{only} asks", rule, missing)

    def _firmness(self, name: str, held: Held) -> Iterator[str]:
        if held.override is not None:
            by = f"set by {held.override.owner} until {words.instant(held.override.until)}: {held.override.reason}"
            yield f"  {by}; the rules say {words.position(_computed(held))}"
        if held.failing is not None:
            falls = "" if held.falls_at is None else f"; falls on {words.instant(held.falls_at)} unless earned again"
            yield f"  not earned since {words.instant(held.failing)}{falls}"

    def _why(self, rules: Sequence[RuleView]) -> Iterator[str]:
        """What lets the position be held; where nothing does, what would."""
        if not rules:
            yield "  here is who has earned nothing else"
            return
        holding = [rule for rule in rules if rule.holds]
        for rule in holding[:1] or rules:
            label = "because" if rule.holds else "to stay it would take" if rule.part == "stay" else "it asks"
            yield from self._rule(label, rule, rule.conditions)

    def _rule(self, label: str, rule: RuleView, conditions: Sequence[Condition]) -> Iterator[str]:
        """The rule, and those of its conditions that are to be told; on one line if it is but one condition."""
        if _is_one_condition(rule):
            (said,) = self._conditions(rule.conditions)
            yield f"  {label} {said.strip()}"
            return
        yield f"  {label} {rule.text}"
        yield from self._conditions(conditions)

    def _conditions(self, conditions: Sequence[Condition]) -> Iterator[str]:
        width = max((len(c.text) for c in conditions), default=0)
        for condition in conditions:
            unit = self._units.get(condition.operand, "number")
            yield f"    {words.compared(condition, unit, self._currency, width)}"

    # -- segments and churn

    def _segment(self, name: str, held: Held, width: int) -> Iterator[str]:
        yield f"{name + ':':{width + 1}} {words.position(held.value):3}  {_since(held.since)}"
        yield from self._firmness(name, held)
        for rule in self._known.rules:
            if rule.dimension != name:
                continue
            if _is_one_condition(rule):
                yield from self._conditions(rule.conditions)
            else:
                yield f"    {words.mark(rule.holds)} {rule.text}"
                yield from (f"  {line}" for line in self._conditions(rule.conditions))

    # -- figures, and what comes

    def _features(self) -> Iterator[str]:
        features = self._known.features
        yield "figures"
        figures = {name: words.figure(f.value, f.unit, self._currency) for name, f in features.items()}
        who = max(map(len, figures), default=0)
        what = max(map(len, figures.values()), default=0)
        for name, feature in features.items():
            line = f"  {name:{who}}  {figures[name]:>{what}}"
            if feature.entries:
                line += f"  from {words.counted(feature.entries, 'event')}"
            if feature.last is not None:
                line += f", the last {words.instant(feature.last)}"
            if feature.unpriced:
                line += f"; {feature.unpriced} without a rate count as 0"
            if feature.bound:
                line += f"; at most {feature.bound} too many"
            yield line

    def _next(self) -> Iterator[str]:
        yield "if nothing else happens"
        if not self._known.next:
            yield "  everything stays as it is"
        width = max((len(change.dimension) for change in self._known.next), default=0)
        for change in self._known.next:
            yield f"  {words.instant(change.at)}  {change.dimension:{width}}  → {words.position(change.after)}"


def _is_one_condition(rule: RuleView) -> bool:
    """Whether its only condition says all; a `not` before it does not."""
    return len(rule.conditions) == 1 and rule.conditions[0].text == rule.text


def _before(rules: Sequence[RuleView], value: Value) -> list[RuleView]:
    """What the positions before this one ask of who is to enter, in the policy's order."""
    before = itertools.takewhile(lambda rule: rule.value != value, rules)
    return [rule for rule in before if rule.part == "when"]


def _better(rules: Sequence[RuleView], value: Value) -> list[RuleView]:
    """What the tiers above ask for, the nearest first."""
    return _before(rules, value)[::-1]


def _since(since: datetime | None) -> str:
    return "where everyone begins" if since is None else f"since {words.instant(since)}"


def _computed(held: Held) -> Value:
    return held.value if held.computed is None else held.computed

"""A policy's text, compiled: everything beyond the document's shape is checked here, each refusal with its place."""

import re
from collections.abc import Mapping, Sequence
from decimal import Decimal
from functools import reduce
from hashlib import sha256
from typing import Literal
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import iso4217
import msgspec

from schemas import policy as shape
from schemas.decisions import Value
from services.scorer.domain import expressions
from services.scorer.domain.comparisons import Comparison, Condition, Threshold, both, either, negated
from services.scorer.domain.document import Document, Place, PolicyError, read, suggest
from services.scorer.domain.entries import CLICK, FORM, INTERACTION, PURCHASE, REFUND
from services.scorer.domain.features import (
    CountFeature,
    Feature,
    KnownForFeature,
    SinceLastFeature,
    SumFeature,
    TenureFeature,
)
from services.scorer.domain.lowering import Thresholds
from services.scorer.domain.rules import Dimension, Playbook, Policy, Rule
from services.scorer.domain.spans import Span, parse_span

__all__ = ["Dimension", "Playbook", "Policy", "PolicyError", "Rule", "parse", "span_ms"]

KINDS = {"purchase": PURCHASE, "refund": REFUND, "click": CLICK, "interaction": INTERACTION, "form": FORM}
CHURN = "churn"
BUILT_IN = ("tenure", "known_for")


def parse(text: str, source: str = "policy.yaml") -> Policy:
    """The policy of a YAML text; PolicyError, one line, where it is not one."""
    return _Compiler(read(text, source)).policy()


def span_ms(text: str) -> int:
    """A fixed span in ms; ValueError for calendar units, which have no fixed length."""
    span = parse_span(text)
    if not span.fixed_ms:
        raise ValueError(f"{text!r} has no fixed length; use ms, s, min, h, d or w")
    return span.fixed_ms


class _Compiler:
    def __init__(self, document: Document) -> None:
        self._document = document
        self._shape = document.policy
        self._features: dict[str, Feature] = {}
        self._thresholds = Thresholds()

    def policy(self) -> Policy:
        doc, digits, zone = self._shape, self._minor_digits(), self._zone()
        self._digits = digits
        for name, feature in doc.features.items():
            place = self._document.place("features", name)
            if name in BUILT_IN:
                place.refuse(f"{name!r} is built in; choose another name for the feature")
            self._features[name] = self._feature(name, feature, place, zone)
        self._features |= {"tenure": TenureFeature(PURCHASE, zone), "known_for": KnownForFeature(zone)}
        dimensions = self._dimensions()
        playbooks = tuple(self._playbook(i, p, dimensions) for i, p in enumerate(doc.playbooks))
        thresholds = self._thresholds.all
        asked = {t.feature.name for t in thresholds}
        return Policy(
            name=doc.policy,
            digest=_digest(doc),
            currency=doc.currency,
            minor_digits=digits,
            zone=zone,
            features=tuple(f for f in self._features.values() if f.name in doc.features or f.name in asked),
            thresholds=tuple(thresholds),
            looked_at=tuple(
                (feature, tuple(t for t in thresholds if t.feature is feature))
                for feature in self._features.values()
                if feature.name in asked
            ),
            swayed=tuple(tuple(i for i, d in enumerate(dimensions) if t in _thresholds(d)) for t in thresholds),
            dimensions=dimensions,
            playbooks=playbooks,
            document=doc,
        )

    def _minor_digits(self) -> int:
        try:
            digits = iso4217.Currency(self._shape.currency).exponent
        except ValueError:
            digits = None
        if digits is None:
            self._document.place("currency").refuse(
                f"{self._shape.currency!r} is not an ISO 4217 currency with minor units"
            )
        return int(digits)

    def _zone(self) -> ZoneInfo:
        try:
            return ZoneInfo(self._shape.zone)
        except (ZoneInfoNotFoundError, ValueError, OSError):
            self._document.place("zone").refuse(
                f"{self._shape.zone!r} is not an IANA time zone, as Europe/Berlin or UTC"
            )

    def _feature(self, name: str, feature: shape.Feature, place: Place, zone: ZoneInfo) -> Feature:
        named = [k for k in ("count", "sum", "since_last") if getattr(feature, k) is not None]
        if len(named) != 1:
            place.refuse(f"feature {name!r} needs exactly one of count, sum, since_last")
        if feature.minus is not None and feature.sum != "purchase.amount":
            place.refuse(f"feature {name!r}: `minus` goes with `sum: purchase.amount`")
        window = (
            self._span(feature.window, self._document.place("features", name, "window")) if feature.window else None
        )
        if feature.since_last is not None:
            if window:
                place.refuse(f"feature {name!r}: `since_last` has no window")
            return SinceLastFeature(name, KINDS[feature.since_last], zone)
        if feature.count is not None:
            types = [feature.count] if isinstance(feature.count, str) else feature.count
            kinds = tuple(sorted({KINDS[t] for t in types}))
            if not kinds:
                place.refuse(f"feature {name!r} counts nothing; name an event type")
            return CountFeature(name, kinds, window, zone)
        kind = PURCHASE if feature.sum == "purchase.amount" else REFUND
        return SumFeature(name, kind, feature.minus is not None, window, zone)

    @staticmethod
    def _span(text: str, place: Place) -> Span:
        try:
            return parse_span(text)
        except ValueError as error:
            place.refuse(str(error))

    def _dimensions(self) -> tuple[Dimension, ...]:
        doc, dimensions = self._shape, []
        if "tier" not in doc.ladders:
            self._document.place("ladders").refuse(
                "there is no ladder named 'tier'; it is the one that feeds tier-changes"
            )
        for name, tiers in doc.ladders.items():
            dimensions.append(self._ladder(name, tiers))
        for name, text in doc.segments.items():
            place = self._document.place("segments", name)
            if name in doc.ladders or name == CHURN:
                place.refuse(f"the name {name!r} is taken by a ladder or by churn; rename the segment")
            dimensions.append(Dimension(name, "segment", (False, True), (self._rule(name, text, place),)))
        if CHURN in doc.ladders:
            self._document.place("ladders", CHURN).refuse(f"the name {CHURN!r} is taken; rename the ladder")
        if doc.churn is not None:
            rule = self._rule(CHURN, doc.churn.at_risk, self._document.place("churn", "at_risk"))
            dimensions.append(Dimension(CHURN, "churn", (False, True), (rule,)))
        return tuple(dimensions)

    def _ladder(self, name: str, tiers: list[shape.Tier]) -> Dimension:
        rules, names = [], []
        if len(tiers) < 2:
            self._document.place("ladders", name).refuse(f"ladder {name!r} needs at least two tiers, best first")
        for i, tier in enumerate(tiers):
            place, last = self._document.place("ladders", name, i), i == len(tiers) - 1
            if tier.name in names:
                place.refuse(f"ladder {name!r} has tier {tier.name!r} twice")
            names.append(tier.name)
            if last and tier.when is not None:
                place.refuse(f"the last tier {tier.name!r} takes everyone else; leave out its `when`")
            if not last and tier.when is None:
                place.refuse(f"tier {tier.name!r} lacks `when`; only the last tier has none")
            if tier.when is not None:
                rules.append(
                    self._rule(f"{name}.{tier.name}", tier.when, self._document.place("ladders", name, i, "when"))
                )
        return Dimension(name, "ladder", tuple(names), tuple(rules))

    def _rule(self, name: str, text: str, place: Place) -> Rule:
        try:
            tree = expressions.parse(text)
            compared: list[Comparison] = []
            holds = self._condition(tree, compared)
        except expressions.ExpressionError as error:
            place.refuse(f"{name}: {error.message}", offset=error.offset)
        return Rule(name, text, holds, tuple(compared))

    def _condition(self, node: expressions.Node, compared: list[Comparison]) -> Condition:
        match node:
            case expressions.And(parts=parts):
                return reduce(both, [self._condition(p, compared) for p in parts])
            case expressions.Or(parts=parts):
                return reduce(either, [self._condition(p, compared) for p in parts])
            case expressions.Not(inner=part):
                return negated(self._condition(part, compared))
            case expressions.Compared():
                comparison = self._comparison(node)
                compared.append(comparison)
                return comparison.truth

    def _comparison(self, node: expressions.Compared) -> Comparison:
        feature = self._features.get(node.feature)
        if feature is None:
            message = f"there is no feature {node.feature!r}; {suggest(node.feature, self._features)}"
            raise expressions.ExpressionError(node.offset, message)
        constants = [
            self._duration(constant, feature) if feature.unit == "duration" else self._quantity(constant, feature)
            for constant in node.constants
        ]
        low, high = constants[0], constants[-1]
        if node.operator.endswith("between") and isinstance(low, int) and isinstance(high, int) and low > high:
            raise expressions.ExpressionError(node.constants[0].offset, "the lower bound stands after the upper one")
        return self._thresholds.comparison(feature, node.operator, node.text, constants)  # type: ignore[arg-type]

    @staticmethod
    def _duration(constant: expressions.Constant, feature: Feature) -> Span:
        if constant.kind != "span":
            message = f"{feature.name!r} is a duration; compare it with a span such as {constant.text}d"
            raise expressions.ExpressionError(constant.offset, message)
        try:
            return parse_span(constant.text)
        except ValueError as error:
            raise expressions.ExpressionError(constant.offset, str(error)) from error

    def _quantity(self, constant: expressions.Constant, feature: Feature) -> int:
        if constant.kind != "number":
            message = f"{feature.name!r} is a {feature.unit}, not a duration; compare it with a number"
            raise expressions.ExpressionError(constant.offset, message)
        digits = self._digits if feature.unit == "money" else 0
        scaled = Decimal(constant.text.replace("_", "")).scaleb(digits)
        if scaled != scaled.to_integral_value():
            what = f"{self._shape.currency} has {digits} decimals" if digits else f"{feature.name!r} is a whole number"
            raise expressions.ExpressionError(constant.offset, f"{constant.text} has too many decimals; {what}")
        if abs(scaled) >= 2**53:
            raise expressions.ExpressionError(constant.offset, f"{constant.text} is larger than any total can be")
        return int(scaled)

    def _playbook(self, index: int, playbook: shape.Playbook, dimensions: Sequence[Dimension]) -> Playbook:
        place = self._document.place("playbooks", index, "on")
        by_name = {d.name: d for d in dimensions}
        words = re.split(r"\s+", playbook.on.strip())
        dimension = by_name.get(words[0])
        if dimension is None:
            place.refuse(f"there is no ladder or segment {words[0]!r}; {suggest(words[0], by_name)}")
        verb, value = self._occasion(words[1:], dimension, place)
        when = None
        if playbook.when is not None:
            # what playbooks ask is no business of the scorer's timers
            deciding, self._thresholds = self._thresholds, Thresholds()
            when = self._rule(f"playbook {index + 1}", playbook.when, self._document.place("playbooks", index, "when"))
            self._thresholds = deciding
        if playbook.task is None:
            self._document.place("playbooks", index).refuse("a playbook without a `task` does nothing")
        try:
            span_ms(playbook.task.due)
        except ValueError as error:
            self._document.place("playbooks", index, "task", "due").refuse(str(error))
        return Playbook(playbook.on, dimension, verb, value, when, playbook.task)

    @staticmethod
    def _occasion(
        words: Sequence[str], dimension: Dimension, place: Place
    ) -> tuple[Literal["enters", "leaves", "rises", "falls"], Value | None]:
        match dimension.kind, *words:
            case "ladder", "enters", tier if tier in dimension.values:
                return "enters", tier
            case "ladder", "rises" | "falls" as verb, "to", tier if tier in dimension.values:
                return ("rises", tier) if verb == "rises" else ("falls", tier)
            case "ladder", "rises" | "falls" as verb:
                return ("rises", None) if verb == "rises" else ("falls", None)
            case ("segment", "enters") | ("churn", "raised"):
                return "enters", True
            case ("segment", "leaves") | ("churn", "gone"):
                return "leaves", False
        tiers = ", ".join(str(v) for v in dimension.values)
        forms: Mapping[str, str] = {
            "ladder": f"`{dimension.name} enters TIER`, `... rises [to TIER]`, `... falls [to TIER]`; tiers: {tiers}",
            "segment": f"`{dimension.name} enters` or `{dimension.name} leaves`",
            "churn": "`churn raised` or `churn gone`",
        }
        return place.refuse(f"cannot read what the playbook waits for; write {forms[dimension.kind]}")


def _thresholds(dimension: Dimension) -> set[Threshold]:
    return {t for rule in dimension.rules for comparison in rule.compared for t in comparison.thresholds}


def _digest(document: shape.Policy) -> str:
    decides = msgspec.structs.replace(document, playbooks=[])
    return sha256(msgspec.json.encode(decides)).hexdigest()[:16]

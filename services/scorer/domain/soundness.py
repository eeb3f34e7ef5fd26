"""Whether a policy makes sense: what is provably false is refused, what only looks wrong is warned of.

"Never" and "always" are proven, from the values each feature can have (`formulas.py`); what is not found here may still
be wrong.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from typing import Literal

import msgspec

from schemas import policy as shape
from services.scorer.domain import expressions, literals
from services.scorer.domain.cells import DAY_MS, longest_ms
from services.scorer.domain.comparisons import Comparison
from services.scorer.domain.document import Document, Place
from services.scorer.domain.entries import NPS, PURCHASE, RATING, TOUCHES
from services.scorer.domain.features import Count, Feature, KnownFor, Mean, PAlive, Sum, Tenure, Trend
from services.scorer.domain.formulas import Formulas
from services.scorer.domain.rules import Classes, Ladder, Policy, Rule, Segment

KEPT_DAYS = 400
"""Clicks and interactions older than this may be known by the hour only (rule 4)."""

EARLY = "2000-01-01"
"""A first rate of this day or before is taken to cover everything."""

Path = tuple[str | int, ...]


class Finding(msgspec.Struct, frozen=True):
    """place: `file:line:column`.  message: one sentence, with what to do"""

    severity: Literal["refuse", "warn"]
    place: str
    message: str

    def __str__(self) -> str:
        return f"{self.place}: {self.message}"


def faults(policy: Policy, document: Document) -> list[Finding]:
    """All that is found, in the order of the document."""
    return sorted(_Look(policy, document).all(), key=_position)


def _position(finding: Finding) -> tuple[int, int]:
    _, line, column = finding.place.rsplit(":", 2)
    return int(line), int(column)


class _Look:
    def __init__(self, policy: Policy, document: Document) -> None:
        self._policy, self._document = policy, document

    def all(self) -> Iterator[Finding]:
        for feature in self._policy.features:
            yield from self._feature(feature)
        yield from self._rates()
        for dimension in self._policy.dimensions:
            match dimension:
                case Ladder():
                    yield from self._ladder(dimension)
                case Classes():
                    yield from self._classes(dimension)
                case Segment(name=name, rule=rule, kind=kind):
                    path = ("churn", "at_risk") if kind == "churn" else ("segments", name)
                    yield from self._rule(rule, path)
        for i, playbook in enumerate(self._policy.playbooks):
            if playbook.when is not None:
                yield from self._rule(playbook.when, ("playbooks", i, "when"))

    def _feature(self, feature: Feature) -> Iterator[Finding]:
        path, longest = ("features", feature.name), KEPT_DAYS * DAY_MS
        match feature:
            case Count(which=which, window=window) if window and set(which.kinds) & set(TOUCHES):
                if longest_ms(window) > longest:
                    message = f"clicks and interactions are kept for {KEPT_DAYS} days; take a window of at most 13mo"
                    yield self._refused((*path, "window"), message)
            case Trend(which=which, recent=recent, base=base) if set(which.kinds) & set(TOUCHES):
                if recent.fixed_ms + base.fixed_ms > longest:
                    message = f"clicks and interactions are kept for {KEPT_DAYS} days; make `recent` + `base` shorter"
                    yield self._refused((*path, "base"), message)
            case Mean(which=which) if {RATING, NPS} <= set(which.kinds) and which.where is None:
                message = (
                    "ratings of 1 to 5 and NPS of 0 to 10 are mixed; add where: \"kind == 'nps'\", or take `feedback`"
                )
                yield self._warned((*path, "mean"), message)

    def _rates(self) -> Iterator[Finding]:
        for currency, dated in self._document.policy.rates.items():
            first = min(dated)
            if first > EARLY:
                message = (
                    f"{currency} has no rate before {first}, so earlier orders count as 0; date the first one {EARLY}"
                )
                yield Finding("warn", self._document.key("rates", currency, first).at(), message)

    def _rule(self, rule: Rule, path: Path) -> Iterator[Finding]:
        """What can be said of a condition by itself."""
        place, formulas = self._document.place(*path), Formulas(rule)
        nodes = list(expressions.comparisons(expressions.parse(rule.text)))
        for comparison, node in zip(rule.compared, nodes, strict=True):
            yield from self._probability(comparison, place, node.offset)
        if not formulas.possible(formulas.of(rule)):
            yield Finding(
                "refuse", place.at(), f"{rule.name}: no one can ever meet `{rule.text}`; change a bound or leave it out"
            )
            return
        for comparison, node in zip(rule.compared, nodes, strict=True):
            if not formulas.possible(formulas.of_one(comparison)):
                yield Finding("warn", place.at(node.offset), f"`{comparison.text}` never holds; leave it out")
            elif len(nodes) > 1 and not formulas.possible(formulas.of_one(comparison, holds=False)):
                yield Finding("warn", place.at(node.offset), f"`{comparison.text}` always holds; leave it out")
        if not formulas.possible(formulas.of(rule, holds=False)):
            yield Finding(
                "warn", place.at(), f"{rule.name}: `{rule.text}` always holds; change a bound or leave it out"
            )

    def _probability(self, comparison: Comparison, place: Place, offset: int) -> Iterator[Finding]:
        given = self._document.policy.calibration.bg_nbd
        if not isinstance(comparison.operand.feature, PAlive) or given is None:
            return
        a, b = literals.number(given.a), literals.number(given.b)
        highest = b / (a + b)
        if any(isinstance(c, Fraction) and c >= highest for c in comparison.constants):
            message = (
                f"`{comparison.text}`: after a first repeat purchase P(alive) is b/(a+b) = {float(highest):.4f}; "
                "take a threshold below it"
            )
            yield Finding("refuse", place.at(offset), message)

    def _ladder(self, ladder: Ladder) -> Iterator[Finding]:
        better: list[tuple[str, Rule]] = []
        for i, tier in enumerate(ladder.tiers):
            path: Path = ("ladders", ladder.name, i)
            if tier.when is None:
                continue
            yield from self._rule(tier.when, (*path, "when"))
            if tier.stay is not None:
                yield from self._rule(tier.stay, (*path, "stay"))
                yield from self._stay(tier.when, tier.stay, (*path, "stay"))
            here = [tier.when] if tier.stay is None or not better else [tier.when, tier.stay]
            yield from self._reached(here, tier.name, better, (*path, "when"), "tier", "better")
            yield from self._left(tier.name, tier.when, tier.stay, (*path, "when"))
            better.append((tier.name, tier.when))

    def _stay(self, when: Rule, stay: Rule, path: Path) -> Iterator[Finding]:
        if _possible(stay, but_not=[when]):
            return
        if _possible(when, but_not=[stay]):
            message = (
                f"{stay.name} is stricter than `when`, so it keeps no one; make it easier to meet, or leave it out"
            )
        else:
            message = (
                f"{stay.name} says the same as `when`, so it keeps no one; make it easier to meet, or leave it out"
            )
        yield self._warned(path, message)

    def _reached(
        self, here: list[Rule], name: str, better: list[tuple[str, Rule]], path: Path, what: str, order: str
    ) -> Iterator[Finding]:
        """here: the rules of which one brings to this place.  better: those that go before"""
        if not _possible(here[0]):
            return  # said already
        if any(_possible(rule, but_not=[other for _, other in better]) for rule in here):
            return
        alone = [n for n, other in better if not any(_possible(rule, but_not=[other]) for rule in here)]
        before = repr(alone[0]) if alone else " or ".join(repr(n) for n, _ in better)
        because = f"who meets its condition meets that of {before}, which is {order}"
        yield self._refused(
            path, f"no one can be in {what} {name!r}: {because}; make it easier to meet, or leave it out"
        )

    def _left(self, name: str, when: Rule, stay: Rule | None, path: Path) -> Iterator[Finding]:
        remains = [when] if stay is None or _possible(when, but_not=[stay]) else [when, stay]
        if any((formulas := Formulas(rule)).never_ends(formulas.of(rule), _only_grows) for rule in remains):
            but = " but by a refund" if any(_refundable(c.operand.feature) for c in when.compared) else ""
            yield self._warned(path, f"no one ever falls out of tier {name!r}{but}; use windows if they should")

    def _classes(self, classes: Classes) -> Iterator[Finding]:
        name, before = classes.name, list[tuple[str, Rule]]()
        reached = {classes.classes[-1].name}
        entered: dict[str, frozenset[str] | None] = {}
        for i, klass in enumerate(classes.classes[:-1]):
            if klass.when is None:
                continue
            path: Path = ("classes", name, i, "when")
            yield from self._rule(klass.when, path)
            found = list(self._reached([klass.when], klass.name, before, path, "class", "looked at first"))
            yield from found
            if not found:
                entered[klass.name] = klass.only_from
            if klass.only_from is None:
                before.append((klass.name, klass.when))
        while more := {
            n for n, origins in entered.items() if n not in reached and (origins is None or origins & reached)
        }:
            reached |= more
        for i, klass in enumerate(classes.classes):
            if klass.name in entered and klass.name not in reached:
                message = (
                    f"no one can be in class {klass.name!r}: no one is in those of its `from`; name others, or none"
                )
                yield self._refused(("classes", name, i, "from"), message)
        yield from self._resources(name, self._document.policy.classes[name])

    def _resources(self, name: str, classes: list[shape.Class]) -> Iterator[Finding]:
        shares = [Fraction(c.resources.removesuffix("%")) for c in classes if c.resources is not None]
        if shares and sum(shares) != 100:
            yield Finding(
                "warn",
                self._document.key("classes", name).at(),
                f"the resources of {name!r} add up to {float(sum(shares)):g}%, not to 100%; change a share",
            )

    def _refused(self, path: Path, message: str) -> Finding:
        return Finding("refuse", self._document.place(*path).at(), message)

    def _warned(self, path: Path, message: str) -> Finding:
        return Finding("warn", self._document.place(*path).at(), message)


def _possible(rule: Rule, *, but_not: Sequence[Rule] = ()) -> bool:
    """Whether the rule can hold while none of the others does."""
    formulas = Formulas(rule, *but_not)
    return formulas.possible(formulas.of(rule), *(formulas.of(other, holds=False) for other in but_not))


def _only_grows(feature: Feature) -> bool:
    """Whether time and new events, but for refunds, never lessen it."""
    match feature:
        case Count() | Sum():
            return feature.window is None
        case Tenure() | KnownFor():
            return True
    return False


def _refundable(feature: Feature) -> bool:
    match feature:
        case Count(which=which):
            return PURCHASE in which.kinds
        case Sum():
            return feature.less_refunds
        case Tenure():
            return True
    return False

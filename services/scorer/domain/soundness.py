"""Whether a policy makes sense: what is provably false is refused, what only looks wrong is warned of.

"Never" and "always" are proven, from the values each feature can have (`formulas.py`); what is not found here may still
be wrong.
"""

from collections.abc import Iterator, Sequence
from fractions import Fraction
from itertools import islice
from typing import Literal

import msgspec

from schemas import policy as shape
from services.scorer.domain import expressions, literals, where
from services.scorer.domain.cells import DAY_MS
from services.scorer.domain.comparisons import Above, Comparison
from services.scorer.domain.document import Document, Place
from services.scorer.domain.entailment import but_by_a_refund, can_meet_none, never_ends, possible, possible_together
from services.scorer.domain.entries import NPS, RATING, TOUCHES
from services.scorer.domain.features import (
    Count,
    Feature,
    Feedback,
    Mean,
    PAlive,
    SinceLast,
    Sum,
    Trend,
)
from services.scorer.domain.folding import CAP, HORIZON_MS, KEPT
from services.scorer.domain.formulas import Formulas
from services.scorer.domain.rules import Class, Classes, Ladder, Playbook, Policy, Rule, Segment
from services.scorer.domain.spans import longest_ms

EXACT_DAYS = HORIZON_MS // DAY_MS
"""A longer window over clicks and interactions is not exact (rule 4)."""

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
            yield from self._playbook(playbook, ("playbooks", i))

    def _feature(self, feature: Feature) -> Iterator[Finding]:
        path, longest = ("features", feature.name), EXACT_DAYS * DAY_MS
        match feature:
            case Count(which=which, window=window) if window and set(which.kinds) & set(TOUCHES):
                if longest_ms(window) > longest:
                    message = f"clicks and interactions are exact for {EXACT_DAYS} days; take a window of at most 13mo"
                    yield self._refused((*path, "window"), message)
            case Trend(which=which, recent=recent, base=base) if set(which.kinds) & set(TOUCHES):
                if recent.fixed_ms + base.fixed_ms > longest:
                    message = f"clicks and interactions are exact for {EXACT_DAYS} days; make `recent` + `base` shorter"
                    yield self._refused((*path, "base"), message)
            case Mean(which=which) if {RATING, NPS} <= set(which.kinds) and which.where is None:
                message = (
                    "ratings of 1 to 5 and NPS of 0 to 10 are mixed; add where: \"kind == 'nps'\", or take `feedback`"
                )
                yield self._warned((*path, "mean"), message)
        match feature:
            case Count() | Sum() | Mean() | Feedback() | SinceLast() | Trend() if not where.can_pass(feature.which):
                message = (
                    f"feature {feature.name!r}, where: no event can meet this condition; change it, or leave it out"
                )
                yield self._refused((*path, "where"), message)

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
        tree = expressions.parse(rule.text)
        for comparison, node in zip(rule.compared, expressions.comparisons(tree), strict=True):
            yield from self._probability(comparison, place, node.offset)
            yield from self._by_the_hour(comparison, place, node.offset)
        if not formulas.possible(formulas.of(rule)):
            yield Finding(
                "refuse", place.at(), f"{rule.name}: no one can ever meet `{rule.text}`; change a bound or leave it out"
            )
            return
        yield from self._parts(tree, iter(rule.compared), formulas, place)
        if not formulas.possible(formulas.of(rule, holds=False)):
            yield Finding(
                "warn", place.at(), f"{rule.name}: `{rule.text}` always holds; change a bound or leave it out"
            )

    def _parts(
        self, whole: expressions.Node, compared: Iterator[Comparison], formulas: Formulas, place: Place
    ) -> Iterator[Finding]:
        """Parts that say nothing; what such a part is made of is not looked at.  compared: the whole's comparisons"""
        for part in expressions.parts(whole):
            nodes = [*expressions.comparisons(part)]
            mine = [*islice(compared, len(nodes))]
            found = None
            if not formulas.possible(formulas.of_part(part, mine)):
                found = "never"
            elif not formulas.possible(formulas.of_part(part, mine, holds=False)):
                found = "always"
            if found is None:
                yield from self._parts(part, iter(mine), formulas, place)
                continue
            text = part.text if isinstance(part, expressions.Compared) else expressions.written(part)
            yield Finding("warn", place.at(nodes[0].offset), f"`{text}` {found} holds; leave it out")

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

    def _by_the_hour(self, comparison: Comparison, place: Place, offset: int) -> Iterator[Finding]:
        """A window asked for more clicks or interactions than are sure to be whole."""
        match comparison.operand.feature:
            case Count(which=which, window=window) if window and set(which.kinds) & set(TOUCHES):
                if any(isinstance(t.ask, Above) and t.ask.limit >= KEPT for t in comparison.thresholds):
                    message = (
                        f"`{comparison.text}`: of someone with more than {CAP:,} events the newest {KEPT} clicks or "
                        f"interactions are sure to be whole, older ones may be kept by the hour, so it may hold up to "
                        f"an hour too long; ask for less than {KEPT} where that matters"
                    )
                    yield Finding("warn", place.at(offset), message)

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
        last, whens = ladder.tiers[-1].name, [rule for _, rule in better]
        if whens and not can_meet_none(whens):
            message = f"every event brings a customer above {last!r}, the last tier; make the others harder to meet"
            yield self._warned(("ladders", ladder.name, len(whens)), message)

    def _stay(self, when: Rule, stay: Rule, path: Path) -> Iterator[Finding]:
        if possible(stay, but_not=[when]):
            return
        if possible(when, but_not=[stay]):
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
        if not possible(here[0]):
            return  # said already
        if any(possible(rule, but_not=[other for _, other in better]) for rule in here):
            return
        alone = [n for n, other in better if not any(possible(rule, but_not=[other]) for rule in here)]
        before = repr(alone[0]) if alone else " or ".join(repr(n) for n, _ in better)
        because = f"who meets its condition meets that of {before}, which is {order}"
        yield self._refused(
            path, f"no one can be in {what} {name!r}: {because}; make it easier to meet, or leave it out"
        )

    def _left(self, name: str, when: Rule, stay: Rule | None, path: Path) -> Iterator[Finding]:
        remains = [when] if stay is None or possible(when, but_not=[stay]) else [when, stay]
        if any(never_ends(rule) for rule in remains):
            but = but_by_a_refund(when)
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
        yield from self._last(classes, [rule for _, rule in before])
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
        for i, klass in enumerate(classes.classes):
            if klass.name in entered and klass.name in reached:
                yield from self._left_to(klass, classes.classes[:i], ("classes", name, i, "when"))
        yield from self._resources(name, self._document.policy.classes[name])

    def _last(self, classes: Classes, open_to_all: Sequence[Rule]) -> Iterator[Finding]:
        """Everyone begins in the last class, but who meets the condition of another is there at no instant; it may
        still be named as where to come from.  open_to_all: the conditions that take everyone in"""
        *others, last = classes.classes
        if any(c.only_from and last.name in c.only_from for c in others):
            return
        if open_to_all and not can_meet_none(open_to_all):
            message = (
                f"no one can be in class {last.name!r}: everyone meets the condition of one before it; leave it out, "
                "and the `when` of the one that is then the last"
            )
            yield self._refused(("classes", classes.name, len(others)), message)

    def _left_to(self, klass: Class, before: Sequence[Class], path: Path) -> Iterator[Finding]:
        """Where the condition holds for ever, only a class before it takes anyone out."""
        if klass.when is None or not never_ends(klass.when):
            return
        takers = [c.when for c in before if c.when and (c.only_from is None or klass.name in c.only_from)]
        if not any(possible_together(klass.when, taker) for taker in takers):
            but = but_by_a_refund(klass.when)
            yield self._warned(path, f"no one ever leaves class {klass.name!r}{but}; use windows if they should")

    def _resources(self, name: str, classes: list[shape.Class]) -> Iterator[Finding]:
        shares = [Fraction(c.resources.removesuffix("%")) for c in classes if c.resources is not None]
        if shares and sum(shares) != 100:
            yield Finding(
                "warn",
                self._document.key("classes", name).at(),
                f"the resources of {name!r} add up to {float(sum(shares)):g}%, not to 100%; change a share",
            )

    def _playbook(self, playbook: Playbook, path: Path) -> Iterator[Finding]:
        verb, value, dimension, when = playbook.verb, playbook.value, playbook.dimension, playbook.when
        best, last = dimension.values[0], dimension.values[-1]
        if verb == "rises" and value == last:
            message = f"no one ever rises to {last!r}, the last tier; write `{dimension.name} falls to {last}`"
            yield self._refused((*path, "on"), message)
        if verb == "falls" and value == best:
            message = f"no one ever falls to {best!r}, the best tier; write `{dimension.name} rises to {best}`"
            yield self._refused((*path, "on"), message)
        if when is None:
            return
        yield from self._rule(when, (*path, "when"))
        lets_in = _lets_in(playbook)
        if lets_in and possible(when) and not any(possible_together(when, rule) for rule in lets_in):
            message = f"{when.name}: at `{playbook.on}` hardly anyone meets `{when.text}`: it contradicts "
            message += " and ".join(f"`{rule.text}`" for rule in lets_in)
            yield self._warned((*path, "when"), f"{message}; change a bound or leave it out")

    def _refused(self, path: Path, message: str) -> Finding:
        return Finding("refuse", self._document.place(*path).at(), message)

    def _warned(self, path: Path, message: str) -> Finding:
        return Finding("warn", self._document.place(*path).at(), message)


def _lets_in(playbook: Playbook) -> list[Rule]:
    """The conditions of which one holds when the move is made; none where it takes no condition, or is a leaving."""
    match playbook.dimension:
        case Ladder(tiers=tiers) if playbook.value is not None:
            tier = next(tier for tier in tiers if tier.name == playbook.value)
            rules = [tier.when, None if playbook.verb == "rises" else tier.stay]
        case Classes(classes=classes) if playbook.verb == "enters":
            rules = [next(klass.when for klass in classes if klass.name == playbook.value)]
        case Segment(rule=rule) if playbook.verb == "enters":
            rules = [rule]
        case _:
            rules = []
    return [rule for rule in rules if rule is not None]

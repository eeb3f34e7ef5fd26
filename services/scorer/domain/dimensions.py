"""A policy's dimensions, compiled: ladders, classes, segments and churn, in that order."""

from collections.abc import Iterable, Sequence
from functools import reduce

from schemas import policy as shape
from services.scorer.domain.conditions import Conditions
from services.scorer.domain.document import Document, suggest
from services.scorer.domain.lowering import Thresholds
from services.scorer.domain.rules import Class, Classes, Dimension, Ladder, Rule, Segment, Tier
from services.scorer.domain.spans import Span, parse_span

MOST_RUNGS = 50
"""Of a ladder or a list of classes."""

CHURN = "churn"
TIER = "tier"
"""The ladder that feeds tier-changes."""


class Dimensions:
    """PolicyError where one cannot be. What the rules ask for goes to `thresholds`."""

    def __init__(self, document: Document, conditions: Conditions, thresholds: Thresholds) -> None:
        self._document, self._conditions, self._thresholds = document, conditions, thresholds

    def all(self) -> tuple[Dimension, ...]:
        doc = self._document.policy
        self._check_names()
        dimensions: list[Dimension] = [self._ladder(name, tiers) for name, tiers in doc.ladders.items()]
        dimensions += [self._classes(name, classes) for name, classes in doc.classes.items()]
        for name, text in doc.segments.items():
            rule = self._rule(name, text, "segments", name)
            dimensions.append(Segment(name, rule, rule.bits))
        if doc.churn is not None:
            rule = self._rule(CHURN, doc.churn.at_risk, CHURN, "at_risk")
            dimensions.append(Segment(CHURN, rule, rule.bits, kind="churn"))
        return tuple(dimensions)

    def _check_names(self) -> None:
        doc = self._document.policy
        if TIER not in doc.ladders:
            self._document.place("ladders").refuse(
                f"there is no ladder named {TIER!r}; it is the one that feeds tier-changes"
            )
        taken = {CHURN: "churn"}
        for section, names in (("ladders", doc.ladders), ("classes", doc.classes), ("segments", doc.segments)):
            for name in names:
                if name in taken:
                    self._document.key(section, name).refuse(
                        f"the name {name!r} is taken by {taken[name]}; rename one of them"
                    )
                taken[name] = f"one of the {section}"

    def _ladder(self, name: str, given: Sequence[shape.Tier]) -> Ladder:
        self._check_rungs("ladders", name, given, "tier")
        tiers = []
        for i, tier in enumerate(given):
            path = ("ladders", name, i)
            if i == len(given) - 1:
                for setting in ("stay", "grace", "dwell"):
                    if getattr(tier, setting) is not None:
                        self._document.key(*path, setting).refuse(
                            f"nobody falls out of the last tier {tier.name!r}; leave out its `{setting}`"
                        )
            tiers.append(
                Tier(
                    tier.name,
                    self._maybe_rule(f"{name}.{tier.name}", tier.when, *path, "when"),
                    self._maybe_rule(f"{name}.{tier.name}.stay", tier.stay, *path, "stay"),
                    self._maybe_span(tier.grace, *path, "grace"),
                    self._maybe_span(tier.dwell, *path, "dwell"),
                )
            )
        return Ladder(name, tuple(tiers), _bits(rule for tier in tiers for rule in (tier.when, tier.stay)))

    def _classes(self, name: str, given: Sequence[shape.Class]) -> Classes:
        self._check_rungs("classes", name, given, "class")
        names = [c.name for c in given]
        classes = []
        for i, klass in enumerate(given):
            path = ("classes", name, i)
            if klass.from_ is not None:
                self._check_from(path, klass.from_, names, last=i == len(given) - 1)
            classes.append(
                Class(
                    klass.name,
                    self._maybe_rule(f"{name}.{klass.name}", klass.when, *path, "when"),
                    None if klass.from_ is None else frozenset(klass.from_),
                    self._maybe_span(klass.dwell, *path, "dwell"),
                    klass.strategy,
                    klass.resources,
                )
            )
        return Classes(name, tuple(classes), _bits(c.when for c in classes))

    def _check_from(self, path: tuple[str | int, ...], origins: list[str], names: list[str], *, last: bool) -> None:
        if last:
            self._document.key(*path, "from").refuse("everyone begins in the last class; leave out its `from`")
        if not origins:
            self._document.place(*path, "from").refuse("no one can enter; name classes, or leave `from` out")
        for j, origin in enumerate(origins):
            if origin not in names:
                self._document.place(*path, "from", j).refuse(f"there is no class {origin!r}; {suggest(origin, names)}")

    def _check_rungs(self, section: str, name: str, given: Sequence[shape.Tier | shape.Class], what: str) -> None:
        """Names are unique; all but the last have a `when`."""
        if len(given) < 2:
            most = "best first" if what == "tier" else "the first that holds counts"
            self._document.place(section, name).refuse(f"{name!r} needs at least two, {most}")
        if len(given) > MOST_RUNGS:
            self._document.place(section, name).refuse(f"{name!r} has {len(given)}; {MOST_RUNGS} are the most")
        names = set()
        for i, rung in enumerate(given):
            place, last = self._document.place(section, name, i), i == len(given) - 1
            if rung.name in names:
                place.refuse(f"{name!r} has {what} {rung.name!r} twice")
            names.add(rung.name)
            if last and rung.when is not None:
                self._document.key(section, name, i, "when").refuse(
                    f"the last {what} {rung.name!r} takes everyone else; leave out its `when`"
                )
            if not last and rung.when is None:
                place.refuse(f"{what} {rung.name!r} lacks `when`; only the last {what} has none")

    def _maybe_rule(self, name: str, text: str | None, *path: str | int) -> Rule | None:
        return None if text is None else self._rule(name, text, *path)

    def _rule(self, name: str, text: str, *path: str | int) -> Rule:
        return self._conditions.rule(name, text, self._document.place(*path), self._thresholds)

    def _maybe_span(self, text: str | None, *path: str | int) -> Span | None:
        try:
            return None if text is None else parse_span(text)
        except ValueError as error:
            self._document.place(*path).refuse(str(error))


def _bits(rules: Iterable[Rule | None]) -> int:
    return reduce(int.__or__, (rule.bits for rule in rules if rule is not None), 0)

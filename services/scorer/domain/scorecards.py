"""A policy's scorecards, compiled: points for features of which the value is an exact number."""

from collections.abc import Mapping
from fractions import Fraction
from typing import Final

from schemas import policy as shape
from services.scorer.domain import literals
from services.scorer.domain.document import Document, suggest
from services.scorer.domain.features import Count, Feature, Feedback, Mean, Operand, Ratio, Scorecard, Sum

_MOST: Final = 100  # a scorecard goes from 0 to 100
COUNTED = Count | Sum | Mean | Feedback | Ratio

Part = tuple[Operand, Fraction, Fraction]


def scorecards(document: Document, features: Mapping[str, Feature], digits: int) -> dict[str, Scorecard]:
    """By name. `digits`: of the policy's currency. PolicyError where one cannot be."""
    cards = {}
    for card, given in document.policy.scorecards.items():
        if not given:
            document.place("scorecards", card).refuse(f"scorecard {card!r} is empty; name features with weights")
        parts = tuple(_part(document, card, name, part, features, digits) for name, part in given.items())
        most = sum((weight for _, weight, _ in parts), Fraction(0))
        if most > _MOST:
            place = document.place("scorecards", card)
            place.refuse(f"the weights of {card!r} come to {float(most):.12g}, above 100; lower them")
        cards[card] = Scorecard(card, parts)
    return cards


def _part(
    document: Document, card: str, name: str, given: shape.ScorePart, features: Mapping[str, Feature], digits: int
) -> Part:
    key = document.key("scorecards", card, name)
    feature = features.get(name)
    if feature is None:
        key.refuse(f"there is no feature {name!r}; {suggest(name, features)}")
    if not isinstance(feature, COUNTED):
        key.refuse(f"a scorecard is of counts, sums, means, feedback and ratios; {name!r} is none of them")
    weight = _above_zero(document, given.weight, "scorecards", card, name, "weight")
    full = _above_zero(document, given.full, "scorecards", card, name, "full")
    return Operand(feature), weight, full * 10**digits if isinstance(feature, Sum) else full


def _above_zero(document: Document, text: str, *path: str) -> Fraction:
    try:
        number = literals.number(text)
        if number <= 0:
            raise ValueError(f"{path[-1]} = {text} must be above 0")
    except ValueError as error:
        document.place(*path).refuse(str(error))
    return number

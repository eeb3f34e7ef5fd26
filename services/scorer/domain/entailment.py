"""What rules say of one another: whether one can hold without another or with it, and whether one ever ceases.

"It cannot" is proven (`formulas.py`); "it can" may be wrong.
"""

from collections.abc import Sequence

import msgspec

from services.scorer.domain.entries import PURCHASE
from services.scorer.domain.features import Count, Feature, KnownFor, Sum, Tenure
from services.scorer.domain.formulas import Formulas
from services.scorer.domain.lowering import Thresholds
from services.scorer.domain.rules import Rule


def possible(rule: Rule, *, but_not: Sequence[Rule] = ()) -> bool:
    """Whether the rule can hold while none of the others does."""
    formulas = Formulas(rule, *but_not)
    return formulas.possible(formulas.of(rule), *(formulas.of(other, holds=False) for other in but_not))


def can_meet_none(rules: Sequence[Rule]) -> bool:
    """Whether somebody can be such that none of the rules holds."""
    formulas = Formulas(*rules)
    return formulas.possible(*(formulas.of(rule, holds=False) for rule in rules))


def possible_together(*rules: Rule) -> bool:
    """Whether all can hold at once. Of whatever numbering the thresholds are: playbooks have their own."""
    thresholds = Thresholds()
    numbered = [
        msgspec.structs.replace(
            rule,
            compared=tuple(thresholds.comparison(c.operand, c.operator, c.text, c.constants) for c in rule.compared),
        )
        for rule in rules
    ]
    formulas = Formulas(*numbered)
    return formulas.possible(*(formulas.of(rule) for rule in numbered))


def never_ends(rule: Rule) -> bool:
    """Whether it holds for ever once it does, but for refunds."""
    formulas = Formulas(rule)
    return formulas.never_ends(formulas.of(rule), _only_grows)


def but_by_a_refund(rule: Rule) -> str:
    return " but by a refund" if any(_refundable(c.operand.feature) for c in rule.compared) else ""


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

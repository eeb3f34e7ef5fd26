"""Every comparison comes down to thresholds without changing what it says, for every unit and operator."""

import operator
from fractions import Fraction

from hypothesis import given
from hypothesis import strategies as st

from services.scorer.domain.churn import BgNbd
from services.scorer.domain.comparisons import Above, Comparison, Equals, Known, Reached
from services.scorer.domain.entries import CLICK, NPS, PURCHASE
from services.scorer.domain.features import (
    Attribute,
    Count,
    Mean,
    Operand,
    PAlive,
    Regularity,
    Rfm,
    Score,
    SinceLast,
    Sum,
    Which,
)
from services.scorer.domain.lowering import Thresholds
from services.scorer.domain.policy import compiled
from services.scorer.domain.spans import Span

SIGNS = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
HOUR = Span("1h", fixed_ms=3_600_000)

COUNT = Operand(Count("count", Which((CLICK,))))
MONEY = Operand(Sum("money", Which((PURCHASE,))))
SCORED = Operand(Rfm("rfm", (HOUR,) * 4, (1, 2, 3, 4), (1, 2, 3, 4)), "r")
MEAN = Operand(Mean("mean", Which((NPS,))))
POINTS = Operand(Score("points", ((PURCHASE, Fraction(1)),), HOUR))
AGE = Operand(SinceLast("age", Which((PURCHASE,))))
GAP = Operand(Regularity("gaps"), "mean")
TEXT = Operand(Attribute("region"))
ALIVE = Operand(PAlive("alive", BgNbd(0.243, 4.414, 0.793, 2.426)))


def answer(ask, value) -> bool:
    """What a threshold says of a value, None being unknown."""
    match ask:
        case Known():
            return value is not None
        case _ if value is None:
            return False
        case Above(limit=limit, inclusive=inclusive):
            return value >= limit if inclusive else value > limit
        case Reached(span=span, after_ms=after_ms):
            return value >= span.fixed_ms + after_ms
        case Equals(text=text):
            return value == text


def holds(comparison: Comparison, thresholds: Thresholds, value) -> bool:
    truths = sum(answer(threshold.ask, value) << threshold.index for threshold in thresholds.all)
    return comparison.truth(truths)


def says(sign: str, value, constants) -> bool:
    """The comparison itself, as Python has it."""
    if value is None:
        return False
    match sign:
        case "in" | "not in":
            return (value in constants) == (sign == "in")
        case "between" | "not between":
            return (constants[0] <= value <= constants[1]) == (sign == "between")
    return SIGNS[sign](value, constants[0])


def size(constant):
    return constant.fixed_ms if isinstance(constant, Span) else constant


def drawn(values, signs=(*SIGNS, "between", "not between", "in", "not in")):
    """(operator, constants) of values, in order where two bounds are wanted."""
    one = st.tuples(st.sampled_from([s for s in signs if s in SIGNS]), st.lists(values, min_size=1, max_size=1))
    several = st.tuples(
        st.sampled_from([s for s in signs if s.endswith("in")]), st.lists(values, min_size=1, max_size=3)
    )
    between = [s for s in signs if s.endswith("between")]
    if not between:
        return one | several
    return (
        one
        | several
        | st.tuples(
            st.sampled_from(between), st.lists(values, min_size=2, max_size=2).map(lambda pair: sorted(pair, key=size))
        )
    )


def check(operand, comparisons, value):
    """All at once, as those of a policy share their thresholds."""
    thresholds = Thresholds()
    lowered = [thresholds.comparison(operand, sign, "", constants) for sign, constants in comparisons]
    for comparison, (sign, constants) in zip(lowered, comparisons, strict=True):
        said = [size(c) for c in constants]
        assert holds(comparison, thresholds, value) == says(sign, value, said), (sign, constants, value)
        assert comparison.constants == tuple(constants)


whole = st.integers(-2, 5)
exact = st.fractions(-2, 4, max_denominator=3)
spans = st.integers(1, 6).map(lambda ms: Span(f"{ms}ms", fixed_ms=ms))
texts = st.sampled_from(["north", "south", "east"])


@given(st.sampled_from([COUNT, MONEY]), st.lists(drawn(whole), min_size=1, max_size=3), whole)
def test_counts_and_money_compare_as_integers_do(operand, comparisons, value):
    check(operand, comparisons, value)


@given(st.lists(drawn(whole), min_size=1, max_size=3), st.none() | whole)
def test_rfm_scores_compare_as_integers_do_where_they_are_known(comparisons, value):
    check(SCORED, comparisons, value)


@given(st.lists(drawn(exact), min_size=1, max_size=3), st.none() | exact)
def test_numbers_compare_exactly_where_they_are_known(comparisons, value):
    check(MEAN, comparisons, value)


@given(st.lists(drawn(exact), min_size=1, max_size=3), exact)
def test_a_score_is_always_known_and_compares_exactly(comparisons, value):
    check(POINTS, comparisons, value)


@given(st.sampled_from([AGE, GAP]), st.lists(drawn(spans), min_size=1, max_size=3), st.none() | st.integers(0, 8))
def test_durations_compare_to_the_millisecond_where_they_are_known(operand, comparisons, value):
    check(operand, comparisons, value)


@given(
    st.lists(drawn(texts, ("==", "!=", "in", "not in")), min_size=1, max_size=3),
    st.none() | texts | st.just("elsewhere"),
)
def test_texts_are_equal_or_not_where_they_are_known(comparisons, value):
    check(TEXT, comparisons, value)


@given(st.sampled_from(["<", "<=", ">", ">="]), exact, st.none() | exact)
def test_p_alive_counts_as_below_or_not_and_never_as_equal(sign, constant, value):
    thresholds = Thresholds()
    comparison = thresholds.comparison(ALIVE, sign, "", [constant])
    below = value is not None and value < constant
    expected = below if sign.startswith("<") else value is not None and not below
    assert holds(comparison, thresholds, value) == expected


def test_what_can_be_unknown_and_is_denied_asks_whether_it_is_known():
    thresholds = Thresholds()
    thresholds.comparison(AGE, "<", "", [HOUR])
    assert [type(t.ask) for t in thresholds.all] == [Reached, Known]
    thresholds = Thresholds()
    thresholds.comparison(COUNT, "<", "", [3])
    assert [type(t.ask) for t in thresholds.all] == [Above]


def test_the_same_threshold_is_looked_at_once_for_the_whole_policy():
    policy = compiled("""
policy: p
currency: EUR
zone: UTC
features: {clicks: {count: click, window: 5h}, quiet: {since_last: purchase}}
ladders: {tier: [{name: top, when: "clicks > 2"}, {name: floor}]}
segments: {it: "clicks > 2 or clicks <= 2 or clicks >= 3 or clicks == 3 or quiet < 1d or not quiet >= 1d"}
""")
    assert [(t.operand.name, t.ask) for t in policy.thresholds] == [
        ("clicks", Above(2)),
        ("clicks", Above(3)),
        ("quiet", Reached(Span("1d", fixed_ms=86_400_000))),
        ("quiet", Known()),
    ]
    assert [t.index for t in policy.thresholds] == [0, 1, 2, 3]


def test_rules_and_dimensions_know_the_bits_they_ask_for():
    policy = compiled("""
policy: p
currency: EUR
zone: UTC
features: {clicks: {count: click}, spend: {sum: purchase.amount}}
ladders:
  tier:
    - {name: top, when: "clicks > 2 and spend > 1", stay: "clicks > 1"}
    - {name: floor}
segments: {it: "spend > 1"}
""")
    ladder, segment = policy.dimensions
    assert (ladder.tiers[0].when.bits, ladder.tiers[0].stay.bits, ladder.bits) == (0b011, 0b100, 0b111)
    assert (segment.rule.bits, segment.bits) == (0b010, 0b010)

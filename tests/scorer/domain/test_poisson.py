"""The tails of Poisson's law, against scipy, and where a limit lies between two of them."""

import math
from fractions import Fraction

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.stats import poisson as law

from services.scorer.domain.comparisons import Above, Threshold
from services.scorer.domain.entries import CLICK
from services.scorer.domain.features import Operand, Trend, Which
from services.scorer.domain.poisson import Tails
from services.scorer.domain.spans import Span

DAY = Span("1d", fixed_ms=86_400_000)
ODDLY = Operand(Trend("pace", Which((CLICK,)), DAY, DAY), "fewer")

means = st.fractions(Fraction(1, 100), Fraction(20_000), max_denominator=1_000)


def tails(limit: Fraction, *, more: bool) -> Tails:
    return Tails([Threshold(0, ODDLY, Above(limit))], Fraction(1), more=more)


@settings(deadline=None)
@given(means, st.floats(-5, 5), st.booleans())
def test_a_tail_is_that_of_poissons_law(mean: Fraction, deviations: float, more: bool) -> None:
    count = max(0, round(float(mean) + deviations * math.sqrt(mean)))
    found = tails(Fraction(1, 2), more=more).probability(count, mean)
    expected = law.sf(count - 1, float(mean)) if more else law.cdf(count, float(mean))
    assert found == pytest.approx(expected, rel=1e-9)


@settings(deadline=None)
@given(st.integers(0, 300), st.integers(1, 300), st.booleans())
def test_what_is_near_a_limit_is_asked_with_more_digits(count: int, mean: int, more: bool) -> None:
    asked = tails(Fraction(1, 2), more=more)
    exactly = asked._exactly(count, Fraction(mean)) if count or not more else Fraction(1)
    if not 0 < exactly < 1:
        return
    for limit, above in ((exactly - Fraction(1, 10**20), 1), (exactly + Fraction(1, 10**20), 0)):
        if 0 < limit < 1:
            assert tails(limit, more=more).bits(count, mean) == above


@settings(deadline=None)
@given(
    st.sampled_from(
        [Fraction(1, 20), Fraction(1, 2), Fraction(999, 1_000), Fraction(1, 10**30), Fraction(1), Fraction(0)]
    ),
    st.sampled_from([Fraction(1), Fraction(1, 6), Fraction(30, 7)]),
    st.booleans(),
    st.lists(st.tuples(st.integers(0, 60), st.integers(1, 400)), min_size=1, max_size=30),
)
def test_where_the_answer_turns_is_the_same_in_whatever_order_it_is_asked(
    limit: Fraction, share: Fraction, more: bool, pairs: list[tuple[int, int]]
) -> None:
    asked = Tails([Threshold(0, ODDLY, Above(limit))], share, more=more)
    for count, base in pairs:
        mean = float(base * share)
        truth = law.sf(count - 1, mean) if more else law.cdf(count, mean)
        if truth != pytest.approx(float(limit), rel=1e-6, abs=0):
            assert asked.bits(count, base) == (truth > limit), (count, base)

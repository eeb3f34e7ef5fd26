"""Rule 13: the mathematics of churn, against exact arithmetic and scipy."""

import math
from fractions import Fraction

import msgspec
import pytest
from hypothesis import assume, example, given
from hypothesis import strategies as st
from scipy.special import hyp2f1

from services.scorer.domain.churn import (
    DAY_MS,
    LONGEST_MS,
    WEEK_MS,
    BgNbd,
    Fall,
    GammaGamma,
    expected_falls_to,
    expected_purchases,
    expected_value,
    falls_below,
    p_alive,
    stepped_age,
)
from services.scorer.domain.expected import by_integral, by_series, per_survivor

CDNOW = BgNbd(r=0.243, alpha=4.414, a=0.793, b=2.426)
YEAR_MS = 365 * DAY_MS


def stands(model: BgNbd, x: int, tx_ms: int, p: Fraction, t_ms: int) -> bool:
    """Whether P(alive) >= p, in whole numbers only: both sides are raised to r's denominator."""
    r, alpha, a, b = (Fraction(repr(value)) for value in (model.r, model.alpha, model.a, model.b))
    ratio = (alpha * model.unit_ms + t_ms) / (alpha * model.unit_ms + tx_ms)
    bound = (1 / p - 1) * (b + x - 1) / a
    return ratio ** (r.numerator + x * r.denominator) <= bound**r.denominator


def decimals(least: str, most: str, places: int) -> st.SearchStrategy[float]:
    return st.decimals(least, most, places=places).map(float)


models_b = decimals("0.001", "9", 3)
models = st.builds(
    BgNbd,
    r=decimals("0.01", "9", 2),
    alpha=decimals("0.001", "50", 3),
    a=decimals("0.001", "9", 3),
    b=models_b,
    unit_ms=st.sampled_from([1, DAY_MS, WEEK_MS]),
)
repeats = st.integers(1, 12)
recencies = st.one_of(st.integers(0, 50), st.integers(0, 3 * YEAR_MS))
thresholds = st.one_of(
    st.integers(1, 99).map(lambda n: Fraction(n, 100)), st.fractions(Fraction(1, 1000), Fraction(999, 1000))
)


@given(models, repeats, recencies, thresholds)
@example(BgNbd(1.0, 1.0, 1.0, 4.0), 1, DAY_MS, Fraction(1, 2))  # 2 (alpha + t_x) - alpha: a whole ms
@example(BgNbd(1.0, 1.0, 2.0, 1.0), 2, DAY_MS, Fraction(1, 1001))  # by the cube root of 1000, not exact in decimals
@example(BgNbd(1.0, 1.0, 4.0, 1.0, 1), 1, 1, Fraction(1, 5))  # exactly t_x
def test_rule_13_the_instant_is_exact_to_the_millisecond(model, x, tx_ms, p):
    at = falls_below(model, x, tx_ms, p)
    if at is None:
        assert stands(model, x, tx_ms, p, LONGEST_MS - 1)
        return
    # P(alive) >= p      < p
    # ───────────────┤at├────────► age
    assert at >= tx_ms
    assert not stands(model, x, tx_ms, p, at)
    assert at == tx_ms or stands(model, x, tx_ms, p, at - 1)


@given(
    st.builds(BgNbd, r=decimals("0.01", "2", 2), alpha=decimals("0.5", "20", 3), a=st.just(1.0), b=models_b),
    st.integers(1, 3),
    st.integers(0, YEAR_MS),
    thresholds,
    st.sampled_from([-math.inf, None, math.inf]),
)
def test_rule_13_the_instant_is_exact_where_the_closed_form_is_all_but_whole(model, x, tx_ms, p, towards):
    # a is chosen so that the closed form comes within a millionth of a ms to a whole one: Decimal has to decide.
    alpha_ms = model.alpha * model.unit_ms
    ratio = (alpha_ms + tx_ms + 1_000_003) / (alpha_ms + tx_ms)
    a = float(1 / p - 1) * (model.b + x - 1) / ratio ** (model.r + x)
    near = msgspec.structs.replace(model, a=a if towards is None else math.nextafter(a, towards))
    at = falls_below(near, x, tx_ms, p)
    assert at in (tx_ms + 1_000_003, tx_ms + 1_000_004)
    assert stands(near, x, tx_ms, p, at - 1)
    assert not stands(near, x, tx_ms, p, at)


def test_rule_13_the_instant_is_the_next_millisecond_where_the_closed_form_is_whole():
    # ((alpha + T) / (alpha + t_x))^2 = (1/p - 1) b / a = 4, so T = 2 (alpha + t_x) - alpha
    model = BgNbd(r=1.0, alpha=1.0, a=1.0, b=4.0)
    assert falls_below(model, 1, DAY_MS, Fraction(1, 2)) == WEEK_MS + 2 * DAY_MS + 1


def test_rule_13_a_customer_of_cdnow():
    # of the sample, the first: x 2, t_x 30.43, T 38.86 weeks; 1.226 purchases in 39 weeks, says the authors' workbook
    tx_ms, t_ms = 30 * WEEK_MS + 3 * DAY_MS, 38 * WEEK_MS + 6 * DAY_MS
    assert p_alive(CDNOW, 2, tx_ms, t_ms) == pytest.approx(0.7266, abs=0.0005)
    assert expected_purchases(CDNOW, 2, tx_ms, t_ms, 39 * WEEK_MS) == pytest.approx(1.226, abs=0.001)


def test_rule_13_who_bought_once_is_alive_for_ever():
    assert p_alive(CDNOW, 0, 0, 90 * YEAR_MS) == 1
    assert falls_below(CDNOW, 0, 0, Fraction(999, 1000)) is None


def test_rule_13_a_threshold_of_zero_is_never_reached_and_one_of_one_at_once():
    assert falls_below(CDNOW, 1, WEEK_MS, Fraction(0)) is None
    assert falls_below(CDNOW, 1, WEEK_MS, Fraction(1)) == WEEK_MS


def test_rule_13_what_takes_longer_than_a_hundred_years_is_never():
    assert falls_below(CDNOW, 1, WEEK_MS, Fraction(1, 1_000)) == pytest.approx(66 * YEAR_MS, rel=0.01)
    assert falls_below(CDNOW, 1, WEEK_MS, Fraction(1, 2_000)) is None
    assert falls_below(CDNOW, 1, WEEK_MS, Fraction(1, 10**400)) is None
    assert falls_below(CDNOW, 4_000, YEAR_MS, Fraction(1, 10**400)) == pytest.approx(1.27 * YEAR_MS, rel=0.05)


def test_rule_13_above_the_highest_threshold_a_customer_is_below_it_from_the_purchase_on():
    top = Fraction(CDNOW.b) / (Fraction(CDNOW.a) + Fraction(CDNOW.b))  # right after a first repeat purchase
    assert falls_below(CDNOW, 1, WEEK_MS, top + Fraction(1, 10**9)) == WEEK_MS
    assert falls_below(CDNOW, 1, WEEK_MS, top - Fraction(1, 10**9)) > WEEK_MS
    assert p_alive(CDNOW, 1, WEEK_MS, WEEK_MS) == pytest.approx(float(top))


@given(models, repeats, recencies, st.integers(0, 3 * YEAR_MS), st.integers(1, YEAR_MS))
def test_p_alive_only_falls_with_age(model, x, tx_ms, older, more):
    now, later = p_alive(model, x, tx_ms, tx_ms + older), p_alive(model, x, tx_ms, tx_ms + older + more)
    assert 0 <= later <= now < 1


@given(models, repeats, recencies, thresholds)
def test_p_alive_is_the_threshold_at_the_instant_it_falls_below_it(model, x, tx_ms, p):
    at = falls_below(model, x, tx_ms, p)
    assume(at is not None and at > tx_ms and (model.r + x) / (model.alpha * model.unit_ms + at) < 1e-6)
    assert p_alive(model, x, tx_ms, at) == pytest.approx(float(p), rel=1e-5)


@pytest.mark.parametrize("a", [0.05, 0.3, 0.793, 0.9999, 1.5, 4.2])
@pytest.mark.parametrize("b", [0.11, 2.426, 7.3])
@pytest.mark.parametrize("x", [1, 2, 7, 29])
def test_purchases_of_a_survivor_as_the_paper_writes_them_with_scipys_2f1(a, b, x):
    s, c = 0.243 + x, a + b + x - 1
    for u in (0.01, 0.2, 1.0, 3.0, 8.0):
        gauss = (1 + u) ** -s * hyp2f1(s, b + x, c, u / (1 + u))
        lost = 1e-15 / abs(1 - gauss)  # what the difference 1 - gauss cancels
        paper = pytest.approx(c / (a - 1) * (1 - gauss), rel=1e-11 + 20 * lost)
        assert by_series(a, b + x, s, u) == paper
        assert by_integral(a, b + x, s, u) == paper
        assert per_survivor(a, b + x, s, u) == paper


@given(
    decimals("0.01", "30", 3), decimals("0.01", "60", 3), decimals("0.01", "40", 3), st.floats(1e-4, 15).filter(bool)
)
def test_both_ways_to_count_a_survivors_purchases_agree(a, b, s, u):
    assert by_series(a, b, s, u) == pytest.approx(by_integral(a, b, s, u), rel=2e-12)


def test_a_survivors_purchases_where_the_papers_form_is_zero_by_zero():
    around = (by_series(1 - 1e-6, 3.0, 2.0, 0.5) + by_series(1 + 1e-6, 3.0, 2.0, 0.5)) / 2
    assert by_series(1.0, 3.0, 2.0, 0.5) == pytest.approx(around, rel=1e-9)


def test_a_survivor_who_hardly_ever_drops_out_buys_as_often_as_before():
    assert per_survivor(1e-9, 5.0, 3.0, 2.0) == pytest.approx(3.0 * 2.0, rel=1e-6)


def test_a_horizon_of_a_hundred_years_for_a_customer_first_seen_now():
    bought = per_survivor(0.793, 2.426, 0.243, LONGEST_MS / (4.414 * WEEK_MS))
    assert bought < per_survivor(0.793, 2.426, 0.243, 2 * LONGEST_MS / (4.414 * WEEK_MS)) < bought * 2


@given(models, st.integers(0, 12), recencies, st.integers(0, YEAR_MS), st.integers(1, YEAR_MS))
def test_expected_purchases_only_fall_with_age(model, x, tx_ms, older, more):
    assume(model.unit_ms > 1)
    tx_ms = tx_ms if x else 0
    now = expected_purchases(model, x, tx_ms, tx_ms + older, 30 * DAY_MS)
    assert 0 <= expected_purchases(model, x, tx_ms, tx_ms + older + more, 30 * DAY_MS) <= now * (1 + 1e-12)


@given(models, st.integers(0, 12), recencies, st.floats(0.01, 2), st.sampled_from([7 * DAY_MS, 90 * DAY_MS]))
def test_expected_purchases_fall_to_the_limit_at_that_day_and_not_the_day_before(model, x, tx_ms, limit, horizon_ms):
    assume(model.unit_ms > 1)
    tx_ms = tx_ms if x else 0
    at = expected_falls_to(model, x, tx_ms, limit, horizon_ms)
    assume(at is not None)

    def shown(age_ms: int) -> float:
        return expected_purchases(model, x, tx_ms, stepped_age(tx_ms, age_ms), horizon_ms)

    # the value:  ▔▔▔▔▔▔┐ each step at a whole day of age, the first at the last purchase
    #             tx    day   day   at
    assert at == tx_ms or at % DAY_MS == 0
    assert shown(at) <= limit
    assert at == tx_ms or shown(at - 1) > limit


def test_expected_purchases_never_fall_to_nothing():
    assert expected_falls_to(CDNOW, 0, 0, 0.0, 90 * DAY_MS) is None
    assert expected_falls_to(CDNOW, 0, 0, 1e-9, 90 * DAY_MS) is None  # not in 100 years


def test_expected_value_lies_between_the_own_mean_and_the_populations():
    # Fader and Hardie's note: p 6.25, q 3.74, v 15.44; a population mean of 35.2
    spend = GammaGamma(p=6.25, q=3.74, v=15.44)
    assert float(expected_value(spend, 0, Fraction(0))) == pytest.approx(35.22, abs=0.01)
    assert float(expected_value(spend, 1, Fraction(100))) == pytest.approx(
        (2.74 * 35.219 + 6.25 * 100) / (2.74 + 6.25), abs=0.01
    )
    assert float(expected_value(spend, 1000, Fraction(100_000))) == pytest.approx(100, rel=0.001)


def test_expected_value_in_minor_units_is_a_hundred_times_that_in_major_ones():
    spend = GammaGamma(p=6.25, q=3.74, v=15.44)
    in_cents = expected_value(GammaGamma(p=6.25, q=3.74, v=1544), 3, Fraction(123_45))
    assert in_cents == 100 * expected_value(spend, 3, Fraction("123.45"))


@pytest.mark.parametrize("name", ["r", "alpha", "a", "b", "unit_ms"])
@pytest.mark.parametrize("value", [0, -1, math.nan, math.inf])
def test_a_parameter_that_is_none_is_refused_by_name(name, value):
    with pytest.raises(ValueError, match=f"^{name} = .* above 0"):
        BgNbd(**{"r": 1.0, "alpha": 1.0, "a": 1.0, "b": 1.0, "unit_ms": 1, name: value})


def test_a_gamma_gamma_without_a_mean_is_refused():
    with pytest.raises(ValueError, match=r"q = 1\.0 must be above 1"):
        GammaGamma(p=6.0, q=1.0, v=15.0)


def test_what_two_threads_work_out_at_once_of_the_same_number_of_orders_is_what_one_does():
    """Another thread comes while the first is at it."""

    class Interrupted(Fall):
        others = True

        def _growth(self, x):
            if self.others:
                self.others = False
                self.age_ms(x, 0)
            return super()._growth(x)

    one, two = (of(CDNOW, Fraction(1, 2)) for of in (Fall, Interrupted))
    assert [two.age_ms(x, DAY_MS) for x in range(1, 6)] == [one.age_ms(x, DAY_MS) for x in range(1, 6)]

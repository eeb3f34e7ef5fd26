"""The likelihoods, their maxima on made populations, and what is said of data that do not have one."""

import numpy as np
import pytest
from scipy.stats import beta, gamma

from services.analyst.calibration import bg_nbd, gamma_gamma
from services.analyst.calibration.gamma_gamma import Spends
from services.analyst.calibration.histories import Repeats
from services.analyst.calibration.likelihood import maximise
from tests.analyst.populations import by_bg_nbd, customer

TRUE = {"r": 0.5, "alpha": 6.0, "a": 0.9, "b": 3.0}


def made(seed: int = 7, customers: int = 6_000, **parameters: float) -> Repeats:
    return by_bg_nbd(**TRUE | parameters, customers=customers, age=52.0, seed=seed)


def made_spends(p: float, q: float, v: float, customers: int = 4_000, seed: int = 3) -> Spends:
    random = np.random.default_rng(seed)
    x = random.integers(1, 12, customers)
    rate = random.gamma(q, 1 / v, customers)
    return Spends(x.astype(float), random.gamma(p * x, 1 / rate))


def slopes(of, at):
    """The gradient by differences."""
    at, steps = np.array(at), np.eye(len(at)) * 1e-6
    return [(of(at + step)[0] - of(at - step)[0]) / 2e-6 for step in steps]


def test_the_gradient_of_bg_nbd_is_that_of_its_likelihood():
    of = bg_nbd.log_likelihood(made(customers=300), 1.0)
    at = [0.4, 5.0, 1.3, 2.2]
    assert of(np.array(at))[1] == pytest.approx(slopes(of, at), rel=1e-5)


def test_the_gradient_of_gamma_gamma_is_that_of_its_likelihood():
    of = gamma_gamma.log_likelihood(made_spends(5, 4, 15, customers=300))
    at = [4.0, 3.0, 20.0]
    assert of(np.array(at))[1] == pytest.approx(slopes(of, at), rel=1e-5)


def test_the_likelihood_of_bg_nbd_is_the_mean_over_rates_and_dropouts():
    # One customer, x 2, t_x 3, T 5: the mean of (1-p)^2 l^2 e^(-5 l) + p (1-p) l^2 e^(-3 l) over l and p
    one = Repeats(np.array([2.0]), np.array([3.0]), np.array([5.0]))
    rate, dropout = np.linspace(1e-4, 20, 20_001), np.linspace(0.00005, 0.99995, 10_000)
    of_rate, of_dropout = gamma(2, scale=1 / 3).pdf(rate) * rate[1], beta(1.5, 2.5).pdf(dropout) * 1e-4
    step = rate[1] - rate[0]
    stayed = float(of_dropout @ (1 - dropout) ** 2) * float(of_rate @ (rate**2 * np.exp(-5 * rate))) * step / rate[1]
    left = float(of_dropout @ (dropout * (1 - dropout))) * float(of_rate @ (rate**2 * np.exp(-3 * rate)))
    value = bg_nbd.log_likelihood(one, 1.0)(np.array([2, 3, 1.5, 2.5]))[0]
    assert value == pytest.approx(np.log(stayed + left * step / rate[1]), rel=1e-3)


def test_bg_nbd_finds_the_parameters_that_a_population_was_made_with():
    found = bg_nbd.estimate(made(), 1.0)
    assert found.flaws == []
    for name, value in TRUE.items():
        assert abs(found.parameters[name] - value) < 4 * found.errors[name], name


def test_gamma_gamma_finds_the_parameters_that_a_population_was_made_with():
    found = gamma_gamma.estimate(made_spends(5, 4, 15))
    assert found.flaws == []
    for name, value in {"p": 5, "q": 4, "v": 15}.items():
        assert abs(found.parameters[name] - value) < 4 * found.errors[name], name


def test_expected_frequencies_are_those_of_a_population_made_so():
    population = made(customers=40_000)
    expected = bg_nbd.frequencies(np.array(list(TRUE.values())), population.age, 7)
    actual = np.bincount(np.minimum(population.x, 7).astype(int), minlength=8)
    assert expected.sum() == pytest.approx(40_000)
    assert np.abs(actual - expected).max() < 4 * np.sqrt(expected.max())


def test_customers_who_never_drop_out_leave_a_and_b_untold():
    # Every customer buys every fourth week to the end: no one has gone, so how many go is not to be seen.
    x = np.repeat([12.0, 13.0, 14.0], 40)
    found = bg_nbd.estimate(Repeats(x, np.full_like(x, 51.9), np.full_like(x, 52.0)), 1.0)
    assert found.flaws
    assert "the data do not say what it is" in found.flaws[0] or "do not tell the parameters apart" in found.flaws[0]


def test_purchases_without_a_mean_are_no_gamma_gamma():
    found = gamma_gamma.estimate(made_spends(3, 0.6, 5))
    assert found.flaws == [f"q is {found.parameters['q']:.3g}, not above 1: purchases have no mean value under it"]


def test_a_slope_that_stays_is_no_maximum():
    # a gradient that lies: it points upwards where the hill goes down
    found = maximise(["one"], lambda at: (-float(at[0]), np.ones(1)), [[1.0], [3.0], [1.5]], 1)
    assert [flaw.split(":")[0] for flaw in found.flaws] == ["it did not converge"]


def test_a_maximum_that_one_start_alone_finds_is_mistrusted():
    # two hills over log x: a lower one at 0, which most starts find, and a higher one at 5
    def hills(at):
        log = np.log(at)
        value = np.exp(-(log**2)) + 2 * np.exp(-((log - 5) ** 2))
        return float(value[0]), (-2 * log * np.exp(-(log**2)) - 4 * (log - 5) * np.exp(-((log - 5) ** 2))) / at

    found = maximise(["one"], hills, [[1.1], [0.9], [140.0]], 1)
    assert found.parameters["one"] == pytest.approx(np.exp(5), rel=1e-6)
    assert found.flaws == ["only 1 of 3 starts ended there: the maximum may not be the highest"]


def test_values_are_taken_from_repeat_transactions_that_brought_money():
    seen = gamma_gamma.spends(
        [customer([1, 5, 9, 12], [700, 0, 250, 150]), customer([1], [999]), customer([1, 2], [100, 0])], digits=2
    )
    assert (seen.x.tolist(), seen.total.tolist()) == ([2.0], [4.0])

"""The whole fit on the 1/10 sample of CDNOW gives what its publishers give."""

import json
from datetime import date

import msgspec
import pytest
import yaml

from schemas import policy
from services.analyst.calibration import page, summary
from services.analyst.calibration.notation import as_yaml, decimal_text
from services.analyst.calibration.purchases import Book, Order, canonical, read
from services.analyst.fit import Fit, Wish, fit
from services.demo import cdnow
from services.scorer.domain.policy import parse
from tests.analyst.populations import SAMPLE_UNTIL, UTC, cdnow_book, cdnow_sample

POLICY = """
policy: any
currency: USD
zone: UTC
features:
  alive: {p_alive: purchase}
  rfm: {rfm: purchase}
  spend: {sum: purchase.amount}
ladders: {tier: [{name: top, when: "spend >= calibrated.top_spend and rfm.m >= 4"}, {name: other}]}
churn: {at_risk: "alive < 0.3"}
"""


@pytest.fixture(scope="module")
def sample() -> Fit:
    return fit(cdnow_book(), Wish(until=SAMPLE_UNTIL, customers=cdnow_sample()))


def test_the_sample_is_the_published_one(sample):
    assert len(sample.customers) == 2_357
    assert sample.repeats == 2_457
    assert (sample.first, sample.until, sample.last) == (date(1997, 1, 1), SAMPLE_UNTIL, date(1998, 6, 30))
    assert (sample.absent, sample.flaws) == (0, [])


def test_bg_nbd_gives_the_estimates_of_fader_hardie_and_lee(sample):
    found = sample.bg_nbd
    assert {name: round(value, 3) for name, value in found.parameters.items()} == {
        "r": 0.243,
        "alpha": 4.414,
        "a": 0.793,
        "b": 2.426,
    }
    assert round(found.log_likelihood, 1) == -9582.4
    assert found.agree == found.starts == 5


def test_gamma_gamma_gives_the_estimates_of_fader_and_hardies_note(sample):
    found = sample.gamma_gamma
    assert found.observations == 946
    assert {name: round(value, 2) for name, value in found.parameters.items()} == {"p": 6.25, "q": 3.74, "v": 15.44}
    assert found.log_likelihood == pytest.approx(-4055.9177, abs=1e-4)  # as the R package CLVTools has it
    assert found.agree == found.starts == 5


def test_expected_frequencies_have_the_chi_square_of_the_paper(sample):
    rows = sample.frequencies
    assert [row.customers for row in rows] == [1411, 439, 214, 100, 62, 38, 29, 64]
    assert sum(row.expected for row in rows) == pytest.approx(2_357)
    assert sum((row.customers - row.expected) ** 2 / row.expected for row in rows) == pytest.approx(4.82, abs=0.005)


def test_the_weeks_end_with_the_fit_at_39_and_with_the_data_at_78(sample):
    assert len(sample.weeks) == 78
    assert (sample.weeks[38].ends, sample.weeks[38].actual) == (SAMPLE_UNTIL.toordinal(), 2_457)
    assert sample.weeks[38].expected == pytest.approx(2_457, rel=0.02)
    assert sample.weeks[77].expected == pytest.approx(sample.weeks[77].actual, rel=0.05)


def test_purchases_after_the_fit_are_foretold_by_number_of_repeats(sample):
    assert [row.repeats for row in sample.later] == list(range(8))
    assert sample.horizon_days == 273
    bought = sum(row.customers * row.actual for row in sample.later)
    assert bought == pytest.approx(sample.weeks[77].actual - 2_457)
    assert sum(row.customers * row.expected for row in sample.later) == pytest.approx(bought, rel=0.15)


def test_without_later_data_the_horizon_is_foretold_and_nothing_stands_beside_it():
    found = fit(cdnow_book(), Wish(customers=cdnow_sample(), horizon_days=30))
    assert found.until == found.last == date(1998, 6, 30)
    assert [row.actual for row in found.later] == [None] * 8
    assert len(found.weeks) == 78


def test_the_calibration_is_a_policys_section(sample):
    text = as_yaml(sample.calibration, "by a test")
    section = yaml.load(text, Loader=yaml.BaseLoader)
    assert set(section) == {"calibration"}
    assert section["calibration"]["bg_nbd"] == {
        "r": "0.242595",
        "alpha": "4.41360",
        "a": "0.792922",
        "b": "2.42591",
        "unit": "week",
    }
    assert msgspec.convert(section["calibration"], policy.Calibration) == sample.calibration
    assert text.startswith("# by a test\ncalibration:\n")


def test_the_same_in_days_is_seven_times_alpha(sample):
    days = fit(cdnow_book(), Wish(until=SAMPLE_UNTIL, customers=cdnow_sample(), unit="day"))
    assert days.calibration.bg_nbd.unit == "day"
    assert days.bg_nbd.parameters["alpha"] == pytest.approx(7 * sample.bg_nbd.parameters["alpha"], rel=1e-6)
    assert days.bg_nbd.parameters["r"] == pytest.approx(sample.bg_nbd.parameters["r"], rel=1e-6)
    assert days.weeks[77].expected == pytest.approx(sample.weeks[77].expected, rel=1e-6)


def test_the_same_data_give_the_same_json_and_page(sample):
    again = fit(cdnow_book(), Wish(until=SAMPLE_UNTIL, customers=cdnow_sample()))
    assert msgspec.json.encode(summary.document(again)) == msgspec.json.encode(summary.document(sample))
    assert page.render(again, "x") == page.render(sample, "x")


def test_the_page_holds_its_plots_and_asks_the_network_for_nothing(sample):
    html = page.render(sample, "calibration: <here>")
    assert html.count("<svg") == html.count("</svg>") == 5
    assert "calibration: &lt;here&gt;" in html
    assert "src=" not in html
    assert "<script" not in html
    assert "@import" not in html
    assert html.count("href=") == html.count('href="#')


def test_customers_who_never_came_back_leave_the_models_out_and_say_why():
    book = Book("USD", [Order(str(n), 700_000 + n, 1_000 * n) for n in range(1, 31)])
    found = fit(book, Wish())
    assert found.flaws == [
        "bg_nbd: 0 customers have repeat purchases, at least 20 are needed",
        "gamma_gamma: 0 customers have repeat purchases with a value, at least 20 are needed",
    ]
    assert (found.calibration.bg_nbd, found.calibration.gamma_gamma) == (None, None)
    assert found.calibration.top_spend == "140.00"
    assert "bg_nbd" not in as_yaml(found.calibration)
    assert page.render(found, "x").count("<svg") == 2


def test_where_nobody_has_spent_anything_no_spend_parts_them():
    found = fit(Book("USD", [Order(str(n), 700_000 + n, 0) for n in range(1, 31)]), Wish())
    assert found.flaws[-1] == "top_spend: nobody has spent anything"
    assert found.calibration.top_spend is None


def test_one_customer_with_one_purchase_is_a_population():
    found = fit(Book("JPY", [Order("a", 700_000, 5)]), Wish(groups=3))
    assert found.calibration.top_spend == "5"
    assert [group.customers for group in found.groups.groups] == [1]


def test_nobody_to_learn_from_is_said():
    book = Book("USD", [Order("a", date(2026, 3, 1).toordinal(), 5)])
    with pytest.raises(ValueError, match="no purchase of any customer stands by 2026-02-28"):
        fit(book, Wish(until=date(2026, 2, 28)))
    with pytest.raises(ValueError, match="no purchase of a customer asked for"):
        fit(book, Wish(customers=frozenset({"b"})))


def test_ids_without_a_purchase_are_counted():
    found = fit(Book("USD", [Order("a", 700_000, 5)]), Wish(customers=frozenset({"a", "b", "c"})))
    assert found.absent == 2


@pytest.mark.parametrize(
    ("value", "text"),
    [(0.24259452, "0.242595"), (4.4136, "4.41360"), (0.000012345678, "0.0000123457"), (1.5e7, "15000000")],
)
def test_a_parameter_is_written_in_six_digits_without_an_exponent(value, text):
    assert decimal_text(value) == text


def test_the_same_purchases_as_events_give_the_same_calibration(sample, tmp_path):
    purchases = [p for p in cdnow.purchases() if canonical(p.customer.removeprefix("cdnow-")) in cdnow_sample()]
    (file := tmp_path / "events.ndjson").write_text("\n".join(json.dumps(p.event(0)) for p in purchases))
    found = fit(read(file, UTC), Wish(until=SAMPLE_UNTIL))
    assert found.calibration == sample.calibration


def test_a_policy_takes_the_section_as_it_is_written(sample):
    compiled = parse(POLICY + as_yaml(sample.calibration))
    alive, rfm = compiled.features[:2]
    assert alive.model.alpha == 4.4136
    assert rfm.monetary == tuple(sample.rfm.monetary)
    assert compiled.top_spend == sample.top_spend.minor

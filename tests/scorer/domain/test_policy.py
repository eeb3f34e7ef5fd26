"""A policy's text: every refusal is one line with file, line and column, and says what to do."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scorer.domain.policy import PolicyError, parse, span_ms

RETAIL = Path(__file__).parents[3] / "policies" / "retail.yaml"
SMALL = """\
policy: small
currency: EUR
zone: Europe/Berlin
features:
  spend: {sum: purchase.amount, minus: refund.amount}
  orders_30d: {count: purchase, window: 30d}
  quiet: {since_last: purchase}
ladders:
  tier:
    - {name: gold, when: "spend >= 1_000"}
    - {name: basic}
segments:
  active: "orders_30d > 2"
churn:
  at_risk: "quiet >= 90d"
playbooks:
  - on: "tier falls to basic"
    when: "spend > 10"
    task: {title: "Call", to: sales, due: 3d}
"""


def refusal(old: str, new: str, text: str = SMALL) -> str:
    assert old in text
    with pytest.raises(PolicyError) as error:
        parse(text.replace(old, new, 1), "p.yaml")
    message = str(error.value)
    assert "\n" not in message
    return message


def test_a_policy_is_compiled_into_dimensions_in_order():
    policy = parse(SMALL)
    assert [(d.name, d.kind, d.initial) for d in policy.dimensions] == [
        ("tier", "ladder", "basic"),
        ("active", "segment", False),
        ("churn", "churn", False),
    ]


def test_money_literals_are_major_units_of_the_policy_s_currency():
    assert parse(SMALL).thresholds[0].limit == 99_999
    assert parse(SMALL.replace("EUR", "JPY")).thresholds[0].limit == 999


def test_the_retail_policy_is_accepted():
    assert parse(RETAIL.read_text(), "retail.yaml").name == "retail"


def test_playbooks_do_not_change_the_digest_and_rules_do():
    assert parse(SMALL).digest == parse(SMALL.replace("due: 3d", "due: 4d")).digest
    assert parse(SMALL).digest != parse(SMALL.replace("> 2", "> 3")).digest


def test_a_playbook_s_condition_sets_no_timer_of_the_scorer():
    assert len(parse(SMALL).thresholds) == 3


@pytest.mark.parametrize(
    ("old", "new", "pointed_at", "says"),
    [
        ("spend >= 1_000", "spnd >= 1_000", "spnd", "did you mean 'spend'"),
        ("spend >= 1_000", "spend >= 30d", '30d"}', "not a duration"),
        ("spend >= 1_000", "spend >= 1.005", "1.005", "too many decimals; EUR has 2"),
        ("orders_30d > 2", "orders_30d > 2.5", "2.5", "whole number"),
        ("quiet >= 90d", "quiet >= 90", '90"', "such as 90d"),
        ("name: gold, when", "name: gold, stay: 'spend > 1', when", "stay", "'stay' is not built yet"),
        ("name: gold, when", "name: gold, grace: 3d, when", "grace", "'grace' is not built yet"),
        ("name: gold, when", "name: gold, dwell: 3d, when", "dwell", "'dwell' is not built yet"),
        ("zone: Europe/Berlin", "zone: Europe/Berlin\nrates: {}", "rates", "'rates' is not built yet"),
        ("window: 30d", "windw: 30d", "windw", "did you mean 'window'"),
        ("window: 30d", "window: 30days", "30days", "window"),
        ("count: purchase", "count: purchases", "purchases", "count"),
        ("currency: EUR", "currency: EUX", "EUX", "ISO 4217"),
        ("zone: Europe/Berlin", "zone: Berlin", "Berlin", "IANA"),
        ("  tier:", "  step:", "step", "no ladder named 'tier'"),
        ("- {name: basic}", "- {name: basic, when: 'spend > 1'}", "{name: basic", "takes everyone else"),
        ("  active:", "  churn:", "orders_30d > 2", "taken"),
        ("tier falls to basic", "tier falls to brass", "tier falls", "tiers: gold, basic"),
        ("tier falls to basic", "teir falls to basic", "teir", "did you mean 'tier'"),
        ("due: 3d", "due: 3mo", "3mo", "no fixed length"),
        ("policy: small\n", "policy: small\npolicy: twice\n", "policy: twice", "stands here twice"),
        ("policy: small\n", "", "currency", "lacks 'policy'"),
        ("  quiet:", "  tenure:", "{since_last", "built in"),
    ],
)
def test_a_refusal_points_at_what_is_wrong_and_says_what_to_do(old, new, pointed_at, says):
    before = SMALL.replace(old, new, 1).split(pointed_at)[0]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    message = refusal(old, new)
    assert message.startswith(f"p.yaml:{line}:{column}: ")
    assert says in message


def test_what_is_not_yaml_is_said_with_its_line():
    assert refusal("policy: small\n", "policy: [\n").startswith("p.yaml:3:5: not YAML: ")


def test_aliases_are_refused_before_they_can_blow_up():
    assert "aliases" in refusal("policy: small", "policy: &a small\nzone: *a")


@given(st.binary(max_size=200))
def test_any_bytes_are_a_policy_or_a_policy_error(noise):
    with pytest.raises(PolicyError):
        parse(noise.decode("latin-1"))


@given(st.integers(0, len(SMALL) - 1), st.text(max_size=3))
def test_any_small_edit_is_a_policy_or_one_line(place, edit):
    refused = "p.yaml:"
    try:
        parse(SMALL[:place] + edit + SMALL[place + 1 :], "p.yaml")
    except PolicyError as error:
        refused = str(error)
    assert refused.startswith("p.yaml:")
    assert "\n" not in refused


def test_calendar_spans_have_no_fixed_length():
    assert span_ms("36h") == 129_600_000
    with pytest.raises(ValueError, match="no fixed length"):
        span_ms("1mo")

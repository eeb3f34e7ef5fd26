"""A policy's text compiled: what becomes of its parts, and refusals of one line with file, line and column."""

import re
from decimal import Decimal
from fractions import Fraction
from pathlib import Path

import pytest

from services.scorer.domain.churn import DAY_MS, WEEK_MS, BgNbd, GammaGamma
from services.scorer.domain.entries import CLICK, COMPLAINT, INTERACTION, NPS, OUTBOUND, PURCHASE, RATING
from services.scorer.domain.features import Ratio, Score, Which
from services.scorer.domain.policy import PolicyError, compiled, parse, span_ms
from tests.scorer.domain.full_policy import FULL

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


def refusal(text: str) -> str:
    with pytest.raises(PolicyError) as error:
        parse(text, "p.yaml")
    message = str(error.value)
    assert "\n" not in message
    return message


def feature(name: str, text: str = FULL):
    return next(f for f in parse(text).features if f.name == name)


def test_a_policy_is_compiled_into_dimensions_in_order():
    assert [(d.name, d.kind, d.values) for d in parse(FULL).dimensions] == [
        ("tier", "ladder", ("gold", "basic")),
        ("type", "class", ("at_risk", "high", "growth", "other")),
        ("north", "segment", (True, False)),
        ("won", "segment", (True, False)),
        ("slowing", "segment", (True, False)),
        ("good", "segment", (True, False)),
        ("churn", "churn", (True, False)),
    ]


def test_money_literals_are_major_units_of_the_policy_s_currency():
    assert parse(SMALL).thresholds[0].ask.limit == 99_999
    assert parse(SMALL.replace("EUR", "JPY")).thresholds[0].ask.limit == 999


def test_the_retail_policy_is_accepted():
    assert parse(RETAIL.read_text(), "retail.yaml").name == "retail"


def test_playbooks_do_not_change_the_digest_and_rules_do():
    assert parse(SMALL).digest == parse(SMALL.replace("due: 3d", "due: 4d")).digest
    assert parse(SMALL).digest != parse(SMALL.replace("> 2", "> 3")).digest
    assert parse(FULL).digest != parse(FULL.replace("a: 0.793", "a: 0.794")).digest


def test_a_digest_is_what_it_has_always_been_for_state_on_kafka_names_it():
    assert (parse(SMALL).digest, parse(FULL).digest) == ("625ed05890ea18c9", "1b9885f74713b906")


def test_a_playbook_s_condition_sets_no_timer_of_the_scorer():
    policy = parse(SMALL)
    assert len(policy.thresholds) == 3
    assert [t.index for t in policy.playbooks[0].thresholds] == [0]
    assert policy.playbooks[0].when.bits == 1


def test_features_are_the_document_s_then_the_built_in_ones_asked_for_then_attributes_and_scorecards():
    names = [f.name for f in parse(FULL).features]
    assert names[-5:] == ["tenure", "known_for", "region", "size", "quality"]
    assert [f.name for f in parse(SMALL).features] == ["spend", "orders_30d", "quiet"]
    asked_by_a_playbook = SMALL.replace('"spend > 10"', '"tenure > 1y"')
    assert [f.name for f in parse(asked_by_a_playbook).features][-1] == "tenure"


def test_the_fields_to_keep_are_those_that_conditions_ask_for_and_an_opportunity_s():
    assert parse(FULL).fields == {"channel", "opportunity", "stage"}
    assert parse(SMALL).fields == set()
    praise = SMALL.replace(
        "features:",
        "features:\n  praise: {count: feedback, where: \"score >= 9 and kind == 'nps' and channel == 'app'\"}",
    )
    assert parse(praise).fields == {"channel", "score"}  # the kind is said by the kind of the entry


def test_only_inbound_interactions_count_unless_the_direction_is_named():
    assert feature("touches").which == Which((CLICK, INTERACTION))
    assert feature("visits_out").which == Which((OUTBOUND,))
    both = FULL.replace("direction == 'outbound'", "direction in ['inbound', 'outbound']")
    assert feature("visits_out", both).which == Which((INTERACTION, OUTBOUND))


def test_feedback_is_told_apart_by_its_kind_and_a_mean_leaves_complaints_out():
    assert feature("complaints").which == Which((COMPLAINT,))
    assert feature("nps").which == Which((NPS,))
    assert feature("nps", FULL.replace(", where: \"kind == 'nps'\"", "")).which == Which((RATING, NPS))
    assert feature("mood").weights == ((RATING, Fraction(1)), (NPS, Fraction(2)), (COMPLAINT, Fraction(1, 2)))


def test_points_are_per_kind_of_entry_and_exact():
    score = feature("engagement")
    assert isinstance(score, Score)
    assert dict(score.points) == {
        PURCHASE: 10,
        CLICK: Fraction(1, 10),
        RATING: -2,
        NPS: -2,
        COMPLAINT: -2,
    }


def test_a_ratio_may_name_features_that_stand_after_it():
    text = FULL.replace("ratio: [spend, orders]", "ratio: [taken_back, later]").replace(
        "  rfm:        {rfm", "  later: {count: purchase}\n  rfm:        {rfm"
    )
    ratio = feature("basket", text)
    assert isinstance(ratio, Ratio)
    assert (ratio.top.name, ratio.bottom.name) == ("taken_back", "later")


def test_models_take_the_calibration_s_parameters():
    assert feature("alive").model == BgNbd(0.243, 4.414, 0.793, 2.426, WEEK_MS)
    assert feature("next_year", FULL.replace("unit: week", "unit: day")).model.unit_ms == DAY_MS
    assert feature("worth").model == GammaGamma(6.25, 3.74, 15.44)
    assert feature("rfm").monetary == (5_000, 20_000, 100_000, 500_000)


def test_a_scorecard_s_full_is_in_the_operand_s_unit():
    spend, nps = feature("quality").parts
    assert spend[1:] == (60, 100_000)
    assert nps[1:] == (40, 10)


def test_the_top_spend_is_minor_units_for_money_and_major_units_for_a_number():
    policy = parse(FULL.replace('"worth > 20"', '"worth > calibrated.top_spend"'))
    assert policy.top_spend == 800_000
    high = policy.dimensions[1].classes[1].when
    assert high.compared[0].constants == (800_000,)
    assert policy.playbooks[2].when.compared[0].constants == (Fraction(8_000),)


def test_rates_hold_from_local_midnights_in_minor_units_of_both_currencies():
    #        85 cents                                  90 cents
    # ───────●─────────────────────────────────────────●──────────────
    #        2000-01-01 00:00 Berlin                   2026-07-01 00:00 Berlin
    prices = parse(FULL).prices
    before, since = 1_782_856_799_999, 1_782_856_800_000
    assert (prices.of(1_000, "USD", before), prices.of(1_000, "USD", since)) == (850, 900)
    assert prices.of(1_000, "JPY", since) == 600  # 1,000 yen have no decimals, 6.00 EUR have two
    assert prices.of(1_000, "GBP", since) is None
    assert prices.rates["JPY"][0].factor == Decimal("0.6")


def test_a_class_that_is_left_triggers_its_playbook_wherever_the_customer_goes():
    left = parse(FULL).playbooks[1]
    assert left.waits_for("growth", "other")
    assert left.waits_for("growth", "high")
    assert not left.waits_for("other", "high")


@pytest.mark.parametrize(
    "written",
    [
        ">\n    quiet >= 90d\n    and spnd > 3",
        "|\n    quiet >= 90d\n\n    and   spnd > 3",
        '"quiet >= 90d\n    and spnd > 3"',
        "quiet >= 90d\n    and spnd > 3",
        "'size in [''a'', ''b''] or spnd > 3'",
        '"quiet \\x3e= 90d and\\u0020spnd > 3"',
        '"quiet >= 90d \\\n      and spnd > 3"',
    ],
)
def test_a_condition_is_pointed_into_however_yaml_has_it_written(written):
    text = SMALL.replace('"quiet >= 90d"', written) + "attributes: [size]\n"
    before = text[: text.index("spnd")]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    assert refusal(text).startswith(f"p.yaml:{line}:{column}: churn: there is no feature 'spnd'")


@pytest.mark.parametrize(
    ("old", "new", "pointed_at", "says"),
    [
        ("spend >= 1_000", "spnd >= 1_000", "spnd", "did you mean 'spend'"),
        ("spend >= 1_000", "SPEND >= 1_000", "SPEND", "did you mean 'spend'"),
        ("spend >= 1_000", "tier == 'gold'", "tier ==", "'tier' is a ladder; a condition asks for features"),
        ("spend >= 1_000", "active == 'yes'", "active ==", "'active' is a segment; a condition asks for features"),
        ("spend >= 1_000", "spend >= 30d", '30d"}', "not a duration"),
        ("spend >= 1_000", "spend == 'much'", "'much'", "not a text"),
        ("spend >= 1_000", "spend >= 1.005", "1.005", "too many decimals; EUR has 2"),
        ("spend >= 1_000", "spend >= 90_071_992_547_409.93", "90_071", "write less than 90_071_992_547_409.92"),
        ("spend >= 1_000", "spend between 5 and 3", '5 and 3"', "write between 3 and 5"),
        ("spend >= 1_000", "spend >= calibrated.top_spend", "calibrated", "no top_spend"),
        ("spend >= 1_000", "spend.minor >= 3", "spend.minor", "write spend"),
        ("orders_30d > 2", "orders_30d > 2.5", "2.5", "whole number"),
        ("quiet >= 90d", "quiet >= 90", '90"', "such as 90d"),
        ("quiet >= 90d", "quiet >= 900y", "900y", "at most 100 years"),
        ("quiet >= 90d", "quiet between 9d and 3d", '9d and 3d"', "write between 3d and 9d"),
        ("quiet >= 90d", "1d < quiet < 90d", '< 90d"', "`quiet between LOW and HIGH`"),
        ("quiet >= 90d", "(" * 1_990 + "quiet >= 90d", "(" * 1_990, "longer than 2000"),
        ("quiet >= 90d", "(" * 60 + "quiet >= 90d" + ")" * 60, "(" * 10 + "quiet", "deeper than 50 levels"),
        ("window: 30d", "windw: 30d", "windw", "did you mean 'window'"),
        ("window: 30d", "window: 30days", "30days", "as 30d, 12mo, 1y"),
        ("window: 30d", "window: [30d]", "[30d]", "expected plain text"),
        ("count: purchase", "count: purchases", "purchases", "did you mean 'purchase'"),
        ("count: purchase", "count: []", "{count: []", "no event type"),
        ("currency: EUR", "currency: EUX", "EUX", "ISO 4217"),
        ("currency: EUR", "currency: XAU", "XAU", "ISO 4217"),
        ("currency: EUR", "currency: QQQ", "QQQ", "with minor units; write three letters of ISO 4217, as EUR"),
        ("currency: EUR", "currency: RMB", "RMB", "did you mean 'CNY'?"),
        ("zone: Europe/Berlin", "zone: Berlin", "Berlin", "IANA time zone; did you mean 'Europe/Berlin'?"),
        ("zone: Europe/Berlin", "zone: Asia/Shangai", "Asia/Shangai", "did you mean 'Asia/Shanghai'?"),
        ("zone: Europe/Berlin", "zone: Asia/Beijing", "Asia/Beijing", "did you mean 'Asia/Shanghai'?"),
        ("zone: Europe/Berlin", "zone: New York", "New York", "did you mean 'America/New_York'?"),
        ("zone: Europe/Berlin", "zone: GMT+8", "GMT+8", "write one as Europe/Berlin or UTC"),
        ("zone: Europe/Berlin", "zone: ../Berlin", "../Berlin", "IANA"),
        ("zone: Europe/Berlin", "zone: localtime", "localtime", "IANA"),
        ("zone: Europe/Berlin", "zone: Factory", "Factory", "IANA"),
        ("zone: Europe/Berlin", "zone: Europe/Berlin\nholdot: 10%", "holdot", "did you mean 'holdout'"),
        ("  tier:", "  step:", "step", "no ladder named 'tier'"),
        ("- {name: basic}", "- {name: basic, when: 'spend > 1'}", "when: 'spend > 1'", "takes everyone else"),
        ("- {name: basic}", "- {name: basic, stay: 'spend > 1'}", "stay", "nobody falls out of the last tier"),
        ("- {name: basic}", "- {name: basic, dwell: 3d}", "dwell", "nobody falls out of the last tier"),
        ("- {name: basic}", "- {name: gold}", "{name: gold}", "twice"),
        ("    - {name: basic}\n", "", '- {name: gold, when: "spend >= 1_000"}', "at least two"),
        ("  active:", "  churn:", "churn: \"orders", "taken by churn"),
        ("  active:", "  tier:", "tier: \"orders", "taken by one of the ladders"),
        ("tier falls to basic", "tier falls to brass", "tier falls", "has no tier 'brass'; did you mean 'basic'"),
        ("tier falls to basic", "tier enters gol", "tier enters", "'tier' has no tier 'gol'; did you mean 'gold'?"),
        ("tier falls to basic", "tier fell to basic", "tier fell", "tiers: gold, basic"),
        ("tier falls to basic", "teir falls to basic", "teir", "did you mean 'tier'"),
        ("tier falls to basic", "active falls", "active falls", "`active enters` or `active leaves`"),
        ("due: 3d", "due: 3mo", "3mo", "no fixed length"),
        ("due: 3d}", "due: 3d}\n    webhok: win-back", "webhok", "did you mean 'webhook'"),
        ("policy: small\n", "policy: small\npolicy: twice\n", "policy: twice", "stands here twice"),
        ("policy: small\n", "", "currency", "lacks 'policy'"),
        ("policy: small\n", "policy: Small\n", "Small", "lower case letters"),
        ("policy: small\n", 'policy: "small\\n"\n', 'small\\n', "lower case letters"),
        ("policy: small\n", "policy: [small]\n", "[small]", "expected plain text"),
        ("  quiet:", "  tenure:", "tenure", "built in"),
        ("  quiet:", "  between:", "between", "a word of the language"),
        ("  quiet:", "  calibrated:", "calibrated", "a word of the language"),
    ],
)  # fmt: skip
def test_a_refusal_points_at_what_is_wrong_and_says_what_to_do(old, new, pointed_at, says):
    points_and_says(SMALL, old, new, pointed_at, says)


@pytest.mark.parametrize(
    ("old", "new", "pointed_at", "says"),
    [
        ("region in ['Hamburg', 'Kiel']", "region > 'A'", "region > 'A'", "compare it with =="),
        ("size != 'small'", "size != 3", "3\"", "is a text"),
        ("size != 'small'", "size != ''", "''\"", "the text is empty"),
        ("size != 'small'", "type != 'high'", "type != 'high'", "'type' is a list of classes; a condition asks"),
        ("trend.fewer < 0.01", "trend.less < 0.01", "trend.less", "write trend, trend.fewer, trend.more"),
        ("gaps.mean > 60d", "gaps > 60d", "gaps > 60d", "write gaps.mean, gaps.spread, gaps.variation"),
        ("rfm.r >= 3", "rfm.r >= 3.5", "3.5 and", "whole number"),
        ("alive < 0.3\"", "alive == 0.3\"", "alive == 0.3", "never exactly a number"),
        ("alive < 0.3\"", "next_year in [1, 2]\"", "next_year in", "never exactly a number"),
        ("alive < 0.3\"", "alive < 0.1234567890123456\"", "0.1234567890123456", "more than 15 digits"),
        ("spend >= calibrated.top_spend", "spend >= calibrated.top", "calibrated.top\"", "calibrated.top_spend"),
        ("touches > 10", "touches > calibrated.top_spend", "calibrated.top_spend and", "top_spend is money"),
        ("ratio: [spend, orders]", "ratio: [spend]", "[spend]", "two features"),
        ("ratio: [spend, orders]", "ratio: [spend, odrers]", "odrers", "did you mean 'orders'"),
        ("ratio: [spend, orders]", "ratio: [spend, quiet]", "quiet]", "counts and sums"),
        ("ratio: [spend, orders]", "ratio: [spend, basket]", "basket]", "basket -> basket"),
        ("basket:     {ratio: [spend, orders]}", "a: {ratio: [b, orders]}\n  b: {ratio: [orders, a]}", "a]}",
         "a -> b -> a"),
        ("recent: 30d, base", "recent: 1mo, base", "1mo, base", "no fixed length"),
        ("recent: 30d, base", "base", "{trend: [click", "needs `recent`"),
        (", half_life: 30d", "", "{score", "needs `half_life`"),
        ("half_life: 30d", "half_life: 30d, window: 30d", "window: 30d}\n  alive", "`window` does not go with `score`"),
        ("regularity: purchase", "regularity: purchase, window: 30d", "window: 30d}\n  late", "takes no settings"),
        ("{sum: refund.amount}", "{sum: refund.amount, minus: refund.amount}", "refund.amount}\n  orders",
         "`minus` goes with `sum: purchase.amount`"),
        ("{sum: refund.amount}", "{sum: refund.amount, where: \"channel == 'x'\"}", "channel == 'x'",
         "ask their orders"),
        ("{count: purchase}", "{count: purchase, sum: purchase.amount}", "{count: purchase, sum", "has count and sum"),
        ("{count: purchase}", "{window: 3d}", "{window: 3d}", "exactly one of count, sum"),
        ("{count: purchase}", "{count: profile}", "profile", "cannot stand here"),
        ("channel == 'call'", "chanel == 'call'", "chanel", "did you mean 'channel'"),
        ("channel == 'call'", "page == 'call'", "page ==", "no field 'page'"),
        ("channel == 'call'", "channel > 'call'", "channel >", "is a text"),
        ("channel == 'call'", "channel == 3", "3\"", "put it in quotes"),
        ("kind == 'complaint'", "kind == 'complain'", "'complain'", "did you mean 'complaint'"),
        ("kind == 'complaint'", "kind == 'nps' and kind == 'rating'", "kind == 'nps' and", "no event can meet"),
        ("kind == 'nps'", "kind == 'complaint'", "'complaint'\"}\n  mood", "'kind' is never 'complaint'"),
        ("kind == 'nps'", "score > 'nps'", "'nps'", "a number"),
        ("kind == 'nps'", "score between 9 and 7", "9 and 7", "write between 7 and 9"),
        ("complaint: 0.5", "complaint: 0", "0}", "above 0"),
        ("click: 0.1}", "click: 0}", "0}, half", "leave the type out"),
        ("click: 0.1}", "click: .1}", ".1}, half", "as 10_000 or 12.50"),
        ("attributes: [region, size]", "attributes: [region, orders]", "orders]", "a feature already"),
        ("attributes: [region, size]", "attributes: [region, region]", "region]", "an attribute already"),
        ("  quality:", "  region:", "region: {spend_1y", "an attribute already"),
        ("nps: {weight: 40, full: 10}", "nsp: {weight: 40, full: 10}", "nsp", "did you mean 'nps'"),
        ("nps: {weight: 40, full: 10}", "quiet: {weight: 40, full: 10}", "quiet: {weight", "counts, sums, means"),
        ("nps: {weight: 40, full: 10}", "engagement: {weight: 40, full: 10}", "engagement: {weight", "is none of them"),
        ("weight: 40", "weight: 0", "0, full: 10", "above 0"),
        ("weight: 40", "weight: 40.5", "{spend_1y: {weight", "come to 100.5, above 100; lower them"),
        ("full: 10}", "full: -10}", "-10}", "above 0"),
        ("from: [high, growth]", "from: [high, grow]", "grow]", "did you mean 'growth'"),
        ("from: [high, growth]", "from: []", "[], dwell", "no one can enter"),
        ("type leaves growth", "type leaves it", "type leaves", "'type' has no class 'it'; there are at_risk, growth,"),
        ("- {name: other,", "- {name: other, from: [high],", "from: [high]", "everyone begins in the last class"),
        ("- {name: other,", "- {name: other, when: 'orders > 1',", "when: 'orders", "takes everyone else"),
        ("- {name: growth, when: \"touches > 10 and rfm.r >= 3 and late > 1d\"", "- {name: growth", "{name: growth",
         "lacks `when`"),
        ("resources: 20%", "resources: 20", "20}", "as 40%"),
        ("  type:\n", "  tier:\n", "tier:\n    - {name: at_risk", "taken by one of the ladders"),
        ("type leaves growth", "type falls to growth", "type falls", "`type enters CLASS` or `type leaves CLASS`"),
        ("2026-07-01: 0.90", "2026-02-30: 0.90", "2026-02-30", "there is no day"),
        ("2026-07-01: 0.90", "2026-7-1: 0.90", "2026-7-1", "a day in the policy's zone"),
        ("2026-07-01: 0.90", "2026-07-01: 0", "0, 2000", "must be above 0"),
        ("2026-07-01: 0.90", "2026-07-01: 0.1234567890123", "0.1234567890123", "more than 12 digits"),
        ("  JPY: {2000-01-01: 0.006}", "  JPY: {}", "JPY", "has no rate"),
        ("  JPY:", "  EUR:", "EUR: {", "the policy's own currency"),
        ("  JPY:", "  JPX:", "JPX", "did you mean 'JPY'"),
        ("  JPY:", "  QQQ:", "QQQ", "with minor units; write three letters of ISO 4217, as EUR"),
        ("r: 0.243", "r: 0", "0, alpha", "above 0"),
        ("q: 3.74", "q: 1", "1, v", "above 1"),
        ("unit: week", "unit: month", "month", "there are day, week"),
        ("recency: [30d, 90d, 180d, 365d]", "recency: [30d, 90d, 180d]", "[30d, 90d, 180d]", "exactly 4"),
        ("frequency: [1, 2, 4, 8]", "frequency: [1, 4, 2, 8]", "2, 8]", "2 is not above 4"),
        ("frequency: [1, 2, 4, 8]", "frequency: [0, 2, 4, 8]", "0, 2", "0 is not above 0"),
        ("frequency: [1, 2, 4, 8]", "frequency: [1, 2.5, 4, 8]", "2.5", "whole number"),
        ("monetary: [50,", "monetary: [50.001,", "50.001", "too many decimals"),
        ("top_spend: 8_000", "top_spend: -3", "-3", "above 0"),
        ("  bg_nbd: {r: 0.243, alpha: 4.414, a: 0.793, b: 2.426, unit: week}\n", "", "{p_alive",
         "calibration's `bg_nbd`"),
        ("  gamma_gamma: {p: 6.25, q: 3.74, v: 15.44}\n", "", "{value: purchase}", "calibration's `gamma_gamma`"),
    ],
)  # fmt: skip
def test_every_part_of_the_language_is_refused_where_it_is_wrong(old, new, pointed_at, says):
    points_and_says(FULL, old, new, pointed_at, says)


def points_and_says(text, old, new, pointed_at, says):
    assert text.count(old), old
    spoilt = text.replace(old, new, 1)
    assert pointed_at in spoilt, pointed_at
    before = spoilt[: spoilt.index(pointed_at, max(0, spoilt.index(new) - 60) if new else 0)]
    line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
    message = refusal(spoilt)
    assert message.startswith(f"p.yaml:{line}:{column}: ")
    assert says in message


@pytest.mark.parametrize(
    ("spoilt", "place", "says"),
    [
        ("policy: [\n", "3:5", "not YAML: "),
        ("policy:\tsmall\n", "1:8", "not YAML: a tab stands here; use spaces"),
        ("rates:\n\tUSD: {}\n", "2:1", "not YAML: a tab stands here; use spaces"),
        ("policy: &a small\nzone: *a\n", "1:9", "anchors and aliases"),
        ("policy: !!python/name:os.system small\n", "1:9", "tags"),
        ("<<: {zone: UTC}\n", "1:1", "merge keys"),
        ("policy: " + "[" * 10_000 + "\n", "1:18", "nested deeper than the 10 levels"),
        ("a: &a [x, x]\nb: &b [*a, *a]\nc: &c [*b, *b]\n", "1:4", "anchors and aliases"),
        ("policy: \"a\\x07b\"\n", "1:10", "control characters"),
        ("policy: \"\\ud800\"\n", "1:10", "control characters"),
        ("? [a]\n: b\n", "1:3", "a name is plain text"),
        ("- a\n", "1:1", "expected names with values"),
    ],
)  # fmt: skip
def test_what_yaml_offers_and_a_policy_has_no_need_of_is_refused(spoilt, place, says):
    text = spoilt if spoilt.startswith("-") else SMALL.replace("policy: small\n", spoilt)
    message = refusal(text)
    assert message.startswith(f"p.yaml:{place}: ")
    assert says in message


def test_a_ladder_without_end_is_refused():
    tiers = "".join(f'    - {{name: t{i}, when: "spend >= {1_000 - i}"}}\n' for i in range(50))
    assert "'tier' has 52; 50 are the most" in refusal(SMALL.replace("    - {name: gold", tiers + "    - {name: gold"))


def test_a_text_that_is_no_policy_at_all_is_refused():
    assert "larger than" in refusal("#" * 100_001)
    assert refusal("# nothing\n") == "p.yaml:1:1: the policy is empty"
    assert "not YAML" in refusal("policy: \x00")


def test_bad_input_a_typo():
    assert "did you mean 'spend'" in refusal(SMALL.replace("spend >=", "spedn >="))


def test_bad_input_a_cycle_between_features():
    circle = "features:\n  a: {ratio: [orders_30d, b]}\n  b: {ratio: [c, spend]}\n  c: {ratio: [a, spend]}"
    assert "features go round in a circle: a -> b -> c -> a" in refusal(SMALL.replace("features:", circle))


def test_bad_input_a_unit_that_is_missing():
    assert "compare it with a span such as 90d" in refusal(SMALL.replace("90d", "90"))
    assert "as 30d, 12mo, 1y" in refusal(SMALL.replace("window: 30d", "window: 30"))


def test_bad_input_a_condition_no_one_can_meet():
    assert "no one can ever meet" in refusal(SMALL.replace("quiet >= 90d", "quiet >= 90d and quiet < 60d"))


@pytest.mark.parametrize(
    "nested", ["(" * 10_000 + "spend > 1" + ")" * 10_000, "(" * 10_000, "[" * 10_000, "{a: " * 10_000]
)
def test_bad_input_10_000_nested_brackets(nested):
    condition = SMALL.replace('"quiet >= 90d"', f'"{nested}"')
    assert "longer than 2000 characters" in refusal(condition)
    assert re.search("nested deeper|could not find expected|names with values", refusal(SMALL + f"rates: {nested}"))


def test_bad_input_a_yaml_bomb():
    bomb = "a: &a [x, x, x]\n" + "".join(
        f"{c}: &{c} [{', '.join([f'*{b}'] * 9)}]\n" for b, c in zip("abcdef", "bcdefg", strict=True)
    )
    assert refusal(bomb + SMALL).startswith("p.yaml:1:4: YAML anchors and aliases")


def test_bad_input_an_anchor():
    assert "write the part out" in refusal(SMALL.replace("currency: EUR", "currency: &c EUR"))


def test_what_cannot_hold_is_compiled_for_tests_and_refused_otherwise():
    senseless = SMALL.replace("orders_30d > 2", "orders_30d < 0")
    assert compiled(senseless).name == "small"
    assert "no one can ever meet `orders_30d < 0`" in refusal(senseless)


def test_calendar_spans_have_no_fixed_length():
    assert span_ms("36h") == 129_600_000
    with pytest.raises(ValueError, match="no fixed length"):
        span_ms("1mo")

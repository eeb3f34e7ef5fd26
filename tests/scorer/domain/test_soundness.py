"""What is provably false is refused, what looks wrong is warned of, and what makes sense passes without a word."""

from fractions import Fraction
from itertools import product

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.ingest import scores
from services.scorer.domain import formulas
from services.scorer.domain.entries import FORM, NPS, RATING
from services.scorer.domain.formulas import Formulas
from services.scorer.domain.policy import PolicyError, compiled, examined, parse
from services.scorer.domain.soundness import Finding
from services.scorer.domain.where import SCALES, can_pass
from services.scorer.domain.where import compiled as compiled_where
from tests.scorer.domain.full_policy import FULL
from tests.scorer.domain.test_lowering import answer

HEAD = """\
policy: p
currency: EUR
zone: Europe/Berlin
attributes: [region]
features:
  spend:      {sum: purchase.amount, minus: refund.amount}
  spend_1y:   {sum: purchase.amount, minus: refund.amount, window: 1y}
  gross_30d:  {sum: purchase.amount, window: 30d}
  gross_1y:   {sum: purchase.amount, window: 1y}
  spend_30d:  {sum: purchase.amount, minus: refund.amount, window: 30d}
  gross:      {sum: purchase.amount}
  back_30d:   {sum: refund.amount, window: 30d}
  orders:     {count: purchase}
  orders_30d: {count: purchase, window: 30d}
  orders_1y:  {count: purchase, window: 1y}
  web:        {count: purchase, where: "channel == 'web'"}
  spend_web:  {sum: purchase.amount, minus: refund.amount, where: "channel == 'web'"}
  refunds:    {count: refund}
  forms:      {count: form}
  clicks_30d: {count: click, window: 30d}
  touches_1y: {count: [click, interaction], window: 1y}
  calls:      {count: interaction, where: "channel == 'call'"}
  talks:      {count: interaction}
  nps:        {mean: feedback.score, where: "kind == 'nps'"}
  mood:       {feedback: {rating: 1, nps: 1}}
  nps_30d:    {mean: feedback.score, window: 30d, where: "kind == 'nps'"}
  ratings:    {count: feedback, window: 30d, where: "kind == 'nps'"}
  basket:     {ratio: [spend, orders]}
  part_web:   {ratio: [spend_web, spend]}
  pace:       {regularity: purchase}
  late:       {overdue: purchase}
  next_year:  {expected: purchase, horizon: 365d}
  quiet:      {since_last: purchase}
  since_click: {since_last: click}
  trend:      {trend: form, recent: 30d, base: 180d}
  score:      {score: {purchase: 10, click: 0.1}, half_life: 30d}
  alive:      {p_alive: purchase}
  rfm:        {rfm: purchase}
  deal:       {stage: opportunity}
scorecards:
  quality: {spend: {weight: 60, full: 1_000}, orders: {weight: 40, full: 10}}
calibration:
  bg_nbd: {r: 0.243, alpha: 4.414, a: 0.793, b: 2.426}
  rfm: {recency: [30d, 90d, 180d, 365d], frequency: [1, 2, 4, 8], monetary: [50, 200, 1_000, 5_000]}
"""
LADDER = 'ladders: {tier: [{name: gold, when: "spend_1y >= 100"}, {name: basic}]}\n'


def findings(rest: str) -> list[Finding]:
    return examined(HEAD + rest, "p.yaml")[1]


def segment(condition: str) -> list[Finding]:
    return findings(LADDER + f'segments:\n  it: "{condition}"\n')


def ladder(*tiers: str) -> list[Finding]:
    return findings("ladders:\n  tier:\n" + "".join(f"    - {tier}\n" for tier in tiers))


def classes(*given: str) -> list[Finding]:
    return findings(LADDER + "classes:\n  type:\n" + "".join(f"    - {klass}\n" for klass in given))


def found(of: list[Finding]) -> list[tuple[str, str]]:
    return [(f.severity, f.message) for f in of]


@pytest.mark.parametrize(
    "condition",
    [
        "spend < 0",
        "orders > 3 and orders < 4",
        "orders > 5 and orders < 3",
        "spend > 5 and not spend > 3",
        "orders in [-1, -2]",
        "orders == 3 and orders == 4",
        "orders between 1 and 3 and orders not between 0 and 9",
        "rfm.r > 5",
        "rfm.m == 0",
        "nps > 10",
        "nps < 0",
        "mood > 100",
        "basket < 0",
        "trend < 0",
        "trend.fewer > 1",
        "score < 0",
        "alive < 0",
        "alive <= 0",
        "quality > 100",
        "quiet > 3d and quiet < 2d",
        "quiet >= 2mo and quiet < 1mo",
        "quiet >= 1y and quiet < 300d",
        "quiet >= 366d and not quiet >= 11mo",
        "quiet >= 1y and not quiet >= 12mo",
        "quiet >= 12mo and not quiet >= 1y",
        "region == 'north' and region == 'south'",
        "region == 'north' and region not in ['north', 'south']",
        "deal == 'won' and not deal in ['won', 'lost']",
        "(spend > 5 or orders > 5) and spend < 3 and orders < 3",
        "gross_30d > 100 and gross_1y < 50",
        "clicks_30d > 10 and touches_1y <= 10",
        "calls > 3 and talks == 3",
        "quiet >= 30d and orders_30d > 0",
        "quiet >= 30d and spend_30d > 0",
        "quiet > 400d and spend_1y > 100 and region == 'north'",
        "quiet >= 2y and spend_1y >= 100",
        "orders == 0 and quiet >= 30d",
        "orders == 0 and tenure >= 1y",
        "orders >= 1 and not tenure >= 1y and not tenure < 1y",
        "since_click >= 30d and clicks_30d > 2",
        "since_click < 29d and clicks_30d == 0",
        "spend > 0 and orders == 0",
        "spend_30d > 100 and orders_30d == 0",
        "spend_30d > 100 and orders == 0",
        "spend_30d > 100 and orders_1y == 0",
        "spend_web >= 0.01 and web == 0",
        "spend > 100 and gross < 50",
        "back_30d > 0 and refunds == 0",
        "tenure >= 3y and known_for < 1y",
        "tenure >= 3y and not known_for >= 1y",
        "tenure >= 30d and known_for <= 29d",
        "quiet >= 30d and tenure < 30d",
        "since_click >= 1y and known_for < 90d",
        "deal.time >= 1y and known_for < 90d",
        "quiet < 30d and orders == 0",
        "basket > 3 and orders == 0",
        "basket > 3 and spend == 0",
        "basket >= 0 and orders_30d > 5 and orders == 0",
        "not basket >= 0 and orders > 0",
        "part_web >= 0 and spend == 0",
        "part_web > 0 and web == 0",
        "alive < 0.3 and orders == 1",
        "alive < 0.3 and orders < 2",
        "alive >= 0.3 and orders == 0",
        "not alive >= 0 and orders > 2",
        "next_year > 1 and orders == 0",
        "rfm.f >= 4 and orders < 2",
        "rfm.f >= 4 and orders <= 3",
        "rfm.f <= 3 and orders >= 4",
        "rfm.f == 1",
        "rfm.r == 5 and quiet >= 30d",
        "rfm.r >= 4 and quiet >= 365d",
        "rfm.r <= 4 and quiet < 30d",
        "rfm.r == 1 and orders_30d > 0",
        "rfm.m >= 5 and spend < 100",
        "rfm.m <= 3 and spend >= 1_000",
        "rfm.m >= 1 and orders == 0",
        "rfm.r >= 1 and not tenure >= 1ms and not tenure < 1ms",
        "pace.mean > 3d and orders < 3",
        "late > 3d and orders == 2",
        "late > 30d and quiet < 30d",
        "late >= 30d and orders_30d > 0",
        "nps_30d > 3 and ratings == 0",
        "quiet > 3d and (orders > 3 and spend > 3 and forms > 3 and nps > 3 and alive > 0.3) and quiet < 2d",
    ],
)
def test_a_condition_that_can_never_hold_is_refused(condition):
    (finding,) = segment(condition)
    assert found([finding]) == [("refuse", f"it: no one can ever meet `{condition}`; change a bound or leave it out")]
    line = HEAD.count("\n") + 3
    assert finding.place == f"p.yaml:{line}:8"
    with pytest.raises(PolicyError, match=r"p\.yaml:\d+:8: it: no one can ever meet"):
        parse(HEAD + LADDER + f'segments:\n  it: "{condition}"\n', "p.yaml")


@pytest.mark.parametrize(
    "condition",
    [
        "spend >= 0 and orders == 0 and forms > 0",
        "orders > 3 and orders < 5",
        "rfm.r >= 5",
        "nps >= 10",
        "trend.more <= 1 and trend.more >= 1",
        "quality >= 100",
        "alive > 0.7",
        "alive < 0.3 or quiet >= 180d",
        "quiet >= 1mo and quiet < 31d",  # in February
        "quiet >= 30d and quiet < 1mo",
        "not quiet > 3d and not quiet < 3d",  # 3d to the millisecond, or nothing bought yet
        "region != 'north' and region != 'south'",
        "not region == 'north' and not region != 'north'",  # not known
        "spend_1y > 100 and spend < 50",  # a refund without an order may be older than a year
        "gross_30d > 100 and gross_1y <= 101",
        "clicks_30d < 3 and touches_1y > 10",
        "talks > 3 and calls == 0",
        "quiet < 30d and gross_30d > 0",
        "quiet >= 29d and gross_30d > 0",
        "quiet >= 1y and spend_1y > 0",  # a day that a year lacks leaves at its end
        "quiet < 30d and gross_30d <= 0",  # an order of 0
        "quiet >= 90d and spend > 0",
        "tenure >= 3y and gross_30d > 0",
        "since_click < 31d and clicks_30d == 0",
        "orders == 0 and not quiet >= 30d",
        "orders == 0 and since_click >= 30d",
        "quiet >= 30d and gross_30d > 0",  # by an order that was wholly refunded
        "orders == 0 and gross > 0",
        "spend == 0 and orders > 0",
        "spend_1y > 100 and orders_30d == 0",
        "spend > 100 and web == 0",
        "spend_30d > 100 and web == 0",
        "refunds > 3 and back_30d == 0",
        "tenure >= 1mo and known_for < 1mo",  # since January 31 09:00, and January 30 10:00
        "tenure >= 30d and known_for < 1mo",
        "tenure < 1y and known_for >= 3y",
        "known_for >= 3y and not tenure >= 1ms",
        "quiet < 30d and tenure >= 30d",
        "since_click < 1y and known_for >= 1y",
        "basket > 3 and orders_30d == 0",
        "basket <= 0 and spend == 0 and orders > 0",
        "not basket > 3 and orders == 0",
        "not part_web > 0 and spend == 0",
        "not alive < 0.3 and orders <= 1",
        "alive < 0.3 and orders == 2",
        "alive >= 0.3 and orders == 1",
        "rfm.f >= 4 and orders == 4",
        "rfm.f == 2 and orders == 1",
        "rfm.r == 5 and quiet < 30d",
        "rfm.r == 4 and quiet >= 89d",
        "rfm.r <= 4 and tenure >= 30d",
        "rfm.m == 5 and spend >= 5_000",
        "rfm.m == 4 and spend >= 1_000",
        "rfm.m == 1 and orders > 0",
        "rfm.f >= 4 and orders_30d < 2",
        "pace.mean > 3d and orders == 3",
        "not late >= 1ms and orders > 9",
        "late > 30d and quiet > 30d",
        "late < 30d and quiet >= 30d",
        "not nps_30d > 3 and ratings > 0",
        "nps > 3 and ratings == 0",
    ],
)
def test_a_condition_that_can_hold_passes(condition):
    refused = [f for f in segment(condition) if f.severity == "refuse"]
    assert refused == []


@pytest.mark.parametrize(
    ("condition", "message"),
    [
        ("spend >= 0", "it: `spend >= 0` always holds; change a bound or leave it out"),
        ("orders > 3 or not orders > 2", None),
        ("orders > 3 or orders <= 3", "it: `orders > 3 or orders <= 3` always holds; change a bound or leave it out"),
        ("quiet > 3d or quiet <= 3d", None),  # nobody who never bought
        ("spend > 3 or orders < 0", "`orders < 0` never holds; leave it out"),
        ("spend > 3 and orders >= 0", "`orders >= 0` always holds; leave it out"),
        ("orders >= 2 or (orders > 5 and orders < 3)", "`orders > 5 and orders < 3` never holds; leave it out"),
        ("orders >= 2 or spend >= 5 and orders == 0", "`spend >= 5 and orders == 0` never holds; leave it out"),
        (
            "forms > 3 and not (orders > 5 and orders < 3)",
            "`not (orders > 5 and orders < 3)` always holds; leave it out",
        ),
        ("forms > 3 and (orders > 3 or orders <= 3)", "`orders > 3 or orders <= 3` always holds; leave it out"),
        ("orders > 2 or (forms > 3 and (orders < 0 or spend > 3))", "`orders < 0` never holds; leave it out"),
        ("orders > 2 or orders < 1 or forms > 3 and orders_30d > 1", None),
    ],
)
def test_a_condition_that_always_holds_or_a_part_that_says_nothing_is_warned_of(condition, message):
    assert found(segment(condition)) == ([("warn", message)] if message else [])


def test_what_would_take_too_long_to_rule_out_passes(monkeypatch):
    condition = "quiet >= 30d and spend_30d > 0"
    assert [f.severity for f in segment(condition)] == ["refuse"]
    monkeypatch.setattr(formulas, "MOST_COMPARED", 3)
    assert segment(condition) == []


def test_a_tier_no_one_can_reach_is_refused_and_its_better_named():
    (finding,) = ladder(
        '{name: gold, when: "spend_1y >= 100"}',
        '{name: silver, when: "orders > 3 and spend_1y >= 50"}',
        '{name: bronze, when: "spend_1y >= 200 and orders > 9"}',
        "{name: basic}",
    )
    assert finding.severity == "refuse"
    assert "no one can be in tier 'bronze'" in finding.message
    assert "that of 'gold'" in finding.message
    assert finding.place == f"p.yaml:{HEAD.count(chr(10)) + 5}:29"


@pytest.mark.parametrize(
    ("gold", "silver"),
    [
        ("orders >= 1", "spend_30d >= 1"),
        ("orders >= 1", "spend_30d >= 1 and forms > 3"),
        ("orders >= 2", "alive < 0.3"),
        ("known_for >= 30d", "tenure >= 1y"),
        ("orders_30d >= 1 or clicks_30d > 3", "quiet < 30d or clicks_30d > 9"),
    ],
)
def test_a_tier_whose_condition_is_enough_for_a_better_one_is_refused(gold, silver):
    of = ladder(f'{{name: gold, when: "{gold}"}}', f'{{name: silver, when: "{silver}"}}', "{name: basic}")
    assert [f.message.partition(":")[0] for f in of if f.severity == "refuse"] == ["no one can be in tier 'silver'"]
    swapped = ladder(f'{{name: gold, when: "{silver}"}}', f'{{name: silver, when: "{gold}"}}', "{name: basic}")
    assert [f for f in swapped if f.severity == "refuse"] == []


def test_a_tier_that_several_better_ones_leave_nothing_of_is_refused():
    (finding,) = ladder(
        '{name: gold, when: "spend_1y >= 100"}',
        '{name: silver, when: "clicks_30d > 3"}',
        '{name: bronze, when: "spend_1y >= 200 or clicks_30d > 9"}',
        "{name: basic}",
    )
    assert "'gold' or 'silver'" in finding.message


def test_a_tier_that_is_only_fallen_into_can_be_reached():
    assert (
        ladder(
            '{name: gold, when: "spend_1y >= 100"}',
            '{name: silver, when: "spend_1y >= 200", stay: "spend_1y >= 50"}',
            "{name: basic}",
        )
        == []
    )


def test_a_class_no_one_can_reach_is_refused_unless_the_one_before_can_be_entered_from_few():
    (finding,) = classes('{name: a, when: "orders_30d > 3"}', '{name: b, when: "orders_30d > 5"}', "{name: c}")
    assert finding.severity == "refuse"
    assert "no one can be in class 'b'" in finding.message
    assert (
        classes('{name: a, when: "orders_30d > 3", from: [c]}', '{name: b, when: "orders_30d > 5"}', "{name: c}") == []
    )


def test_a_last_class_that_those_before_leave_no_one_for_is_refused_unless_one_can_be_entered_from_it():
    (finding,) = classes('{name: a, when: "orders_30d >= 1"}', '{name: b, when: "orders_30d == 0"}', "{name: c}")
    assert finding.severity == "refuse"
    assert finding.message.startswith("no one can be in class 'c': everyone meets the condition of one before it; ")
    kept = ['{name: a, when: "orders_30d >= 1"}', '{name: b, when: "orders_30d == 0"}', "{name: c}"]
    assert classes('{name: new, when: "orders_30d > 3", from: [c]}', *kept) == []
    assert classes('{name: a, when: "nps >= 9"}', '{name: b, when: "nps < 9"}', "{name: c}") == [], "or unknown"


def test_a_last_tier_that_every_event_brings_everyone_above_is_warned_of():
    (finding,) = ladder('{name: a, when: "orders_30d >= 1"}', '{name: b, when: "orders_30d < 1"}', "{name: c}")
    assert finding.severity == "warn"
    assert finding.message == "every event brings a customer above 'c', the last tier; make the others harder to meet"


def test_a_class_that_is_entered_only_from_where_no_one_is_is_refused():
    (finding,) = classes(
        '{name: a, when: "clicks_30d > 3", from: [b]}', '{name: b, when: "orders_30d > 3", from: [a, b]}', "{name: c}"
    )[:1]
    assert "no one can be in class 'a': no one is in those of its `from`" in finding.message
    assert (
        classes('{name: a, when: "clicks_30d > 3", from: [b]}', '{name: b, when: "orders_30d > 3"}', "{name: c}") == []
    )


@pytest.mark.parametrize(
    ("given", "says"),
    [
        (['{name: a, when: "known_for >= 30d"}'], "no one ever leaves class 'a'; use windows"),
        (['{name: a, when: "tenure >= 1y"}'], "no one ever leaves class 'a' but by a refund;"),
        (['{name: b, when: "known_for < 30d"}', '{name: a, when: "known_for >= 30d"}'], "leaves class 'a';"),
        (['{name: b, when: "quiet < 9d", from: [c]}', '{name: a, when: "known_for >= 30d"}'], "leaves class 'a';"),
        (['{name: b, when: "quiet < 9d", from: [a]}', '{name: a, when: "known_for >= 30d"}'], None),
        (['{name: b, when: "tenure < 30d"}', '{name: a, when: "known_for >= 30d"}'], None),
        (['{name: a, when: "known_for < 30d"}'], None),
        (['{name: a, when: "orders_30d >= 3"}'], None),
        (['{name: a, when: "tenure >= 1y and orders_1y > 0"}'], None),
    ],
)
def test_a_class_never_left_is_warned_of(given, says):
    of = classes(*given, "{name: c}")
    assert [f.severity for f in of] == (["warn"] if says else [])
    assert all(says in f.message for f in of)


@pytest.mark.parametrize("condition", ["alive < 0.7537", "alive >= 0.9", "orders > 3 or alive between 0.1 and 0.8"])
def test_a_threshold_of_p_alive_at_or_above_b_over_a_plus_b_is_refused(condition):
    (finding,) = segment(condition)  # 2.426 / (0.793 + 2.426) = 0.75365...
    assert finding.severity == "refuse"
    assert "b/(a+b) = 0.7537; take a threshold below it" in finding.message


def test_a_threshold_of_p_alive_just_below_passes_and_one_just_at_it_does_not():
    text = HEAD.replace("a: 0.793, b: 2.426", "a: 1, b: 3") + LADDER
    assert examined(text + 'segments: {it: "alive < 0.749999"}\n')[1] == []
    assert [f.severity for f in examined(text + 'segments: {it: "alive < 0.75"}\n')[1]] == ["refuse"]


@pytest.mark.parametrize(
    ("feature", "refused"),
    [
        ("{count: click, window: 400d}", False),
        ("{count: click, window: 401d}", True),
        ("{count: [form, interaction], window: 13mo}", False),
        ("{count: [form, interaction], window: 14mo}", True),
        ("{count: interaction, window: 2y, where: \"direction == 'outbound'\"}", True),
        ("{count: form, window: 5y}", False),
        ("{count: click}", False),
        ("{trend: click, recent: 30d, base: 370d}", False),
        ("{trend: click, recent: 31d, base: 370d}", True),
        ("{trend: purchase, recent: 31d, base: 370d}", False),
    ],
)
def test_a_window_over_clicks_or_interactions_longer_than_they_are_kept_is_refused(feature, refused):
    of = examined(HEAD.replace("scorecards:", f"  long: {feature}\nscorecards:") + LADDER)[1]
    assert [f.severity for f in of] == ["refuse"] * refused
    assert all("exact for 400 days" in f.message for f in of)


def test_a_currency_whose_rates_begin_late_is_warned_of():
    of = findings(LADDER + "rates:\n  USD: {2026-03-01: 1, 2026-01-01: 1}\n  JPY: {2000-01-01: 1}\n")
    assert found(of) == [
        ("warn", "USD has no rate before 2026-01-01, so earlier orders count as 0; date the first one 2000-01-01")
    ]
    assert of[0].place.endswith(":24")


@pytest.mark.parametrize(
    ("stay", "says"),
    [
        ("spend_1y >= 100", "says the same as `when`"),
        ("spend_1y >= 200", "is stricter than `when`"),
        ("spend_1y >= 90", None),
        ("spend_1y >= 200 or orders > 3", None),
    ],
)
def test_a_stay_that_keeps_no_one_is_warned_of(stay, says):
    of = ladder(f'{{name: gold, when: "spend_1y >= 100", stay: "{stay}"}}', "{name: basic}")
    assert [f.severity for f in of] == (["warn"] if says else [])
    assert all(says in f.message for f in of)


@pytest.mark.parametrize(
    ("tier", "says"),
    [
        ('when: "forms > 3"', "no one ever falls out of tier 'gold'; use windows"),
        ('when: "forms > 3 and known_for >= 1y"', "falls out of tier 'gold';"),
        ('when: "spend > 3 or orders >= 5"', "falls out of tier 'gold' but by a refund;"),
        ('when: "spend > 3 and clicks_30d > 2", stay: "spend > 2"', "falls out of tier 'gold' but by a refund;"),
        ('when: "spend_1y > 3 or orders >= 5"', None),
        ('when: "orders between 3 and 5"', None),
        ('when: "quiet < 30d"', None),
        ('when: "tenure < 30d"', None),
        ('when: "spend_1y > 3", stay: "orders >= 5"', None),
    ],
)
def test_a_tier_never_left_is_warned_of(tier, says):
    of = ladder(f"{{name: gold, {tier}}}", "{name: basic}")
    assert [f.severity for f in of] == (["warn"] if says else [])
    assert all(says in f.message for f in of)


def test_resources_that_do_not_add_up_are_warned_of():
    of = classes('{name: a, when: "orders_30d > 3", resources: 40%}', "{name: b, resources: 59.5%}")
    assert found(of) == [("warn", "the resources of 'type' add up to 99.5%, not to 100%; change a share")]
    assert classes('{name: a, when: "orders_30d > 3", resources: 40%}', "{name: b, resources: 60%}") == []


def test_a_mean_of_ratings_and_nps_together_is_warned_of():
    of = examined(HEAD.replace("{mean: feedback.score, where: \"kind == 'nps'\"}", "{mean: feedback.score}") + LADDER)[
        1
    ]
    assert [f.severity for f in of] == ["warn"]
    assert "NPS of 0 to 10 are mixed" in of[0].message


def test_a_playbook_s_condition_is_looked_at_too():
    of = findings(
        LADDER + 'playbooks:\n  - {on: "tier enters gold", when: "orders < 0", task: {title: "t", to: "x", due: 1d}}\n'
    )
    assert found(of) == [("refuse", "playbook 1: no one can ever meet `orders < 0`; change a bound or leave it out")]


TASK = 'task: {title: "t", to: "x", due: 1d}'
THREE = """\
ladders:
  tier:
    - {name: gold, when: "spend_1y >= 100", stay: "spend_1y >= 50"}
    - {name: silver, when: "orders_1y >= 3"}
    - {name: basic}
classes:
  type: [{name: new, when: "tenure < 30d"}, {name: old}]
segments:
  calm: "quiet >= 90d"
"""


def playbook(on: str, when: str | None = None) -> list[Finding]:
    asked = f'when: "{when}", ' if when else ""
    return findings(f'{THREE}playbooks:\n  - {{on: "{on}", {asked}{TASK}}}\n')


@pytest.mark.parametrize(
    ("on", "message"),
    [
        ("tier rises to basic", "no one ever rises to 'basic', the last tier; write `tier falls to basic`"),
        ("tier falls to gold", "no one ever falls to 'gold', the best tier; write `tier rises to gold`"),
        ("tier rises to silver", None),
        ("tier falls to silver", None),
        ("tier enters basic", None),
        ("tier rises", None),
    ],
)
def test_a_playbook_that_waits_for_what_never_happens_is_refused(on, message):
    assert found(playbook(on)) == ([("refuse", message)] if message else [])
    assert all(f.place == f"p.yaml:{(HEAD + THREE).count(chr(10)) + 2}:11" for f in playbook(on))


@pytest.mark.parametrize(
    ("on", "when", "warned"),
    [
        ("tier rises to gold", "spend_1y < 60", True),
        ("tier rises to gold", "spend_1y < 200", False),
        ("tier enters gold", "orders == 0", True),
        ("tier enters gold", "spend_1y < 60", False),  # fallen into from above, were there a tier
        ("tier enters silver", "orders < 2", True),
        ("tier falls to silver", "orders < 2 or forms > 0", False),
        ("tier enters basic", "orders == 0", False),
        ("tier rises", "orders == 0", False),
        ("type enters new", "known_for > 1y", False),
        ("type enters new", "orders == 0", True),
        ("type leaves new", "tenure >= 1y", False),
        ("calm enters", "orders_30d > 0", True),
        ("calm leaves", "orders_30d > 0", False),
    ],
)
def test_a_playbook_whose_condition_contradicts_that_of_the_move_is_warned_of(on, when, warned):
    of = playbook(on, when)
    assert [f.severity for f in of] == ["warn"] * warned
    assert all(f"at `{on}` hardly anyone meets `{when}`: it contradicts" in f.message for f in of)


@pytest.mark.parametrize(
    ("feature", "passes"),
    [
        ("{count: interaction, where: \"channel == 'phone' and channel == 'mail'\"}", False),
        ("{mean: feedback.score, where: \"kind == 'nps' and score > 10\"}", False),
        ("{mean: feedback.score, where: \"kind == 'rating' and score < 1\"}", False),
        ("{mean: feedback.score, where: \"kind == 'rating' and score == 6\"}", False),
        ("{mean: feedback.score, where: \"score > 5 and not kind == 'nps'\"}", False),
        ("{count: feedback, where: \"kind == 'complaint' and score < 3\"}", False),
        ("{sum: purchase.amount, where: \"channel in ['a'] and channel != 'a'\"}", False),
        ("{since_last: click, where: \"page == 'a' and not page in ['a', 'b']\"}", False),
        ("{trend: click, recent: 3d, base: 9d, where: \"page == 'a' and page == 'b'\"}", False),
        ('{feedback: {rating: 1}, where: "score between 2 and 3 and score > 3"}', False),
        ("{count: stage, where: \"stage == 'won' and stage == 'lost'\"}", False),
        ("{mean: feedback.score, where: \"kind == 'nps' and score >= 10\"}", True),
        ('{mean: feedback.score, where: "score < 1"}', True),
        ('{mean: feedback.score, where: "score > 2 and score < 3"}', True),
        ("{mean: feedback.score, where: \"score > 5 or kind == 'rating'\"}", True),
        ('{count: feedback, where: "not score <= 10"}', True),
        ("{count: interaction, where: \"channel != 'phone' and channel != 'mail'\"}", True),
        ("{count: interaction, where: \"not channel == 'a' and not channel != 'a'\"}", True),
        ("{count: [click, interaction], where: \"page == 'home' and channel == 'web'\"}", True),
    ],
)
def test_a_filter_that_no_event_can_pass_is_refused(feature, passes):
    of = examined(HEAD.replace("scorecards:", f"  it: {feature}\nscorecards:") + LADDER, "p.yaml")[1]
    message = "feature 'it', where: no event can meet this condition; change it, or leave it out"
    assert found(of) == ([] if passes else [("refuse", message)])
    line = HEAD.count("\n", 0, HEAD.index("scorecards:")) + 1
    assert all(f.place == f"p.yaml:{line}:{feature.index('where: ') + 15}" for f in of)


def test_a_filter_of_too_many_combinations_passes():
    many = ", ".join(f"'{i}'" for i in range(120))
    condition = f"channel in [{many}] and form in [{many}] and channel == 'a' and channel == 'b'"
    assert can_pass(compiled_where(condition, [FORM]))


def test_scores_are_on_the_scales_that_ingest_takes():
    assert {"rating": SCALES[RATING], "nps": SCALES[NPS]} == scores.SCALES


def test_a_policy_that_makes_sense_passes_without_a_word():
    assert examined(FULL)[1] == []


def test_findings_stand_in_the_order_of_the_document():
    of = findings(LADDER + 'segments:\n  a: "orders >= 0"\n  b: "spend >= 0"\nrates: {USD: {2026-01-01: 1}}\n')
    assert [f.message.split()[0] for f in of] == ["a:", "b:", "USD"]


def test_what_would_take_too_long_to_look_at_passes():
    many = " and ".join(f"(orders != {i} or spend != {i})" for i in range(40))
    assert [f for f in segment(many) if f.severity == "refuse"] == []


VALUES = {
    "orders": list(range(7)),
    "forms": list(range(7)),
    "nps": [None, *(Fraction(n, 2) for n in range(21))],
    "region": [None, "a", "b", "c"],
    "quiet": [None, *range(7)],
}
PARTS = st.one_of(
    st.builds(
        "{} {} {}".format,
        st.sampled_from(["orders", "forms", "nps"]),
        st.sampled_from(["<", "<=", ">", ">=", "==", "!="]),
        st.integers(-1, 5),
    ),
    st.builds("orders between {} and {}".format, st.integers(-1, 2), st.integers(2, 5)),
    st.builds("region {} '{}'".format, st.sampled_from(["==", "!="]), st.sampled_from("ab")),
    st.builds("quiet {} {}ms".format, st.sampled_from(["<", "<=", ">", ">="]), st.integers(1, 5)),
)
CONDITIONS = st.recursive(
    PARTS,
    lambda inner: (
        st.builds("({} and {})".format, inner, inner)
        | st.builds("({} or {})".format, inner, inner)
        | st.builds("not {}".format, inner)
    ),
    max_leaves=6,
)


def _can_be(values: dict[str, object]) -> bool:
    """Who has ordered, and they alone, has a last order."""
    return not {"orders", "quiet"} <= values.keys() or (values["orders"] == 0) == (values["quiet"] is None)


@settings(deadline=None)
@given(CONDITIONS)
def test_what_is_said_to_be_possible_is_what_some_values_meet(condition):
    policy = compiled(HEAD + LADDER + f'segments: {{it: "{condition}"}}\n')
    rule = policy.dimensions[1].rule
    asked = sorted({c.operand.name for c in rule.compared})
    met = [
        rule.holds(
            sum(
                answer(t.ask, value) << t.index
                for name, value in zip(asked, values, strict=True)
                for t in policy.thresholds
                if t.operand.name == name
            )
        )
        for values in product(*(VALUES[name] for name in asked))
        if _can_be(dict(zip(asked, values, strict=True)))
    ]
    formulas = Formulas(rule)
    assert formulas.possible(formulas.of(rule)) == any(met)
    assert formulas.possible(formulas.of(rule, holds=False)) == (not all(met))


@pytest.mark.parametrize("condition", ["clicks_30d > 256", "clicks_30d >= 257", "touches_1y between 3 and 300"])
def test_a_window_asked_for_more_clicks_than_are_kept_one_by_one_is_warned_of(condition):
    [(severity, message)] = found(segment(condition))
    assert (severity, message.split(": ")[0]) == ("warn", f"`{condition}`")
    assert "more than 1,000 events the newest 256 clicks or interactions are sure to be whole" in message


@pytest.mark.parametrize("condition", ["clicks_30d > 255", "clicks_30d >= 256", "talks >= 1_000", "orders_30d >= 300"])
def test_one_asked_for_what_is_kept_one_by_one_is_not(condition):
    assert segment(condition) == []

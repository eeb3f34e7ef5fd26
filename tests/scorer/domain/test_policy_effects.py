"""What a policy says beside its rules: what playbooks do, the hold-out, customers' codes; and what of it must wait."""

import pytest

from services.scorer.domain.pending import refuse_pending
from services.scorer.domain.policy import PolicyError, parse
from tests.scorer.domain.full_policy import EXCERPT, FULL
from tests.scorer.domain.test_policy import points_and_says

TEMPLATE = "{region}-{type}-{channel}-{importance}-{serial:06}"
LONG = "x" * 10_000


def test_the_excerpt_is_a_policy_whose_playbooks_do_what_they_say():
    welcome, call, win_back = parse(EXCERPT).playbooks
    assert (welcome.task.to, welcome.task.due) == ("owner", "9 working hours")
    assert (call.task.to, call.task.due) == ("team sales", "3 working days")
    assert [(p.alert, p.webhook) for p in (welcome, call, win_back)] == [
        (False, None),
        (False, None),
        (True, "win-back"),
    ]
    assert win_back.task is None


def test_hold_out_and_code_decide_nothing_so_the_digest_is_the_same_without_them():
    without = EXCERPT[: EXCERPT.index("holdout:")]
    assert parse(without).digest == parse(EXCERPT).digest


@pytest.mark.parametrize(
    ("old", "new"),
    [
        ("9 working hours", "1 working hour"),
        ("9 working hours", "999 working days"),
        ("9 working hours", "36h"),
        ("to: owner", "to: key accounts"),
        ("to: owner", "to: owners"),
        ("to: owner", "to: Teamwork"),
        ("to: team sales", "to: team 华北"),
        ("alert: true, ", ""),
        (", webhook: win-back", ""),
        ("alert: true", "alert: false"),
        ("holdout: 10%", "holdout: 0%"),
        ("holdout: 10%", "holdout: 2.5%"),
        ("holdout: 10%", "holdout: 100%"),
        (TEMPLATE, "{serial}"),
        (TEMPLATE, "K{serial:012}.{tier}_{size}"),
    ],
)
def test_each_part_may_be_said_in_its_forms(old, new):
    assert old in EXCERPT
    assert parse(EXCERPT.replace(old, new)).name == "retail"


@pytest.mark.parametrize(
    ("old", "new", "pointed_at", "says"),
    [
        ("9 working hours", "9 wroking hours", "9 wroking", "wanted: as 36h, 9 working hours or 3 working days"),
        ("9 working hours", "9 working weeks", "9 working", "as 36h, 9 working hours or 3 working days"),
        ("9 working hours", "0 working hours", "0 working", "as 36h, 9 working hours"),
        ("9 working hours", "1.5 working days", "1.5 working", "as 36h, 9 working hours"),
        ("9 working hours", "1000 working days", "1000 working", "at most 999"),
        ("9 working hours", "3mo", "3mo", "no fixed length"),
        ("9 working hours", "900000000w", "900000000w", "at most 100 years"),
        ("9 working hours", LONG, LONG, "as 36h, 9 working hours"),
        ("to: owner", "to: Owner", "Owner", "`owner`, `team NAME`"),
        ("to: owner", f"to: {LONG}", LONG, "`owner`, `team NAME`"),
        ("to: team sales", "to: team", "team, due", "`team NAME` with a name of one word"),
        ("to: team sales", "to: Team sales", "Team sales", "`team NAME` with a name of one word"),
        ("to: team sales", "to: team inside sales", "team inside", "`team NAME` with a name of one word"),
        ("alert: true", "alert: yes", "yes", "there are false, true"),
        ("alert: true", "alert: ture", "ture", "did you mean 'true'"),
        ("alert: true", f"alert: {LONG}", LONG, "there are false, true"),
        ("alert: true, webhook: win-back", "alert: false", "{on: \"churn", "does nothing: give it a `task`"),
        (", alert: true, webhook: win-back", "", "{on: \"churn", "does nothing: give it a `task`"),
        ("webhook: win-back", "webhook: win back", "win back", "lower case letters, digits, _ and -"),
        ("webhook: win-back", "webhook: https://example.org", "https:", "lower case letters, digits, _ and -"),
        ("webhook: win-back", f"webhook: {LONG}", LONG, "lower case letters, digits, _ and -"),
        ("webhook: win-back", "webhok: win-back", "webhok", "did you mean 'webhook'"),
        ("holdout: 10%", "holdout: 10", "10\n", "as 10% or 2.5%"),
        ("holdout: 10%", "holdout: 0.1", "0.1\n", "as 10% or 2.5%"),
        ("holdout: 10%", "holdout: 100.5%", "100.5%", "from 0% to 100%"),
        ("holdout: 10%", "holdout: -1%", "-1%", "from 0% to 100%"),
        ("holdout: 10%", "holdout: 1.00001%", "1.00001%", "at most 4 decimals"),
        ("holdout: 10%", f"holdout: 1.{'0' * 10_000}%", "1.000", "at most 4 decimals"),
        ("holdout: 10%", "holdot: 10%", "holdot", "did you mean 'holdout'"),
        (TEMPLATE, "{regoin}-{serial}", "regoin", "there is no field 'regoin'; did you mean 'region'"),
        (TEMPLATE, "{Region}-{serial}", "Region", "did you mean 'region'"),
        (TEMPLATE, "{north}-{serial}", "north", "there are channel, importance, industry, region, serial, size"),
        (TEMPLATE, "{spend_1y}-{serial}", "spend_1y}-", "there is no field 'spend_1y'"),
        (TEMPLATE, "{}-{serial}", "}-{serial}\"", "there is no field ''"),
        (TEMPLATE, "{ region }-{serial}", " region }", "did you mean 'region'"),
        (TEMPLATE, "{region:03}-{serial}", "region:03", "only the serial has a width; write {region}"),
        (TEMPLATE, "{serial:6}", "serial:6", "as {serial:06}, from 01 to 012"),
        (TEMPLATE, "{serial:}", "serial:}", "as {serial:06}, from 01 to 012"),
        (TEMPLATE, "{serial:013}", "serial:013", "as {serial:06}, from 01 to 012"),
        (TEMPLATE, "{serial:00}", "serial:00", "as {serial:06}, from 01 to 012"),
        (TEMPLATE, "{region}-{type}", "{region}-{type}\"", "two might have the same; add it, as {serial:06}"),
        (TEMPLATE, "serial", "serial\"\n", "without {serial} two might"),
        (TEMPLATE, "{region-{serial}", "{region-", "'{' without its other brace"),
        (TEMPLATE, "region}-{serial}", "}-{serial}", "'}' without its other brace"),
        (TEMPLATE, "{{region}}-{serial}", "{{region", "'{' without its other brace"),
        (TEMPLATE, "K {serial}", " {serial}", "a code has no blanks"),
        (TEMPLATE, "{serial}" + LONG, "{serial}x", "longer than 200 characters"),
        (f'"{TEMPLATE}"', "{serial:06}", "{serial:06}", "a template in quotes, as '{region}-{serial:06}'"),
        ("attributes: [region, industry, size]", "attributes: [region, type]", "type}-{channel}",
         "'type' is attribute and class at once"),
    ],
    ids=lambda text: text[:60],
)  # fmt: skip
def test_each_part_is_refused_where_it_is_wrong(old, new, pointed_at, says):
    points_and_says(EXCERPT, old, new, pointed_at, says)


def test_what_is_not_carried_out_yet_is_known_of_the_policy_in_the_order_of_the_document():
    parts = parse(EXCERPT, "p.yaml").pending
    assert [part.part for part in parts] == [
        "to: owner",
        "due: 9 working hours",
        "to: team sales",
        "due: 3 working days",
        "alert: true",
        "webhook: win-back",
        "holdout: 10%",
        f"code: {TEMPLATE}",
    ]
    assert str(parts[0]) == ("p.yaml:49:60: checked, but not carried out yet: `to: owner`; name a queue or a person")
    above = "holdout: 10%\n" + EXCERPT.replace("holdout: 10%\n", "")
    assert parse(above, "p.yaml").pending[0].place == "p.yaml:1:1"


def test_what_says_that_nothing_is_to_be_done_is_carried_out():
    text = FULL + "holdout: 0.0%\n"
    text = text.replace("due: 3d, priority: low}}", "due: 3d, priority: low}, alert: false}")
    assert "alert" in text
    assert parse(text).pending == ()


def test_who_puts_a_policy_in_force_is_told_of_the_first_part_that_must_wait():
    refuse_pending(parse(FULL))
    with pytest.raises(PolicyError, match=r"^p\.yaml:49:60: .*`to: owner`; name a queue or a person$"):
        refuse_pending(parse(EXCERPT, "p.yaml"))
    remedied = EXCERPT.replace("to: owner", "to: sales").replace("team sales", "sales")
    with pytest.raises(PolicyError, match=r"`due: 9 working hours`; write a fixed span, as 2d$"):
        refuse_pending(parse(remedied))
    with pytest.raises(PolicyError, match=r"`holdout: 2%`; leave it out$"):
        refuse_pending(parse(FULL + "holdout: 2%\n"))

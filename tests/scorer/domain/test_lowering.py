"""Every comparison comes down to thresholds without changing what it says, now or when it flips."""

import operator

from hypothesis import given
from hypothesis import strategies as st

from services.scorer.domain import policy as policies
from services.scorer.domain.entries import CLICK, PURCHASE, Entry
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.paths import look, look_next

SAYS = {
    ">": operator.gt,
    ">=": operator.ge,
    "<": operator.lt,
    "<=": operator.le,
    "==": operator.eq,
    "!=": operator.ne,
}
HOUR = 3_600_000


def segment(expression: str) -> policies.Policy:
    return policies.parse(
        f"""
policy: p
currency: EUR
zone: UTC
features: {{clicks: {{count: click, window: 5h}}, quiet: {{since_last: purchase}}}}
ladders: {{tier: [{{name: top, when: "clicks > 1000"}}, {{name: floor}}]}}
segments: {{it: "{expression}"}}
"""
    )


def ledger(kind: int, hours: list[int]) -> Ledger:
    return Ledger([Entry(h * HOUR, i, kind) for i, h in enumerate(sorted(hours))], "EUR")


hours = st.lists(st.integers(0, 8), min_size=1, max_size=6)


@given(hours, st.integers(0, 16), st.sampled_from(sorted(SAYS)), st.integers(0, 4))
def test_a_count_compares_as_numbers_do(entered, now, sign, constant):
    count = sum(h <= now < h + 5 for h in entered)
    expected = SAYS[sign](count, constant) and now >= min(entered)
    assert look(segment(f"clicks {sign} {constant}"), ledger(CLICK, entered), now * HOUR).positions[1] == expected


@given(hours, st.integers(0, 16), st.booleans(), st.integers(0, 4), st.integers(0, 4))
def test_between_and_in_are_inclusive_and_can_be_negated(entered, now, negate, low, high):
    low, high = sorted((low, high))
    count = sum(h <= now < h + 5 for h in entered)
    word = "not " if negate else ""
    known = now >= min(entered)
    between = look(segment(f"clicks {word}between {low} and {high}"), ledger(CLICK, entered), now * HOUR)
    one_of = look(segment(f"clicks {word}in [{low}, {high}]"), ledger(CLICK, entered), now * HOUR)
    assert between.positions[1] == (((low <= count <= high) != negate) and known)
    assert one_of.positions[1] == (((count in (low, high)) != negate) and known)


@given(st.integers(0, 8), st.integers(0, 20), st.sampled_from(sorted(SAYS)), st.integers(1, 8))
def test_an_age_compares_as_numbers_do(bought, now, sign, constant):
    expected = now >= bought and SAYS[sign](now - bought, constant)
    assert look(segment(f"quiet {sign} {constant}h"), ledger(PURCHASE, [bought]), now * HOUR).positions[1] == expected


@given(st.integers(1, 20), st.sampled_from([*sorted(SAYS), "not in", "not between"]))
def test_a_comparison_with_an_unknown_is_false(now, sign):
    constants = {"not in": "[2h]", "not between": "1h and 2h"}.get(sign, "2h")
    clicked = ledger(CLICK, [0])
    assert not look(segment(f"quiet {sign} {constants}"), clicked, now * HOUR).positions[1]
    assert look(segment(f"not quiet {sign} {constants}"), clicked, now * HOUR).positions[1]


@given(hours, st.sampled_from(["clicks > 1", "clicks == 2", "clicks between 1 and 2", "clicks != 1", "clicks < 3"]))
def test_looking_only_where_something_may_flip_misses_nothing(entered, expression):
    policy, known = segment(expression), ledger(CLICK, entered)
    seen = {}
    moment = look(policy, known, min(entered) * HOUR)
    while True:
        seen[moment.at_ms] = moment.positions
        if moment.next_ms >= NEVER:
            break
        moment = look_next(policy, known, moment)
    held = None
    for at_ms in range(min(entered) * HOUR, 20 * HOUR, HOUR // 2):
        held = seen.get(at_ms, held)
        assert look(policy, known, at_ms).positions == held


def test_the_same_threshold_is_looked_at_once_for_the_whole_policy():
    assert [t.limit for t in segment("clicks > 2 or clicks <= 2 or clicks >= 3 or clicks == 3").thresholds] == [
        1000,
        2,
        3,
    ]

"""Conditions on the fields of an event: what they say, and of which entries they are asked."""

import operator
from fractions import Fraction

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scorer.domain.entries import (
    CLICK,
    COMPLAINT,
    FORM,
    INTERACTION,
    KEPT,
    NPS,
    OUTBOUND,
    PURCHASE,
    RATING,
    STAGE,
)
from services.scorer.domain.expressions import ExpressionError
from services.scorer.domain.where import KIND_SAYS, compiled


def holds(text: str, fields: dict[str, str | Fraction], kinds=(CLICK, RATING, NPS)) -> bool:
    where = compiled(text, kinds).where
    assert where is not None
    return where.holds(fields)


@pytest.mark.parametrize(
    ("text", "fields", "expected"),
    [
        ("channel == 'call'", {"channel": "call"}, True),
        ("channel == 'call'", {"channel": "Call"}, False),
        ("channel != 'call'", {"channel": "chat"}, True),
        ("channel in ['call', 'chat']", {"channel": "chat"}, True),
        ("channel not in ['call', 'chat']", {"channel": "mail"}, True),
        ("score >= 8.5", {"score": Fraction(17, 2)}, True),
        ("score between 1 and 2", {"score": Fraction(2)}, True),
        ("score not between 1 and 2", {"score": Fraction(2)}, False),
        ("channel == 'call' or page == 'x' and channel == 'chat'", {"channel": "chat", "page": "x"}, True),
        ("not (channel == 'call' or page == 'x')", {"channel": "chat", "page": "y"}, True),
    ],
)
def test_fields_are_compared_as_they_are(text, fields, expected):
    assert holds(text, fields) is expected


@pytest.mark.parametrize("sign", ["== 'a'", "!= 'a'", "in ['a']", "not in ['a']"])
def test_a_comparison_with_a_field_that_is_not_there_is_false_and_its_denial_true(sign):
    assert not holds(f"channel {sign}", {})
    assert holds(f"not channel {sign}", {})


SIGNS = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}


@given(st.sampled_from(sorted(SIGNS)), st.integers(0, 4), st.none() | st.integers(0, 4))
def test_scores_compare_as_numbers_do(sign, constant, score):
    expected = score is not None and SIGNS[sign](score, constant)
    fields = {} if score is None else {"score": Fraction(score)}
    assert holds(f"score {sign} {constant}", fields) == expected


def test_what_the_kind_of_an_entry_says_is_not_asked_of_each():
    every = compiled("direction == 'outbound'", (CLICK, INTERACTION))
    assert (every.kinds, every.where) == ((OUTBOUND,), None)
    assert compiled("kind != 'complaint'", (RATING, NPS, COMPLAINT)).kinds == (RATING, NPS)
    assert compiled("not direction == 'outbound'", (CLICK, INTERACTION)).kinds == (CLICK, INTERACTION)


def test_a_condition_that_names_the_direction_is_asked_of_both_directions():
    calls_out = compiled("direction == 'outbound' and channel == 'call'", (INTERACTION,))
    assert calls_out.kinds == (INTERACTION, OUTBOUND)
    assert calls_out.where is not None
    assert calls_out.where.names == {"direction", "channel"}
    assert compiled("channel == 'call'", (INTERACTION,)).kinds == (INTERACTION,)


@pytest.mark.parametrize(
    ("text", "kinds", "known"),
    [
        ("page == 'x'", (PURCHASE,), "channel"),
        ("direction == 'inbound'", (CLICK,), "channel, page"),
        ("score > 3", (COMPLAINT,), "channel, kind"),
        ("amount > 3", (STAGE,), "opportunity, stage"),
    ],
)
def test_only_fields_that_the_events_have_can_be_asked_for(text, kinds, known):
    with pytest.raises(ExpressionError, match=f"no field.*there are {known}"):
        compiled(text, kinds)


def test_a_field_that_some_of_the_events_have_can_be_asked_for():
    assert compiled("form == 'contact'", (CLICK, FORM)).kinds == (CLICK, FORM)


def test_every_kind_that_can_be_counted_has_its_fields():
    assert set(KIND_SAYS) <= set(KEPT)

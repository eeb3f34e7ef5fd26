"""The language of conditions: what it reads, and where it says what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scorer.domain.expressions import And, Compared, ExpressionError, Not, Or, parse


def test_and_binds_tighter_than_or_and_not_tighter_than_both():
    tree = parse("a > 1 or not b > 2 and c > 3")
    assert isinstance(tree, Or)
    assert isinstance(tree.parts[0], Compared)
    assert isinstance(tree.parts[1], And)
    assert isinstance(tree.parts[1].parts[0], Not)


def test_parentheses_come_first():
    assert isinstance(parse("(a > 1 or b > 2) and c > 3"), And)


def test_the_and_of_between_belongs_to_it():
    tree = parse("a between 1 and 2 and b > 3")
    assert isinstance(tree, And)
    assert tree.parts[0].operator == "between"
    assert [c.text for c in tree.parts[0].constants] == ["1", "2"]


def test_a_constant_on_the_left_is_turned_to_the_right():
    assert parse("10_000 <= a")[:2] == ("a", ">=")


def test_a_comparison_keeps_the_text_it_was_written_in():
    assert parse("(a >=  10_000)").text == "a >=  10_000"


@pytest.mark.parametrize(
    ("text", "offset", "says"),
    [
        ("a = 1", 2, "'=='"),
        ("a > 1 && b > 2", 6, "write 'and'"),
        ("a > 1 + 2", 6, "no arithmetic"),
        ("a > b", 4, "with a constant"),
        ("a > 30days", 4, "spans 30d"),
        ("a >", 3, "expected a number"),
        ("a > 1 b", 6, "expected 'and' or 'or'"),
        ("(a > 1", 6, "expected ')'"),
        ("a in 1", 5, "expected '['"),
        ("a not > 1", 6, "after 'not'"),
        ("", 0, "feature's name"),
        ("channel == 'phone'", 11, "not built yet"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(text, offset, says):
    with pytest.raises(ExpressionError) as error:
        parse(text)
    assert error.value.offset == offset
    assert says in error.value.message


@pytest.mark.parametrize("text", ["(" * 10_000, "not " * 400 + "a > 1", "(" * 500 + "a > 1" + ")" * 500])
def test_depth_and_length_are_bounded(text):
    with pytest.raises(ExpressionError, match=r"longer|deeper"):
        parse(text)


@given(st.text(alphabet="ab_109dmoy ()[],<>=!+.'\"\n&|notrbeween", max_size=60))
def test_any_text_is_read_or_refused_never_worse(text):
    refused = None
    try:
        parse(text)
    except ExpressionError as error:
        refused = error
    assert refused is None or 0 <= refused.offset <= len(text)

"""The language of conditions: what it reads, and where it says what is wrong."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.scorer.domain.expressions import (
    KEYWORDS,
    And,
    Compared,
    Constant,
    ExpressionError,
    Node,
    Not,
    Or,
    comparisons,
    parse,
    written,
)


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
    assert parse("calibrated.top_spend <= a")[:2] == ("a", ">=")


def test_a_comparison_keeps_the_text_it_was_written_in():
    assert parse("(a >=  10_000)").text == "a >=  10_000"


@pytest.mark.parametrize(
    ("text", "kind", "says"),
    [
        ("a > 10_000", "number", "10_000"),
        ("a > -2.50", "number", "-2.50"),
        ("a > 12mo", "span", "12mo"),
        ("a == 'a > b'", "text", "a > b"),
        ('a == "it\'s"', "text", "it's"),
        ("a >= calibrated.top_spend", "calibrated", "calibrated.top_spend"),
    ],
)
def test_constants_are_numbers_spans_texts_and_what_is_calibrated(text, kind, says):
    assert parse(text).constants[0][:2] == (kind, says)


def test_a_name_may_have_parts():
    assert parse("rfm.r >= 4").name == "rfm.r"


@pytest.mark.parametrize(
    ("text", "offset", "says"),
    [
        ("a = 1", 2, "'=='"),
        ("a > 1 && b > 2", 6, "write 'and'"),
        ("a > 1 AND b > 2", 6, "'and' in small letters"),
        ("a > 1 + 2", 6, "no arithmetic"),
        ("a > b", 4, "with a constant"),
        ("a == phone", 5, "texts have quotes: 'phone'"),
        ("a == 'phone", 5, "close it with '"),
        ("a > 30days", 4, "30d or 12mo"),
        ("a > 30 days", 7, "right behind the number, as 30d"),
        ("a > 50%", 4, "0.5 for 50%"),
        ("a >= 3yr", 5, "units of spans are ms, s, min, h, d, w, mo and y"),
        ("a <> 2", 2, "'<>' is written '!='"),
        ("2 <> a", 2, "'<>' is written '!='"),
        ("a == ‘phone’", 5, "straight quotes"),
        ("a == “phone”", 5, "straight quotes"),
        ("a ＞ 1", 2, "the plain '>'"),
        ("（a > 1）", 0, "the plain '('"),
        ("a > １", 4, "the plain '1'"),
        ("a > 1e3", 4, "numbers are written"),
        ("a >", 3, "expected a number"),
        ("a > 1 b", 6, "expected 'and', 'or' or the end, found 'b'"),
        ("a > 1 in [2] or b > 1", 6, "expected 'and', 'or' or the end, found 'in [2] or b > 1'"),
        ("a > 5 in 30d", 6, "a comparison has no 'in 30d'; give the feature a window"),
        ("(a > 1 AND b > 2)", 7, "'and' in small letters"),
        ("a BETWEEN 1 and 2", 2, "'between' in small letters"),
        ("a >= 1,000", 6, "write 1_000;"),
        ("a >= 1 000 000", 7, "write 1_000_000;"),
        ("a between 1,000.50 and 2", 11, "write 1_000.50;"),
        ("1,000 <= a", 1, "write 1_000;"),
        ("a in [1 000]", 8, "write 1_000;"),
        ("a > 3 30", 6, "found '30'"),
        ("a > 100 CNY", 8, "amounts are in the policy's currency; leave 'CNY' out"),
        ("a > 100CNY", 4, "leave 'CNY' out"),
        ("a > CNY 100", 4, "leave 'CNY' out"),
        ("a > CNY", 4, "texts have quotes: 'CNY'"),
        ("a > 100 ABC", 8, "found 'ABC'"),
        ("a ≥ 1", 2, "'≥' is written '>='"),
        ("a ≤ 1", 2, "'≤' is written '<='"),
        ("a ≠ 1", 2, "'≠' is written '!='"),
        ("a > 1.5d", 4, "one unit; write 36h for 1.5d"),
        ("a > 1.5 days", 8, "as 36h"),
        ("a > 30d12h", 4, "one unit; write 732h for 30d12h"),
        ("a > 1y6mo", 4, "one unit; write 18mo for 1y6mo"),
        ("a > 1mo15d", 4, "cannot read '1mo15d'"),
        ("a > 0.5mo", 4, "cannot read '0.5mo'"),
        ("a > 30 months", 7, "as 30mo"),
        ("(a > 1", 6, "expected ')'"),
        ("a in 1", 5, "expected '['"),
        ("a not > 1", 6, "after 'not'"),
        ("1 < a < 3", 6, "`a between LOW and HIGH`"),
        ("a > 1 > 0", 6, "`a between LOW and HIGH`"),
        ("", 0, "feature's name"),
        ("__import__('os')", 10, "expected a comparison"),
        ("rfm..r > 1", 3, "cannot read"),
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


names = st.from_regex(r"[a-z][a-z0-9_]{0,8}(\.[a-z]{1,4})?", fullmatch=True).filter(
    lambda name: name not in KEYWORDS and not name.startswith("calibrated")
)
constants = st.one_of(
    st.builds(
        Constant, st.just("number"), st.from_regex(r"-?[0-9][0-9_]{0,5}(\.[0-9]{1,3})?", fullmatch=True), st.just(0)
    ),
    st.builds(
        Constant, st.just("span"), st.from_regex(r"[1-9][0-9]{0,3}(ms|s|min|h|d|w|mo|y)", fullmatch=True), st.just(0)
    ),
    st.builds(Constant, st.just("text"), st.text("ab 'ü<(", max_size=5), st.just(0)),
    st.just(Constant("calibrated", "calibrated.top_spend", 0)),
)


@st.composite
def compared(draw):
    operator = draw(st.sampled_from(["<", "<=", ">", ">=", "==", "!=", "between", "not between", "in", "not in"]))
    fewest = 2 if operator.endswith("between") else 1
    most = 4 if operator.endswith("in") else fewest
    wanted = draw(st.lists(constants, min_size=fewest, max_size=most))
    return Compared(draw(names), operator, tuple(wanted), "", 0)


def several(kind):
    """Of this kind, without one in itself: brackets that change nothing are not kept."""
    return lambda inner: st.lists(inner.filter(lambda n: not isinstance(n, kind)), min_size=2, max_size=3).map(
        lambda parts: kind(tuple(parts))
    )


trees = st.recursive(
    compared(),
    lambda inner: several(And)(inner) | several(Or)(inner) | inner.map(Not),
    max_leaves=8,
)


def bare(node: Node) -> Node:
    """Without what tells where it stood."""
    match node:
        case Compared(name=name, operator=operator, constants=given):
            return Compared(name, operator, tuple(c._replace(offset=0) for c in given), "", 0)
        case Not(inner=inner):
            return Not(bare(inner))
        case And(parts=parts):
            return And(tuple(map(bare, parts)))
        case Or(parts=parts):
            return Or(tuple(map(bare, parts)))


@given(trees)
def test_what_is_written_is_read_as_the_same(tree):
    again = parse(written(tree))
    assert bare(again) == tree
    assert written(again) == written(tree)


def test_brackets_that_change_nothing_are_not_written():
    assert written(parse("(a > 1 and (b > 2 and c > 3)) or (d > 4 or (e > 5))")) == (
        "a > 1 and b > 2 and c > 3 or d > 4 or e > 5"
    )
    assert written(parse("not (a > 1 or b > 2) and (c > 3 or d > 4)")) == "not (a > 1 or b > 2) and (c > 3 or d > 4)"


@given(trees)
def test_every_comparison_knows_where_it_stood(tree):
    text = written(tree)
    for comparison in comparisons(parse(text)):
        assert text[comparison.offset :].startswith(comparison.name)
        assert comparison.text in text

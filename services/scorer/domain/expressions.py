"""The restricted language of conditions: read into a tree, never evaluated as code.

condition  = conjunction { "or" conjunction }
conjunction = negation { "and" negation }
negation   = "not" negation | "(" condition ")" | comparison
comparison = feature operator constant | constant operator feature
           | feature ["not"] "between" constant "and" constant
           | feature ["not"] "in" "[" constant { "," constant } "]"
operator   = "<" | "<=" | ">" | ">=" | "==" | "!="
constant   = number, as 10_000 or 12.50 | span, as 30d or 12mo
"""

import re
from collections.abc import Iterator
from typing import NamedTuple

LONGEST = 2_000
DEEPEST = 50


class ExpressionError(Exception):
    """`offset` characters into the expression, `message` is wrong."""

    def __init__(self, offset: int, message: str) -> None:
        super().__init__(message)
        self.offset, self.message = offset, message


class Token(NamedTuple):
    kind: str
    text: str
    offset: int


class Constant(NamedTuple):
    """kind: `number` or `span`."""

    kind: str
    text: str
    offset: int


class Compared(NamedTuple):
    """A comparison as written; a constant on the left has been turned to the right."""

    feature: str
    operator: str
    constants: tuple[Constant, ...]
    text: str
    offset: int


class Not(NamedTuple):
    inner: "Node"


class And(NamedTuple):
    parts: tuple["Node", ...]


class Or(NamedTuple):
    parts: tuple["Node", ...]


Node = Compared | Not | And | Or

_TOKEN = re.compile(
    r"(?P<blank>\s+)"
    r"|(?P<span>[0-9][0-9_]*(?:ms|min|mo|s|h|d|w|y)\b)"
    r"|(?P<number>[0-9][0-9_]*(?:\.[0-9]+)?(?![\w.]))"
    r"|(?P<name>[A-Za-z_]\w*)"
    r"|(?P<operator><=|>=|==|!=|<|>)"
    r"|(?P<mark>[()\[\],])"
)
_KEYWORDS = {"and", "or", "not", "in", "between"}
_MIRRORED = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}


def parse(text: str) -> Node:
    """The tree of an expression; ExpressionError where it is not one."""
    if len(text) > LONGEST:
        raise ExpressionError(0, f"the expression is longer than {LONGEST} characters")
    return _Parser(text).whole()


def _tokens(text: str) -> Iterator[Token]:
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise ExpressionError(offset, _unreadable(text, offset))
        kind, word = str(match.lastgroup), match.group()
        if kind != "blank":
            yield Token(word if word in _KEYWORDS or kind in ("operator", "mark") else kind, word, offset)
        offset = match.end()
    yield Token("end", "", offset)


def _unreadable(text: str, offset: int) -> str:
    if text[offset] == "=":
        return "'=' compares with two signs: '=='"
    if text[offset] in "&|!":
        return "write 'and', 'or', 'not'"
    if text[offset] in "+-*/%":
        return "there is no arithmetic; name a feature for what you want to compare"
    if text[offset] in "'\"":
        return "comparisons with text are not built yet"
    word = re.split(r"[\s()\[\],<>=!]", text[offset:])[0]
    return f"cannot read {word!r}; numbers are written 10_000 or 12.50, spans 30d or 12mo"


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._place = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._condition()
        if self._now.kind != "end":
            raise ExpressionError(self._now.offset, f"expected 'and' or 'or' before {self._now.text!r}")
        return node

    @property
    def _now(self) -> Token:
        return self._tokens[self._place]

    def _take(self, *kinds: str, wanted: str) -> Token:
        token = self._now
        if token.kind not in kinds:
            found = repr(token.text) if token.text else "the end"
            raise ExpressionError(token.offset, f"expected {wanted}, found {found}")
        self._place += 1
        return token

    def _took(self, kind: str) -> bool:
        if self._now.kind != kind:
            return False
        self._place += 1
        return True

    def _condition(self) -> Node:
        parts = [self._conjunction()]
        while self._took("or"):
            parts.append(self._conjunction())
        return parts[0] if len(parts) == 1 else Or(tuple(parts))

    def _conjunction(self) -> Node:
        parts = [self._negation()]
        while self._took("and"):
            parts.append(self._negation())
        return parts[0] if len(parts) == 1 else And(tuple(parts))

    def _negation(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError(self._now.offset, f"nested deeper than {DEEPEST} levels")
        try:
            if self._took("not"):
                return Not(self._negation())
            if self._took("("):
                node = self._condition()
                self._take(")", wanted="')'")
                return node
            return self._comparison()
        finally:
            self._depth -= 1

    def _comparison(self) -> Node:
        begin = self._now.offset
        if self._now.kind in ("number", "span"):
            left = self._constant()
            sign = self._take(*_MIRRORED, wanted="a comparison such as '>='")
            name = self._take("name", wanted="a feature's name")
            return Compared(name.text, _MIRRORED[sign.text], (left,), self._since(begin), name.offset)
        name = self._take("name", wanted="a feature's name")
        negated = self._took("not")
        if self._took("between"):
            low = self._constant()
            self._take("and", wanted="'and' between the two bounds")
            constants: tuple[Constant, ...] = (low, self._constant())
            operator = "not between" if negated else "between"
        elif self._took("in"):
            constants = tuple(self._list())
            operator = "not in" if negated else "in"
        elif negated:
            raise ExpressionError(self._now.offset, "expected 'in' or 'between' after 'not'")
        else:
            operator = self._take(*_MIRRORED, wanted="a comparison such as '>='").text
            constants = (self._constant(),)
        return Compared(name.text, operator, constants, self._since(begin), name.offset)

    def _list(self) -> Iterator[Constant]:
        self._take("[", wanted="'['")
        yield self._constant()
        while self._took(","):
            yield self._constant()
        self._take("]", wanted="',' or ']'")

    def _constant(self) -> Constant:
        if self._now.kind == "name":
            raise ExpressionError(self._now.offset, "a feature is compared with a constant, not with another name")
        token = self._take("number", "span", wanted="a number or a span such as 30d")
        return Constant(token.kind, token.text, token.offset)

    def _since(self, begin: int) -> str:
        last = self._tokens[self._place - 1]
        return self._text[begin : last.offset + len(last.text)]

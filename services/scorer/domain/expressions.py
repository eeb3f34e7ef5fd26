"""The restricted language of conditions: read into a tree, never evaluated as code.

condition   = conjunction { "or" conjunction }
conjunction = negation { "and" negation }
negation    = "not" negation | "(" condition ")" | comparison
comparison  = name operator constant | constant operator name
            | name ["not"] "between" constant "and" constant
            | name ["not"] "in" "[" constant { "," constant } "]"
operator    = "<" | "<=" | ">" | ">=" | "==" | "!="
constant    = number, as 10_000, -3 or 12.50 | span, as 30d or 12mo | text, as 'call' or "call"
            | a name that begins with "calibrated."
name        = word { "." word }
"""

import re
import unicodedata
from collections.abc import Callable, Iterator
from fractions import Fraction
from typing import Literal, NamedTuple, NoReturn

from schemas.money import DIGITS
from services.scorer.domain.comparisons import Operator
from services.scorer.domain.spans import UNITS_MONTHS, UNITS_MS

LONGEST = 2_000
DEEPEST = 50
KEYWORDS = frozenset({"and", "or", "not", "in", "between"})
CALIBRATED = "calibrated"


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
    """text: as written; of kind `text` what stands between the quotes."""

    kind: Literal["number", "span", "text", "calibrated"]
    text: str
    offset: int


class Compared(NamedTuple):
    """A comparison as written; a constant on the left has been turned to the right."""

    name: str
    operator: Operator
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
    r"|(?P<number>-?[0-9][0-9_]*(?:\.[0-9]+)?(?![\w.%]))"
    r"|(?P<name>[A-Za-z_]\w*(?:\.[A-Za-z_]\w*)*)"
    r"|(?P<text>'[^']*'|\"[^\"]*\")"
    r"|(?P<operator><=|>=|==|!=|<(?!>)|>)"
    r"|(?P<mark>[()\[\],])"
)
_SPELT = {"second": "s", "minute": "min", "hour": "h", "day": "d", "week": "w", "month": "mo", "year": "y"}
_SPANS = re.compile(r"(?:[0-9_]{1,9}(?:\.[0-9]{1,9})?(?:ms|min|mo|s|h|d|w|y))+")
_SPAN = re.compile(r"([0-9_.]+)([a-z]+)")
_GROUPED = re.compile(r"-?[0-9]{1,3}(?:[\s,][0-9]{3})+(?:\.[0-9]+)?(?![0-9_])")
_SIGNS = {"≥": ">=", "≤": "<=", "≠": "!="}
_MIRRORED: dict[str, Operator] = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
_CONSTANTS = ("number", "span", "text", CALIBRATED)


def parse(text: str) -> Node:
    """The tree of an expression; ExpressionError where it is not one."""
    if len(text) > LONGEST:
        raise ExpressionError(0, f"the expression is longer than {LONGEST} characters; name features for its parts")
    return _Parser(text).whole()


def written(node: Node) -> str:
    """The tree as an expression, with one blank between words and only the brackets that change something."""
    match node:
        case Or(parts=parts):
            return " or ".join(map(written, parts))
        case And(parts=parts):
            return " and ".join(_bracketed(part, Or) for part in parts)
        case Not(inner=inner):
            return f"not {_bracketed(inner, Or | And)}"
        case Compared(name=name, operator=operator, constants=constants):
            shown = [_quoted(c.text) if c.kind == "text" else c.text for c in constants]
            if operator.endswith("between"):
                return f"{name} {operator} {shown[0]} and {shown[1]}"
            return f"{name} {operator} " + (f"[{', '.join(shown)}]" if operator.endswith("in") else shown[0])


def parts(node: Node) -> tuple[Node, ...]:
    """What it is made of; a comparison of nothing."""
    match node:
        case And(parts=joined) | Or(parts=joined):
            return joined
        case Not(inner=inner):
            return (inner,)
    return ()


def comparisons(node: Node) -> Iterator[Compared]:
    """In the order written."""
    if isinstance(node, Compared):
        yield node
    for part in parts(node):
        yield from comparisons(part)


def _bracketed(node: Node, looser: object) -> str:
    return f"({written(node)})" if isinstance(node, looser) else written(node)  # type: ignore[arg-type]


def _quoted(text: str) -> str:
    return f'"{text}"' if "'" in text else f"'{text}'"


def _tokens(text: str) -> Iterator[Token]:
    offset = 0
    while offset < len(text):
        match = _TOKEN.match(text, offset)
        if match is None:
            raise ExpressionError(offset, _unreadable(text, offset))
        kind, word = str(match.lastgroup), match.group()
        if kind in ("operator", "mark") or word in KEYWORDS:
            kind = word
        elif kind == "name" and word.split(".")[0] == CALIBRATED:
            kind = CALIBRATED
        if kind != "blank":
            yield Token(kind, word, offset)
        offset = match.end()
    yield Token("end", "", offset)


def _unreadable(text: str, offset: int) -> str:  # noqa: PLR0911 - one a mistake
    word = re.split(r"[\s()\[\],<>=!]", text[offset:])[0]
    if text[offset] == "=":
        return "'=' compares with two signs: '=='"
    if text[offset] in _SIGNS:
        return f"{text[offset]!r} is written '{_SIGNS[text[offset]]}'"
    if text.startswith("<>", offset):
        return "'<>' is written '!='"
    if text[offset] in "&|!":
        return "write 'and', 'or', 'not'"
    if text[offset] in "+-*/":
        return "there is no arithmetic; name a feature for what you want to compare"
    if text[offset] in "'\"":
        return f"the text has no end; close it with {text[offset]}"
    if re.fullmatch(r"[0-9.]+%", word):
        return f"there is no '%'; write {word} as a part of 1, as 0.5 for 50%"
    if spans := _one_unit(word):
        return f"a span is a whole number and one unit; write {spans} for {word}"
    if (amount := re.fullmatch(r"[0-9][0-9_.]*([A-Z]{3})", word)) and amount[1] in DIGITS:
        return _no_currency(amount[1])
    if re.fullmatch(r"[0-9][0-9_]*[A-Za-z]+", word) and not re.fullmatch(r"[0-9]+e[0-9]+", word):
        return f"cannot read {word[:40]!r}; the units of spans are ms, s, min, h, d, w, mo and y, as in 30d or 12mo"
    if text[offset] in "‘’“”「」":
        return f"texts stand between straight quotes, as 'call', not {text[offset]}"
    if (plain := unicodedata.normalize("NFKC", text[offset])) != text[offset]:
        return f"{text[offset]!r} is not read; write the plain {plain!r}"
    return f"cannot read {word[:40]!r}; numbers are written 10_000 or 12.50, spans 30d or 12mo"


def _one_unit(word: str) -> str | None:
    """`1.5d` or `30d12h` with a whole number and one unit, 36h and 732h; None where there is none."""
    if not _SPANS.fullmatch(word):
        return None
    parts = [(Fraction(number.replace("_", "") or "0"), unit) for number, unit in _SPAN.findall(word)]
    for lengths in (UNITS_MS, UNITS_MONTHS):
        if all(unit in lengths for _, unit in parts):
            total = sum(number * lengths[unit] for number, unit in parts)
            finest = min(lengths[unit] for _, unit in parts)
            for unit, length in sorted(lengths.items(), key=lambda one: -one[1]):
                if length <= finest and total % length == 0:
                    return f"{total // length}{unit}"
    return None


def _no_currency(code: str) -> str:
    return f"amounts are in the policy's currency; leave {code!r} out"


class _Parser:
    def __init__(self, text: str) -> None:
        self._text = text
        self._tokens = list(_tokens(text))
        self._place = 0
        self._depth = 0

    def whole(self) -> Node:
        node = self._condition()
        if self._now.kind != "end":
            self._refuse("'and', 'or' or the end", self._text[self._now.offset :].strip())
        return node

    def _refuse(self, wanted: str, found: str) -> NoReturn:
        shown = repr(found[:40]) if found else "the end"
        raise ExpressionError(self._now.offset, self._meant() or f"expected {wanted}, found {shown}")

    def _meant(self) -> str | None:
        """What to write instead, where that can be told from the token here and the one before it."""
        word, before = self._now.text, self._tokens[self._place - 1]
        if word != word.lower() and word.lower() in KEYWORDS:
            return f"write {word.lower()!r} in small letters"
        if word == "in" and self._tokens[self._place + 1].kind == "span":
            return f"a comparison has no 'in {self._tokens[self._place + 1].text}'; give the feature a window"
        if self._place == 0 or before.kind != "number":
            return None
        if unit := _SPELT.get(word.removesuffix("s"), word if word in UNITS_MS | UNITS_MONTHS else ""):
            span = before.text + unit
            return f"write the unit right behind the number, as {_one_unit(span) or span}"
        if grouped := _GROUPED.match(self._text, before.offset):
            digits = "_".join(grouped[0].replace(",", " ").split())
            return f"write {digits}; nothing but '_' groups digits"
        return _no_currency(word) if word in DIGITS else None

    @property
    def _now(self) -> Token:
        return self._tokens[self._place]

    def _take(self, *kinds: str, wanted: str) -> Token:
        token = self._now
        if token.kind not in kinds:
            self._refuse(wanted, token.text)
        self._place += 1
        return token

    def _took(self, kind: str) -> bool:
        if self._now.kind != kind:
            return False
        self._place += 1
        return True

    def _condition(self) -> Node:
        parts = self._joined("or", self._conjunction)
        return parts[0] if len(parts) == 1 else Or(parts)

    def _conjunction(self) -> Node:
        parts = self._joined("and", self._negation)
        return parts[0] if len(parts) == 1 else And(parts)

    def _joined(self, word: str, part: Callable[[], Node]) -> tuple[Node, ...]:
        parts = [part()]
        while self._took(word):
            parts.append(part())
        return tuple(parts)

    def _negation(self) -> Node:
        self._depth += 1
        if self._depth > DEEPEST:
            raise ExpressionError(self._now.offset, f"nested deeper than {DEEPEST} levels; name features for its parts")
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
        operator: Operator
        if self._now.kind in _CONSTANTS:
            constants: tuple[Constant, ...] = (self._constant(),)
            sign = self._take(*_MIRRORED, wanted="a comparison such as '>='")
            operator, name = _MIRRORED[sign.text], self._name()
        else:
            name = self._name()
            operator, constants = self._asked()
        if self._now.kind in _MIRRORED:
            message = f"compare once; write `{name.text} between LOW and HIGH`, or two comparisons joined by 'and'"
            raise ExpressionError(self._now.offset, message)
        return Compared(name.text, operator, constants, self._since(begin), name.offset)

    def _asked(self) -> tuple[Operator, tuple[Constant, ...]]:
        negated = self._took("not")
        if self._took("between"):
            low = self._constant()
            self._take("and", wanted="'and' between the two bounds")
            return ("not between" if negated else "between"), (low, self._constant())
        if self._took("in"):
            return ("not in" if negated else "in"), tuple(self._list())
        if negated:
            raise ExpressionError(self._now.offset, "expected 'in' or 'between' after 'not'")
        sign = self._take(*_MIRRORED, wanted="a comparison such as '>='")
        operator: Operator = sign.text  # type: ignore[assignment]
        return operator, (self._constant(),)

    def _list(self) -> Iterator[Constant]:
        self._take("[", wanted="'['")
        yield self._constant()
        while self._took(","):
            yield self._constant()
        self._take("]", wanted="',' or ']'")

    def _name(self) -> Token:
        return self._take("name", wanted="a feature's name")

    def _constant(self) -> Constant:
        if self._now.kind == "name":
            word = self._now.text
            message = f"a name is compared with a constant, not with another name; texts have quotes: '{word}'"
            if word in DIGITS and self._tokens[self._place + 1].kind == "number":
                message = _no_currency(word)
            raise ExpressionError(self._now.offset, message)
        token = self._take(*_CONSTANTS, wanted="a number, a span such as 30d, or a text in quotes")
        text = token.text[1:-1] if token.kind == "text" else token.text
        return Constant(token.kind, text, token.offset)  # type: ignore[arg-type]

    def _since(self, begin: int) -> str:
        last = self._tokens[self._place - 1]
        return self._text[begin : last.offset + len(last.text)]

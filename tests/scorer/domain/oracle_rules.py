"""The oracle's reader of conditions: `spend > 1_000 and not (quiet between 30d and 60d) and region in ['North']`.

`holds(text, values)` reads the text into a tree and asks it; the operands (`oracle_operands.py`) compare themselves.
Nothing is shared with the core.
"""

import re
from collections.abc import Iterator, Mapping
from functools import lru_cache
from typing import NamedTuple

from tests.scorer.domain.oracle_operands import Operand

TOKEN = re.compile(
    r"\s*(?:(-?\d[\d_]*(?:\.\d+)?(?:ms|s|min|h|d|w|mo|y)?\b)"
    r"|('[^']*'|\"[^\"]*\")"
    r"|([a-z][a-z0-9_]*(?:\.[a-z][a-z0-9_]*)?)"
    r"|(<=|>=|==|!=|[<>()\[\],]))"
)
SPAN = re.compile(r"\d[\d_]*(?:ms|s|min|h|d|w|mo|y)")
SIGNS = {"<": ">", "<=": ">=", ">": "<", ">=": "<=", "==": "==", "!=": "!="}
"""Each comparison and what it is with its sides exchanged."""


class Compared(NamedTuple):
    """`sign` as written, `not in` and `not between` included; literals are texts."""

    operand: str
    sign: str
    literals: tuple[str, ...]


class Tree(NamedTuple):
    """word: and, or, not.  parts: of it."""

    word: str
    parts: tuple["Tree | Compared", ...]


@lru_cache(maxsize=5_000)
def tokens(text: str) -> tuple[str, ...]:
    found: list[str] = []
    at = 0
    while text[at:].strip():
        match = TOKEN.match(text, at)
        if match is None:
            raise ValueError(f"cannot read {text[at:]!r}")
        found.append(match[0].strip())
        at = match.end()
    return tuple(found)


def spans_in(text: str) -> set[str]:
    """Every duration a condition names."""
    return {token for token in tokens(text) if SPAN.fullmatch(token)}


def comparisons_in(text: str) -> Iterator[Compared]:
    def below(node: Tree | Compared) -> Iterator[Compared]:
        if isinstance(node, Compared):
            yield node
        else:
            for part in node.parts:
                yield from below(part)

    return below(read(text))


def holds(text: str, values: Mapping[str, Operand]) -> bool:
    return answer(read(text), values)


def answer(node: Tree | Compared, values: Mapping[str, Operand]) -> bool:
    if isinstance(node, Compared):
        return compared(values[node.operand], node.sign, node.literals)
    answers = [answer(part, values) for part in node.parts]
    if node.word == "not":
        return not answers[0]
    return all(answers) if node.word == "and" else any(answers)


def compared(operand: Operand, sign: str, literals: tuple[str, ...]) -> bool:
    """A comparison with an unknown is false, whichever it is."""
    if not operand.known:
        return False
    within = sign.removeprefix("not ")
    if within == "between":
        low, high = literals
        found = operand.compare(">=", low) and operand.compare("<=", high)
    elif within == "in":
        found = any(operand.compare("==", literal) for literal in literals)
    else:
        return operand.compare(sign, literals[0])
    return found if within == sign else not found


@lru_cache(maxsize=5_000)
def read(text: str) -> Tree | Compared:
    reading = _Reading([*tokens(text)])
    tree = reading.any_of()
    if reading.left:
        raise ValueError(f"left over in {text!r}: {reading.left}")
    return tree


class _Reading:
    """or < and < not < comparison."""

    def __init__(self, left: list[str]) -> None:
        self.left = left

    def take(self, *wanted: str) -> bool:
        if self.left[: len(wanted)] != list(wanted):
            return False
        del self.left[: len(wanted)]
        return True

    def any_of(self) -> Tree | Compared:
        parts = [self.all_of()]
        while self.take("or"):
            parts.append(self.all_of())
        return parts[0] if len(parts) == 1 else Tree("or", tuple(parts))

    def all_of(self) -> Tree | Compared:
        parts = [self.one()]
        while self.take("and"):
            parts.append(self.one())
        return parts[0] if len(parts) == 1 else Tree("and", tuple(parts))

    def one(self) -> Tree | Compared:
        if self.take("not"):
            return Tree("not", (self.one(),))
        if self.take("("):
            inside = self.any_of()
            assert self.take(")")
            return inside
        return self.comparison()

    def comparison(self) -> Compared:
        first = self.left.pop(0)
        if first[0] in "-'\"" or first[0].isdigit():
            sign = SIGNS[self.left.pop(0)]
            return Compared(self.left.pop(0), sign, (first,))
        negated = "not " if self.take("not") else ""
        if self.take("between"):
            low = self.left.pop(0)
            assert self.take("and")
            return Compared(first, negated + "between", (low, self.left.pop(0)))
        if self.take("in"):
            return Compared(first, negated + "in", tuple(self.members()))
        assert not negated
        return Compared(first, self.left.pop(0), (self.left.pop(0),))

    def members(self) -> list[str]:
        assert self.take("[")
        members = [self.left.pop(0)]
        while self.take(","):
            members.append(self.left.pop(0))
        assert self.take("]")
        return members

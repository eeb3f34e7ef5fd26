"""The oracle's reader of conditions: `spend > 1_000 and not (quiet between 30d and 60d)`.

`holds(text, values)` reads the text and answers at once; nothing is compiled, nothing is shared with the core.
"""

import operator
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import cache
from zoneinfo import ZoneInfo

from tests.scorer.domain.oracle_calendar import anniversary

COMPARE: dict[str, Callable[[object, object], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
    "==": operator.eq,
    "!=": operator.ne,
}
TOKEN = re.compile(r"\s*(?:(\d[\d_]*(?:\.\d+)?(?:ms|s|min|h|d|w|mo|y)?\b)|([a-z][a-z0-9_]*)|(<=|>=|==|!=|[<>()\[\],]))")
SPAN = re.compile(r"\d+(?:ms|s|min|h|d|w|mo|y)")


@dataclass(frozen=True)
class Number:
    """A count, or money in major units."""

    value: Decimal

    def compare(self, sign: str, literal: str) -> bool:
        return COMPARE[sign](self.value, Decimal(literal.replace("_", "")))


@dataclass(frozen=True)
class Elapsed:
    """How long it is, at `now`, since `since`; unknown if there is nothing to count from."""

    since: int | None
    now: int
    zone: ZoneInfo

    def compare(self, sign: str, literal: str) -> bool:
        if self.since is None:
            return False
        return COMPARE[sign](self.now, self.reached(literal))

    def reached(self, literal: str) -> int:
        """The instant at which the literal's span has passed."""
        assert self.since is not None
        return anniversary(self.since, literal, self.zone)


Operand = Number | Elapsed


@cache
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


def holds(text: str, values: Mapping[str, Operand]) -> bool:
    reading = _Reading([*tokens(text)], values)
    answer = reading.any_of()
    if reading.left:
        raise ValueError(f"left over in {text!r}: {reading.left}")
    return answer


class _Reading:
    """or < and < not < comparison. Both sides are always read, so nothing is skipped by a short cut."""

    def __init__(self, left: list[str], values: Mapping[str, Operand]) -> None:
        self.left, self.values = left, values

    def take(self, *wanted: str) -> bool:
        if self.left[: len(wanted)] != list(wanted):
            return False
        del self.left[: len(wanted)]
        return True

    def literal(self) -> str:
        return self.left.pop(0)

    def any_of(self) -> bool:
        answer = self.all_of()
        while self.take("or"):
            answer = self.all_of() or answer
        return answer

    def all_of(self) -> bool:
        answer = self.one()
        while self.take("and"):
            answer = self.one() and answer
        return answer

    def one(self) -> bool:
        if self.take("not"):
            return not self.one()
        if self.take("("):
            answer = self.any_of()
            assert self.take(")")
            return answer
        return self.comparison(self.values[self.left.pop(0)])

    def comparison(self, operand: Operand) -> bool:
        if self.take("between"):
            low = self.literal()
            assert self.take("and")
            return operand.compare(">=", low) & operand.compare("<=", self.literal())
        if self.take("not", "in"):
            return all(operand.compare("!=", literal) for literal in self.members())
        if self.take("in"):
            return any(operand.compare("==", literal) for literal in self.members())
        return operand.compare(self.left.pop(0), self.literal())

    def members(self) -> list[str]:
        assert self.take("[")
        members = [self.literal()]
        while self.take(","):
            members.append(self.literal())
        assert self.take("]")
        return members

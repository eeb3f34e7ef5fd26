"""Holds every customer of the notifier's API against the naive recomputation, at one instant.

Meanwhile time goes on: where someone stood who has moved since that instant is read off the path in their history. A
timer may still be under way, so a disagreement counts only if it is there at the end of a grace period.
"""

import asyncio
import time
from collections.abc import Mapping
from datetime import datetime

from schemas.answers import CustomerRow, History
from schemas.decisions import Value
from services.demo.notifier import Notifier
from services.demo.recompute import Position

GRACE_S = 10.0
PAUSE_S = 0.5


async def disagreements(
    notifier: Notifier,
    expected: Mapping[str, Position],
    at: datetime,
    *,
    begins: Mapping[str, str],
    grace_s: float = GRACE_S,
) -> list[str]:
    """One line for each of the expected customers who stands elsewhere at the instant `at`, sorted; none is good.

    begins: the tier, and the class of each list, in which everyone is before the first step of a path.
    """
    deadline = time.monotonic() + grace_s
    while True:
        found = await _compare(notifier, expected, at, begins)
        if not found or time.monotonic() > deadline:
            return found
        await asyncio.sleep(PAUSE_S)


async def _compare(
    notifier: Notifier, expected: Mapping[str, Position], at: datetime, begins: Mapping[str, str]
) -> list[str]:
    actual: dict[str, Position] = {}
    async for row in notifier.customers():
        if row.subject not in expected:
            continue  # somebody who was posted by hand
        present = Position(row.tier, frozenset(row.segments), row.churn, row.classes)
        moved_since = row.changed_at is not None and row.changed_at > at
        actual[row.subject] = as_of(await notifier.history(row.subject), row, at, begins) if moved_since else present
    return [
        f"{subject}: tierline says {_say(actual.get(subject))}; the recomputation says {_say(wanted)}"
        for subject, wanted in sorted(expected.items())
        if actual.get(subject) != wanted
    ]


def as_of(history: History, row: CustomerRow, at: datetime, begins: Mapping[str, str]) -> Position:
    """Where the customer stood at the instant `at`, by the paths of the history."""

    def value(dimension: str, initial: Value) -> Value:
        past = [after for since, after in history.paths.get(dimension, []) if since <= at]
        return past[-1] if past else initial

    return Position(
        tier=str(value("tier", begins["tier"])),
        segments=frozenset(name for name in history.paths if name != "churn" and value(name, False) is True),
        churn=None if row.churn is None else bool(value("churn", False)),
        classes={name: str(value(name, begins[name])) for name in row.classes},
    )


def _say(position: Position | None) -> str:
    if position is None:
        return "nothing"
    churn = {True: ", churn raised", False: ", no churn", None: ""}[position.churn]
    classes = "".join(f", {name} {held}" for name, held in sorted(position.classes.items()))
    return f"{position.tier}{classes}, in {', '.join(sorted(position.segments)) or 'no segment'}{churn}"

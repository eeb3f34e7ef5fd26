"""A core that fails, as a release with a fault in it would: `python -m tests.scorer.engine.poisoned` is a scorer on it.

It fails at every event whose id begins with `poison`, and at time for every customer whose name begins with `stuck`
once an hour of time has passed since `stuck_from_ms`, and at merges of whoever's name begins with `torn`.
"""

from collections.abc import Sequence
from typing import Any

from services.scorer.domain.scoring import Arrival, Outcome, score
from services.scorer.engine import relations, shard

POISON = "poison"
stuck_from_ms: int | None = None


class Broken(ArithmeticError):
    """What the core fails with."""


def failing_score(
    record: bytes | None, policies: Any, arrivals: Sequence[Arrival], until_ms: int, subject: str | None = None
) -> tuple[bytes, Outcome]:
    if any(arrival.event.id.startswith(POISON) for arrival in arrivals):
        raise Broken("cannot be divided")
    if stuck_from_ms is not None and (subject or "").startswith("stuck") and until_ms >= stuck_from_ms:
        raise Broken("time stands still")
    return score(record, policies, arrivals, until_ms, subject)


_merge = relations._merge


def failing_merge(of: Any, turn: Any, operation: Any, customer: Any) -> None:
    if operation.subject.startswith("torn"):
        raise Broken("cannot be joined")
    _merge(of, turn, operation, customer)


if __name__ == "__main__":
    from services.scorer.__main__ import main

    relations._merge = failing_merge
    shard.score = failing_score  # type: ignore[attr-defined]
    main()

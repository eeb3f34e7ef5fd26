"""A customer's path, dimension by dimension, from the decisions: cut at `from`, append, and it is the scorer's."""

from collections.abc import Iterable
from datetime import datetime

import msgspec

from schemas.decisions import Step


class Revision(msgspec.Struct, frozen=True, gc=False):
    """Of a decision, what it does to the path."""

    dimension: str
    revision: int
    from_: datetime = msgspec.field(name="from")
    path: list[Step]


def paths(revisions: Iterable[Revision]) -> dict[str, list[Step]]:
    """Every dimension's path after all `revisions`, whatever order they come in; a repeated one changes nothing."""
    held: dict[str, list[Step]] = {}
    seen: dict[str, int] = {}
    for change in sorted(revisions, key=lambda r: r.revision):
        if change.revision <= seen.get(change.dimension, 0):
            continue
        seen[change.dimension] = change.revision
        path = [step for step in held.get(change.dimension, []) if step[0] < change.from_]
        held[change.dimension] = path + change.path
    return held

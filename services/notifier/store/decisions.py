"""Every change of every customer's path, each kept once, and its place in the feed."""

from collections import Counter
from collections.abc import Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.intake import Kept
from services.notifier.store import feed
from services.notifier.store.database import copy, lines
from services.notifier.store.tables import DECISIONS

_SEEN = text("""
    SELECT n.index FROM unnest(
        string_to_array(:subjects, chr(10)), string_to_array(:dimensions, chr(10)),
        CAST(string_to_array(:revisions, chr(10)) AS int[])
    ) WITH ORDINALITY AS n (subject, dimension, revision, index)
    JOIN decisions USING (subject, dimension, revision)
""")
_TALLY = text("""
    INSERT INTO tallies (partition, dimension, after, cause, transitions)
    SELECT * FROM unnest(CAST(:partitions AS int[]), CAST(:dimensions AS text[]), CAST(:afters AS text[]),
        CAST(:causes AS text[]), CAST(:counts AS bigint[]))
    ON CONFLICT (partition, dimension, after, cause)
    DO UPDATE SET transitions = tallies.transitions + excluded.transitions
""")
_COLUMNS = ("subject", "dimension", "revision", "partition", "sequence", "position", "record")


async def unseen(connection: AsyncConnection, decisions: Sequence[Kept]) -> list[Kept]:
    """Those whose revision is not in the database, nor earlier in `decisions`."""
    fresh: dict[tuple[str, str, int], Kept] = {}
    for kept in decisions:
        turn = kept.turn
        fresh.setdefault((turn.subject, turn.dimension, turn.revision), kept)
    if not fresh:
        return []
    turns = [kept.turn for kept in fresh.values()]
    seen = await connection.scalars(
        _SEEN,
        {
            "subjects": lines([turn.subject for turn in turns]),
            "dimensions": lines([turn.dimension for turn in turns]),
            "revisions": lines([str(turn.revision) for turn in turns]),
        },
    )
    repeated = {index - 1 for index in seen}
    return [kept for i, kept in enumerate(fresh.values()) if i not in repeated]


async def add(connection: AsyncConnection, decisions: Sequence[Kept]) -> None:
    """Keep decisions that `unseen` let through. Announced ones take the feed's next positions, in order."""
    if not decisions:
        return
    announced = [kept for kept in decisions if kept.turn.announced]
    position = await feed.take(connection, len(announced))
    rows = []
    for partition, turn, record in decisions:
        place = None
        if turn.announced:
            place, position = position, position + 1
        rows.append((turn.subject, turn.dimension, turn.revision, partition, turn.sequence, place, record))
    await copy(connection, "decisions", _COLUMNS, rows)
    if announced:
        await _tally(connection, announced)


async def _tally(connection: AsyncConnection, announced: Sequence[Kept]) -> None:
    counts = Counter([(p, turn.dimension, turn.after, turn.cause) for p, turn, _ in announced])
    keys = list(counts)
    await connection.execute(
        _TALLY,
        {
            "partitions": [key[0] for key in keys],
            "dimensions": [key[1] for key in keys],
            "afters": [msgspec.json.encode(key[2]).decode() for key in keys],
            "causes": [key[3] for key in keys],
            "counts": list(counts.values()),
        },
    )


async def page(
    connection: AsyncConnection, subject: str, *, everything: bool, before: int | None, limit: int
) -> list[Row[Any]]:
    """(sequence, record) of a customer, newest first, below sequence `before`; announced ones unless `everything`."""
    query = select(DECISIONS.c.sequence, DECISIONS.c.record).where(DECISIONS.c.subject == subject)
    if not everything:
        query = query.where(DECISIONS.c.position.is_not(None))
    if before is not None:
        query = query.where(DECISIONS.c.sequence < before)
    return list(await connection.execute(query.order_by(DECISIONS.c.sequence.desc()).limit(limit)))


async def all_of(connection: AsyncConnection, subject: str) -> Sequence[bytes]:
    """Every decision record of a customer, in no order."""
    return (await connection.scalars(select(DECISIONS.c.record).where(DECISIONS.c.subject == subject))).all()

"""The consumed offsets: they live here, so that what was read and what was written of it are one transaction."""

from collections.abc import Iterable, Sequence

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.intake import Move

_BEGIN = text("""
    INSERT INTO consumed (topic, partition, next_offset)
    SELECT topic, partition, 0 FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[])) AS n (topic, partition)
    ON CONFLICT DO NOTHING
""")
_LOAD = text("""
    SELECT topic, partition, next_offset FROM consumed
    JOIN unnest(CAST(:topics AS text[]), CAST(:partitions AS int[])) AS n (topic, partition) USING (topic, partition)
""")
_MOVE = text("""
    UPDATE consumed SET next_offset = n.next
    FROM unnest(CAST(:topics AS text[]), CAST(:partitions AS int[]), CAST(:expected AS bigint[]),
        CAST(:next AS bigint[])) AS n (topic, partition, expected, next)
    WHERE consumed.topic = n.topic AND consumed.partition = n.partition AND consumed.next_offset = n.expected
""")


class OffsetConflict(Exception):
    """Another instance has moved an offset that we thought ours: nothing of this transaction may be kept."""


async def load(connection: AsyncConnection, partitions: Iterable[tuple[str, int]]) -> dict[tuple[str, int], int]:
    """The next offset to read of each (topic, partition); 0 where nothing was read yet."""
    wanted = sorted(partitions)
    names = {"topics": [topic for topic, _ in wanted], "partitions": [partition for _, partition in wanted]}
    await connection.execute(_BEGIN, names)
    rows = await connection.execute(_LOAD, names)
    return {(topic, partition): offset for topic, partition, offset in rows}


async def move(connection: AsyncConnection, moves: Sequence[Move]) -> None:
    """Set the offsets after a batch and lock them until the end of the transaction. OffsetConflict, then roll back.

    The first statement of its transaction: an instance that lost the partition waits here, then finds out.
    """
    ordered = sorted(moves)
    changed = await connection.execute(
        _MOVE,
        {
            "topics": [m.topic for m in ordered],
            "partitions": [m.partition for m in ordered],
            "expected": [m.expected for m in ordered],
            "next": [m.next for m in ordered],
        },
    )
    if changed.rowcount != len(ordered):
        raise OffsetConflict(
            f"{len(ordered) - changed.rowcount} of {len(ordered)} offsets were moved by another instance"
        )

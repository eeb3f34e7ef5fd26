"""Decisions whose playbooks wait (table `held`), and which of them need wait no longer."""

from collections.abc import Sequence
from typing import NamedTuple

import msgspec
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.domain.turns import Turn
from services.notifier.intake import Kept
from services.notifier.store.database import copy

_COLUMNS = ("subject", "dimension", "revision", "partition", "sequence", "catching_up")

# Free once the changelog has come as far as the decision and, if it was decided while catching up, the marker has come.
# Of those decided while catching up only what still holds runs: no later move was announced in that dimension.
_RELEASE = text("""
    WITH free AS (
        SELECT h.subject, h.dimension, h.revision FROM held AS h JOIN progress AS p USING (partition)
        WHERE h.partition = ANY(CAST(:partitions AS int[]))
            AND h.sequence <= p.state_sequence AND (NOT h.catching_up OR h.sequence <= p.marker_sequence)
        ORDER BY h.partition, h.sequence LIMIT :limit
        FOR UPDATE OF h
    ), gone AS (
        DELETE FROM held USING free WHERE (held.subject, held.dimension, held.revision)
            = (free.subject, free.dimension, free.revision) RETURNING held.*
    )
    SELECT gone.partition, decisions.record, gone.catching_up AND EXISTS (
        SELECT FROM decisions AS later WHERE later.subject = gone.subject AND later.dimension = gone.dimension
            AND later.revision > gone.revision AND later.position IS NOT NULL
    ) AS superseded
    FROM gone JOIN decisions USING (subject, dimension, revision)
    ORDER BY gone.partition, gone.sequence
""")

_decode = msgspec.json.Decoder(Turn).decode


class Released(NamedTuple):
    """turns: free now, those that still hold.  more: whether the limit left some behind."""

    turns: list[tuple[int, Turn]]
    more: bool


async def hold(connection: AsyncConnection, decisions: Sequence[Kept]) -> None:
    if decisions:
        rows = [
            (turn.subject, turn.dimension, turn.revision, partition, turn.sequence, turn.catching_up)
            for partition, turn, _ in decisions
        ]
        await copy(connection, "held", _COLUMNS, rows)


async def release(connection: AsyncConnection, partitions: Sequence[int], limit: int) -> Released:
    """Take out of `held` what is free by what this transaction sees, oldest first."""
    rows = (await connection.execute(_RELEASE, {"partitions": list(partitions), "limit": limit})).all()
    turns = [(partition, _decode(record)) for partition, record, superseded in rows if not superseded]
    return Released(turns, len(rows) == limit)

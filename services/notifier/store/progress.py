"""How far each partition is in the database, by the changelog and by the decisions."""

from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.intake import Batch
from services.notifier.store.tables import PROGRESS

_POSITIONS = text("""
    INSERT INTO progress AS p
        (partition, events_offset, state_sequence, policy, policy_digest, caught_up, sequence, marker_sequence)
    SELECT *, 0, 0 FROM unnest(CAST(:partitions AS int[]), CAST(:events_offsets AS bigint[]),
        CAST(:sequences AS bigint[]), CAST(:policies AS text[]), CAST(:digests AS text[]),
        CAST(:caught_up AS boolean[]))
    ON CONFLICT (partition) DO UPDATE SET
        events_offset = excluded.events_offset, state_sequence = excluded.state_sequence, policy = excluded.policy,
        policy_digest = excluded.policy_digest, caught_up = excluded.caught_up
""")
_SEQUENCES = text("""
    INSERT INTO progress AS p
        (partition, sequence, marker_sequence, events_offset, state_sequence, policy, policy_digest, caught_up)
    SELECT *, 0, 0, '', '', false
    FROM unnest(CAST(:partitions AS int[]), CAST(:sequences AS bigint[]), CAST(:markers AS bigint[]))
    ON CONFLICT (partition) DO UPDATE SET
        sequence = greatest(p.sequence, excluded.sequence),
        marker_sequence = greatest(p.marker_sequence, excluded.marker_sequence)
""")


async def move(connection: AsyncConnection, batch: Batch) -> None:
    """Note what a batch brought. The changelog's position is taken as it is."""
    if batch.positions:
        positions = sorted(batch.positions.items())
        await connection.execute(
            _POSITIONS,
            {
                "partitions": [partition for partition, _ in positions],
                "events_offsets": [position.events_offset for _, position in positions],
                "sequences": [position.sequence for _, position in positions],
                "policies": [position.policy for _, position in positions],
                "digests": [position.policy_digest for _, position in positions],
                "caught_up": [position.caught_up for _, position in positions],
            },
        )
    if batch.sequences:
        sequences = sorted(batch.sequences.items())
        await connection.execute(
            _SEQUENCES,
            {
                "partitions": [partition for partition, _ in sequences],
                "sequences": [sequence for _, sequence in sequences],
                "markers": [batch.markers.get(partition, 0) for partition, _ in sequences],
            },
        )


async def read(connection: AsyncConnection) -> list[Row[Any]]:
    """Every partition that anything is known of, in order."""
    return list(await connection.execute(select(PROGRESS).order_by(PROGRESS.c.partition)))

"""The installation in numbers. Customers are counted by looking at each; transitions are tallied as they come."""

from typing import NamedTuple

from sqlalchemy import func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from schemas.decisions import Cause
from services.notifier.store.tables import CUSTOMERS, TALLIES

_TIERS = text("SELECT tier, count(*), count(*) FILTER (WHERE churn) FROM customers GROUP BY tier ORDER BY tier")
_CLASSES = text("""
    SELECT c.key AS dimension, c.value AS name, count(*) AS customers FROM customers, jsonb_each_text(classes) AS c
    GROUP BY c.key, c.value ORDER BY c.key COLLATE "C", c.value COLLATE "C"
""")
_SEGMENTS = text("""
    SELECT segment, count(*) AS customers FROM customers, unnest(segments) AS segment GROUP BY segment ORDER BY segment
""")
_SIZE = text("SELECT pg_database_size(current_database())")


class Customers(NamedTuple):
    customers: int
    tiers: dict[str, int]
    classes: dict[str, dict[str, int]]
    segments: dict[str, int]
    churn: int


class Tally(NamedTuple):
    """after: as JSON."""

    dimension: str
    after: str
    cause: Cause
    transitions: int


async def customers(connection: AsyncConnection) -> Customers:
    tiers = (await connection.execute(_TIERS)).all()
    segments = (await connection.execute(_SEGMENTS)).all()
    classes: dict[str, dict[str, int]] = {}
    for row in await connection.execute(_CLASSES):
        classes.setdefault(row.dimension, {})[row.name] = row.customers
    return Customers(
        customers=sum(count for _, count, _ in tiers),
        tiers={tier: count for tier, count, _ in tiers},
        classes=classes,
        segments={row.segment: row.customers for row in segments},
        churn=sum(churn for _, _, churn in tiers),
    )


async def transitions(connection: AsyncConnection) -> list[Tally]:
    """Announced transitions of all partitions."""
    keys = (TALLIES.c.dimension, TALLIES.c.after, TALLIES.c.cause)
    rows = await connection.execute(select(*keys, func.sum(TALLIES.c.transitions)).group_by(*keys).order_by(*keys))
    return [Tally(dimension, after, cause, int(count)) for dimension, after, cause, count in rows]


async def count_customers(connection: AsyncConnection) -> int:
    return (await connection.scalar(select(func.count()).select_from(CUSTOMERS))) or 0


async def database_bytes(connection: AsyncConnection) -> int:
    return int((await connection.execute(_SIZE)).scalar_one())

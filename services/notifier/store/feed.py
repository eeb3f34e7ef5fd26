"""The feed of announced transitions: positions 1, 2, 3 ... that become visible in order.

A sequence would not do: of two transactions the later position may commit first, and a reader that has seen it never
looks back. So the counter is a row. Taking positions locks it until the transaction ends, so positions are taken in
the order of commits, without gaps; a transaction rolled back gives its positions back.
"""

from typing import Any

from sqlalchemy import Row, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.store.tables import DECISIONS, FEED

CHANNEL = "tierline_feed"
"""Notified on each commit that brought positions."""

_TAKE = text("UPDATE feed SET position = position + :count RETURNING position - :count + 1")
_NOTIFY = text(f"SELECT pg_notify('{CHANNEL}', '')")


async def take(connection: AsyncConnection, count: int) -> int:
    """The first of `count` positions for this transaction's transitions; others wait for its end from here on."""
    if count == 0:
        return 0
    first: int = (await connection.execute(_TAKE, {"count": count})).scalar_one()
    await connection.execute(_NOTIFY)
    return first


async def newest(connection: AsyncConnection) -> int:
    """The newest position, 0 before the first."""
    return (await connection.scalar(select(FEED.c.position))) or 0


async def following(connection: AsyncConnection, after: int, limit: int) -> list[Row[Any]]:
    """(position, record) of the transitions behind `after`, in order."""
    query = select(DECISIONS.c.position, DECISIONS.c.record).where(DECISIONS.c.position > after)
    return list(await connection.execute(query.order_by(DECISIONS.c.position).limit(limit)))

"""The projection of customers, one row each."""

from collections.abc import Collection, Iterable
from typing import Any

import msgspec
from sqlalchemy import Row, Select, any_, literal, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.projection import CustomerRow
from services.notifier.store.tables import ALIASES, CUSTOMERS

# Names of segments hold no blanks: an array of arrays, which PostgreSQL wants rectangular, goes as one of texts.
_PUT = text("""
    INSERT INTO customers (subject, partition, state, tier, tier_since, classes, segments, churn, changed_at)
    SELECT subject, partition, state, tier, tier_since, CAST(classes AS jsonb), string_to_array(segments, ' '), churn,
        changed_at
    FROM unnest(
        CAST(:subjects AS text[]), CAST(:partitions AS int[]), CAST(:states AS bytea[]), CAST(:tiers AS text[]),
        CAST(:tier_sinces AS timestamptz[]), CAST(:classes AS text[]), CAST(:segments AS text[]),
        CAST(:churns AS boolean[]), CAST(:changed_ats AS timestamptz[])
    ) AS n (subject, partition, state, tier, tier_since, classes, segments, churn, changed_at)
    ON CONFLICT (subject) DO UPDATE SET
        partition = excluded.partition, state = excluded.state, tier = excluded.tier,
        tier_since = excluded.tier_since, classes = excluded.classes, segments = excluded.segments,
        churn = excluded.churn, changed_at = excluded.changed_at
""")
_REMOVE = text("""
    DELETE FROM customers USING unnest(CAST(:subjects AS text[])) AS n (subject) WHERE customers.subject = n.subject
""")
_PUT_ALIASES = text("""
    INSERT INTO aliases (subject, "into")
    SELECT subject, "into" FROM unnest(CAST(:subjects AS text[]), CAST(:intos AS text[])) AS n (subject, "into")
    ON CONFLICT (subject) DO UPDATE SET "into" = excluded."into"
""")
_REMOVE_ALIASES = text("""
    DELETE FROM aliases USING unnest(CAST(:subjects AS text[])) AS n (subject) WHERE aliases.subject = n.subject
""")
_STATES = text("""
    SELECT subject, state FROM customers JOIN unnest(CAST(:subjects AS text[])) AS n (subject) USING (subject)
""")
_LISTED = [c for c in CUSTOMERS.c if c.name != "state"]


async def put(connection: AsyncConnection, rows: Iterable[CustomerRow]) -> None:
    """Insert or replace; each subject at most once."""
    ordered = sorted(rows, key=lambda row: row.subject)
    if ordered:
        await connection.execute(
            _PUT,
            {
                "subjects": [row.subject for row in ordered],
                "partitions": [row.partition for row in ordered],
                "states": [row.state for row in ordered],
                "tiers": [row.tier for row in ordered],
                "tier_sinces": [row.tier_since for row in ordered],
                "classes": [msgspec.json.encode(row.classes).decode() for row in ordered],
                "segments": [" ".join(row.segments) for row in ordered],
                "churns": [row.churn for row in ordered],
                "changed_ats": [row.changed_at for row in ordered],
            },
        )


async def remove(connection: AsyncConnection, subjects: Collection[str]) -> None:
    if subjects:
        await connection.execute(_REMOVE, {"subjects": sorted(subjects)})


async def put_aliases(connection: AsyncConnection, aliases: dict[str, str], others: Collection[str]) -> None:
    """By name whom it stands for; `others` are no names of anybody else (any more)."""
    if others:
        await connection.execute(_REMOVE_ALIASES, {"subjects": sorted(others)})
    if aliases:
        names = sorted(aliases)
        await connection.execute(_PUT_ALIASES, {"subjects": names, "intos": [aliases[name] for name in names]})


async def survivor(connection: AsyncConnection, subject: str) -> str:
    """Who answers for the subject: itself, or whom it was merged into."""
    seen = {subject}
    while (into := await connection.scalar(select(ALIASES.c.into).where(ALIASES.c.subject == subject))) is not None:
        if into in seen:  # of two partitions one is known further than the other: they are being turned round
            break
        subject = into
        seen.add(into)
    return subject


async def states(connection: AsyncConnection, subjects: Collection[str]) -> dict[str, bytes]:
    """The newest state record of each of these customers that is known."""
    if not subjects:
        return {}
    rows = await connection.execute(_STATES, {"subjects": sorted(subjects)})
    return {row.subject: row.state for row in rows}


async def state(connection: AsyncConnection, subject: str) -> bytes | None:
    found: bytes | None = await connection.scalar(select(CUSTOMERS.c.state).where(CUSTOMERS.c.subject == subject))
    return found


async def page(
    connection: AsyncConnection,
    *,
    tier: str | None,
    class_: tuple[str, str] | None,
    segment: str | None,
    churn: bool | None,
    after: str | None,
    limit: int,
) -> list[Row[Any]]:
    """Customers in the order of their subjects' bytes, those behind `after`. class_: the list of classes, the class."""
    query: Select[Any] = select(*_LISTED).order_by(CUSTOMERS.c.subject).limit(limit)
    if tier is not None:
        query = query.where(CUSTOMERS.c.tier == tier)
    if class_ is not None:
        query = query.where(CUSTOMERS.c.classes[class_[0]].astext == class_[1])
    if segment is not None:
        query = query.where(literal(segment) == any_(CUSTOMERS.c.segments))
    if churn is not None:
        query = query.where(CUSTOMERS.c.churn.is_(churn))
    if after is not None:
        query = query.where(CUSTOMERS.c.subject > after)
    return list(await connection.execute(query))

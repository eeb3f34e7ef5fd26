"""Churn alerts: rows to `domain.alerts.Alert` and back."""

from collections.abc import Collection, Sequence
from typing import Any

from sqlalchemy import Row, Select, and_, func, select, text
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.domain.alerts import Alert
from services.notifier.store.database import copy
from services.notifier.store.tables import ALERTS, DECISIONS

_COLUMNS = [column.name for column in ALERTS.c if column.name != "id"]

_OF = text("""
    SELECT alerts.* FROM alerts JOIN unnest(CAST(:subjects AS text[])) AS n (subject) USING (subject)
    WHERE ending IS NULL
    UNION ALL
    SELECT alerts.* FROM alerts JOIN unnest(CAST(:whole AS text[])) AS n (subject) USING (subject)
    WHERE ending IS NOT NULL
    ORDER BY id
""")
_ALTER = text("""
    UPDATE alerts
    SET since = n.since, ending = n.ending, closed_at = n.closed_at, closed_revision = n.closed_revision
    FROM unnest(CAST(:ids AS bigint[]), CAST(:sinces AS timestamptz[]), CAST(:endings AS text[]),
        CAST(:closed_ats AS timestamptz[]), CAST(:revisions AS int[]))
        AS n (id, since, ending, closed_at, closed_revision)
    WHERE alerts.id = n.id
""")


async def of(connection: AsyncConnection, subjects: Collection[str], whole: Collection[str]) -> list[Alert]:
    """The open episodes of `subjects`, and of those also in `whole` the closed ones."""
    if not subjects:
        return []
    rows = await connection.execute(_OF, {"subjects": sorted(subjects), "whole": sorted(whole)})
    return [Alert(**row._mapping) for row in rows]


async def add(connection: AsyncConnection, alerts: Sequence[Alert]) -> None:
    """Keep new episodes; the store numbers them."""
    if alerts:
        rows = [tuple(getattr(alert, column) for column in _COLUMNS) for alert in alerts]
        await copy(connection, "alerts", _COLUMNS, rows)


async def alter(connection: AsyncConnection, alerts: Sequence[Alert]) -> None:
    if alerts:
        await connection.execute(
            _ALTER,
            {
                "ids": [alert.id for alert in alerts],
                "sinces": [alert.since for alert in alerts],
                "endings": [alert.ending for alert in alerts],
                "closed_ats": [alert.closed_at for alert in alerts],
                "revisions": [alert.closed_revision for alert in alerts],
            },
        )


async def page(
    connection: AsyncConnection, *, is_open: bool | None, subject: str | None, before: int | None, limit: int
) -> list[Row[Any]]:
    """Episodes, newest first, below number `before`, each with the `record` of the decision that raised it."""
    raised = and_(
        DECISIONS.c.subject == ALERTS.c.subject,
        DECISIONS.c.dimension == "churn",
        DECISIONS.c.revision == ALERTS.c.revision,
    )
    query: Select[Any] = select(ALERTS, DECISIONS.c.record).join(DECISIONS, raised)
    if is_open is not None:
        query = query.where(ALERTS.c.ending.is_(None) if is_open else ALERTS.c.ending.is_not(None))
    if subject is not None:
        query = query.where(ALERTS.c.subject == subject)
    if before is not None:
        query = query.where(ALERTS.c.id < before)
    return list(await connection.execute(query.order_by(ALERTS.c.id.desc()).limit(limit)))


async def count_open(connection: AsyncConnection) -> int:
    return (await connection.scalar(select(func.count()).select_from(ALERTS).where(ALERTS.c.ending.is_(None)))) or 0

"""`/v1/alerts`: churn alerts as episodes."""

from typing import Annotated, Literal

from fastapi import APIRouter, Query
from starlette.responses import Response

from schemas import answers
from services.notifier.api import documentation
from services.notifier.api.customers import as_written
from services.notifier.api.paging import Cursor, Limit, next_cursor, read_cursor
from services.notifier.api.subjects import Subject
from services.notifier.store import alerts
from services.notifier.store.database import Database
from services.shared.web import Json

State = Annotated[Literal["open", "closed"] | None, Query(description="both if absent")]


def router(database: Database) -> APIRouter:
    routes = APIRouter(tags=["alerts"])

    @routes.get("/v1/alerts", **documentation.LIST_ALERTS)
    async def list_alerts(
        state: State = None, subject: Subject = None, limit: Limit = 100, cursor: Cursor = None
    ) -> Response:
        before = read_cursor(cursor, int)
        is_open = None if state is None else state == "open"
        async with database.transaction() as connection:
            rows = await alerts.page(connection, is_open=is_open, subject=subject, before=before, limit=limit)
        found = [
            answers.AlertView(
                id=row.id,
                subject=row.subject,
                since=row.since,
                raised_at=row.raised_at,
                open=row.ending is None,
                ending=row.ending,
                closed_at=row.closed_at,
                raised_by=as_written(row.record),
            )
            for row in rows
        ]
        return Json(answers.AlertList(alerts=found, next=next_cursor([alert.id for alert in found], limit)))

    return routes

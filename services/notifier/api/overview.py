"""`/v1/progress` and `/v1/summary`: how far the database has come, and the installation in numbers."""

from collections import Counter

import msgspec
from fastapi import APIRouter
from starlette.responses import Response

from schemas import answers
from services.notifier.api import documentation
from services.notifier.store import alerts, feed, progress, summary, tasks
from services.notifier.store.database import Database
from services.shared.web import Json


def router(database: Database) -> APIRouter:
    routes = APIRouter(tags=["overview"])

    @routes.get("/v1/progress", **documentation.GET_PROGRESS)
    async def get_progress() -> Response:
        async with database.transaction() as connection:
            rows = await progress.read(connection)
        return Json(
            answers.Progress(
                partitions=[
                    answers.PartitionProgress(
                        partition=row.partition,
                        events_offset=row.events_offset,
                        complete=row.sequence >= row.state_sequence,
                        caught_up=row.caught_up,
                    )
                    for row in rows
                ]
            )
        )

    @routes.get("/v1/summary", **documentation.GET_SUMMARY)
    async def get_summary() -> Response:
        async with database.reading() as connection:
            counted = await summary.customers(connection)
            transitions = await summary.transitions(connection)
            work = await tasks.counts(connection)
            open_alerts = await alerts.count_open(connection)
            position = await feed.newest(connection)
        by_cause: Counter[str] = Counter()
        for row in transitions:
            by_cause[row.cause] += row.transitions
        return Json(
            answers.Summary(
                customers=counted.customers,
                tiers=counted.tiers,
                classes=counted.classes,
                segments=counted.segments,
                churn=counted.churn,
                transitions=[
                    answers.TransitionCount(
                        dimension=row.dimension,
                        after=msgspec.json.decode(row.after),
                        cause=row.cause,
                        count=row.transitions,
                    )
                    for row in transitions
                ],
                transitions_by_cause=dict(by_cause),
                tasks_open=work["open"],
                tasks_claimed=work["claimed"],
                alerts_open=open_alerts,
                position=position,
            )
        )

    return routes

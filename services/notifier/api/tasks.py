"""`/v1/tasks`: the follow-up tasks, and working them."""

from collections.abc import Callable
from datetime import datetime
from typing import Annotated, Literal, TypeVar

import msgspec
from fastapi import APIRouter, Path, Query, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from schemas import answers
from schemas.problems import BODY_TOO_LARGE, INVALID_FIELD, MALFORMED_BODY, TASK_CONFLICT, TASK_NOT_FOUND, Refused
from schemas.unreadable import UNREADABLE
from services.notifier.api import documentation
from services.notifier.api.paging import Cursor, Limit, next_cursor, read_cursor
from services.notifier.api.subjects import Subject
from services.notifier.domain.tasks import Task, TaskConflict, claim, complete
from services.notifier.store import tasks
from services.notifier.store.database import Database
from services.shared.web import Json

Number = Annotated[int, Path(ge=1, lt=2**63, description="the task's number")]
State = Annotated[
    Literal["open", "claimed", "done", "closed", "unfinished"] | None, Query(description="unfinished: open or claimed")
]
To = Annotated[str | None, Query(max_length=200, pattern=r"^[^\x00]+$", description="for this person, team or queue")]

LONGEST_BODY = 64 * 1024

Body = TypeVar("Body", answers.Claim, answers.Completion)


def router(database: Database, clock: Callable[[], datetime]) -> APIRouter:
    routes = APIRouter(tags=["tasks"])

    @routes.get("/v1/tasks", **documentation.LIST_TASKS)
    async def list_tasks(
        state: State = None, to: To = None, subject: Subject = None, limit: Limit = 100, cursor: Cursor = None
    ) -> Response:
        before = read_cursor(cursor, int)
        async with database.transaction() as connection:
            found = await tasks.page(connection, state=state, to=to, subject=subject, before=before, limit=limit)
        views = [_view(task) for task in found]
        return Json(answers.TaskList(tasks=views, next=next_cursor([view.id for view in views], limit)))

    @routes.post("/v1/tasks/{number}/claim", **documentation.CLAIM_TASK)
    async def claim_task(number: Number, request: Request) -> Response:
        body = _decode(await _read(request), answers.Claim)
        return Json(await _work(database, number, lambda task: claim(task, body.by, clock())))

    @routes.post("/v1/tasks/{number}/complete", **documentation.COMPLETE_TASK)
    async def complete_task(number: Number, request: Request) -> Response:
        body = _decode(await _read(request), answers.Completion)
        return Json(await _work(database, number, lambda task: complete(task, body.by, body.outcome, clock())))

    return routes


async def _work(database: Database, number: int, step: Callable[[Task], None]) -> answers.TaskView:
    """One step of a task's life in one transaction; Refused if there is no such task or it does not allow the step."""
    async with database.transaction() as connection:
        task = await tasks.one(connection, number)
        if task is None:
            raise Refused(TASK_NOT_FOUND, f"there is no task {number}")
        try:
            step(task)
        except TaskConflict as conflict:
            raise Refused(TASK_CONFLICT, str(conflict)) from conflict
        await tasks.save(connection, task)
        return _view(task)


async def _read(request: Request) -> bytes:
    """The body, read no further than it can be long."""
    body = b""
    try:
        async for chunk in request.stream():
            body += chunk
            if len(body) > LONGEST_BODY:
                raise Refused(BODY_TOO_LARGE, f"the body has more than {LONGEST_BODY} bytes")
    except ClientDisconnect:
        raise Refused(MALFORMED_BODY, "the connection ended before the body") from None
    return body


def _decode(body: bytes, kind: type[Body]) -> Body:
    try:
        return msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        message, _, at = str(error).partition(" - at `$")
        raise Refused(INVALID_FIELD, message, field=at.strip("`.") or None) from error
    except UNREADABLE as error:
        raise Refused(MALFORMED_BODY, str(error)) from error


def _view(task: Task) -> answers.TaskView:
    return msgspec.convert(task, answers.TaskView, from_attributes=True)

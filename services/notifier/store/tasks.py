"""Follow-up tasks: rows to `domain.tasks.Task` and back."""

from collections.abc import Collection, Sequence
from typing import Any

import msgspec
from sqlalchemy import Row, Select, func, select, text, update
from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.domain.tasks import UNFINISHED, Task
from services.notifier.store.database import copy
from services.notifier.store.tables import TASKS

# Column -> the task's field, where they differ: `to` and `by` are words of SQL.
_FIELDS = {"assignee": "to", "claimed_by": "by"}
_COLUMNS = [column.name for column in TASKS.c if column.name != "id"]

_UNFINISHED = text("""
    SELECT tasks.* FROM tasks JOIN unnest(CAST(:subjects AS text[])) AS n (subject) USING (subject)
    WHERE state IN ('open', 'claimed') ORDER BY id FOR UPDATE OF tasks
""")
_ALTER = text("""
    UPDATE tasks SET state = n.state, flagged = n.flagged, reason = n.reason, finished_at = n.finished_at
    FROM unnest(CAST(:ids AS bigint[]), CAST(:states AS text[]), CAST(:flagged AS boolean[]), CAST(:reasons AS text[]),
        CAST(:finished_ats AS timestamptz[])) AS n (id, state, flagged, reason, finished_at)
    WHERE tasks.id = n.id
""")


async def unfinished(connection: AsyncConnection, subjects: Collection[str]) -> list[Task]:
    """These customers' open and claimed tasks, locked against claims until the transaction ends."""
    if not subjects:
        return []
    return [_task(row) for row in await connection.execute(_UNFINISHED, {"subjects": sorted(subjects)})]


async def add(connection: AsyncConnection, tasks: Sequence[Task]) -> None:
    """Keep new tasks; the store numbers them."""
    if tasks:
        await copy(connection, "tasks", _COLUMNS, [tuple(_values(task).values()) for task in tasks])


async def alter(connection: AsyncConnection, tasks: Sequence[Task]) -> None:
    """Write what playbooks change of known tasks."""
    if tasks:
        await connection.execute(
            _ALTER,
            {
                "ids": [task.id for task in tasks],
                "states": [task.state for task in tasks],
                "flagged": [task.flagged for task in tasks],
                "reasons": [task.reason for task in tasks],
                "finished_ats": [task.finished_at for task in tasks],
            },
        )


async def one(connection: AsyncConnection, number: int) -> Task | None:
    """The task, locked until the transaction ends; None if there is none."""
    row = (await connection.execute(select(TASKS).where(TASKS.c.id == number).with_for_update())).one_or_none()
    return None if row is None else _task(row)


async def save(connection: AsyncConnection, task: Task) -> None:
    """Write all of a task that `one` gave."""
    await connection.execute(update(TASKS).where(TASKS.c.id == task.id).values(_values(task)))


async def page(
    connection: AsyncConnection,
    *,
    state: str | None,
    to: str | None,
    subject: str | None,
    before: int | None,
    limit: int,
) -> list[Task]:
    """Tasks, newest first, below number `before`. state: also `unfinished`, which is open or claimed."""
    query: Select[Any] = select(TASKS).order_by(TASKS.c.id.desc()).limit(limit)
    if state == "unfinished":
        query = query.where(TASKS.c.state.in_(UNFINISHED))
    elif state is not None:
        query = query.where(TASKS.c.state == state)
    if to is not None:
        query = query.where(TASKS.c.assignee == to)
    if subject is not None:
        query = query.where(TASKS.c.subject == subject)
    if before is not None:
        query = query.where(TASKS.c.id < before)
    return [_task(row) for row in await connection.execute(query)]


async def counts(connection: AsyncConnection) -> dict[str, int]:
    """How many are open and claimed."""
    query = select(TASKS.c.state, func.count()).where(TASKS.c.state.in_(UNFINISHED)).group_by(TASKS.c.state)
    found = {row[0]: row[1] for row in await connection.execute(query)}
    return {state: found.get(state, 0) for state in UNFINISHED}


def _task(row: Row[Any]) -> Task:
    fields = {_FIELDS.get(name, name): value for name, value in row._mapping.items()}
    fields["value"] = msgspec.json.decode(fields["value"])
    return Task(**fields)


def _values(task: Task) -> dict[str, Any]:
    values = {column: getattr(task, _FIELDS.get(column, column)) for column in _COLUMNS}
    values["value"] = msgspec.json.encode(task.value).decode()
    return values

"""A follow-up task's life: open, claimed, done by a person; closed by itself when its reason goes.

open ──claim──► claimed ──complete──► done
  │                │
  │ reason gone    │ reason gone: flagged, and unflagged if the reason comes back
  ▼                ▼
closed          claimed
"""

from datetime import datetime
from typing import Literal

import msgspec

from schemas.decisions import Value

State = Literal["open", "claimed", "done", "closed"]
Priority = Literal["low", "normal", "high"]

UNFINISHED: tuple[State, ...] = ("open", "claimed")


class TaskConflict(Exception):
    """The task is not in a state that allows this; str() says in which it is."""


class Task(msgspec.Struct, kw_only=True):
    """What one person is to do about one customer.

    id:         given by the store, None before
    playbook:   the policy's words for when, as `tier falls to basic`; with `title` it names the playbook
    to:         the person, team or queue it is for
    dimension, value: the position of the customer that is its reason; it lasts while that position does
    revision:   of the decision that opened it
    opened_at:  that decision's instant; due_at counts from it
    by:         who claimed it
    flagged:    claimed, and the reason has gone meanwhile
    reason:     why it was closed or flagged, for people
    finished_at: when it was done or closed
    """

    subject: str
    playbook: str
    title: str
    to: str
    priority: Priority
    dimension: str
    value: Value
    revision: int
    opened_at: datetime
    due_at: datetime
    state: State = "open"
    by: str | None = None
    claimed_at: datetime | None = None
    flagged: bool = False
    reason: str | None = None
    outcome: str | None = None
    finished_at: datetime | None = None
    id: int | None = None


def claim(task: Task, by: str, now: datetime) -> None:
    """Make it `by`'s. The same person's claim again changes nothing, so that a lost answer can be asked again."""
    if task.state == "claimed" and task.by == by:
        return
    if task.state != "open":
        raise TaskConflict(_standing(task))
    task.state, task.by, task.claimed_at = "claimed", by, now


def complete(task: Task, by: str, outcome: str, now: datetime) -> None:
    """Finish it with what came of it. Only who claimed it can; the same again changes nothing."""
    if task.state == "done" and (task.by, task.outcome) == (by, outcome):
        return
    if task.state != "claimed":
        raise TaskConflict(f"{_standing(task)}; claim it first" if task.state == "open" else _standing(task))
    if task.by != by:
        raise TaskConflict(_standing(task))
    task.state, task.outcome, task.finished_at = "done", outcome, now


def _standing(task: Task) -> str:
    match task.state:
        case "claimed":
            return f"the task is claimed by {task.by}"
        case "done":
            return f"the task was done by {task.by}"
        case "closed":
            return f"the task was closed: {task.reason}"
    return "the task is open"

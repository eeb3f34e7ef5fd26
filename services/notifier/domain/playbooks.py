"""Which tasks a transition opens, closes and flags.

A task's reason is the position that opened it. It has gone when an announced transition ends elsewhere in that
dimension, whatever brought it there: an event, time, or late data that takes the step back.
"""

from collections.abc import Callable, Sequence
from datetime import timedelta

from schemas import policy as shape
from schemas.decisions import Value
from services.notifier.domain.tasks import Task
from services.notifier.domain.turns import Turn
from services.scorer.domain.policy import Playbook, Policy, span_ms

Applies = Callable[[Playbook], bool]
"""Whether a playbook's own `when` holds for the customer at the instant of the turn."""


class Playbooks:
    """A policy's playbooks by the dimension whose transitions they wait for.

    watched:   the dimensions that any playbook waits for
    deferring: those whose playbooks ask for the customer's state (`when`), which comes on another topic
    """

    def __init__(self, policy: Policy) -> None:
        self._of: dict[str, list[Playbook]] = {}
        for playbook in policy.playbooks:
            self._of.setdefault(playbook.dimension.name, []).append(playbook)
        self.watched = frozenset(self._of)
        self.deferring = frozenset(
            name for name, playbooks in self._of.items() if any(p.when is not None for p in playbooks)
        )

    def asks(self, turn: Turn) -> bool:
        """Whether the turn triggers a playbook that asks for the customer's state."""
        return any(
            p.when is not None and p.waits_for(turn.before, turn.after) for p in self._of.get(turn.dimension, ())
        )

    def follow(self, turn: Turn, tasks: Sequence[Task], applies: Applies) -> tuple[list[Task], list[Task]]:
        """What an announced `turn` does, given the customer's unfinished `tasks`: (opened, altered in place).

        `applies` is asked only for playbooks this turn triggers. One unfinished task a playbook at a time: while one
        is there, none is opened.
        """
        altered = [task for task in tasks if task.dimension == turn.dimension and _follow(task, turn)]
        opened: list[Task] = []
        for playbook in self._of.get(turn.dimension, ()):
            if playbook.task is None or not playbook.waits_for(turn.before, turn.after):
                continue
            if _unfinished(tasks, playbook, playbook.task) or not applies(playbook):
                continue
            opened.append(_open(turn, playbook, playbook.task))
        return opened, altered


def _follow(task: Task, turn: Turn) -> bool:
    """Close or flag the task if its reason goes, take the flag off if it comes back; whether anything changed."""
    holds = task.value == turn.after
    if task.state == "open" and not holds:
        task.state, task.reason, task.finished_at = "closed", _gone(turn), turn.decided_at
        return True
    if task.state == "claimed" and task.flagged == holds:
        task.flagged, task.reason = not holds, None if holds else _gone(turn)
        return True
    return False


def _gone(turn: Turn) -> str:
    """As `tier went from gold to basic (time)`."""
    return f"{turn.dimension} went from {_word(turn.before)} to {_word(turn.after)} ({turn.cause.replace('_', ' ')})"


def _word(value: Value) -> str:
    return value if isinstance(value, str) else ("yes" if value else "no")


def _unfinished(tasks: Sequence[Task], playbook: Playbook, wanted: shape.Task) -> bool:
    return any(
        task.playbook == playbook.on and task.title == wanted.title and task.state in ("open", "claimed")
        for task in tasks
    )


def _open(turn: Turn, playbook: Playbook, wanted: shape.Task) -> Task:
    return Task(
        subject=turn.subject,
        playbook=playbook.on,
        title=wanted.title,
        to=wanted.to,
        priority=wanted.priority,
        dimension=turn.dimension,
        value=turn.after,
        revision=turn.revision,
        opened_at=turn.decided_at,
        due_at=turn.decided_at + timedelta(milliseconds=span_ms(wanted.due)),
    )

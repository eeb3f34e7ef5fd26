"""What the language has and no service carries out yet: known of a policy, warned of, and not put in force.

A part that a service begins to carry out is taken off here, and nowhere else.
"""

from collections.abc import Iterator

from services.scorer.domain.document import Document
from services.scorer.domain.places import PolicyError
from services.scorer.domain.playbooks import is_working_time
from services.scorer.domain.rules import Pending, Policy

_LEAVE_OUT = "leave it out"
_QUEUE = "name a queue or a person"
_FIXED = "write a fixed span, as 2d"

Path = tuple[str | int, ...]


def pending(document: Document) -> tuple[Pending, ...]:
    """In the order of the document."""
    found = [
        Pending(document.key(*path).at(), f"{path[-1]}: {value}", remedy) for path, value, remedy in _parts(document)
    ]
    return tuple(sorted(found, key=_position))


def refuse_pending(policy: Policy) -> None:
    """For whoever puts a policy in force: PolicyError that names the first part no service would carry out."""
    if policy.pending:
        raise PolicyError(str(policy.pending[0]))


def _parts(document: Document) -> Iterator[tuple[Path, str, str]]:
    policy = document.policy
    for i, playbook in enumerate(policy.playbooks):
        path: Path = ("playbooks", i)
        if (task := playbook.task) is not None:
            if task.to == "owner" or task.to.startswith("team "):
                yield (*path, "task", "to"), task.to, _QUEUE
            if is_working_time(task.due):
                yield (*path, "task", "due"), task.due, _FIXED
        if playbook.alert == "true":
            yield (*path, "alert"), playbook.alert, _LEAVE_OUT
        if playbook.webhook is not None:
            yield (*path, "webhook"), playbook.webhook, _LEAVE_OUT
    if policy.holdout is not None and policy.holdout.strip("0.%"):
        yield ("holdout",), policy.holdout, _LEAVE_OUT
    if policy.code is not None:
        yield ("code",), policy.code, _LEAVE_OUT


def _position(part: Pending) -> tuple[int, int]:
    _, line, column = part.place.rsplit(":", 2)
    return int(line), int(column)

"""Churn alerts as episodes: raised once, closed once, so that win-back can be measured.

       raised                          closed
───────●───────────────────────────────▼──────
       churn turns true                an event brought the customer back      recovered
                                       late data, a merge: it never was so     retracted
                                       anything else, as time alone            reason_gone
"""

from collections.abc import Sequence
from datetime import datetime
from typing import Literal

import msgspec

from services.notifier.domain.turns import Turn

Ending = Literal["recovered", "retracted", "reason_gone"]


class Alert(msgspec.Struct, kw_only=True):
    """One episode of one customer.

    id:        given by the store, None before
    revision:  of the decision that raised it
    since:     the instant in event time from which churn has held; late data may move it
    raised_at: when that was decided
    ending, closed_at, closed_revision: how, when and by which decision it ended; None while open
    """

    subject: str
    revision: int
    since: datetime
    raised_at: datetime
    ending: Ending | None = None
    closed_at: datetime | None = None
    closed_revision: int | None = None
    id: int | None = None


def follow(turn: Turn, alerts: Sequence[Alert]) -> tuple[list[Alert], list[Alert]]:
    """What a turn of dimension `churn`, announced or not, does to the customer's `alerts`: (raised, altered in place).

    An episode closed before is retracted after the fact if late data takes its raise off the path. While churn goes
    on being true the episode goes on, at most with another `since`.
    """
    altered = []
    for alert in alerts:
        stands = _stands(alert, turn)
        if alert.ending is not None:
            if not stands and alert.ending != "retracted":
                alert.ending = "retracted"
                altered.append(alert)
        elif turn.after is False:
            alert.ending = _ending(turn) if stands else "retracted"
            alert.closed_at, alert.closed_revision = turn.decided_at, turn.revision
            altered.append(alert)
        elif not stands:
            alert.since = turn.effective_at
            altered.append(alert)
    if turn.after is True and turn.before is False and all(alert.ending is not None for alert in alerts):
        raised = Alert(subject=turn.subject, revision=turn.revision, since=turn.effective_at, raised_at=turn.decided_at)
        return [raised], altered
    return [], altered


def _stands(alert: Alert, turn: Turn) -> bool:
    """Whether the step that began the episode is still on the path, which was cut at `from` and goes on as `path`."""
    return alert.since < turn.from_ or any(at == alert.since and value is True for at, value in turn.path)


def _ending(turn: Turn) -> Ending:
    return "recovered" if turn.cause in ("event", "late_event") else "reason_gone"

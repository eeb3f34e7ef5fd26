"""Changes as the records that go out: decisions for everything, announcements for what moved."""

from schemas.decisions import Announcement, Decision, Next, Step
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.paths import Path
from services.scorer.domain.scoring import Change


def decision(change: Change, subject: str, *, sequence: int, decided_ms: int, catching_up: bool) -> Decision:
    return Decision(
        subject=subject,
        dimension=change.dimension.name,
        kind=change.dimension.kind,
        revision=change.revision,
        sequence=sequence,
        from_=to_datetime(change.from_ms),
        path=_steps(change.path),
        before=change.before,
        after=change.after,
        effective_at=to_datetime(change.effective_ms),
        decided_at=to_datetime(decided_ms),
        cause=change.cause,
        trigger=change.trigger,
        policy=change.policy.name,
        policy_digest=change.policy.digest,
        conditions=change.conditions,
        next=_next(change),
        retracts=_steps(change.retracts),
        catching_up=catching_up,
    )


def announcement(decision: Decision) -> Announcement:
    """What subscribers hear of a decision whose `before` and `after` differ."""
    return Announcement(
        subject=decision.subject,
        dimension=decision.dimension,
        revision=decision.revision,
        before=decision.before,
        after=decision.after,
        effective_at=decision.effective_at,
        decided_at=decision.decided_at,
        cause=decision.cause,
        trigger=decision.trigger,
        policy=decision.policy,
        conditions=decision.conditions,
        next=decision.next,
        retracts=decision.retracts,
        catching_up=decision.catching_up,
    )


def _steps(path: Path) -> list[Step]:
    return [(to_datetime(instant), value) for instant, value in path]


def _next(change: Change) -> Next | None:
    if change.next is None:
        return None
    instant, value = change.next
    return Next(at=to_datetime(instant), dimension=change.dimension.name, after=value)

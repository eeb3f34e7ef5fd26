"""What happens in a simulation as NDJSON: for programs, and for those who check ours."""

from typing import Any

import msgspec

from services.analyst import words
from services.analyst.simulate import Answer, Course, DeadLetter, Happening, Transition
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.paths import Path

_encode = msgspec.json.Encoder().encode


def line(happening: Happening) -> bytes:
    """One JSON object without a line's end. Money is a decimal string in major units, a duration ms."""
    match happening:
        case Transition():
            return _encode({"transition": _transition(happening)})
        case DeadLetter():
            return _encode({"dead_letter": {"id": happening.id, "reason": happening.reason}})
        case Answer():
            return _encode({"answer": _answer(happening)})
        case Course(subject, dimension, steps):
            return _encode({"path": {"subject": subject, "dimension": dimension, "steps": _steps(steps)}})


def _transition(transition: Transition) -> dict[str, Any]:
    change = transition.change
    return {
        "subject": transition.subject,
        "dimension": change.dimension.name,
        "before": change.before,
        "after": change.after,
        "effective_at": _instant(change.effective_ms),
        "decided_at": _instant(transition.decided_ms),
        "cause": change.cause,
        "retracts": _steps(change.retracts),
    }


def _answer(answer: Answer) -> dict[str, Any]:
    said = {"subject": answer.subject, "at": _instant(answer.at_ms)}
    known = answer.explanation
    if known is None:
        return {**said, "features": None, "tiers": {}, "classes": {}, "segments": [], "next": None}
    soonest = known.next[0] if known.next else None
    return {
        **said,
        "features": {name: feature.value for name, feature in known.features.items()},
        "tiers": known.tiers,
        "classes": known.classes,
        "segments": known.segments,
        "next": soonest and {"at": words.instant(soonest.at), "dimension": soonest.dimension, "after": soonest.after},
    }


def _steps(path: Path) -> list[tuple[str, str | bool]]:
    return [(_instant(at_ms), value) for at_ms, value in path]


def _instant(at_ms: int) -> str:
    return words.instant(to_datetime(at_ms))

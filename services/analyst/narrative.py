"""What happens in a simulation, for people: a line each, and under it why."""

from collections.abc import Iterator, Sequence

from schemas.explanations import Explanation, Unit
from services.analyst import words
from services.analyst.simulate import Answer, Course, DeadLetter, Happening, Transition
from services.ingest import identifiers
from services.scorer.domain.features import PARTS, Operand
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.rules import Policy, Segment
from services.scorer.domain.scoring import Change

_INDENT = " " * 26


def tell(happenings: Sequence[Happening]) -> Iterator[str]:
    """Lines without their ends, aligned over the whole run."""
    moves = [h for h in happenings if isinstance(h, Transition)]
    who = max((len(m.subject) for m in moves), default=0)
    what = max((len(m.change.dimension.name) for m in moves), default=0)
    how = max((len(_move(m.change)) for m in moves), default=0)
    if not happenings:
        yield "nothing happened"
    for happening in happenings:
        match happening:
            case Transition(subject, change, decided_ms):
                cause = _cause(change)
                head = f"{subject:{who}}  {change.dimension.name:{what}}  {_move(change):{how}}"
                yield f"{_instant(change.effective_ms)}  {head}  {cause}"
                if decided_ms != change.effective_ms:
                    yield f"{_INDENT}decided at {_instant(decided_ms)}"
                yield from (_INDENT + line for line in _reasons(change))
            case DeadLetter():
                yield refused(happening)
            case Answer(subject, at_ms, explanation):
                yield from _answer(subject, at_ms, explanation)
    yield from _courses([h for h in happenings if isinstance(h, Course) and h.steps])


def refused(letter: DeadLetter) -> str:
    return f"{_instant(letter.at_ms)}  dead letter {letter.id or '(no id)'}: {letter.reason}: {letter.detail}"


def units(policy: Policy) -> dict[str, Unit]:
    """By the name of each operand that the policy's conditions may ask for."""
    operands = (Operand(feature, part) for feature in policy.features for part in PARTS[type(feature)])
    return {operand.name: operand.unit for operand in operands}


def _reasons(change: Change) -> Iterator[str]:
    known = units(change.policy)
    width = max((len(c.text) for c in change.conditions), default=0)
    if isinstance(change.dimension, Segment) and change.conditions:
        rule = change.dimension.rule.text
        if [c.text for c in change.conditions] != [rule]:
            yield f"the rule: {rule}"
    for condition in change.conditions:
        yield words.compared(condition, known.get(condition.operand, "number"), change.policy.currency, width)
    for at_ms, value in change.retracts:
        yield f"retracts {words.position(value)} since {_instant(at_ms)}"
    if change.next is not None:
        yield f"next: {words.position(change.next[1])} at {_instant(change.next[0])} if nothing else happens"


def _move(change: Change) -> str:
    return f"{words.position(change.before)} → {words.position(change.after)}"


_CAUSES = {
    "time": "time passed",
    "policy": "another policy",
    "late_event": "late",
    "manual": "by hand",
    "merge": "identities",
    "rebuild": "all events replayed",
    "folding": "old events now by the hour",
    "event": "",
    "refund": "",
}


def _cause(change: Change) -> str:
    if change.cause == "manual" and change.trigger is None:
        return "erased"
    trigger = f"{change.trigger.type} {change.trigger.id}" if change.trigger is not None else ""
    return ": ".join(part for part in (_CAUSES[change.cause], trigger) if part)


def _answer(subject: str, at_ms: int, known: Explanation | None) -> Iterator[str]:
    asked = subject if identifiers.flaw(subject) is None else repr(subject)
    yield f"{_instant(at_ms)}  {asked}?" + (" nothing is known of them" if known is None else "")
    if known is None:
        return
    said = [*known.tiers.items(), *known.classes.items(), ("segments", ", ".join(known.segments) or "none")]
    if known.churn is not None:
        said.append(("churn", "raised" if known.churn else "not raised"))
    said += [(name, words.figure(f.value, f.unit, known.currency)) for name, f in known.features.items()]
    if known.next:
        first = known.next[0]
        said.append(("next", f"{first.dimension} {words.position(first.after)} at {words.instant(first.at)}"))
    width = max(len(name) for name, _ in said)
    yield from (f"{_INDENT}{name:{width}}  {value}" for name, value in said)


def _courses(courses: Sequence[Course]) -> Iterator[str]:
    if not courses:
        return
    yield ""
    yield "paths"
    who, what = (max(len(getattr(c, name)) for c in courses) for name in ("subject", "dimension"))
    for course in courses:
        steps = ", ".join(f"{words.position(value)} {_instant(at_ms)}" for at_ms, value in course.steps)
        yield f"  {course.subject:{who}}  {course.dimension:{what}}  {steps}"


def _instant(at_ms: int) -> str:
    return words.instant(to_datetime(at_ms))

"""A policy's playbooks, compiled: what each waits for, in the words of its dimension."""

import re
from collections.abc import Mapping, Sequence
from typing import Literal

from schemas import policy as shape
from schemas.decisions import Value
from services.scorer.domain.conditions import Conditions
from services.scorer.domain.document import Document, Place, suggest
from services.scorer.domain.lowering import Thresholds
from services.scorer.domain.rules import Dimension, Playbook
from services.scorer.domain.spans import parse_span

Verb = Literal["enters", "leaves", "rises", "falls"]


def playbooks(document: Document, dimensions: Sequence[Dimension], conditions: Conditions) -> tuple[Playbook, ...]:
    """PolicyError where one cannot be."""
    by_name = {dimension.name: dimension for dimension in dimensions}
    return tuple(
        _playbook(document, index, playbook, by_name, conditions)
        for index, playbook in enumerate(document.policy.playbooks)
    )


def span_ms(text: str) -> int:
    """A fixed span in ms; ValueError for calendar units, which have no fixed length."""
    span = parse_span(text)
    if not span.fixed_ms:
        raise ValueError(f"{text!r} has no fixed length; use ms, s, min, h, d or w")
    return span.fixed_ms


def is_working_time(due: str) -> bool:
    """Whether a task's `due` is in working hours or days, and no span of fixed length."""
    return "working" in due


def _playbook(
    document: Document, index: int, given: shape.Playbook, by_name: Mapping[str, Dimension], conditions: Conditions
) -> Playbook:
    place = document.place("playbooks", index, "on")
    words = re.split(r"\s+", given.on.strip())
    dimension = by_name.get(words[0])
    if dimension is None:
        place.refuse(f"there is no ladder, class or segment {words[0]!r}; {suggest(words[0], by_name)}")
    verb, value = _occasion(words[1:], dimension, place)
    # what playbooks ask is no business of the scorer's timers
    thresholds = Thresholds()
    when = None
    if given.when is not None:
        when = conditions.rule(
            f"playbook {index + 1}", given.when, document.place("playbooks", index, "when"), thresholds
        )
    _check_effects(document, index, given)
    alert = given.alert == "true"
    return Playbook(given.on, dimension, verb, value, when, thresholds.all, given.task, alert, given.webhook)


def _check_effects(document: Document, index: int, given: shape.Playbook) -> None:
    """A playbook does something, and what it does can be done."""
    if given.task is None and given.alert == "false" and given.webhook is None:
        document.place("playbooks", index).refuse(
            "a playbook that does nothing: give it a `task`, `alert: true` or a `webhook`"
        )
    if given.task is None or is_working_time(given.task.due):
        return
    try:
        span_ms(given.task.due)
    except ValueError as error:
        document.place("playbooks", index, "task", "due").refuse(str(error))


def _occasion(  # noqa: PLR0911 - one way out a form
    words: Sequence[str], dimension: Dimension, place: Place
) -> tuple[Verb, Value | None]:
    match dimension.kind, *words:
        case (("ladder" | "class"), "enters", value) if value in dimension.values:
            return "enters", value
        case "class", "leaves", value if value in dimension.values:
            return "leaves", value
        case "ladder", "rises" | "falls" as verb, "to", value if value in dimension.values:
            return ("rises" if verb == "rises" else "falls"), value
        case "ladder", "rises" | "falls" as verb:
            return ("rises" if verb == "rises" else "falls"), None
        case ("segment", "enters") | ("churn", "raised"):
            return "enters", True
        case ("segment", "leaves") | ("churn", "gone"):
            return "leaves", False
        case (
            (("ladder" | "class"), "enters", other)
            | ("class", "leaves", other)
            | ("ladder", "rises" | "falls", "to", other)
        ):
            what = "tier" if dimension.kind == "ladder" else "class"
            place.refuse(f"{dimension.name!r} has no {what} {other!r}; {suggest(other, map(str, dimension.values))}")
    name, values = dimension.name, ", ".join(str(v) for v in dimension.values)
    forms: Mapping[str, str] = {
        "ladder": f"`{name} enters TIER`, `... rises [to TIER]`, `... falls [to TIER]`; tiers: {values}",
        "class": f"`{name} enters CLASS` or `{name} leaves CLASS`; classes: {values}",
        "segment": f"`{name} enters` or `{name} leaves`",
        "churn": "`churn raised` or `churn gone`",
    }
    return place.refuse(f"cannot read what the playbook waits for; write {forms[dimension.kind]}")

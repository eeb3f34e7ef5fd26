"""A repair: fields set and taken away in an event as it would be posted, what that changes, and ingest's word on it."""

import json
from collections.abc import Iterator, Sequence
from copy import deepcopy
from datetime import datetime
from typing import Any

import click

from schemas.events import Event
from schemas.problems import ProblemDetails
from services.ingest.normalise import Normaliser, Refusal
from services.shared.settings import IngestSettings

Document = dict[str, Any]


def changed(document: Document, sets: Sequence[str], unsets: Sequence[str]) -> Document:
    """With `path=value` set and `path` taken away, paths as data.amount. UsageError if one cannot be done."""
    made = deepcopy(document)
    for assignment in sets:
        path, equals, value = assignment.partition("=")
        if not path or not equals:
            raise click.UsageError(f"--set {assignment!r}: write it as --set data.amount=12.30")
        *parents, name = path.split(".")
        _parent(made, parents, "--set", assignment, make=True)[name] = _value(value)
    for path in unsets:
        *parents, name = path.split(".")
        parent = _parent(made, parents, "--unset", path, make=False)
        if name not in parent:
            raise click.UsageError(f"--unset {path}: there is no such field")
        del parent[name]
    return made


def _parent(document: Document, parents: Sequence[str], option: str, given: str, *, make: bool) -> Document:
    found = document
    for name in parents:
        inner = found.setdefault(name, {}) if make else found.get(name)
        if not isinstance(inner, dict):
            raise click.UsageError(f"{option} {given}: {name} has no fields")
        found = inner
    return found


def _value(text: str) -> Any:
    """null, true, false, "a text" and {...} as JSON has them; anything else is text: so 12.30 stays 12.30."""
    if text in ("null", "true", "false") or text[:1] in ('"', "{", "["):
        try:
            return json.loads(text, parse_float=str)
        except ValueError:
            return text
    return text


def differences(before: Any, after: Any, path: str = "") -> Iterator[str]:
    """`data.amount: "1.00" -> "12.30"`, one a field, in order; nothing if they say the same."""
    if isinstance(before, dict) and isinstance(after, dict):
        for name in [*before, *(name for name in after if name not in before)]:
            inner = f"{path}.{name}" if path else name
            if name not in after:
                yield f"- {inner}: {shown(before[name])}"
            elif name not in before:
                yield f"+ {inner}: {shown(after[name])}"
            else:
                yield from differences(before[name], after[name], inner)
    elif before != after:
        yield f"~ {path or 'all of it'}: {shown(before)} -> {shown(after)}"


def checked(document: Document, accepted: datetime) -> Event | ProblemDetails:
    """What ingest would make of it, or say about it."""
    normalise = Normaliser(allow_personal_subjects=IngestSettings().allow_personal_subjects)
    found = normalise(encoded(document), accepted)
    return found.problem if isinstance(found, Refusal) else found


def encoded(document: Document) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode("utf-8", "surrogatepass")


def shown(value: Any, indent: int | None = None) -> str:
    """As JSON for people."""
    return json.dumps(value, ensure_ascii=False, indent=indent).encode("utf-8", "replace").decode()


def problem(found: ProblemDetails) -> str:
    """In one line: the field, what is wrong, the fix."""
    field = f"{found.field}: " if found.field else ""
    return f"{field}{found.detail or found.title}. {found.fix or ''}".strip()

"""JSON Schema 2020-12 of the contracts' types, with the docstrings' words on each field."""

import inspect
import re
from collections.abc import Collection
from typing import Any

import msgspec

from schemas import control, decisions, events, examples, explanations, identities, letters, policy, problems

DIALECT = "https://json-schema.org/draft/2020-12/schema"

TYPES: tuple[type[msgspec.Struct], ...] = (
    events.Purchase,
    events.Refund,
    events.Click,
    events.Interaction,
    events.Form,
    events.Feedback,
    events.Stage,
    events.Profile,
    events.Override,
    decisions.Decision,
    decisions.CaughtUp,
    decisions.Announcement,
    decisions.DeadLetter,
    letters.Handling,
    control.Activation,
    control.Rebuild,
    identities.Merge,
    identities.Unmerge,
    identities.Erasure,
    explanations.Explanation,
    policy.Policy,
    problems.ProblemDetails,
)
"""What gets a document of its own; what these are made of stands in each one's `$defs`."""

_STRUCTS = {
    name: value
    for module in (control, events, decisions, explanations, identities, letters, policy, problems)
    for name, value in vars(module).items()
    if isinstance(value, type) and issubclass(value, msgspec.Struct)
}
_FIELD = re.compile(r"(?:^|(?<=  ))([a-z_]+(?:, [a-z_]+)*):\s+", re.MULTILINE)


def slug(record: type) -> str:
    """`DeadLetter` -> `dead-letter`: the document's file name and the message's name."""
    return re.sub(r"(?<=[a-z])(?=[A-Z])", "-", record.__name__).lower()


def document(record: type[msgspec.Struct]) -> dict[str, Any]:
    """One self-contained schema: the type at the top, what it is made of under `$defs`."""
    _, components = msgspec.json.schema_components([record], ref_template="#/$defs/{name}")
    for name, component in components.items():
        _describe(component, _STRUCTS[name])
    top = components.pop(record.__name__)
    schema = {"$schema": DIALECT, "$id": f"urn:tierline:{slug(record)}", **top}
    if shown := examples.of(record):
        schema["examples"] = shown
    if components:
        schema["$defs"] = dict(sorted(components.items()))
    if record is policy.Policy:
        _as_editors_read(schema)
    return schema


def _as_editors_read(schema: Any) -> None:
    """A policy's numbers and flags are read as they are written, but an editor checks what YAML makes of them."""
    match schema:
        case {"type": "string", "pattern": policy.NUMBER}:
            schema["type"] = ["string", "number"]
        case {"enum": ["false", "true"]}:
            schema["enum"] = [False, True, "false", "true"]
        case dict():
            for part in schema.values():
                _as_editors_read(part)
        case list():
            for part in schema:
                _as_editors_read(part)


def _describe(schema: dict[str, Any], struct: type[msgspec.Struct]) -> None:
    """Move what the docstrings say of single fields from the description to the fields."""
    schema.pop("description", None)
    properties = schema["properties"]
    for kind in reversed(struct.__mro__):
        doc = kind.__dict__.get("__doc__")
        if kind in (object, msgspec.Struct) or not doc:
            continue
        about, fields = _parts(inspect.cleandoc(doc), properties.keys())
        if kind is struct and about:
            schema["description"] = about
        for name, text in fields.items():
            properties[name]["description"] = text


def _parts(doc: str, names: Collection[str]) -> tuple[str, dict[str, str]]:
    """A docstring as (what it says of the whole, what it says of each field in `names`)."""
    about: list[str] = []
    fields: dict[str, list[str]] = {}
    into = [about]
    first, *labelled = _FIELD.split(doc)
    for label, text in [("", first), *zip(labelled[::2], labelled[1::2], strict=True)]:
        mentioned = label.split(", ")
        is_field = all(name in names for name in mentioned)
        if is_field:
            into = [fields.setdefault(name, []) for name in mentioned]
        said = text if is_field or not label else f"{label}: {text}"
        for words in into:
            words.extend(said.split())
    return " ".join(about), {name: " ".join(words) for name, words in fields.items()}

"""The template of customers' codes: text with fields in braces, as `{region}-{importance}-{serial:06}`.

A field is an attribute that the policy lists, one of its classes or ladders, or one of BUILT_IN; where a policy has a
`channel` or an `importance` of its own, that is meant. The serial is what makes each code one of its own.
"""

import re

from services.scorer.domain.document import Document, Place, suggest

BUILT_IN = ("channel", "importance")
"""The channel the customer first came through, and the customer's tier."""

SERIAL = "serial"
_PART = re.compile(r"\{(?P<field>[^{}]*)\}|[{}]|\s")
_WIDTH = re.compile(r"0([1-9]|1[0-2])")


def check(document: Document) -> None:
    """PolicyError where the policy's template, if it has one, is none."""
    text = document.policy.code
    if text is None:
        return
    place, fields = document.place("code"), _fields(document)
    named = set()
    for part in _PART.finditer(text):
        if part["field"] is None:
            what = "a code has no blanks" if part[0].isspace() else f"{part[0]!r} without its other brace"
            place.refuse(f"code: {what}; write fields as {{region}}, and `-` between them", offset=part.start())
        named.add(_field(part["field"], fields, place, part.start() + 1))
    if SERIAL not in named:
        place.refuse("code: without {serial} two might have the same; add it, as {serial:06}")


def _fields(document: Document) -> dict[str, list[str]]:
    """By name what may be meant, the policy's own before what is built in."""
    policy = document.policy
    fields: dict[str, list[str]] = {}
    for what, names in (("attribute", policy.attributes), ("class", policy.classes), ("ladder", policy.ladders)):
        for name in names:
            fields.setdefault(name, []).append(what)
    for name in BUILT_IN:
        fields.setdefault(name, ["built in"])
    return fields | {SERIAL: ["built in"]}


def _field(text: str, fields: dict[str, list[str]], place: Place, offset: int) -> str:
    """The field's name."""
    name, colon, width = text.partition(":")
    if name not in fields:
        place.refuse(f"code: there is no field {name!r}; {suggest(name, fields)}", offset=offset)
    if len(fields[name]) > 1:
        place.refuse(f"code: {name!r} is {' and '.join(fields[name])} at once; rename one of them", offset=offset)
    if colon and name != SERIAL:
        place.refuse(f"code: only the serial has a width; write {{{name}}}", offset=offset)
    if colon and not _WIDTH.fullmatch(width):
        place.refuse("code: write the serial's digits as {serial:06}, from 01 to 012", offset=offset)
    return name

"""Attributes of a customer: names as policies write them, texts that people can read, not too many."""

import re
from collections.abc import Mapping

from schemas.intake import MAX_ATTRIBUTE_VALUE, MAX_ATTRIBUTES
from schemas.problems import INVALID_ATTRIBUTE, Refused
from services.ingest import identifiers

_NAME = re.compile(r"[a-z][a-z0-9_]{0,63}")


def check(attributes: Mapping[str, str | None], field: str) -> None:
    """Refused, naming the attribute below `field`, if one cannot be used or there are too many."""
    if len(attributes) > MAX_ATTRIBUTES:
        found = f"{len(attributes)} attributes, {MAX_ATTRIBUTES} are the most"
        raise Refused(INVALID_ATTRIBUTE, found, field=field)
    for name, value in attributes.items():
        if _NAME.fullmatch(name) is None:
            raise Refused(INVALID_ATTRIBUTE, f"{name[:64]!r} is no name", field=f"{field}.{name[:64]}")
        if value is None:
            continue
        if len(value) > MAX_ATTRIBUTE_VALUE:
            found = f"has {len(value)} characters, {MAX_ATTRIBUTE_VALUE} are the most"
        elif identifiers.unreadable(value):
            found = "holds a control character"
        else:
            continue
        raise Refused(INVALID_ATTRIBUTE, f"{name} {found}", field=f"{field}.{name}")

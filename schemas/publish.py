"""What `schemas/published/` holds of the contracts themselves; the HTTP APIs' part is made in `services/cli`."""

import json
from typing import Any

from schemas import asyncapi, json_schema

VERSION = "0.1.0"
"""Of the contracts, the project's own version: a test holds it against pyproject.toml."""


def documents() -> dict[str, str]:
    """File name under `schemas/published/` -> its text. The same types always give the same bytes."""
    published = {f"json-schema/{json_schema.slug(t)}.json": render(json_schema.document(t)) for t in json_schema.TYPES}
    published["asyncapi.json"] = render(asyncapi.document(VERSION))
    return published


def render(document: dict[str, Any]) -> str:
    """A document as it is published: two blanks deep, one newline at the end."""
    return json.dumps(document, indent=2, ensure_ascii=False) + "\n"

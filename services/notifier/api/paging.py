"""Pages of a list: how many, and from where. A cursor is opaque to callers; inside it is the last row's key."""

import base64
import binascii
from collections.abc import Sequence
from typing import Annotated, TypeVar

import msgspec
from fastapi import Query

from schemas.problems import INVALID_PARAMETER, Refused

Key = TypeVar("Key", str, int)

Limit = Annotated[int, Query(ge=1, le=1000, description="most entries of this page")]
Cursor = Annotated[str | None, Query(max_length=1000, description="`next` of the page before")]


def write_cursor(key: str | int) -> str:
    return base64.urlsafe_b64encode(msgspec.json.encode(key)).decode().rstrip("=")


def read_cursor(cursor: str | None, kind: type[Key]) -> Key | None:
    """The key a cursor stands for, None without one; Refused if it is not one of ours."""
    if cursor is None:
        return None
    try:
        padded = cursor + "=" * (-len(cursor) % 4)
        key = msgspec.json.decode(base64.b64decode(padded, altchars=b"-_", validate=True), type=kind)
        if isinstance(key, int) and abs(key) >= 2**63:
            raise ValueError(key)
        if isinstance(key, str) and "\x00" in key:
            raise ValueError(key)
        return key
    except (binascii.Error, ValueError, msgspec.DecodeError) as error:
        raise Refused(INVALID_PARAMETER, "the cursor is not one this list has given", field="cursor") from error


def next_cursor(keys: Sequence[str | int], limit: int) -> str | None:
    """The cursor behind a page with these keys: none if the page is not full."""
    return write_cursor(keys[-1]) if len(keys) == limit else None

"""Customers' ids in addresses: percent-encoded, whatever they hold, slashes included."""

from typing import Annotated
from urllib.parse import unquote

from fastapi import Query
from starlette.types import ASGIApp, Receive, Scope, Send

from schemas.problems import CUSTOMER_NOT_FOUND, Refused

Subject = Annotated[
    str | None, Query(min_length=1, max_length=128, pattern=r"^[^\x00]+$", description="of this customer only")
]

_BELOW = "/v1/customers/"


class RawSubjects:
    """Lets routes below /v1/customers/ match the path as it was sent.

    A server decodes it first, and then the page of customer `a/history` and the history of customer `a` look alike.
    """

    def __init__(self, app: ASGIApp) -> None:
        self._app = app

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] == "http" and scope["path"].startswith(_BELOW):
            raw = scope["raw_path"].partition(b"?")[0].decode("ascii", errors="replace")
            if raw.startswith(_BELOW):
                scope = {**scope, "path": raw}
        await self._app(scope, receive, send)


def read_subject(encoded: str) -> str:
    """The id a path names; Refused if there can be no such customer."""
    try:
        subject = unquote(encoded, errors="strict")
    except UnicodeDecodeError:
        subject = ""
    if not subject or "\x00" in subject:  # PostgreSQL's texts hold every character but that
        raise Refused(CUSTOMER_NOT_FOUND, "no customer can have this id")
    return subject

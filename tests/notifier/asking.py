"""Asks the query API, and checks each answer against its contract."""

from datetime import timedelta

import msgspec

from schemas.problems import CATALOGUE
from tests.notifier.scribe import NOON


class Clock:
    def __init__(self):
        self.now = NOON + timedelta(days=1)

    def __call__(self):
        return self.now


async def get(http, path, kind, **params):
    """The answer, checked against its contract."""
    response = await http.get(path, params=params)
    assert response.status_code == 200, response.text
    return msgspec.json.decode(response.content, type=kind)


def problem(response, slug, *, field=None):
    """The problem it is, which must be one of the catalogue, whole."""
    assert response.headers["content-type"] == "application/problem+json"
    body = response.json()
    assert (body["type"], body["status"], body.get("field")) == (f"/problems/{slug}", response.status_code, field)
    assert body["status"] == CATALOGUE[slug].status
    return body["detail"]


async def walk(http, path, kind, key, limit, **params):
    """Every entry of a list, page by page."""
    entries, pages, cursor = [], 0, {}
    while True:
        answer = await get(http, path, kind, limit=limit, **params, **cursor)
        entries += getattr(answer, key)
        pages += 1
        if answer.next is None:
            return entries, pages
        cursor = {"cursor": answer.next}

"""Waiting until all is in the database, against services made of a few lines."""

import asyncio
from collections.abc import Sequence
from typing import Any

import httpx
import pytest
from rich.console import Console

from services.demo.arrival import ACCEPTED, DECIDED, STORED, arrival
from services.demo.bookmark import Bookmark
from services.demo.notifier import Notifier
from services.demo.tracks import Tracks
from services.local.errors import CannotStart

REACHED = {0: 9, 1: 4}  # offsets 0 to 9 of partition 0, 0 to 4 of partition 1


def progress(*partitions: tuple[int, bool, bool]) -> dict[str, Any]:
    """As /v1/progress says it: events_offset, complete, caught_up of partitions 0, 1, ..."""
    return {
        "partitions": [
            {"partition": number, "events_offset": offset, "complete": complete, "caught_up": caught_up}
            for number, (offset, complete, caught_up) in enumerate(partitions)
        ]
    }


async def looks(answers: Sequence[dict[str, Any]], bookmark: Bookmark, stuck_s: float = 5.0) -> int:
    """How often it asks before it returns; the last answer stays. The scorer is away all the time."""
    asked = 0

    def notifier(request: httpx.Request) -> httpx.Response:
        nonlocal asked
        asked += 1
        return httpx.Response(200, json=answers[min(asked, len(answers)) - 1])

    def scorer(request: httpx.Request) -> httpx.Response:
        raise httpx.ConnectError("restarting")

    async with (
        httpx.AsyncClient(transport=httpx.MockTransport(notifier), base_url="http://notifier") as api,
        httpx.AsyncClient(transport=httpx.MockTransport(scorer), base_url="http://scorer") as other,
    ):
        with Tracks(Console(quiet=True), [ACCEPTED, DECIDED, STORED], 15) as tracks:
            await arrival(Notifier(api), other, bookmark, tracks, stuck_s=stuck_s)
    return asked


def posted() -> Bookmark:
    return Bookmark(0, 1, acknowledged=15, reached=dict(REACHED), done=True)


ALL = progress((10, True, True), (5, True, True))


@pytest.mark.parametrize(
    "not_yet",
    [
        progress(),
        progress((10, True, True)),
        progress((10, True, True), (4, True, True)),
        progress((10, True, True), (5, False, True)),
        progress((10, True, True), (5, True, False)),
    ],
    ids=["nothing", "a partition missing", "an event missing", "decisions missing", "still catching up"],
)
async def test_it_waits_until_every_partition_has_all_events_and_what_was_decided_of_them(not_yet: dict[str, Any]):
    assert await looks([not_yet, ALL], posted()) == 2


async def test_what_is_there_already_is_not_waited_for():
    assert await looks([ALL], posted()) == 1


async def test_it_waits_for_the_replay_to_end():
    bookmark = Bookmark(0, 1, acknowledged=15, reached=dict(REACHED))
    waiting = asyncio.create_task(looks([ALL], bookmark))
    done, _ = await asyncio.wait([waiting], timeout=0.1)
    assert not done
    bookmark.done = True
    assert await waiting >= 2


async def test_when_nothing_moves_for_too_long_it_gives_up_and_says_where_to_look():
    with pytest.raises(CannotStart, match="scorer and notifier"):
        await looks([progress((3, True, True))], posted(), stuck_s=0.0)

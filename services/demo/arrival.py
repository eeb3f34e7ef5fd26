"""Follows the events from Kafka through the scorer into the database, until all are there."""

import asyncio
import time
from collections.abc import Mapping

import httpx

from services.demo.bookmark import Bookmark
from services.demo.notifier import Notifier
from services.demo.tracks import Tracks
from services.local.errors import CannotStart

ACCEPTED, DECIDED, STORED = "accepted", "decided", "in the database"
PAUSE_S = 0.25
STUCK_S = 120.0


async def arrival(
    notifier: Notifier, scorer: httpx.AsyncClient, bookmark: Bookmark, tracks: Tracks, *, stuck_s: float = STUCK_S
) -> None:
    """Returns once the replay is done and all it reached is in the database, with everything decided of it.

    scorer: a client whose base address is the scorer's; used for show only, it may be away.
    CannotStart if nothing moves for `stuck_s` seconds though there is something to do.
    """
    before, moved = (-1, -1), time.monotonic()
    show = tracks.begin
    while True:
        done = bookmark.done
        progress = await notifier.progress()
        stored = {p.partition: p.events_offset for p in progress.partitions}
        settled = {p.partition for p in progress.partitions if p.complete and p.caught_up}
        show(ACCEPTED, bookmark.acknowledged)
        show(DECIDED, sum(_highest(stored, await _decided(scorer)).values()))
        show(STORED, sum(stored.values()))
        show = tracks.at
        if done and all(stored.get(p, 0) > offset and p in settled for p, offset in bookmark.reached.items()):
            return
        now = (bookmark.acknowledged, sum(stored.values()))
        if now != before:
            before, moved = now, time.monotonic()
        elif time.monotonic() - moved > stuck_s:
            raise CannotStart(f"nothing has come to the database for {stuck_s:.0f} s: see what scorer and notifier say")
        await asyncio.sleep(PAUSE_S)


async def _decided(scorer: httpx.AsyncClient) -> dict[int, int]:
    """Per partition the offset up to which the scorer has decided, as far as it says so."""
    try:
        said = (await scorer.get("/readyz")).json()
    except (httpx.TransportError, ValueError):
        return {}
    return {int(p): detail["position"] for p, detail in said.get("partitions", {}).items() if "position" in detail}


def _highest(one: Mapping[int, int], other: Mapping[int, int]) -> dict[int, int]:
    return {p: max(one.get(p, 0), other.get(p, 0)) for p in one.keys() | other.keys()}

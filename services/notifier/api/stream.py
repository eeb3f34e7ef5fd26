"""`/v1/stream`: announced transitions as server-sent events, resuming after the last one seen."""

from collections.abc import AsyncIterator
from typing import Annotated

import structlog
from fastapi import APIRouter, Header, Query
from prometheus_client import Gauge
from starlette.responses import StreamingResponse

from schemas.problems import INVALID_PARAMETER, STREAM_GONE, Refused
from services.notifier.api import documentation
from services.notifier.feed import Feed
from services.notifier.store import feed
from services.notifier.store.database import Database, DatabaseAway

log = structlog.get_logger(__name__)

PAGE = 500
HEARTBEAT_S = 15.0

After = Annotated[int | None, Query(ge=0, lt=2**63, description="begin behind this position")]
LastEventId = Annotated[str | None, Header(description="the last id seen; stronger than `after`")]


def router(database: Database, wakes: Feed, keep: int, open_streams: Gauge) -> APIRouter:
    """keep: how many transitions a stream can go back."""
    routes = APIRouter(tags=["stream"])

    @routes.get("/v1/stream", response_class=StreamingResponse, **documentation.STREAM)
    async def stream(after: After = None, last_event_id: LastEventId = None) -> StreamingResponse:
        asked = _position(last_event_id) if last_event_id else after
        async with database.transaction() as connection:
            newest = await feed.newest(connection)
        begin = newest if asked is None else asked
        if begin > newest:
            raise Refused(STREAM_GONE, f"the newest position is {newest}, there was no {begin} on this stream")
        if begin < newest - keep:
            raise Refused(STREAM_GONE, f"the stream reaches back to {newest - keep}, not to {begin}")
        return StreamingResponse(
            _follow(database, wakes, begin, open_streams),
            media_type="text/event-stream",
            headers={"cache-control": "no-store", "x-accel-buffering": "no"},
        )

    return routes


async def _follow(database: Database, wakes: Feed, position: int, open_streams: Gauge) -> AsyncIterator[bytes]:
    """Everything behind `position`, then what comes, until the service or the reader ends it.

    Ends too if the database goes away: the reader comes again with its last id, and finds it back or is told so.
    """
    open_streams.inc()
    try:
        yield b"retry: 1000\n\n"
        while not wakes.closed:
            turn = wakes.turn
            async with database.transaction() as connection:
                rows = await feed.following(connection, position, PAGE)
            for row in rows:
                yield b"id: %d\nevent: transition\ndata: %b\n\n" % (row.position, row.record)
                position = row.position
            if len(rows) < PAGE:
                before = wakes.turn
                await wakes.changed(turn, HEARTBEAT_S)
                if wakes.turn == before == turn:
                    yield b": nothing new\n\n"
    except DatabaseAway as error:
        log.warning("a stream ends, the database is away", error=str(error))
    finally:
        open_streams.dec()


def _position(last_event_id: str) -> int:
    if not (last_event_id.isascii() and last_event_id.isdecimal() and int(last_event_id) < 2**63):
        raise Refused(INVALID_PARAMETER, "Last-Event-ID is not an id of this stream", field="Last-Event-ID")
    return int(last_event_id)

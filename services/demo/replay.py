"""The purchases through the front door: `POST /v1/events` in batches, a few requests in flight.

A batch ends where a customer's purchases end, so that a customer's events keep their order however many requests are
in flight. What was acknowledged goes into the bookmark, always an unbroken beginning: after an interruption a few
batches behind it may be sent again, which changes nothing, as they have the same ids.
"""

import asyncio
import time
from collections import deque
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any

import httpx
import msgspec

from services.demo.bookmark import Bookmark
from services.demo.cdnow import Purchase
from services.local.errors import CannotStart

BATCH = 1_000
IN_FLIGHT = 4
PATIENCE_S = 60.0
DEFAULT_PAUSE_S = 1.0


class Refused(CannotStart):
    """Ingest won't take an event or a request; str() says which and why."""


class Unavailable(CannotStart):
    """Ingest did not take a batch for too long."""


def batches(purchases: Sequence[Purchase], size: int = BATCH) -> Iterator[Sequence[Purchase]]:
    """Cut into batches of `size` or a few more: up to the end of a customer."""
    start = 0
    while start < len(purchases):
        end = min(start + size, len(purchases))
        while end < len(purchases) and purchases[end].customer == purchases[end - 1].customer:
            end += 1
        yield purchases[start:end]
        start = end


async def replay(
    client: httpx.AsyncClient,
    purchases: Sequence[Purchase],
    bookmark: Bookmark,
    kept: Callable[[], None],
    *,
    size: int = BATCH,
    in_flight: int = IN_FLIGHT,
    patience_s: float = PATIENCE_S,
) -> None:
    """Post what the bookmark has not yet; it is moved on and `kept` called after every acknowledged batch.

    client: its base address is ingest's. Refused and Unavailable as said above; the bookmark then holds what is kept.
    """
    waiting = batches(purchases[bookmark.acknowledged :], size)
    under_way: deque[tuple[int, asyncio.Task[list[tuple[int, int]]]]] = deque()
    try:
        async with asyncio.TaskGroup() as group:
            while True:
                while len(under_way) < in_flight and (batch := next(waiting, None)):
                    events = [purchase.event(bookmark.shift_days) for purchase in batch]
                    under_way.append((len(batch), group.create_task(post(client, events, patience_s=patience_s))))
                if not under_way:
                    break
                count, answer = under_way.popleft()
                bookmark.advance(count, await answer)
                kept()
    except ExceptionGroup as errors:
        raise errors.exceptions[0] from errors
    bookmark.done = True
    kept()


async def post(
    client: httpx.AsyncClient, events: list[dict[str, Any]], *, patience_s: float = PATIENCE_S
) -> list[tuple[int, int]]:
    """Post until it is answered for good; the place (partition, offset) of each event.

    A 503 or a broken connection says it is not known what was kept: the same is sent again after Retry-After.
    """
    body = msgspec.json.encode(events)
    deadline = time.monotonic() + patience_s
    while True:
        pause, why = DEFAULT_PAUSE_S, ""
        try:
            response = await client.post(
                "/v1/events", content=body, headers={"content-type": "application/cloudevents-batch+json"}
            )
        except httpx.TransportError as error:
            why = str(error) or type(error).__name__
        else:
            if response.status_code != HTTPStatus.SERVICE_UNAVAILABLE:
                if places := _places(response, events):
                    return places
                pause, why = 0.0, "it does not say where they are"
            else:
                pause, why = _retry_after(response), response.text[:200]
        if time.monotonic() + pause > deadline:
            raise Unavailable(f"ingest has not taken events for {patience_s:.0f} s: {why}")
        await asyncio.sleep(pause)


def _places(response: httpx.Response, events: list[dict[str, Any]]) -> list[tuple[int, int]] | None:
    """Where each event is; None if that is not known of all, as after a retry inside ingest: once more will tell."""
    answer = response.json()
    results = answer.get("results")
    if results is None:
        raise Refused(f"ingest refuses a request: {response.status_code} {_say(answer)}")
    for result in results:
        if problem := result.get("problem"):
            event = events[result["index"]]
            raise Refused(f"ingest refuses event {event['id']} of {event['subject']}: {_say(problem)}")
    if len(results) != len(events):
        raise Refused(f"ingest answered {len(results)} results to {len(events)} events")
    if any("offset" not in result for result in results):
        return None
    return [(result["partition"], result["offset"]) for result in results]


def _say(problem: dict[str, Any]) -> str:
    return ": ".join(str(problem[key]) for key in ("title", "field", "detail") if problem.get(key))


def _retry_after(response: httpx.Response) -> float:
    try:
        return max(0.0, float(response.headers["retry-after"]))
    except (KeyError, ValueError):
        return DEFAULT_PAUSE_S

"""The replay against an ingest made of a few lines: order, 503, refusals, interruption."""

import asyncio
from collections import defaultdict
from collections.abc import Callable
from typing import Any

import httpx
import msgspec
import pytest

from services.demo.bookmark import Bookmark
from services.demo.cdnow import purchases
from services.demo.replay import Refused, Unavailable, batches, replay

SOME = purchases(100)
SHIFT = 10_000


class Ingest:
    """Keeps what is posted, in order of acceptance; `misbehave` may answer a request in its stead."""

    def __init__(self, misbehave: Callable[[list[dict[str, Any]]], httpx.Response | None] = lambda events: None):
        self.misbehave = misbehave
        self.kept: list[dict[str, Any]] = []

    async def __call__(self, request: httpx.Request) -> httpx.Response:
        events = msgspec.json.decode(request.content)
        if (answer := self.misbehave(events)) is not None:
            return answer
        await asyncio.sleep(0)
        results = []
        for index, event in enumerate(events):
            results.append(
                {"index": index, "id": event["id"], "partition": len(self.kept) % 3, "offset": len(self.kept)}
            )
            self.kept.append(event)
        return httpx.Response(202, json={"accepted": len(events), "refused": 0, "results": results})

    def client(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(transport=httpx.MockTransport(self), base_url="http://ingest")


class Marks:
    """Counts how often the bookmark was kept, and remembers what it said."""

    def __init__(self, bookmark: Bookmark) -> None:
        self.bookmark = bookmark
        self.acknowledged: list[int] = []

    def __call__(self) -> None:
        self.acknowledged.append(self.bookmark.acknowledged)


async def run(ingest: Ingest, bookmark: Bookmark, **more: Any) -> Marks:
    marks = Marks(bookmark)
    async with ingest.client() as client:
        await replay(client, SOME, bookmark, marks, **{"size": 50, "patience_s": 5.0} | more)
    return marks


def test_batches_never_part_a_customer():
    cut = list(batches(SOME, 50))
    assert [p for batch in cut for p in batch] == SOME
    owners = [{p.customer for p in batch} for batch in cut]
    assert sum(map(len, owners)) == len(set().union(*owners))
    assert all(len(batch) >= 50 for batch in cut[:-1])


async def test_every_purchase_is_posted_once_each_customers_in_order():
    ingest, bookmark = Ingest(), Bookmark(SHIFT, 1)
    await run(ingest, bookmark)
    assert sorted(e["id"] for e in ingest.kept) == sorted(str(p.line) for p in SOME)
    by_customer: dict[str, list[str]] = defaultdict(list)
    for event in ingest.kept:
        by_customer[event["subject"]].append(event["time"])
    assert all(times == sorted(times) for times in by_customer.values())
    assert bookmark.done
    assert bookmark.acknowledged == len(SOME)
    assert max(bookmark.reached.values()) == len(SOME) - 1
    assert len(bookmark.reached) == 3


async def test_the_bookmark_is_kept_after_each_batch_and_never_ahead_of_what_was_acknowledged():
    ingest, bookmark = Ingest(), Bookmark(SHIFT, 1)
    marks = await run(ingest, bookmark)
    assert len(marks.acknowledged) == len(list(batches(SOME, 50))) + 1
    assert marks.acknowledged == sorted(marks.acknowledged)


async def test_an_interrupted_replay_goes_on_where_it_was():
    def break_later(events: list[dict[str, Any]]) -> httpx.Response | None:
        return httpx.Response(500, json={"title": "broken"}) if len(ingest.kept) > 300 else None

    ingest, bookmark = Ingest(break_later), Bookmark(SHIFT, 1)
    with pytest.raises(Refused):
        await run(ingest, bookmark)
    assert 0 < bookmark.acknowledged <= len(ingest.kept)
    assert not bookmark.done

    rest = Ingest()
    resumed = msgspec.json.decode(msgspec.json.encode(bookmark), type=Bookmark)
    await run(rest, resumed)
    assert [e["id"] for e in rest.kept] == [str(p.line) for p in SOME[bookmark.acknowledged :]]
    assert {e["id"] for e in ingest.kept + rest.kept} == {str(p.line) for p in SOME}
    assert resumed.done


async def test_a_finished_replay_posts_nothing():
    ingest = Ingest()
    await run(ingest, Bookmark(SHIFT, 1, acknowledged=len(SOME), done=True))
    assert ingest.kept == []


async def test_a_503_is_waited_out_and_the_same_sent_again():
    seen: list[list[str]] = []

    def busy_twice(events: list[dict[str, Any]]) -> httpx.Response | None:
        seen.append([e["id"] for e in events])
        if len(seen) == 1:
            return httpx.Response(503, headers={"retry-after": "0"}, json={})
        if len(seen) == 2:
            raise httpx.ReadError("gone")
        return None

    ingest = Ingest(busy_twice)
    await run(ingest, Bookmark(SHIFT, 1), in_flight=1)
    assert seen[0] == seen[1] == seen[2]
    assert len(ingest.kept) == len(SOME)


async def test_events_whose_place_is_not_known_are_sent_again():
    asked = []

    def forgetful(events: list[dict[str, Any]]) -> httpx.Response | None:
        asked.append(len(events))
        if len(asked) > 1:
            return None
        results = [{"index": i, "id": e["id"], "status": "accepted", "partition": 0} for i, e in enumerate(events)]
        return httpx.Response(202, json={"accepted": len(events), "refused": 0, "results": results})

    ingest, bookmark = Ingest(forgetful), Bookmark(SHIFT, 1)
    await run(ingest, bookmark, in_flight=1)
    assert asked[0] == asked[1]
    assert len(ingest.kept) == len(SOME)
    assert max(bookmark.reached.values()) == len(SOME) - 1


async def test_an_ingest_that_stays_away_ends_the_replay():
    ingest = Ingest(lambda events: httpx.Response(503, headers={"retry-after": "0"}, json={"title": "no broker"}))
    with pytest.raises(Unavailable, match="no broker"):
        await run(ingest, Bookmark(SHIFT, 1), patience_s=0.0)


async def test_a_refused_event_ends_the_replay_and_is_named():
    def refuse(events: list[dict[str, Any]]) -> httpx.Response:
        problem = {"title": "The amount is negative", "field": "data.amount", "detail": "-1"}
        return httpx.Response(422, json={"accepted": 0, "refused": 1, "results": [{"index": 1, "problem": problem}]})

    with pytest.raises(
        Refused, match=f"event {SOME[1].line} of {SOME[1].customer}: The amount is negative: data.amount: -1"
    ):
        await run(Ingest(refuse), Bookmark(SHIFT, 1), in_flight=1)

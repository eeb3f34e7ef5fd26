"""`/v1/stream`: resumes where it was left, misses nothing, says so where it cannot."""

import asyncio
import contextlib
import random

import asyncpg
import httpx
import msgspec
import pytest
import pytest_asyncio

from schemas.decisions import Decision
from services.notifier.api import stream
from services.notifier.consumer import Consumer
from services.notifier.store.database import Database
from services.shared.serving import Running
from tests.notifier import serving
from tests.notifier.desk import Desk
from tests.notifier.scribe import NOON, Scribe
from tests.waiting import until

KEEP = 8


@pytest.fixture
def keep():
    """How many transitions the stream can go back; a test may choose another number."""
    return KEEP


@pytest_asyncio.fixture(loop_scope="session")
async def http(migrated_url, policy, monkeypatch, keep):
    monkeypatch.setattr(Consumer, "run", serving.idle)
    app = serving.app(serving.settings(migrated_url, stream_keep=keep), policy, lambda: NOON)
    async with serving.client(app) as client:
        yield client


class Reader:
    """Reads a stream in a task. events: (id, decision) as they came."""

    def __init__(self, http, **request):
        self.events: list[tuple[int, Decision]] = []
        self.comments = 0
        self.status = None
        self._task = asyncio.create_task(self._read(http, request))

    async def _read(self, http, request):
        async with http.stream("GET", "/v1/stream", timeout=None, **request) as response:
            assert response.status_code == 200
            assert response.headers["content-type"].startswith("text/event-stream")
            self.status = response.status_code
            fields = {}
            async for line in response.aiter_lines():
                name, _, value = line.partition(": ")
                if line == "" and "data" in fields:
                    assert fields["event"] == "transition"
                    self.events.append((int(fields["id"]), msgspec.json.decode(fields["data"], type=Decision)))
                    fields = {}
                elif line.startswith(":"):
                    self.comments += 1
                elif line:
                    fields[name] = value

    @property
    def ids(self):
        return [position for position, _ in self.events]

    async def open(self):
        await until(lambda: self.status or self._task.done(), what="the stream is open")
        if self._task.done():
            self._task.result()
        return self

    async def reads(self, ids):
        await until(lambda: self.ids == ids, what=f"{ids} read, so far {self.ids}")

    async def has_read(self, many):
        await until(lambda: len(self.events) >= many, what=f"{many} events read, so far {self.ids}")

    async def ended(self):
        await asyncio.wait_for(self._task, 10)

    async def leave(self):
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task


@pytest_asyncio.fixture(loop_scope="session")
async def follow(http):
    readers = []

    async def open_stream(**request):
        readers.append(Reader(http, **request))
        return await readers[-1].open()

    yield open_stream
    for reader in readers:
        await reader.leave()


async def move(desk, *subjects):
    for subject in subjects:
        before = desk.scribe.held(subject, "tier")
        desk.scribe.move(subject, "tier", "silver" if before != "silver" else "gold")
    await desk.deliver()


async def test_transitions_come_as_they_are_committed(follow, desk):
    reader = await follow()
    await move(desk, "c1", "c2")
    await move(desk, "c1")
    await reader.reads([1, 2, 3])
    assert [(d.subject, d.before, d.after) for _, d in reader.events] == [
        ("c1", "basic", "silver"),
        ("c2", "basic", "silver"),
        ("c1", "silver", "gold"),
    ]


async def test_what_was_not_announced_does_not_come(follow, desk):
    reader = await follow()
    desk.scribe.move("c1", "tier", "basic", cause="late_event")
    await desk.deliver()
    await move(desk, "c2")
    await reader.reads([1])
    assert reader.events[0][1].subject == "c2"


async def test_a_new_reader_begins_with_what_comes_next(follow, desk):
    await move(desk, "c1", "c2")
    reader = await follow()
    await move(desk, "c3")
    await reader.reads([3])


@pytest.mark.parametrize(
    ("request_", "begins"),
    [
        ({"headers": {"Last-Event-ID": "2"}}, 3),
        ({"params": {"after": 1}}, 2),
        ({"params": {"after": 0}}, 1),
        ({"params": {"after": 0}, "headers": {"Last-Event-ID": "4"}}, 5),
    ],
)
async def test_a_reader_goes_on_behind_the_last_id_it_saw(follow, desk, request_, begins):
    await move(desk, *"abcde")
    reader = await follow(**request_)
    await reader.reads(list(range(begins, 6)))
    await move(desk, "f")
    await reader.reads(list(range(begins, 7)))


async def test_more_than_a_page_comes_without_a_gap(follow, desk, monkeypatch):
    monkeypatch.setattr(stream, "PAGE", 3)
    await move(desk, *"abcdefg")
    reader = await follow(params={"after": 0})
    await reader.reads(list(range(1, 8)))


@pytest.mark.parametrize("keep", [1_000_000])
async def test_concurrent_commits_are_seen_in_order_and_whole(follow, desk, policy, monkeypatch):
    """Several instances commit at once, in transactions of varied length; two readers come and go meanwhile."""
    monkeypatch.setattr(stream, "PAGE", 5)
    chance = random.Random(3)
    writers = []
    for partition in range(4):
        scribe = Scribe(policy)
        scribe.partition_of = {f"p{partition}-{n}": partition for n in range(6)}
        writers.append(Desk(desk.database, policy, scribe))

    async def write(writer):
        for _ in range(12):
            await move(writer, *chance.sample(sorted(writer.scribe.partition_of), 4))

    steady = await follow(params={"after": 0})
    resumed: list[int] = []

    async def come_and_go():
        while len(resumed) < 192:
            request = {"headers": {"Last-Event-ID": str(resumed[-1])}} if resumed else {"params": {"after": 0}}
            reader = await follow(**request)
            await reader.has_read(min(chance.randint(1, 20), 192 - len(resumed)))
            await reader.leave()
            resumed.extend(reader.ids)

    await asyncio.gather(*(write(writer) for writer in writers), come_and_go())
    await steady.reads(list(range(1, 193)))
    assert resumed == list(range(1, 193))
    by_customer: dict[str, list[int]] = {}
    for _, decision in steady.events:
        by_customer.setdefault(decision.subject, []).append(decision.revision)
    assert all(revisions == list(range(1, len(revisions) + 1)) for revisions in by_customer.values())


async def test_a_position_taken_later_is_not_seen_before_one_taken_earlier(follow, desk, policy):
    #  A  begins, takes 1 ─────────────────── commits
    #  B          begins, waits for A ....... takes 2, commits
    other = Desk(desk.database, policy, Scribe(policy))
    other.scribe.partition_of["b"] = 1
    other.scribe.move("b", "tier", "gold")
    desk.scribe.move("a", "tier", "gold")
    await desk.places()
    reader = await follow()
    async with desk.database.transaction() as connection:
        await desk.applier.apply(connection, desk.scribe.batch({}))
        waiting = asyncio.create_task(other.deliver())
        await until(lambda: other.rows("SELECT 1 FROM pg_locks WHERE NOT granted"), what="B waits for A")
        assert reader.ids == []
    await waiting
    await reader.reads([1, 2])
    assert [decision.subject for _, decision in reader.events] == ["a", "b"]


async def test_another_instances_commit_wakes_the_reader(follow, migrated_url, policy, scribe):
    reader = await follow()
    other = Desk(Database(migrated_url), policy, scribe)
    await move(other, "c1")
    await reader.reads([1])
    await other.database.close()


async def test_a_reader_of_what_is_no_longer_kept_is_told(http, desk):
    await move(desk, *"abcdefghij")
    gone = await http.get("/v1/stream", headers={"Last-Event-ID": str(10 - KEEP - 1)})
    assert (gone.status_code, gone.json()["type"]) == (410, "/problems/stream-gone")
    assert "reaches back to 2" in gone.json()["detail"]
    assert "/v1/customers" in gone.json()["fix"]


async def test_an_id_this_stream_never_had_is_told(http, desk):
    await move(desk, "c1")
    ahead = await http.get("/v1/stream", params={"after": 2})
    assert (ahead.status_code, ahead.json()["type"]) == (410, "/problems/stream-gone")


@pytest.mark.parametrize("wrong", ["one", "-1", "9" * 30, "１"])
async def test_an_id_that_is_none_is_refused(http, wrong):
    response = await http.get("/v1/stream", headers={"Last-Event-ID": wrong.encode()})
    assert (response.status_code, response.json()["type"]) == (422, "/problems/invalid-parameter")


async def test_a_quiet_stream_is_kept_open_with_comments(follow, monkeypatch):
    monkeypatch.setattr(stream, "HEARTBEAT_S", 0.05)
    reader = await follow()
    await until(lambda: reader.comments >= 3, what="three comments")


async def test_a_lost_listening_connection_is_made_up_for(follow, desk):
    reader = await follow()
    killer = await asyncpg.connect(desk.database.dsn)
    killed = await killer.fetch(
        "SELECT pg_terminate_backend(pid) FROM pg_stat_activity"
        " WHERE datname = current_database() AND query LIKE 'LISTEN%'"
    )
    await killer.close()
    assert len(killed) == 1
    await move(desk, "c1")
    await reader.reads([1])


async def test_streams_are_counted_and_end_when_the_service_does(migrated_url, policy, monkeypatch, desk):
    monkeypatch.setattr(Consumer, "run", serving.idle)
    app = serving.app(serving.settings(migrated_url, stream_keep=KEEP), policy, lambda: NOON)
    async with Running(app, drain_s=60) as running, httpx.AsyncClient(base_url=running.url, timeout=20) as http:
        reader = await Reader(http).open()
        assert "tierline_notifier_streams_open 1.0" in (await http.get("/metrics")).text
        running.request_stop()
        await reader.ended()
        await asyncio.wait_for(running.stopped(), 10)

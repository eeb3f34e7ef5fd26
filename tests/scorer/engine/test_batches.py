"""Runs and micro-batches."""

import asyncio
from types import SimpleNamespace

from services.scorer.engine.batches import Inbox, Pace, RawRun, Room, RunScheduler
from tests.scorer.engine.records import Fetched


def run(first: int, count: int, size: int = 10) -> list[Fetched]:
    return [Fetched(first + n, 1000 + n, b"k", b"x" * size) for n in range(count)]


def inbox(*runs: list[Fetched], room: Room | None = None) -> Inbox:
    box = Inbox(room or Room(1_000_000))
    for records in runs:
        box.put(records)
    return box


def offsets(records: list[Fetched]) -> list[int]:
    return [record.offset for record in records]


def test_a_fetched_run_is_one_message_under_its_last_offset() -> None:
    runs = {"events-0": run(5, 3), "events-1": run(90, 1)}
    messages = dict(RunScheduler().iterate(runs))
    assert messages["events-0"].offset == 7
    assert messages["events-0"].timestamp == 1002
    assert messages["events-0"].value is runs["events-0"]
    assert messages["events-1"].offset == 90


def test_a_run_passes_the_schema_as_it_is() -> None:
    records = run(0, 2)
    assert RawRun(allow_empty=True).loads_value(None, SimpleNamespace(value=records)) is records


def test_batches_join_and_split_runs_and_keep_the_order() -> None:
    box = inbox(run(0, 3), run(3, 5))
    assert offsets(box.take(4)) == [0, 1, 2, 3]
    assert offsets(box.take(100)) == [4, 5, 6, 7]
    assert not box


def test_a_batch_ends_where_offsets_are_missing() -> None:
    box = inbox(run(0, 3), run(9, 2))
    assert offsets(box.take(100)) == [0, 1, 2]
    assert offsets(box.take(100)) == [9, 10]


def test_a_batch_is_bounded_by_bytes_but_never_empty() -> None:
    box = inbox(run(0, 1, Inbox.MOST_BYTES + 1), run(1, 1), run(2, 1))
    assert offsets(box.take(100)) == [0]
    assert offsets(box.take(100)) == [1, 2]


def test_what_was_taken_already_is_skipped() -> None:
    box = inbox(run(0, 3), run(3, 3))
    assert box.skip_below(4) == 4
    assert box.first_offset() == 4
    assert offsets(box.take(100)) == [4, 5]


async def test_a_full_room_holds_up_fetching_until_a_batch_was_taken() -> None:
    room = Room(100)
    box = inbox(run(0, 6), run(6, 6), room=room)
    waiter = asyncio.create_task(room.wait())
    await asyncio.sleep(0)
    assert not waiter.done()
    box.take(6)
    await asyncio.wait_for(waiter, 1)
    assert not room.empty
    box.clear()
    assert room.empty


def test_skipping_makes_room_for_just_what_was_skipped() -> None:
    room = Room(1000)
    box = inbox(run(0, 4), room=room)
    box.skip_below(3)
    box.take(1)
    assert room.empty


def test_the_pace_follows_the_time_a_record_takes() -> None:
    pace = Pace(most=5000, target_s=0.05)
    pace.took(pace.records, 0.001)
    assert pace.records == 1000  # at most twofold
    for _ in range(5):
        pace.took(pace.records, pace.records * 0.00001)
    assert pace.records == 5000
    pace.took(5000, 5.0)
    assert pace.records == 50
    pace.took(3, 0.001)
    assert pace.records == 50  # a batch that was not full says nothing about larger ones


def test_the_pace_never_stops() -> None:
    pace = Pace(most=100)
    pace.took(1, 100.0)
    assert pace.records == 1

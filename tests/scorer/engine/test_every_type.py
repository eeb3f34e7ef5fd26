"""Every type of event comes through the engine to its decisions, and each of these to its topic."""

import asyncio
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from schemas.decisions import Announcement, Decision, DecisionRecord
from schemas.events import EVENT_TYPES
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.policy import parse
from services.scorer.engine.shard import Shard
from services.scorer.engine.turn import Turn
from tests.scorer.engine.conftest import Install
from tests.scorer.engine.every_type import EXPECTED, TEXT, Expected, every_type
from tests.scorer.engine.installation import ago
from tests.scorer.engine.records import fetched
from tests.scorer.engine.traffic import everything_taken
from tests.scorer.engine.workers import WorkerProcess

BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def decided(turn: Turn) -> list[tuple[Decision, str | None]]:
    """Each decision of a turn with the topic it is announced on."""
    topics = {
        (found.dimension, found.revision): topic
        for topic, _, value in turn.announcements
        for found in [msgspec.json.decode(value, type=Announcement)]
    }
    decisions = [msgspec.json.decode(value, type=DecisionRecord) for _, value in turn.decisions]
    return [(d, topics.get((d.dimension, d.revision))) for d in decisions if isinstance(d, Decision)]


def test_every_type_there_is_stands_in_the_table() -> None:
    assert tuple(EXPECTED) == EVENT_TYPES


def test_each_event_decides_what_it_should_and_is_named_as_the_reason() -> None:
    shard = Shard(Policies.only(parse(TEXT, "test.yaml")), number=0, partitions=1, topic="events")
    for n, record in enumerate(fetched(every_type("a", BEGAN))):
        turn = Turn(0, to_ms(BEGAN), catching_up=False)
        shard.take(turn, [record], record.timestamp)
        kind = EVENT_TYPES[n]
        assert (turn.taken, turn.dead_letters) == (1, []), kind
        found = decided(turn)
        assert [Expected(d.dimension, d.after, d.cause, topic) for d, topic in found] == EXPECTED[kind]
        for decision, _ in found:
            assert decision.trigger is not None
            assert (decision.trigger.type, decision.trigger.id) == (kind, kind)
            assert decision.effective_at == BEGAN + timedelta(seconds=n)


def test_a_change_of_class_goes_where_changes_of_segments_go() -> None:
    shard = Shard(Policies.only(parse(TEXT, "test.yaml")), number=0, partitions=1, topic="events")
    stage = next(event for event in every_type("a", BEGAN) if event.id == "stage")
    turn = Turn(0, to_ms(BEGAN), catching_up=False)
    shard.take(turn, fetched([stage]), to_ms(stage.time))
    [(topic, key, value)] = turn.announcements
    announcement = msgspec.json.decode(value, type=Announcement)
    assert (topic, key) == ("segment-changes", b"a")
    assert (announcement.dimension, announcement.before, announcement.after) == ("phase", "none", "open")
    assert turn.transitions == {("phase", "open", "event"): 1}


@pytest.mark.timeout(120)
async def test_every_type_comes_through_a_worker_and_its_topics(install: Install) -> None:
    installation = await install(partitions=1, text=TEXT)
    async with await WorkerProcess.start(installation) as worker:
        await worker.ready()
        await asyncio.to_thread(installation.send, every_type("a", ago(60)))
        await everything_taken(installation)
        assert await worker.metric('tierline_scorer_events_total{outcome="taken"}') == len(EVENT_TYPES)
        assert await worker.stop() == 0
    wanted = [(kind, what) for kind, of_type in EXPECTED.items() for what in of_type]
    said = {
        (d.trigger.id, d.dimension, d.after, d.cause)
        for d in await asyncio.to_thread(installation.decisions)
        if d.trigger is not None
    }
    assert said == {(kind, what.dimension, what.after, what.cause) for kind, what in wanted}
    for topic in ("tier-changes", "segment-changes"):
        announced = await asyncio.to_thread(installation.read, topic)
        found = [msgspec.json.decode(record.value, type=Announcement) for record in announced]
        assert {(f.dimension, f.after) for f in found} == {
            (w.dimension, w.after) for _, w in wanted if w.topic == topic
        }
    assert await asyncio.to_thread(installation.dead_letters) == []

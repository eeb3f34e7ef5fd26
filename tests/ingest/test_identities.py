"""Merges, unmerges and erasures over HTTP: one sequence, whoever writes it, and what cannot be is refused."""

import asyncio
import threading
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from typing import Any

import httpx
import msgspec
import pytest
from confluent_kafka import KafkaError, KafkaException, Producer
from hypothesis import given
from hypothesis import strategies as st

from schemas import topics
from schemas.identities import Erasure, Identity
from services.ingest import identities
from services.ingest.app import build
from services.scorer.engine.changelog import reader
from services.shared import identities as shared
from services.shared import single_writer
from services.shared.identities import AlreadyMerged, Directory, InLine, NotMerged, Reading, Sequencer, operations
from services.shared.kafka import KafkaUnavailable, create_topics
from services.shared.portions import portions
from services.shared.serving import Running
from services.shared.settings import IngestSettings
from tests.ingest.conftest import Mortal
from tests.ingest.reading import values
from tests.waiting import until

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)


@pytest.fixture
async def with_topic(settings: IngestSettings) -> IngestSettings:
    await asyncio.to_thread(create_topics, settings, [topics.IDENTITIES])
    return settings


async def written(settings: IngestSettings) -> list[Identity]:
    return [msgspec.json.decode(value, type=Identity) for value in await values(settings, topics.IDENTITIES.name)]


async def posted(client: httpx.AsyncClient, what: str, **body: object) -> tuple[int, dict[str, object]]:
    response = await client.post(f"/v1/{what}", json=body)
    return response.status_code, response.json()


async def test_what_is_asked_for_stands_on_the_topic_in_one_sequence(with_topic, client) -> None:
    status, merged = await posted(client, "merges", **{"from": "b", "into": "a"})
    assert (status, merged["status"], merged["sequence"], merged["customer"]) == (202, "accepted", 1, "a")
    assert (await posted(client, "merges", **{"from": "c", "into": "b"}))[1]["customer"] == "a"
    assert (await posted(client, "unmerges", **{"from": "b", "into": "a"}))[0] == 202
    status, erased = await posted(client, "erasures", subject="c")
    assert (status, erased["sequence"], erased["customer"]) == (202, 4, "a")
    one, two, three, four = await written(with_topic)
    assert (one.from_, one.into, one.asked) == ("b", "a", None)
    assert (two.from_, two.into, two.asked) == ("c", "a", "b")
    assert (three.from_, three.into) == ("b", "a")
    assert (four.subject, four.asked) == ("a", "c")
    assert [o.sequence for o in (one, two, three, four)] == [1, 2, 3, 4]


async def test_the_same_merge_again_writes_nothing(with_topic, client) -> None:
    await posted(client, "merges", **{"from": "b", "into": "a"})
    assert await posted(client, "merges", **{"from": "b", "into": "a"}) == (200, {"status": "already"})
    assert len(await written(with_topic)) == 1


@pytest.mark.parametrize(
    ("what", "body", "slug"),
    [
        ("merges", {"from": "a", "into": "a"}, "merged-already"),
        ("merges", {"from": "a", "into": "b"}, "merged-already"),  # a circle
        ("merges", {"from": "b", "into": "z"}, "merged-already"),
        ("unmerges", {"from": "z", "into": "a"}, "not-merged"),
        ("unmerges", {"from": "a", "into": "b"}, "not-merged"),
    ],
)
async def test_what_cannot_be_is_a_conflict_and_writes_nothing(with_topic, client, what, body, slug) -> None:
    await posted(client, "merges", **{"from": "b", "into": "a"})
    status, said = await posted(client, what, **body)
    assert (status, said["type"]) == (409, f"/problems/{slug}")
    assert said["fix"]
    assert len(await written(with_topic)) == 1


@pytest.mark.parametrize(
    ("what", "body", "field"),
    [
        ("merges", {"from": "b"}, None),
        ("merges", {"from": "b", "into": 7}, "into"),
        ("merges", {"from": "li@example.com", "into": "a"}, "from"),
        ("merges", {"from": "b ", "into": "a"}, "from"),
        ("merges", {"from": "b", "into": "a", "why": "x"}, None),
        ("erasures", {"subject": ""}, "subject"),
        ("erasures", {"subject": "+8613800138000"}, "subject"),
    ],
)
async def test_what_cannot_be_read_is_refused_and_the_field_named(with_topic, client, what, body, field) -> None:
    status, said = await posted(client, what, **body)
    assert status == 422
    assert said.get("field") == field
    assert await written(with_topic) == []


async def test_what_is_not_json_or_far_too_much_is_refused(with_topic, client) -> None:
    for body, status in ((b"{", 400), (b"[" * 4000, 422), (b"x" * 5000, 400)):
        response = await client.post("/v1/merges", content=body)
        assert response.status_code == status, body[:10]
        assert response.headers["content-type"] == "application/problem+json"


async def test_of_two_ingests_that_write_at_once_both_get_through_and_no_number_is_given_twice(with_topic) -> None:
    async with (
        Running(build(with_topic)) as one,
        Running(build(with_topic)) as two,
        httpx.AsyncClient(timeout=60) as http,
    ):

        async def post(url: str, n: int) -> int:
            body = {"from": f"b{n}", "into": "a"}
            for _ in range(20):
                status = (await http.post(f"{url}/v1/merges", json=body)).status_code
                if status != 503:
                    return status
            raise AssertionError("never got through")

        answers = await asyncio.gather(*(post((one, two)[n % 2].url, n) for n in range(12)))
    assert set(answers) <= {200, 202}
    found = await written(with_topic)
    assert [operation.sequence for operation in found] == list(range(1, 13))
    assert {operation.from_ for operation in found} == {f"b{n}" for n in range(12)}


async def test_without_a_broker_it_is_said_that_it_is_not_known(mortal: Mortal) -> None:
    await asyncio.to_thread(create_topics, mortal.settings, [topics.IDENTITIES])
    await mortal.broker.kill()
    try:
        async with Running(build(mortal.settings)) as server, httpx.AsyncClient(timeout=60) as http:
            response = await http.post(f"{server.url}/v1/erasures", json={"subject": "a"})
        assert response.status_code == 503
        assert response.headers["retry-after"]
    finally:
        await mortal.broker.start()


def test_who_would_have_to_wait_long_for_others_is_told_so_and_never_written(monkeypatch: pytest.MonkeyPatch) -> None:
    #  first   ●── waits for Kafka · · · · · · · · ✗ not known
    #  second    ●── in line ──▮ told; not done when the first has ended either
    writing, answer, asked = threading.Event(), threading.Event(), []

    def open_writer(*_: object, **__: object) -> None:
        writing.set()
        assert answer.wait(10)
        raise KafkaException(KafkaError(KafkaError._TRANSPORT, "away"))

    monkeypatch.setattr(single_writer, "open_writer", open_writer)
    monkeypatch.setattr(shared, "_IN_LINE_S", 0.05)
    sequencer = Sequencer(IngestSettings(kafka_bootstrap="127.0.0.1:9"))
    with ThreadPoolExecutor(1) as pool:
        first = pool.submit(sequencer.append, asked.append)
        assert writing.wait(10)
        with pytest.raises(InLine):
            sequencer.append(asked.append)
        answer.set()
        assert isinstance(first.exception(10), KafkaUnavailable)
    assert asked == []
    with pytest.raises(KafkaUnavailable):
        sequencer.append(asked.append)  # the line is free again


async def test_requests_of_which_too_many_wait_take_no_thread_from_anything_else(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    answer, begun = threading.Event(), []

    class Slow:
        def append(self, following: object) -> None:
            begun.append(following)
            assert answer.wait(10)

        def close(self) -> None:
            pass

    monkeypatch.setattr(identities, "_AT_ONCE", 40)  # more than the threads of the event loop
    writing = identities.Writing(Slow())  # type: ignore[arg-type]
    waiting = [asyncio.create_task(writing.write(lambda _: None)) for _ in range(40)]
    await until(lambda: len(begun) == 40)
    waiting.pop().cancel()
    await asyncio.sleep(0)
    with pytest.raises(InLine):
        await writing.write(lambda _: None)  # whom nobody waits for is being written still
    assert await asyncio.wait_for(asyncio.to_thread(lambda: "free"), 5) == "free"
    answer.set()
    await asyncio.gather(*waiting)
    assert await writing.write(lambda _: None) is None
    await asyncio.to_thread(writing.close)
    assert len(begun) == 41


def test_the_instant_never_runs_back() -> None:
    known = Directory()
    known.take(known.erase("a", NOON))
    assert known.erase("b", NOON - timedelta(hours=1)).at == NOON


def test_an_instant_counts_for_a_minute_ahead_of_the_broker_s_clock_at_most_and_never_runs_back() -> None:
    #  ingest's clock  12:00    13:01: an hour ahead    12:02    12:03
    #  appended        12:00    12:01                   12:02    11:59: the broker's own clock is set back
    #  takes effect    12:00    12:02                   12:02    12:02
    def minutes(count: int) -> datetime:
        return NOON + timedelta(minutes=count)

    reading, asked = Reading(), [(0, 0), (61, 1), (2, 2), (3, -1)]
    told = [
        reading.understood(Erasure(sequence=n, at=minutes(at), subject="a"), int(minutes(appended).timestamp() * 1000))
        for n, (at, appended) in enumerate(asked, start=1)
    ]
    assert [operation.at for operation in told] == [minutes(0), minutes(2), minutes(2), minutes(2)]


async def test_one_request_while_the_clock_is_an_hour_ahead_puts_off_none_that_follow(with_topic) -> None:
    off = timedelta(hours=1)
    async with (
        Running(build(with_topic, clock=lambda: datetime.now(UTC) + off)) as server,
        httpx.AsyncClient(base_url=server.url, timeout=30) as http,
    ):
        began = datetime.now(UTC)
        answers = [(await posted(http, "merges", **{"from": "b", "into": "a"}))[1]]
        off = timedelta(0)
        answers += [(await posted(http, "erasures", subject=subject))[1] for subject in ("c", "d")]
    said = [datetime.fromisoformat(str(answer["at"])) for answer in answers]
    assert all(at - began < timedelta(seconds=90) for at in said), said
    consumer = reader(with_topic, with_topic.topic("test"))
    try:
        topic = with_topic.topic(topics.IDENTITIES.name)
        found = [m for portion in portions(consumer, topic, 0, 0, None) for m in portion]
    finally:
        consumer.close()
    assert [operation.at for operation in operations(found)] == said, "others understand another instant"


NAMES = st.sampled_from("abcdef")


@given(st.lists(st.tuples(st.sampled_from(["merge", "unmerge", "erase"]), NAMES, NAMES), max_size=30))
def test_whatever_is_asked_for_everybody_has_one_survivor_who_is_nobodys_other_name(asked) -> None:
    known = Directory()
    for what, one, other in asked:
        operation: Any
        try:
            match what:
                case "merge":
                    operation = known.merge(one, other, NOON)
                case "unmerge":
                    operation = known.unmerge(one, other, NOON)
                case _:
                    operation = known.erase(one, NOON)
        except (AlreadyMerged, NotMerged):
            continue
        if operation is None:
            assert known.survivor(one) == known.survivor(other)
            continue
        family = known.members(one) | {one}
        known.take(operation)
        if what == "merge":
            assert known.survivor(one) == known.survivor(other) == operation.into
        elif what == "unmerge":
            assert {known.survivor(name) for name in family} == {one}
        else:
            assert known.members(operation.subject) == frozenset()
    for name in "abcdef":
        survivor = known.survivor(name)
        assert known.survivor(survivor) == survivor
        assert name == survivor or name in known.members(survivor)


async def test_while_somebody_elses_record_stands_on_the_topic_nothing_is_written_behind_it(with_topic, client) -> None:
    await posted(client, "merges", **{"from": "b", "into": "a"})
    producer = Producer({"bootstrap.servers": with_topic.kafka_bootstrap})
    producer.produce(with_topic.topic(topics.IDENTITIES.name), b"hello", b"", 0)
    await asyncio.to_thread(producer.flush)
    for _ in range(2):
        status, problem = await posted(client, "merges", **{"from": "c", "into": "a"})
        assert (status, f"{with_topic.topic(topics.IDENTITIES.name)}-0 offset" in problem["detail"]) == (503, True), (
            problem
        )
    assert len(await values(with_topic, topics.IDENTITIES.name)) == 2

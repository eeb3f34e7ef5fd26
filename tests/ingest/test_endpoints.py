"""`POST /v1/events` over HTTP on a real broker: forms of body, limits, answers, what stands on the topic afterwards."""

import gzip
import json
from collections.abc import AsyncIterator
from typing import Any

import httpx
import jsonschema
import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as hypothesis_settings
from hypothesis import strategies as st
from openapi_spec_validator import validate
from prometheus_client.parser import text_string_to_metric_families

from schemas import intake, problems
from services.ingest import body, documentation
from services.ingest.app import build
from services.shared.partitioner import partition_of
from services.shared.serving import CannotServe, Running
from services.shared.settings import IngestSettings
from tests.ingest.conftest import MakeSettings, Mortal
from tests.ingest.posting import Leave, cloud_event, shorthand, text
from tests.ingest.reading import records
from tests.waiting import until

JSON = {"content-type": body.JSON}


async def post(client: httpx.AsyncClient, content: Any, media: str = body.JSON, **headers: str) -> httpx.Response:
    raw = content if isinstance(content, bytes) else text(content)
    return await client.post("/v1/events", content=raw, headers={"content-type": media, **headers})


def is_problem(answer: httpx.Response, problem: problems.Problem) -> dict[str, Any]:
    """The details, once all that every problem has is checked."""
    details: dict[str, Any] = answer.json()
    assert answer.headers["content-type"] == problems.MEDIA_TYPE
    assert (answer.status_code, details["type"], details["status"]) == (problem.status, problem.type, problem.status)
    assert {"title", "detail", "fix"} <= details.keys()
    return details


async def metric(client: httpx.AsyncClient, name: str, **labels: str) -> float:
    exposition = (await client.get("/metrics")).text
    samples = [sample for family in text_string_to_metric_families(exposition) for sample in family.samples]
    return sum(s.value for s in samples if s.name == name and labels.items() <= s.labels.items())


async def test_one_event_is_accepted_and_stands_on_the_topic(
    client: httpx.AsyncClient, settings: IngestSettings
) -> None:
    answer = await post(client, shorthand(time="2026-03-01T20:00:00.1239+08:00"))
    assert answer.status_code == 202
    partition = partition_of(b"c-1", 3)
    assert answer.json() == {"id": "e-1", "status": "accepted", "partition": partition, "offset": 0}
    (record,) = await records(settings)
    assert (record.partition, record.offset, record.key) == (partition, 0, b"c-1")
    written = json.loads(record.value)
    assert written.pop("receivedtime").endswith("Z")
    assert written == {
        "specversion": "1.0",
        "type": "purchase",
        "id": "e-1",
        "source": "shop",
        "subject": "c-1",
        "time": "2026-03-01T12:00:00.123000Z",
        "data": {"amount_minor": 60000, "currency": "CNY", "order": "o-1", "channel": "web"},
    }


@pytest.mark.parametrize(
    ("content", "media"),
    [
        (b"[" + text(shorthand()) + b"," + text(cloud_event("click")) + b"]", body.JSON),
        (text([cloud_event(), cloud_event("click")]), body.CLOUD_EVENTS),
        (text(shorthand()) + b"\n\r\n" + text(cloud_event("click")) + b"\n", body.NDJSON),
    ],
)
async def test_every_form_of_batch_is_answered_event_by_event(
    client: httpx.AsyncClient, settings: IngestSettings, content: bytes, media: str
) -> None:
    answer = await post(client, content, media)
    assert answer.status_code == 202
    place = {"status": "accepted", "partition": partition_of(b"c-1", 3)}
    assert answer.json() == {
        "accepted": 2,
        "refused": 0,
        "results": [{"index": n, "id": "e-1", "offset": n, **place} for n in range(2)],
    }
    assert [json.loads(r.value)["type"] for r in await records(settings)] == ["purchase", "click"]


async def test_one_cloud_event_by_its_content_type(client: httpx.AsyncClient) -> None:
    assert (await post(client, cloud_event("form"), body.CLOUD_EVENT)).status_code == 202
    details = is_problem(await post(client, shorthand("form"), body.CLOUD_EVENT), problems.MISSING_FIELD)
    assert details["field"] == "specversion"


async def test_the_good_of_a_batch_are_kept_and_the_bad_come_back_with_reasons(
    client: httpx.AsyncClient, settings: IngestSettings
) -> None:
    answer = await post(client, [shorthand(), shorthand(id="e-2", amount=-1), 7, shorthand("click", id="e-4")])
    assert answer.status_code == 202
    told = answer.json()
    assert (told["accepted"], told["refused"]) == (2, 2)
    assert [(r["index"], r["id"], r["status"]) for r in told["results"]] == [
        (0, "e-1", "accepted"),
        (1, "e-2", "refused"),
        (2, None, "refused"),
        (3, "e-4", "accepted"),
    ]
    assert told["results"][1]["problem"]["type"] == problems.NEGATIVE_AMOUNT.type
    assert told["results"][1]["problem"]["field"] == "amount"
    assert told["results"][2]["problem"]["type"] == problems.NOT_AN_EVENT.type
    assert [json.loads(r.value)["id"] for r in await records(settings)] == ["e-1", "e-4"]


@pytest.mark.parametrize(
    ("batch", "status"),
    [
        ([shorthand(amount=-1), shorthand(type="x")], 422),
        ([shorthand(amount=-1), {**shorthand(), "id": "\ud800"}], 400),  # the array itself can't be read
        ([7], 422),
    ],
)
async def test_a_batch_of_which_nothing_is_kept_is_an_error(
    client: httpx.AsyncClient, settings: IngestSettings, batch: Any, status: int
) -> None:
    assert (await post(client, batch)).status_code == status
    assert await records(settings) == []


async def test_lines_that_are_no_json_do_not_harm_the_others(client: httpx.AsyncClient) -> None:
    answer = await post(client, b"{nonsense\n" + text(shorthand()), body.NDJSON)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    answer = await post(client, b"{nonsense\n{", body.NDJSON)
    assert (answer.status_code, answer.json()["refused"]) == (400, 2)


@pytest.mark.parametrize(
    ("item", "problem"),
    [
        (b"{", problems.MALFORMED_BODY),
        (shorthand(type="purchased"), problems.UNKNOWN_TYPE),
        (shorthand(amount="-0.01"), problems.NEGATIVE_AMOUNT),
        (shorthand(amount=12.345), problems.TOO_MANY_DECIMALS),
        (shorthand(subject=Leave), problems.MISSING_SUBJECT),
        (shorthand(subject="ann@example.org"), problems.PERSONAL_SUBJECT),
        (shorthand(time="2999-03-01T12:00:00Z"), problems.TIME_IN_FUTURE),
        (b"", problems.EMPTY_BODY),
        (b"[]", problems.EMPTY_BODY),
        (b"[" * 100_000, problems.TOO_DEEP),
    ],
)
async def test_bad_input_is_a_problem_of_its_own_type(
    client: httpx.AsyncClient, item: Any, problem: problems.Problem
) -> None:
    before = await metric(client, "tierline_ingest_events_refused_total", reason=problem.slug)
    details = is_problem(await post(client, item), problem)
    assert await metric(client, "tierline_ingest_events_refused_total", reason=problem.slug) == before + 1
    described = (await client.get(details["type"])).json()
    assert described["title"] == details["title"]


async def test_content_types_and_encodings_that_are_not_ours(client: httpx.AsyncClient) -> None:
    is_problem(await post(client, shorthand(), "text/csv"), problems.UNSUPPORTED_MEDIA_TYPE)
    is_problem(await post(client, shorthand(), "application/json; charset=utf-16"), problems.UNSUPPORTED_MEDIA_TYPE)
    packed = gzip.compress(text(shorthand()))
    is_problem(await post(client, packed, **{"content-encoding": "gzip"}), problems.UNSUPPORTED_MEDIA_TYPE)


async def test_a_body_over_the_limit_is_read_no_further(make_settings: MakeSettings) -> None:
    app = build(make_settings(max_body_bytes=1024))
    async with Running(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        is_problem(await post(client, b" " * 1025), problems.BODY_TOO_LARGE)

        async def endless() -> AsyncIterator[bytes]:
            for _ in range(100):
                yield b" " * 100

        answer = await client.post("/v1/events", content=endless(), headers=JSON)
        is_problem(answer, problems.BODY_TOO_LARGE)
        padded = text(shorthand()).ljust(1024)
        assert (await post(client, padded)).status_code == 202
        assert await metric(client, "tierline_ingest_in_flight_bytes") == 0


async def test_more_events_than_the_limit(make_settings: MakeSettings) -> None:
    app = build(make_settings(max_batch_events=2))
    async with Running(app) as server, httpx.AsyncClient(base_url=server.url) as client:
        is_problem(await post(client, [shorthand()] * 3), problems.TOO_MANY_EVENTS)
        assert (await post(client, [shorthand()] * 2)).status_code == 202


async def test_an_event_is_counted_by_type_and_timed(client: httpx.AsyncClient) -> None:
    await post(client, [shorthand(), shorthand("click"), shorthand("click")])
    assert await metric(client, "tierline_ingest_events_accepted_total", type="click") == 2
    assert await metric(client, "tierline_ingest_acknowledgement_seconds_count") == 1
    assert await metric(client, "tierline_ingest_request_events_sum") == 3
    assert await metric(client, "tierline_ingest_broker_up") == 1
    labels = {"method": "POST", "route": "/v1/events", "status": "202"}
    assert await metric(client, "tierline_ingest_http_request_seconds_count", **labels) == 1


async def test_503_while_kafka_is_away_and_202_once_it_is_back(mortal: Mortal) -> None:
    app = build(mortal.settings)
    async with Running(app) as server, httpx.AsyncClient(base_url=server.url, timeout=30) as client:
        assert (await client.get("/readyz")).json()["ok"]
        await mortal.broker.kill()
        for content in (shorthand(), [shorthand(), shorthand(amount=-1)]):
            answer = await post(client, content)
            is_problem(answer, problems.BROKER_UNAVAILABLE)
            assert int(answer.headers["retry-after"]) > 0
        ready = await client.get("/readyz")
        assert (ready.status_code, ready.json()["dependencies"][0]["ok"]) == (503, False)
        assert (await client.get("/livez")).status_code == 200
        assert await metric(client, "tierline_ingest_broker_up") == 0
        # What is bad is bad without Kafka.
        is_problem(await post(client, shorthand(amount=-1)), problems.NEGATIVE_AMOUNT)
        await mortal.broker.start()

        async def accepted() -> bool:
            return (await post(client, shorthand())).status_code == 202

        await until(accepted)
        assert (await client.get("/readyz")).status_code == 200
        assert await metric(client, "tierline_ingest_events_accepted_total") == 1


async def test_events_kafka_did_not_acknowledge_are_told_from_those_it_did(
    client: httpx.AsyncClient, settings: IngestSettings, monkeypatch: pytest.MonkeyPatch
) -> None:
    from services.ingest.publisher import Publisher

    original = Publisher.publish

    async def forgetful(self: Publisher, sent: Any) -> Any:
        return [None if n == 1 else receipt for n, receipt in enumerate(await original(self, sent))]

    monkeypatch.setattr(Publisher, "publish", forgetful)
    answer = await post(client, [shorthand(id=f"e-{n}") for n in range(3)])
    assert (answer.status_code, answer.json()["accepted"]) == (202, 2)
    assert int(answer.headers["retry-after"]) > 0
    assert [r["status"] for r in answer.json()["results"]] == ["accepted", "refused", "accepted"]
    assert answer.json()["results"][1]["problem"]["type"] == problems.BROKER_UNAVAILABLE.type


async def test_a_topic_with_other_partitions_is_one_line_and_no_service(make_settings: MakeSettings) -> None:
    with pytest.raises(
        CannotServe, match=r"^topic \S+-events: partitions is 3, wanted 5; their number is for ever"
    ) as refusal:
        async with Running(build(make_settings(partitions=5))):
            pytest.fail("must not serve")
    assert refusal.value.exit_code == 2


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    """The OpenAPI document, made without any broker."""
    return build(IngestSettings(kafka_bootstrap="nowhere.invalid:9092")).openapi()


def test_the_openapi_document_is_valid_and_made_without_a_broker(document: dict[str, Any]) -> None:
    validate(document)
    assert document["openapi"].startswith("3.1")
    assert "HTTPValidationError" not in str(document)


def test_the_documents_examples_fit_its_schema(document: dict[str, Any]) -> None:
    operation = document["paths"]["/v1/events"]["post"]
    for media, content in operation["requestBody"]["content"].items():
        shown = [e["value"] for e in content.get("examples", {}).values()] + [
            content[k] for k in ["example"] if k in content
        ]
        for value in shown:
            jsonschema.validate(value, {**content["schema"], "components": document["components"]})
        assert shown or media == body.NDJSON
    for response in operation["responses"].values():
        for content in response["content"].values():
            for example in content.get("examples", {}).values():
                jsonschema.validate(example["value"], {**content["schema"], "components": document["components"]})


async def test_the_documents_examples_work_and_the_answers_fit(
    client: httpx.AsyncClient, document: dict[str, Any]
) -> None:
    operation = document["paths"]["/v1/events"]["post"]
    shown = operation["requestBody"]["content"][body.JSON]["examples"]
    for value in [*(example["value"] for example in shown.values()), shorthand(amount=-1), [7], [shorthand(), 7]]:
        answer = await post(client, value)
        content = operation["responses"][str(answer.status_code)]["content"][answer.headers["content-type"]]
        jsonschema.validate(answer.json(), {**content["schema"], "components": document["components"]})


def test_every_problem_ingest_may_answer_is_documented(document: dict[str, Any]) -> None:
    documented = {
        slug
        for path in ("/v1/events", "/v1/merges", "/v1/unmerges", "/v1/erasures")
        for response in document["paths"][path]["post"]["responses"].values()
        for slug in response["content"].get(problems.MEDIA_TYPE, {}).get("examples", {})
    }
    elsewhere = {"not-found", "method-not-allowed", "database-unavailable", "invalid-parameter", "stream-gone"}
    elsewhere |= {"policy-unavailable", "not-yet-known"}
    of_customers = {slug for slug in problems.CATALOGUE if slug.startswith(("customer", "task"))}
    assert documented == problems.CATALOGUE.keys() - elsewhere - of_customers
    assert documentation.SHORTHAND["type"] in intake.FIELDS


@hypothesis_settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    content=st.binary() | st.text().map(str.encode), media=st.sampled_from([body.JSON, body.NDJSON, body.CLOUD_EVENTS])
)
async def test_no_bytes_make_it_fail(client: httpx.AsyncClient, content: bytes, media: str) -> None:
    assert 400 <= (await post(client, content, media)).status_code < 500

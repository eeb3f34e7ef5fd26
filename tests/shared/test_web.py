"""No answer of ours has another shape, whoever gives it."""

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import httpx
import pytest_asyncio
from fastapi import FastAPI, HTTPException, Query
from openapi_spec_validator import validate
from prometheus_client import CollectorRegistry, Counter
from starlette.responses import Response

from schemas import problems
from services.shared.metrics import IngestMetrics
from services.shared.web import Json, create_app


class Dependencies:
    """Two dependencies whose state the tests set."""

    def __init__(self) -> None:
        self.database: Exception | None = None
        self.hangs = False

    async def ask_kafka(self) -> str:
        if self.hangs:
            await asyncio.Event().wait()
        return "10 topics"

    async def ask_database(self) -> str:
        if self.database:
            raise self.database
        return "current"


def app_with(dependencies: Dependencies) -> FastAPI:
    registry = CollectorRegistry()
    Counter("tierline_test_sheep", "Sheep counted", registry=registry).inc(7)
    app = create_app(
        title="A service",
        version="1.2.3",
        description="For the tests.",
        registry=registry,
        requests=IngestMetrics(registry).requests,
        dependencies={"kafka": dependencies.ask_kafka, "database": dependencies.ask_database},
    )

    @app.get("/v1/sheep/{sheep}")
    async def sheep(sheep: str, limit: int = Query(10, le=100)) -> Response:
        return Json({"sheep": sheep, "limit": limit})

    @app.get("/v1/refused")
    async def refused() -> Response:
        raise problems.Refused(problems.OVERLOADED, "too many sheep", field="sheep", retry_after_s=3)

    @app.get("/v1/broken")
    async def broken() -> Response:
        raise ZeroDivisionError

    @app.get("/v1/teapot")
    async def teapot() -> Response:
        raise HTTPException(418, "short and stout")

    return app


@pytest_asyncio.fixture
async def dependencies() -> Dependencies:
    return Dependencies()


@pytest_asyncio.fixture
async def client(dependencies: Dependencies) -> AsyncIterator[httpx.AsyncClient]:
    transport = httpx.ASGITransport(app_with(dependencies), raise_app_exceptions=False)
    async with httpx.AsyncClient(transport=transport, base_url="http://service") as http:
        yield http


def details(answer: httpx.Response, problem: problems.Problem) -> dict[str, Any]:
    assert answer.headers["content-type"] == "application/problem+json"
    body: dict[str, Any] = answer.json()
    assert (answer.status_code, body["status"], body["type"]) == (problem.status, problem.status, problem.type)
    return body


async def test_what_an_endpoint_refuses_comes_with_field_fix_and_retry_after(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/refused")
    assert details(answer, problems.OVERLOADED)["field"] == "sheep"
    assert answer.json()["fix"] == problems.OVERLOADED.fix
    assert answer.headers["retry-after"] == "3"


async def test_what_the_framework_refuses_is_a_problem_too(client: httpx.AsyncClient) -> None:
    details(await client.get("/nowhere"), problems.NOT_FOUND)
    details(await client.get("/livez/"), problems.NOT_FOUND)
    details(await client.get("/static-offline-docs/nothing.js"), problems.NOT_FOUND)
    answer = await client.delete("/livez")
    details(answer, problems.METHOD_NOT_ALLOWED)
    assert answer.headers["allow"] == "GET"
    teapot = await client.get("/v1/teapot")
    assert (teapot.status_code, teapot.headers["content-type"]) == (418, problems.MEDIA_TYPE)


async def test_a_bad_parameter_is_named(client: httpx.AsyncClient) -> None:
    answer = await client.get("/v1/sheep/dolly?limit=1000")
    assert details(answer, problems.INVALID_PARAMETER)["field"] == "limit"


async def test_an_unexpected_error_says_nothing_of_our_insides(client: httpx.AsyncClient) -> None:
    body = details(await client.get("/v1/broken"), problems.INTERNAL)
    assert "ZeroDivision" not in str(body)


async def test_the_catalogue_of_problems_is_served_where_their_types_point(client: httpx.AsyncClient) -> None:
    entries = (await client.get("/problems")).json()
    assert {entry["type"] for entry in entries} == {problem.type for problem in problems.CATALOGUE.values()}
    for entry in entries:
        assert (await client.get(entry["type"])).json() == entry
    details(await client.get("/problems/nothing"), problems.NOT_FOUND)


async def test_ready_only_while_every_dependency_is(client: httpx.AsyncClient, dependencies: Dependencies) -> None:
    answer = await client.get("/readyz")
    assert answer.status_code == 200
    assert answer.json() == {
        "ok": True,
        "dependencies": [
            {"name": "kafka", "ok": True, "detail": "10 topics"},
            {"name": "database", "ok": True, "detail": "current"},
        ],
    }
    dependencies.database = ConnectionRefusedError("nobody listens")
    answer = await client.get("/readyz")
    assert (answer.status_code, answer.json()["ok"]) == (503, False)
    assert answer.json()["dependencies"][1] == {"name": "database", "ok": False, "detail": "nobody listens"}
    assert (await client.get("/livez")).json()["ok"]


async def test_a_dependency_that_hangs_is_not_ready(
    client: httpx.AsyncClient, dependencies: Dependencies, monkeypatch: Any
) -> None:
    monkeypatch.setattr("services.shared.web.PROBE_S", 0.05)
    dependencies.hangs = True
    answer = await client.get("/readyz")
    assert answer.status_code == 503
    assert "no answer" in answer.json()["dependencies"][0]["detail"]


async def test_metrics_are_those_of_the_registry_with_requests_by_template(client: httpx.AsyncClient) -> None:
    for path in ("/v1/sheep/dolly", "/v1/sheep/shaun", "/nowhere/1", "/nowhere/2", "/v1/broken"):
        await client.get(path)
    text = (await client.get("/metrics")).text
    assert "tierline_test_sheep_total 7.0" in text
    count = "tierline_ingest_http_request_seconds_count"
    assert f'{count}{{method="GET",route="/v1/sheep/{{sheep}}",status="200"}} 2.0' in text
    assert f'{count}{{method="GET",route="unmatched",status="404"}} 2.0' in text
    assert f'{count}{{method="GET",route="/v1/broken",status="500"}} 1.0' in text
    assert "dolly" not in text


async def test_the_documentation_needs_no_other_host(client: httpx.AsyncClient) -> None:
    page = (await client.get("/docs")).text
    assert "https://" not in page
    assert (await client.get("/static-offline-docs/swagger-ui-bundle.js")).status_code == 200


async def test_the_document_is_valid_and_knows_our_problems_only(client: httpx.AsyncClient) -> None:
    document = (await client.get("/openapi.json")).json()
    validate(document)
    assert document["info"]["version"] == "1.2.3"
    assert "HTTPValidationError" not in str(document)
    invalid = document["paths"]["/v1/sheep/{sheep}"]["get"]["responses"]["422"]
    assert list(invalid["content"]) == [problems.MEDIA_TYPE]

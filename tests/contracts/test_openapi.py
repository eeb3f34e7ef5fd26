"""The OpenAPI documents are valid, and every address the services promise stands in them."""

import json
from pathlib import Path
from typing import Any

import pytest
from openapi_spec_validator import OpenAPIV31SpecValidator

from schemas import problems

PUBLISHED = Path(__file__).parents[2] / "schemas/published"
OPERATIONS = {"/livez", "/readyz", "/metrics", "/problems", "/problems/{slug}"}
PROMISED = {
    "ingest": {"/v1/events"},
    "notifier": {
        "/v1/customers",
        "/v1/customers/{subject}",
        "/v1/customers/{subject}/history",
        "/v1/tasks",
        "/v1/tasks/{number}/claim",
        "/v1/tasks/{number}/complete",
        "/v1/alerts",
        "/v1/stream",
    },
}


def document(service: str) -> dict[str, Any]:
    read: dict[str, Any] = json.loads((PUBLISHED / f"openapi-{service}.json").read_text("utf-8"))
    return read


@pytest.mark.parametrize("service", PROMISED)
def test_it_is_openapi_3_1(service: str) -> None:
    assert document(service)["openapi"].startswith("3.1.")
    assert list(OpenAPIV31SpecValidator(document(service)).iter_errors()) == []


@pytest.mark.parametrize("service", PROMISED)
def test_it_names_every_address_that_is_promised(service: str) -> None:
    assert set(document(service)["paths"]) >= PROMISED[service] | OPERATIONS


@pytest.mark.parametrize("service", PROMISED)
def test_a_refusal_is_one_of_the_catalogue_with_its_status(service: str) -> None:
    shown = 0
    for path in document(service)["paths"].values():
        for operation in path.values():
            for status, response in operation["responses"].items():
                for slug in response.get("content", {}).get(problems.MEDIA_TYPE, {}).get("examples", {}):
                    assert problems.CATALOGUE[slug].status == int(status)
                    shown += 1
    assert shown > 5

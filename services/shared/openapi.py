"""A truthful OpenAPI 3.1 document for endpoints that read and write msgspec types.

FastAPI writes the document from pydantic models, and we have none: endpoints say in `openapi_extra` what they take and
give, naming components that are made from the msgspec types here.
"""

from collections.abc import Mapping, Sequence
from typing import Any

import msgspec
from fastapi import FastAPI
from fastapi.openapi.utils import get_openapi

from schemas.problems import INTERNAL, INVALID_PARAMETER, MEDIA_TYPE, Problem, ProblemDetails, details

_COMPONENTS = "#/components/schemas/"


def ref(name: str) -> dict[str, str]:
    """A reference to the component of this name."""
    return {"$ref": _COMPONENTS + name}


def answers(
    bodies: Mapping[int, str | Mapping[str, Any]] | None = None,
    *,
    problems: Sequence[Problem] = (),
    metrics: str | None = None,
    descriptions: Mapping[int, str] | None = None,
    headers_on: Mapping[int, str] | None = None,
    **operation: Any,
) -> dict[str, Any]:
    """Arguments for a route's decorator that say what it answers.

    bodies:       by status the JSON body, as a component's name or a schema
    problems:     what it may refuse with, beyond an internal error
    metrics:      the media type of a text answer instead
    descriptions: by status, where "OK" says too little
    headers_on:   by status a header that comes with it
    operation:    other parts of the OpenAPI operation, as requestBody
    """
    responses: dict[str, Any] = {}
    if metrics is not None:
        responses["200"] = {"description": "OK", "content": {metrics: {"schema": {"type": "string"}}}}
    for status, body in (bodies or {}).items():
        schema = ref(body) if isinstance(body, str) else body
        about = (descriptions or {}).get(status, "OK" if status < 400 else "Not ready")
        responses[str(status)] = {"description": about, "content": {"application/json": {"schema": schema}}}
    for problem in (*problems, INTERNAL):
        response = responses.setdefault(str(problem.status), {"description": "", "content": {}})
        media = response["content"].setdefault(MEDIA_TYPE, {"schema": ref("ProblemDetails"), "examples": {}})
        media["examples"][problem.slug] = {
            "summary": problem.title,
            "value": msgspec.to_builtins(details(problem, problem.title.lower())),
        }
        titles = (example["summary"] for example in media["examples"].values())
        if "application/json" not in response["content"]:
            response["description"] = "; ".join(titles)
    for status, header in (headers_on or {}).items():
        responses[str(status)]["headers"] = {header: {"schema": {"type": "integer"}, "description": "seconds"}}
    return {"openapi_extra": {"responses": responses, **operation}}


def install(app: FastAPI, types: Mapping[str, Any]) -> None:
    """Let `app.openapi()` give the document, with `types` among its components."""

    def document() -> dict[str, Any]:
        if app.openapi_schema is None:
            app.openapi_schema = _document(app, types)
        return app.openapi_schema

    app.openapi = document  # type: ignore[method-assign]


def _document(app: FastAPI, types: Mapping[str, Any]) -> dict[str, Any]:
    document = get_openapi(
        title=app.title,
        version=app.version,
        openapi_version="3.1.0",
        summary=app.summary,
        description=app.description,
        routes=app.routes,
    )
    named = {"ProblemDetails": ProblemDetails, **types}
    schemas, components = msgspec.json.schema_components(list(named.values()), ref_template=_COMPONENTS + "{name}")
    for name, schema in zip(named, schemas, strict=True):
        if schema != ref(name):  # a union or an alias has no name of its own
            components[name] = schema
    for path in document["paths"].values():
        for operation in path.values():
            _our_answers_only(operation)
    document["components"] = {**document.get("components", {}), "schemas": dict(sorted(components.items()))}
    return document


def _our_answers_only(operation: dict[str, Any]) -> None:
    """Take out what FastAPI assumes: its own shape of validation errors, and an empty 200 where we say more."""
    responses = operation["responses"]
    if "HTTPValidationError" in str(responses.get("422", "")):
        invalid = answers(problems=[INVALID_PARAMETER])["openapi_extra"]["responses"]["422"]
        content = responses["422"]["content"]
        ours = content.get(MEDIA_TYPE)
        if ours is None:
            responses["422"] = invalid
        else:
            ours["examples"] |= invalid["content"][MEDIA_TYPE]["examples"]
            content.pop("application/json")
    for response in responses.values():
        content = response.get("content", {})
        if content.get("application/json", {}).get("schema") == {}:
            del content["application/json"]
    if len(responses) > 1 and not responses.get("200", {"content": True}).get("content"):
        del responses["200"]

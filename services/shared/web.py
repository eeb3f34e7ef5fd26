"""What the HTTP services share: one shape of refusal, the problem catalogue, health, metrics, offline documentation.

Every answer that refuses is RFC 9457 problem details, also where the framework refuses before our code is reached.
"""

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

import msgspec
from fastapi import FastAPI, Request
from fastapi.exceptions import RequestValidationError
from fastapi_offline import FastAPIOffline
from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, Histogram, generate_latest
from starlette.exceptions import HTTPException
from starlette.responses import Response
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from schemas import problems
from schemas.problems import Refused
from services.shared import openapi

Probe = Callable[[], Awaitable[str]]
"""Asks one dependency: what it says of itself when it can be used, an exception whose text says why if it cannot."""

PROBE_S = 2.0


class Json(Response):
    """JSON by msgspec; takes structs and everything built in."""

    media_type = "application/json"

    def render(self, content: Any) -> bytes:
        return msgspec.json.encode(content)


class DependencyState(msgspec.Struct, kw_only=True):
    name: str
    ok: bool
    detail: str


class Health(msgspec.Struct, kw_only=True):
    """ok: whether requests may be sent here."""

    ok: bool
    dependencies: list[DependencyState] = []


class ProblemEntry(msgspec.Struct, kw_only=True):
    """One entry of the catalogue of problems."""

    type: str
    status: int
    title: str
    fix: str


def problem(details: problems.ProblemDetails, headers: Mapping[str, str] | None = None) -> Response:
    return Json(details, details.status, headers=headers, media_type=problems.MEDIA_TYPE)


def refusal(refused: Refused) -> Response:
    """The answer to what was refused, with Retry-After where that helps."""
    headers = {} if refused.retry_after_s is None else {"retry-after": str(refused.retry_after_s)}
    return problem(refused.details(), headers)


def create_app(
    *,
    title: str,
    version: str,
    description: str,
    registry: CollectorRegistry,
    requests: Histogram,
    dependencies: Mapping[str, Probe],
    types: Mapping[str, Any] | None = None,
    lifespan: Any = None,
) -> FastAPI:
    """An app with everything but the service's own endpoints.

    requests:     observed for every request, labelled method, route (its template) and status
    dependencies: what `/readyz` asks, by name
    types:        msgspec types the endpoints name in their OpenAPI parts, by the name to be used for them

    `app.state.draining` is set when the service begins to end (`serving`): for answers that have no end of their own.
    """
    app: FastAPI = FastAPIOffline(
        docs_url="/docs",
        redoc_url=None,
        title=title,
        version=version,
        description=description,
        lifespan=lifespan,
        redirect_slashes=False,  # a redirect would be an answer of another shape
        swagger_ui_parameters={"defaultModelsExpandDepth": -1},
    )
    app.state.draining = asyncio.Event()
    app.add_middleware(_Measured, requests=requests)
    _refuse_as_problems(app)
    _add_health(app, dependencies)
    _add_catalogue(app)

    @app.get(
        "/metrics", tags=["operations"], summary="Prometheus metrics", **openapi.answers(metrics=CONTENT_TYPE_LATEST)
    )
    async def metrics() -> Response:
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    openapi.install(app, {"Health": Health, "ProblemEntry": ProblemEntry, **(types or {})})
    return app


def _refuse_as_problems(app: FastAPI) -> None:
    @app.exception_handler(Refused)
    async def refused(_: Request, error: Refused) -> Response:
        return refusal(error)

    @app.exception_handler(HTTPException)
    async def http(request: Request, error: HTTPException) -> Response:
        kind = {404: problems.NOT_FOUND, 405: problems.METHOD_NOT_ALLOWED}.get(error.status_code)
        if kind is None:
            details = problems.ProblemDetails(
                type="about:blank", title=str(error.detail), status=error.status_code, detail=str(error.detail)
            )
        else:
            details = problems.details(kind, f"{request.method} {request.url.path}")
        return problem(details, error.headers)

    @app.exception_handler(RequestValidationError)
    async def invalid(_: Request, error: RequestValidationError) -> Response:
        first = error.errors()[0]
        # loc is ("query", "limit"): where it stands, then its name.
        field = ".".join(str(part) for part in first["loc"][1:]) or None
        return problem(problems.details(problems.INVALID_PARAMETER, first["msg"], field=field))

    @app.exception_handler(Exception)
    async def unexpected(_: Request, __: Exception) -> Response:  # uvicorn logs the traceback
        return problem(problems.details(problems.INTERNAL, "the request could not be completed"))


def _add_health(app: FastAPI, dependencies: Mapping[str, Probe]) -> None:
    @app.get("/livez", tags=["operations"], summary="The process answers", **openapi.answers({200: "Health"}))
    async def livez() -> Response:
        return Json(Health(ok=True))

    @app.get(
        "/readyz",
        tags=["operations"],
        summary="Every dependency can be used; 503 if one cannot",
        **openapi.answers({200: "Health", 503: "Health"}),
    )
    async def readyz() -> Response:
        states = await asyncio.gather(*(_ask(name, probe) for name, probe in dependencies.items()))
        ok = all(state.ok for state in states)
        return Json(Health(ok=ok, dependencies=states), 200 if ok else 503)


async def _ask(name: str, probe: Probe) -> DependencyState:
    try:
        async with asyncio.timeout(PROBE_S):
            return DependencyState(name=name, ok=True, detail=await probe())
    except TimeoutError:
        return DependencyState(name=name, ok=False, detail=f"no answer within {PROBE_S:.0f} s")
    except Exception as error:  # noqa: BLE001 - whatever a client library raises: the dependency cannot be used
        return DependencyState(name=name, ok=False, detail=str(error) or type(error).__name__)


def _add_catalogue(app: FastAPI) -> None:
    entries = {
        slug: ProblemEntry(type=entry.type, status=entry.status, title=entry.title, fix=entry.fix)
        for slug, entry in problems.CATALOGUE.items()
    }

    @app.get(
        "/problems",
        tags=["problems"],
        summary="Every way a request can be refused",
        **openapi.answers({200: {"type": "array", "items": openapi.ref("ProblemEntry")}}),
    )
    async def catalogue() -> Response:
        return Json(list(entries.values()))

    @app.get(
        "/problems/{slug}",
        tags=["problems"],
        summary="One kind of problem and what to do about it",
        **openapi.answers({200: "ProblemEntry"}, problems=[problems.NOT_FOUND]),
    )
    async def entry(slug: str) -> Response:
        if slug not in entries:
            raise Refused(problems.NOT_FOUND, f"there is no problem {slug[:64]!r}")
        return Json(entries[slug])


class _Measured:
    """Times each request, by the template of its route: paths themselves are without number."""

    def __init__(self, app: ASGIApp, requests: Histogram) -> None:
        self._app = app
        self._requests = requests

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            await self._app(scope, receive, send)
            return
        began = time.perf_counter()
        status = 500

        async def watch(message: Message) -> None:
            nonlocal status
            if message["type"] == "http.response.start":
                status = message["status"]
            await send(message)

        try:
            await self._app(scope, receive, watch)
        finally:
            route = getattr(scope.get("route"), "path", "") or "unmatched"
            self._requests.labels(scope["method"], route, status).observe(time.perf_counter() - began)

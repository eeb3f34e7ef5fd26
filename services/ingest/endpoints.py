"""`POST /v1/events`: read the body within its limits, hand it over, answer."""

from collections.abc import Sequence

import msgspec
from fastapi import APIRouter, Request
from starlette.requests import ClientDisconnect
from starlette.responses import Response

from schemas.intake import BatchAnswer, EventAccepted, EventResult
from schemas.problems import BODY_TOO_LARGE, MALFORMED_BODY, UNSUPPORTED_MEDIA_TYPE, Refused
from services.ingest import body, documentation
from services.ingest.acceptance import Acceptance
from services.ingest.budget import Budget, Share
from services.ingest.publisher import RETRY_AFTER_S
from services.shared.metrics import IngestMetrics
from services.shared.settings import IngestSettings
from services.shared.web import Json, problem


def router(settings: IngestSettings, acceptance: Acceptance, budget: Budget, metrics: IngestMetrics) -> APIRouter:
    routes = APIRouter()

    @routes.post("/v1/events", status_code=202, tags=["events"], **documentation.POST_EVENTS)
    async def post_events(request: Request) -> Response:
        with budget.share() as share:
            try:
                media = body.media_type(request.headers.get("content-type"))
                content = await _read(request, settings.max_body_bytes, share)
                posted = body.split(content, media, max_events=settings.max_batch_events)
            except Refused as refused:
                metrics.refused.labels(refused.problem.slug).inc()
                raise
            results = await acceptance.take(posted.texts, cloud_events=posted.cloud_events)
            return _answer_batch(results) if posted.batch else _answer_one(results[0])

    return routes


async def _read(request: Request, limit: int, share: Share) -> bytes:
    """The body, read no further than `limit`; Refused beyond it."""
    if (coding := request.headers.get("content-encoding", "identity")) != "identity":
        raise Refused(UNSUPPORTED_MEDIA_TYPE, f"the content encoding is {coding[:64]!r}, send the body as it is")
    too_large = Refused(BODY_TOO_LARGE, f"the body has more than {limit} bytes")
    declared = request.headers.get("content-length", "")
    if declared.isdecimal() and int(declared) > limit:
        raise too_large
    chunks: list[bytes] = []
    try:
        async for chunk in request.stream():
            if share.held + len(chunk) > limit:
                raise too_large
            share.take(len(chunk))
            chunks.append(chunk)
    except ClientDisconnect:
        raise Refused(MALFORMED_BODY, "the connection ended before the body") from None
    return b"".join(chunks)


def _answer_one(result: EventResult) -> Response:
    if isinstance(result.problem, msgspec.UnsetType):
        assert result.id is not None
        assert isinstance(result.partition, int)
        return Json(EventAccepted(id=result.id, partition=result.partition, offset=result.offset), 202)
    return problem(result.problem)


def _answer_batch(results: Sequence[EventResult]) -> Response:
    """202 if any was taken, else the status they have in common or 422; Retry-After if some should be sent again."""
    statuses = {result.problem.status for result in results if not isinstance(result.problem, msgspec.UnsetType)}
    accepted = sum(result.status == "accepted" for result in results)
    answer = BatchAnswer(accepted=accepted, refused=len(results) - accepted, results=list(results))
    headers = {"retry-after": str(RETRY_AFTER_S)} if 503 in statuses else None
    none_taken = statuses.pop() if len(statuses) == 1 else 422
    return Json(answer, 202 if accepted else none_taken, headers=headers)

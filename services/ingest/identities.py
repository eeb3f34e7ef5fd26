"""`POST /v1/merges`, `/v1/unmerges`, `/v1/erasures`: who is one customer with whom, and who is to be forgotten."""

import asyncio
import threading
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Final, TypeVar

import msgspec
from fastapi import APIRouter, Request
from starlette.responses import Response

from schemas.identities import Erasure, Identity, Merge, Unmerge
from schemas.intake import ErasureWanted, IdentityAccepted, PairWanted
from schemas.problems import (
    BROKER_UNAVAILABLE,
    INVALID_FIELD,
    MALFORMED_BODY,
    MERGED_ALREADY,
    NOT_MERGED,
    OVERLOADED,
    TOO_DEEP,
    Refused,
)
from services.ingest import documentation, identifiers
from services.ingest.acceptance import Clock
from services.ingest.publisher import RETRY_AFTER_S
from services.shared.foreign import ForeignRecord
from services.shared.identities import AlreadyMerged, Conflict, Directory, InLine, Sequencer
from services.shared.kafka import KafkaUnavailable
from services.shared.settings import IngestSettings
from services.shared.web import Json

Wanted = TypeVar("Wanted", PairWanted, ErasureWanted)
_MOST_BYTES = 4_096
_AT_ONCE: Final = 64  # one takes some 10 ms while all is well


class Writing:
    """Has a sequencer write, in threads of its own: no more at once than there are, so that nothing waits for a thread
    and is written when its answer was given long ago."""

    def __init__(self, sequencer: Sequencer) -> None:
        self._sequencer = sequencer
        self._threads, self._free = ThreadPoolExecutor(_AT_ONCE, "identities"), threading.Semaphore(_AT_ONCE)

    async def write(self, following: Callable[[Directory], Identity | None]) -> Identity | None:
        """As `Sequencer.append`."""
        if not self._free.acquire(blocking=False):
            raise InLine(f"{_AT_ONCE} others are being written")
        writing = self._threads.submit(self._sequencer.append, following)
        writing.add_done_callback(lambda _: self._free.release())  # also when nobody waits for it any more
        return await asyncio.wrap_future(writing)

    def close(self) -> None:
        """Returns when nothing is being written any more."""
        self._threads.shutdown()
        self._sequencer.close()


def router(settings: IngestSettings, writing: Writing, clock: Clock) -> APIRouter:
    routes = APIRouter(tags=["identities"])

    async def written(following: Callable[[Directory], Identity | None]) -> Identity | None:
        try:
            return await writing.write(following)
        except InLine as error:
            raise Refused(OVERLOADED, str(error), retry_after_s=RETRY_AFTER_S) from error
        except (KafkaUnavailable, ForeignRecord) as error:
            raise Refused(BROKER_UNAVAILABLE, str(error), retry_after_s=RETRY_AFTER_S) from error
        except Conflict as error:
            raise Refused(MERGED_ALREADY if isinstance(error, AlreadyMerged) else NOT_MERGED, str(error)) from error

    @routes.post("/v1/merges", status_code=202, **documentation.POST_MERGES)
    async def post_merges(request: Request) -> Response:
        wanted = await _wanted(request, PairWanted, settings)
        done = await written(lambda known: known.merge(wanted.from_, wanted.into, clock()))
        if done is None:
            return Json(IdentityAccepted(status="already"), 200)
        assert isinstance(done, Merge)
        return Json(_accepted(done, done.into), 202)

    @routes.post("/v1/unmerges", status_code=202, **documentation.POST_UNMERGES)
    async def post_unmerges(request: Request) -> Response:
        wanted = await _wanted(request, PairWanted, settings)
        done = await written(lambda known: known.unmerge(wanted.from_, wanted.into, clock()))
        assert isinstance(done, Unmerge)
        return Json(_accepted(done, done.into), 202)

    @routes.post("/v1/erasures", status_code=202, **documentation.POST_ERASURES)
    async def post_erasures(request: Request) -> Response:
        wanted = await _wanted(request, ErasureWanted, settings)
        done = await written(lambda known: known.erase(wanted.subject, clock()))
        assert isinstance(done, Erasure)
        return Json(_accepted(done, done.subject), 202)

    return routes


def _accepted(done: Identity, customer: str) -> IdentityAccepted:
    return IdentityAccepted(status="accepted", sequence=done.sequence, customer=customer, at=done.at)


async def _wanted(request: Request, kind: type[Wanted], settings: IngestSettings) -> Wanted:
    """What is asked for; Refused, naming the field."""
    body = b""
    async for chunk in request.stream():
        body += chunk
        if len(body) > _MOST_BYTES:
            raise Refused(MALFORMED_BODY, f"the body has more than {_MOST_BYTES} bytes")
    try:
        wanted = msgspec.json.decode(body, type=kind)
    except msgspec.ValidationError as error:
        text, _, path = str(error).partition(" - at `$.")
        raise Refused(INVALID_FIELD, text, field=path.rstrip("`") or None) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise Refused(MALFORMED_BODY, str(error)) from None
    except RecursionError:
        raise Refused(TOO_DEEP, "the body is nested too deeply") from None
    for name, field in zip(kind.__struct_encode_fields__, kind.__struct_fields__, strict=True):
        identifiers.check(name, getattr(wanted, field), allow_personal=settings.allow_personal_subjects)
    return wanted

"""Events posted to ingest again, many at once, and what it said of each."""

from collections.abc import Iterator, Sequence

import httpx
import msgspec

from schemas.intake import BatchAnswer, EventResult
from schemas.problems import ProblemDetails
from schemas.unreadable import UNREADABLE
from services.cli import repairs
from services.local.errors import CannotStart
from services.shared.settings import IngestSettings

_PATIENCE_S = 30.0
_EVENTS_AT_ONCE = 500
_BYTES_AT_ONCE = 4 * 1024 * 1024


class Ingest:
    """address: its URL; by TIERLINE_INGEST_HOST and _PORT if not given."""

    def __init__(self, address: str | None) -> None:
        settings = IngestSettings()
        self.address = address or f"http://{settings.host}:{settings.port}"

    def post(self, events: Sequence[bytes]) -> Iterator[tuple[range, list[EventResult]]]:
        """Portion by portion: which of the events, and a result for each.

        CannotStart if ingest does not answer, or can take nothing now. What it has taken by then was yielded before; of
        the portion that failed nobody knows, and to send it again with the same ids does no harm.
        """
        try:
            with httpx.Client(base_url=self.address, timeout=_PATIENCE_S, trust_env=False) as client:
                for portion in _portions(events):
                    body = b"[" + b",".join(events[i] for i in portion) + b"]"
                    answer = client.post("/v1/events", content=body, headers={"content-type": "application/json"})
                    yield portion, self._results(answer, len(portion))
        except (httpx.TransportError, httpx.InvalidURL) as error:
            said = str(error) or type(error).__name__
            raise CannotStart(f"ingest at {self.address} does not answer: {said}; --ingest names another") from error

    def _results(self, answer: httpx.Response, count: int) -> list[EventResult]:
        try:
            results = msgspec.json.decode(answer.content, type=BatchAnswer).results
            if len(results) == count:
                return results
            raise CannotStart(f"{self.address} answers for {len(results)} events, {count} were sent")
        except UNREADABLE:
            pass
        try:
            problem = msgspec.json.decode(answer.content, type=ProblemDetails)
        except UNREADABLE as error:
            raise CannotStart(f"{self.address} answers {answer.status_code}, not as ingest does: {error}") from error
        raise CannotStart(f"ingest at {self.address} takes nothing: {repairs.problem(problem)}")


def _portions(events: Sequence[bytes]) -> Iterator[range]:
    start = size = 0
    for i, event in enumerate(events):
        if i > start and (i - start == _EVENTS_AT_ONCE or size + len(event) > _BYTES_AT_ONCE):
            yield range(start, i)
            start, size = i, 0
        size += len(event)
    if events:
        yield range(start, len(events))

"""From the texts of a request's events to a result for each: normalise, publish, report."""

import asyncio
from collections.abc import Callable, Sequence
from datetime import datetime

import msgspec

from schemas import instants
from schemas.intake import EventResult
from schemas.problems import BROKER_UNAVAILABLE, Refused
from services.ingest.lanes import Record
from services.ingest.normalise import Normaliser, Refusal
from services.ingest.publisher import RETRY_AFTER_S, Publisher
from services.shared.metrics import IngestMetrics

Clock = Callable[[], datetime]
"""Now, in UTC."""

_SLICE = 500  # events between two looks at what else the process has to do, 2 to 3 ms


class Acceptance:
    """Takes events; the one thing `POST /v1/events` does."""

    def __init__(self, normalise: Normaliser, publisher: Publisher, metrics: IngestMetrics, clock: Clock) -> None:
        self._normalise = normalise
        self._publisher = publisher
        self._metrics = metrics
        self._clock = clock
        self._encode = msgspec.json.Encoder().encode

    async def take(self, texts: Sequence[bytes], *, cloud_events: bool) -> list[EventResult]:
        """A result for each text, in order. Refused (503) if no event could be kept because of Kafka."""
        accepted_at = instants.cut(self._clock())
        results: list[EventResult] = []
        good: list[EventResult] = []
        records: list[Record] = []
        types: list[str] = []
        self._metrics.batch.observe(len(texts))
        for index, text in enumerate(texts):
            event = self._normalise(text, accepted_at, cloud_event=cloud_events)
            if isinstance(event, Refusal):
                self._count_refused(event.problem.type, 1)
                results.append(EventResult(index=index, id=event.id, status="refused", problem=event.problem))
            else:
                result = EventResult(index=index, id=event.id, status="accepted")
                results.append(result)
                good.append(result)
                records.append(Record(event.subject.encode(), self._encode(event)))
                types.append(event.__struct_config__.tag)  # type: ignore[arg-type]
            if index % _SLICE == _SLICE - 1:
                await asyncio.sleep(0)
        if records:
            await self._publish(good, records, types)
        return results

    async def _publish(self, results: Sequence[EventResult], records: Sequence[Record], types: Sequence[str]) -> None:
        """Publish the records and complete their results."""
        try:
            receipts = await self._publisher.publish(records)
        except Refused as refused:
            self._count_refused(refused.problem.type, len(records))
            raise
        unknown = len(records) - sum(receipt is not None for receipt in receipts)
        detail = self._publisher.away or "Kafka did not acknowledge in time"
        not_known = Refused(BROKER_UNAVAILABLE, detail, retry_after_s=RETRY_AFTER_S)
        if unknown:
            self._count_refused(BROKER_UNAVAILABLE.type, unknown)
        if unknown == len(records):
            raise not_known
        problem = not_known.details()
        counts: dict[str, int] = {}
        for result, receipt, kind in zip(results, receipts, types, strict=True):
            if receipt is None:
                result.status = "refused"
                result.problem = problem
            else:
                counts[kind] = counts.get(kind, 0) + 1
                result.partition = receipt.partition
                if receipt.offset >= 0:
                    result.offset = receipt.offset
        for kind, count in counts.items():
            self._metrics.accepted.labels(kind).inc(count)

    def _count_refused(self, problem_type: str, count: int) -> None:
        self._metrics.refused.labels(problem_type.rpartition("/")[2]).inc(count)

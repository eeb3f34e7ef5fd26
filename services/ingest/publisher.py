"""Records go to Kafka in batches by partition; what Kafka has not acknowledged in time is reported as unknown.

Nothing is kept for later: a record is either acknowledged while its request waits, or its sender is told to send it
again. aiokafka's idempotent producer never gives a batch up by itself, so one whose request has gone may still be
delivered once the broker is back; the same id twice counts once, so that does no harm.

A producer is used until the first trouble with it. A batch that failed leaves a gap in aiokafka's sequence numbers, by
which every later batch of that partition would fail too, and a broker that does not answer is better met by a prompt
503 than by requests that wait. So on trouble the producer is retired - it delivers what it still holds if it can - and
a new one is made as soon as the broker answers.
"""

import asyncio
import contextlib
import time
from collections.abc import Sequence
from functools import partial
from typing import NamedTuple

import structlog
from aiokafka import AIOKafkaProducer
from aiokafka.errors import KafkaError

from schemas.topics import EVENTS, IDENTITIES
from services.ingest.budget import Budget
from services.ingest.lanes import BATCH_BYTES, Lane, Parcel, Record, parcels
from services.shared.connection import for_aiokafka
from services.shared.kafka import KafkaRefused, KafkaUnavailable, TopicMismatch, TopicMissing, verify
from services.shared.metrics import IngestMetrics
from services.shared.partitioner import partition_of
from services.shared.settings import IngestSettings

log = structlog.get_logger(__name__)

RETRY_AFTER_S = 2
CONNECT_S = 5.0
ASK_S = 1.0
PROBE_S = 2.0
_PAUSE_S = 0.25
_FAREWELL_S = 2.0
_WRITTEN = (EVENTS, IDENTITIES)
"""The topics ingest writes to: none of both is written unless both are as they have to be."""


class Receipt(NamedTuple):
    """Where a record stands. offset: -1 if the broker knows it as a repetition whose place it has forgotten."""

    partition: int
    offset: int


class Publisher:
    """Writes to topic `events`. Enter it as a context; it connects by itself and again after every loss."""

    def __init__(self, settings: IngestSettings, metrics: IngestMetrics, budget: Budget) -> None:
        self._settings = settings
        self._connection = for_aiokafka(settings)
        self._topic = settings.topic(EVENTS.name)
        self._metrics = metrics
        self._budget = budget
        self._producer: AIOKafkaProducer | None = None
        self._lanes: list[Lane] = []
        self._trouble = asyncio.Event()
        self._reason = "not connected yet"
        self._reported: str | None = None
        self._retired: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Publisher":
        """Connects; if the broker is away that goes on by itself.

        TopicMismatch if the topic must not be written, KafkaRefused if waiting for the broker is of no use.
        """
        await self._try_connect(at_start=True)
        self._task = asyncio.create_task(self._keep_connected())
        return self

    async def __aexit__(self, *_: object) -> None:
        self._task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self._task
        if self._producer is not None:
            self._retire(self._producer)
        if self._retired:
            # Every request has its answer by now: what is still held was given up.
            await asyncio.wait(self._retired, timeout=_FAREWELL_S)

    @property
    def away(self) -> str | None:
        """Why nothing can be published now; None if it can."""
        return self._reason if self._producer is None else None

    async def probe(self) -> str:
        """For `/readyz`: ask the broker now; KafkaUnavailable if it does not answer."""
        if self._producer is None:
            raise KafkaUnavailable(self._reason)
        if not await self._producer.client.force_metadata_update():
            raise KafkaUnavailable("Kafka does not answer")
        return f"{self._settings.kafka_bootstrap}, topic {self._topic}"

    async def publish(self, records: Sequence[Record]) -> list[Receipt | None]:
        """Hand the records over and wait; a receipt each, None where it is not known whether Kafka has it.

        Records of one partition keep their order. Refused (overloaded) if too much is under way; then none is sent.
        """
        receipts: list[Receipt | None] = [None] * len(records)
        if (producer := self._producer) is None:
            return receipts
        places: dict[int, list[int]] = {}
        for index, record in enumerate(records):
            places.setdefault(partition_of(record.key, self._settings.partitions), []).append(index)
        sending = [(partition, parcel) for partition, indices in places.items() for parcel in parcels(indices, records)]
        self._budget.take(sum(parcel.size for _, parcel in sending))
        began = time.perf_counter()
        for partition, parcel in sending:
            parcel.offset.add_done_callback(partial(self._settled, parcel))
            self._lanes[partition].put(parcel)
        await asyncio.wait([parcel.offset for _, parcel in sending], timeout=self._settings.ack_timeout_ms / 1000)
        trouble = None
        for partition, parcel in sending:
            if not parcel.offset.done():
                parcel.abandoned = True
                trouble = trouble or f"no acknowledgement within {self._settings.ack_timeout_ms} ms"
            elif error := parcel.offset.exception():
                trouble = trouble or _words(error)
            else:
                offset = parcel.offset.result()
                for place, index in enumerate(parcel.indices):
                    receipts[index] = Receipt(partition, offset + place if offset >= 0 else -1)
        if trouble is None:
            self._metrics.acknowledgement.observe(time.perf_counter() - began)
        else:
            self._lose(producer, trouble)
        return receipts

    def _settled(self, parcel: Parcel, outcome: asyncio.Future[int]) -> None:
        self._budget.release(parcel.size)
        if not outcome.cancelled():
            outcome.exception()  # seen, also where nobody waits any more

    async def _keep_connected(self) -> None:
        while True:
            if self._producer is None and not await self._try_connect():
                await asyncio.sleep(_PAUSE_S)
                continue
            self._trouble.clear()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(PROBE_S):
                    await self._trouble.wait()
            if (producer := self._producer) is not None:
                try:
                    # Behind the batches on the same connection, so as patient as they are.
                    async with asyncio.timeout(self._settings.ack_timeout_ms / 1000):
                        answers = await producer.client.force_metadata_update()
                except TimeoutError:
                    answers = False
                if not answers:
                    self._lose(producer, "Kafka does not answer")

    async def _try_connect(self, *, at_start: bool = False) -> bool:
        producer = AIOKafkaProducer(
            **self._connection,
            client_id=f"{self._settings.topic_prefix}ingest",
            acks="all",
            enable_idempotence=True,
            max_batch_size=2 * BATCH_BYTES,
            request_timeout_ms=self._settings.ack_timeout_ms,
            metadata_max_age_ms=60_000,
        )
        try:
            async with asyncio.timeout(CONNECT_S):
                await self._start(producer)
                await verify(self._settings, _WRITTEN, within_s=CONNECT_S)
                await producer.partitions_for(self._topic)
        except (TopicMissing, TopicMismatch, KafkaRefused) as error:
            if at_start and not isinstance(error, TopicMissing):
                await producer.stop()
                raise
            self._report_away(str(error), again=True)
        except (KafkaError, KafkaUnavailable) as error:
            self._report_away(_words(error))
        except TimeoutError:
            self._report_away(f"Kafka did not answer within {CONNECT_S:.0f} s")
        else:
            self._producer = producer
            self._lanes = [Lane(producer, self._topic, n) for n in range(self._settings.partitions)]
            log.info("kafka is back" if self._reported else "connected to kafka", topic=self._topic)
            self._reported = None
            self._metrics.broker_up.set(1)
            return True
        await producer.stop()
        return False

    async def _start(self, producer: AIOKafkaProducer) -> None:
        """Connect it; where it cannot, whoever looks at the topic finds out why, which aiokafka does not say."""
        try:
            await producer.start()
        except KafkaError:
            await verify(self._settings, _WRITTEN, within_s=ASK_S)
            raise

    def _lose(self, producer: AIOKafkaProducer, reason: str) -> None:
        """Use `producer` no more; nothing happens if that was decided before."""
        if producer is self._producer:
            self._producer = None
            for lane in self._lanes:
                lane.close()
            self._retire(producer)
            self._report_away(reason)
            self._trouble.set()

    def _report_away(self, reason: str, *, again: bool = False) -> None:
        """Log it once when Kafka goes; again, where the reason is one that somebody has to mend."""
        self._reason = reason
        self._metrics.broker_up.set(0)
        if self._reported is None or (again and self._reported != reason):
            self._reported = reason
            log.warning("kafka is away", reason=reason, bootstrap=self._settings.kafka_bootstrap)

    def _retire(self, producer: AIOKafkaProducer) -> None:
        """Let it deliver what it holds as soon as the broker is back, then close it."""
        task = asyncio.create_task(producer.stop())
        self._retired.add(task)
        task.add_done_callback(self._retired.discard)


def _words(error: BaseException) -> str:
    return str(error) or type(error).__name__

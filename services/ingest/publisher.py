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
from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any, NamedTuple

import structlog
from aiokafka import AIOKafkaProducer  # type: ignore[import-untyped]
from aiokafka.errors import KafkaError  # type: ignore[import-untyped]
from aiokafka.producer.message_accumulator import BatchBuilder  # type: ignore[import-untyped]

from schemas.topics import EVENTS
from services.ingest.budget import Budget
from services.shared.kafka import KafkaUnavailable, TopicMismatch, TopicMissing, verify
from services.shared.metrics import IngestMetrics
from services.shared.partitioner import partition_of
from services.shared.settings import IngestSettings

log = structlog.get_logger(__name__)

RETRY_AFTER_S = 2
CONNECT_S = 5.0
PROBE_S = 2.0
_PAUSE_S = 0.25
_BATCH_BYTES = 512 * 1024
_OVERHEAD_BYTES = 32  # of a record in a batch, at most, beyond key and value


class Record(NamedTuple):
    key: bytes
    value: bytes


class Receipt(NamedTuple):
    """Where a record stands. offset: -1 if the broker knows it as a repetition whose place it has forgotten."""

    partition: int
    offset: int


class Publisher:
    """Writes to topic `events`. Enter it as a context; it connects by itself and again after every loss."""

    def __init__(self, settings: IngestSettings, metrics: IngestMetrics, budget: Budget) -> None:
        self._settings = settings
        self._topic = settings.topic(EVENTS.name)
        self._metrics = metrics
        self._budget = budget
        self._producer: AIOKafkaProducer | None = None
        self._trouble = asyncio.Event()
        self._reason = "not connected yet"
        self._reported: str | None = None
        self._retired: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> "Publisher":
        """Connects; if the broker is away that goes on by itself. TopicMismatch if the topic must not be written."""
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
            await asyncio.wait(self._retired, timeout=CONNECT_S)

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
        producer = self._producer
        receipts: list[Receipt | None] = [None] * len(records)
        if producer is None:
            return receipts
        self._budget.take(sum(map(_size, records)))
        began = time.perf_counter()
        places: dict[int, list[int]] = {}
        for index, record in enumerate(records):
            places.setdefault(partition_of(record.key, self._settings.partitions), []).append(index)
        await asyncio.gather(
            *(self._send(producer, partition, indices, records, receipts) for partition, indices in places.items())
        )
        if None not in receipts:
            self._metrics.acknowledgement.observe(time.perf_counter() - began)
        return receipts

    async def _send(
        self,
        producer: AIOKafkaProducer,
        partition: int,
        indices: Sequence[int],
        records: Sequence[Record],
        receipts: list[Receipt | None],
    ) -> None:
        """Send the records at `indices`, all of one partition, and fill in their receipts."""
        deadline = asyncio.get_running_loop().time() + self._settings.ack_timeout_ms / 1000
        waiting: list[tuple[asyncio.Future[Any], list[int]]] = []
        unsent = sum(_size(records[index]) for index in indices)
        trouble: str | None = None
        try:
            async with asyncio.timeout_at(deadline):
                for batch, inside in _batches(producer, indices, records):
                    # Waits until the batch before it has left: no more than two of a partition are ever held.
                    future = await producer.send_batch(batch, self._topic, partition=partition)
                    size = sum(_size(records[index]) for index in inside)
                    unsent -= size
                    future.add_done_callback(partial(self._settled, size))
                    waiting.append((future, inside))
        except TimeoutError:
            trouble = self._too_late()
        except KafkaError as error:
            trouble = str(error)
        finally:
            self._budget.release(unsent)
        if waiting:
            left = max(0.0, deadline - asyncio.get_running_loop().time())
            await asyncio.wait([future for future, _ in waiting], timeout=left)
        for future, inside in waiting:
            if not future.done():
                trouble = trouble or self._too_late()
            elif failure := future.exception():
                trouble = trouble or str(failure)
            else:
                offset = future.result().offset
                for place, index in enumerate(inside):
                    receipts[index] = Receipt(partition, offset + place if offset >= 0 else -1)
        if trouble is not None:
            self._lose(producer, trouble)

    def _too_late(self) -> str:
        return f"no acknowledgement within {self._settings.ack_timeout_ms} ms"

    def _settled(self, size: int, future: asyncio.Future[Any]) -> None:
        self._budget.release(size)
        if not future.cancelled():
            future.exception()  # seen, also where nobody waits any more

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
            bootstrap_servers=self._settings.kafka_bootstrap,
            client_id=f"{self._settings.topic_prefix}ingest",
            acks="all",
            enable_idempotence=True,
            max_batch_size=_BATCH_BYTES,
            request_timeout_ms=self._settings.ack_timeout_ms,
            metadata_max_age_ms=60_000,
        )
        try:
            async with asyncio.timeout(CONNECT_S):
                await producer.start()
                await verify(self._settings, [EVENTS], within_s=CONNECT_S)
                await producer.partitions_for(self._topic)
        except (KafkaError, KafkaUnavailable) as error:
            self._report_away(str(error))
        except TimeoutError:
            self._report_away(f"Kafka did not answer within {CONNECT_S:.0f} s")
        except (TopicMissing, TopicMismatch) as error:
            if at_start and isinstance(error, TopicMismatch):
                await producer.stop()
                raise
            self._report_away(str(error), again=True)
        else:
            self._producer = producer
            log.info("kafka is back" if self._reported else "connected to kafka", topic=self._topic)
            self._reported = None
            self._metrics.broker_up.set(1)
            return True
        await producer.stop()
        return False

    def _lose(self, producer: AIOKafkaProducer, reason: str) -> None:
        """Use `producer` no more; nothing happens if that was decided before."""
        if producer is self._producer:
            self._producer = None
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


def _size(record: Record) -> int:
    return len(record.key) + len(record.value) + _OVERHEAD_BYTES


def _batches(
    producer: AIOKafkaProducer, indices: Sequence[int], records: Sequence[Record]
) -> Iterator[tuple[BatchBuilder, list[int]]]:
    """The records at `indices` in closed batches, with the indices inside each."""
    batch = producer.create_batch()
    inside: list[int] = []
    for index in indices:
        key, value = records[index]
        if batch.append(key=key, value=value, timestamp=None) is None:
            yield batch, inside
            batch, inside = producer.create_batch(), []
            batch.append(key=key, value=value, timestamp=None)
        inside.append(index)
    batch.close()
    yield batch, inside

"""Against Apache Kafka: where records go, in which order, and what is said when it is not known whether they went."""

import asyncio
import os
import signal
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import NamedTuple

import pytest
from aiokafka import TopicPartition
from prometheus_client import CollectorRegistry

from schemas import problems, topics
from services.ingest.budget import Budget
from services.ingest.lanes import BATCH_BYTES, Record
from services.ingest.publisher import Publisher, Receipt
from services.shared.kafka import KafkaUnavailable, TopicMismatch, create_topics
from services.shared.metrics import IngestMetrics
from services.shared.partitioner import partition_of
from services.shared.settings import IngestSettings
from tests.freezing import freeze
from tests.ingest.conftest import MakeSettings, Mortal
from tests.ingest.reading import records
from tests.waiting import until


class Parts(NamedTuple):
    publisher: Publisher
    budget: Budget
    metrics: IngestMetrics


@asynccontextmanager
async def publishing(settings: IngestSettings) -> AsyncIterator[Parts]:
    metrics = IngestMetrics(CollectorRegistry())
    budget = Budget(settings.max_in_flight_bytes, metrics.in_flight)
    async with Publisher(settings, metrics, budget) as publisher:
        yield Parts(publisher, budget, metrics)


def numbered(count: int, customers: int = 20, size: int = 0) -> list[Record]:
    return [Record(f"c-{n % customers}".encode(), f"{n:06}".encode() + b"x" * size) for n in range(count)]


def is_up(publisher: Publisher) -> bool:
    return publisher.away is None


async def test_every_receipt_says_where_the_record_stands(settings: IngestSettings) -> None:
    sent = numbered(500)
    async with publishing(settings) as (publisher, budget, _):
        receipts = await publisher.publish(sent)
        assert budget.held == 0
    standing = {(r.partition, r.offset): Record(r.key, r.value) for r in await records(settings)}
    assert len(standing) == len(sent)
    for record, receipt in zip(sent, receipts, strict=True):
        assert receipt is not None
        assert receipt.partition == partition_of(record.key, settings.partitions)
        assert standing[receipt] == record


async def test_the_broker_stamps_records_with_the_time_of_their_append(settings: IngestSettings) -> None:
    async with publishing(settings) as (publisher, *_):
        await publisher.publish(numbered(1))
    (record,) = await records(settings)
    assert record.timestamp_type == 1  # LogAppendTime


async def test_records_of_one_request_keep_their_order_over_many_batches(settings: IngestSettings) -> None:
    sent = numbered(600, customers=2, size=BATCH_BYTES // 100)
    async with publishing(settings) as (publisher, *_):
        receipts = await publisher.publish(sent)
    assert None not in receipts
    for partition in range(settings.partitions):
        values = [r.value for r in await records(settings) if r.partition == partition]
        assert values == sorted(values)


async def test_many_small_requests_at_once_are_all_kept_and_none_starves(make_settings: MakeSettings) -> None:
    settings = make_settings(ack_timeout_ms=5000)
    sent = [Record(b"one customer", str(n).encode()) for n in range(2000)]
    async with publishing(settings) as (publisher, *_):
        receipts = [receipt for (receipt,) in await asyncio.gather(*(publisher.publish([r]) for r in sent))]
    standing = {Receipt(r.partition, r.offset): r.value for r in await records(settings)}
    assert [standing[receipt] for receipt in receipts if receipt] == [record.value for record in sent]


async def test_beyond_the_bytes_in_flight_nothing_is_taken(make_settings: MakeSettings) -> None:
    async with publishing(make_settings(max_in_flight_bytes=100_000)) as (publisher, budget, metrics):
        sent = numbered(80, size=1000)
        first, second = await asyncio.gather(publisher.publish(sent), publisher.publish(sent), return_exceptions=True)
        assert isinstance(first, list)
        assert None not in first
        assert isinstance(second, problems.Refused)
        assert second.problem is problems.OVERLOADED
        assert second.retry_after_s
        assert None not in await publisher.publish(sent)
        assert budget.held == metrics.in_flight._value.get() == 0


async def test_a_batch_kafka_refuses_is_reported_alone_and_the_producer_replaced(settings: IngestSettings) -> None:
    async with publishing(settings) as (publisher, budget, _):
        sent = numbered(60)
        assert None not in await publisher.publish(sent)
        # As after a loss of the broker's data: Kafka answers OutOfOrderSequenceNumber for this partition, for ever.
        producer = publisher._producer
        producer._txn_manager.increment_sequence_number(TopicPartition(settings.topic("events"), 1), 7)
        receipts = await publisher.publish(sent)
        for record, receipt in zip(sent, receipts, strict=True):
            assert (receipt is None) == (partition_of(record.key, 3) == 1)
        await until(lambda: is_up(publisher))
        assert publisher._producer is not producer
        assert None not in await publisher.publish(sent)
        assert budget.held == 0


async def test_another_number_of_partitions_stops_it_at_the_start(make_settings: MakeSettings) -> None:
    with pytest.raises(TopicMismatch, match="partitions is 3, wanted 4"):
        async with publishing(make_settings(partitions=4)):
            pytest.fail("must not be entered")


async def test_a_missing_topic_is_waited_for(make_settings: MakeSettings) -> None:
    settings = make_settings()
    settings.topic_prefix += "later-"
    async with publishing(settings) as (publisher, _, metrics):
        assert "does not exist" in (publisher.away or "")
        assert await publisher.publish(numbered(3)) == [None] * 3
        assert metrics.broker_up._value.get() == 0
        await asyncio.to_thread(create_topics, settings, [topics.EVENTS, topics.IDENTITIES])
        await until(lambda: is_up(publisher))
        assert None not in await publisher.publish(numbered(3))


async def test_a_broker_killed_and_restarted_is_used_again_and_nothing_acknowledged_is_lost(mortal: Mortal) -> None:
    async with publishing(mortal.settings) as (publisher, budget, metrics):
        acknowledged = await publisher.publish(numbered(30))
        await mortal.broker.kill()
        during = await asyncio.gather(*(publisher.publish(numbered(30)) for _ in range(5)))
        assert all(receipt is None for receipts in during for receipt in receipts)
        assert publisher.away
        with pytest.raises(KafkaUnavailable):
            await publisher.probe()
        assert metrics.broker_up._value.get() == 0
        await mortal.broker.start()
        await until(lambda: is_up(publisher))
        assert metrics.broker_up._value.get() == 1
        assert mortal.settings.topic("events") in await publisher.probe()
        acknowledged += await publisher.publish(numbered(30))
        await until(lambda: budget.held == 0, what="what was given up is delivered or dropped")
    assert None not in acknowledged
    standing = {(r.partition, r.offset) for r in await records(mortal.settings)}
    assert set(acknowledged) <= standing
    assert len(acknowledged) == len(set(acknowledged))


async def test_a_broker_that_only_hangs_gives_an_answer_in_time_and_is_used_again(mortal: Mortal) -> None:
    async with publishing(mortal.settings) as (publisher, budget, _):
        assert None not in await publisher.publish(numbered(30))
        await freeze(mortal.broker.pid)
        try:
            async with asyncio.timeout(4):
                assert await publisher.publish(numbered(30)) == [None] * 30
            async with asyncio.timeout(0.2):  # at once, once it is known
                assert await publisher.publish(numbered(30)) == [None] * 30
            assert budget.held > 0, "given up by its request, still in the producer's hands"
        finally:
            os.kill(mortal.broker.pid, signal.SIGCONT)
        await until(lambda: is_up(publisher))
        assert None not in await publisher.publish(numbered(30))
        await until(lambda: budget.held == 0)


async def test_it_begins_without_a_broker_and_ends_without_one(mortal: Mortal) -> None:
    await mortal.broker.kill()
    async with publishing(mortal.settings) as (publisher, *_):
        assert await publisher.publish(numbered(1)) == [None]
        await mortal.broker.start()
        await until(lambda: is_up(publisher))
        assert None not in await publisher.publish(numbered(1))
        await freeze(mortal.broker.pid)
    assert await publisher.publish(numbered(1)) == [None]
    os.kill(mortal.broker.pid, signal.SIGCONT)

"""Gauges that are looked up now and then, since counting costs: what is open, how large, how far behind."""

import asyncio

import structlog
from aiokafka.errors import KafkaError

from services.notifier.consumer import Consumer
from services.notifier.store import alerts, summary, tasks
from services.notifier.store.database import Database, DatabaseAway
from services.shared.metrics import NotifierMetrics

log = structlog.get_logger(__name__)

EVERY_S = 5.0


async def keep_current(database: Database, consumer: Consumer, metrics: NotifierMetrics) -> None:
    """Until cancelled. While the database is away the gauges keep their last values; /readyz says that it is."""
    while True:
        try:
            await refresh(database, consumer, metrics)
        except (DatabaseAway, KafkaError) as error:
            log.debug("gauges not refreshed", error=str(error))
        await asyncio.sleep(EVERY_S)


async def refresh(database: Database, consumer: Consumer, metrics: NotifierMetrics) -> None:
    """Once. DatabaseAway, KafkaError."""
    async with database.transaction() as connection:
        work = await tasks.counts(connection)
        open_alerts = await alerts.count_open(connection)
        customers = await summary.count_customers(connection)
        size = await summary.database_bytes(connection)
    for state, count in work.items():
        metrics.tasks_open.labels(state).set(count)
    metrics.alerts_open.set(open_alerts)
    metrics.customers.set(customers)
    metrics.database_bytes.set(size)
    lags = await consumer.lag()
    metrics.lag.clear()  # of partitions that are another's now
    for partition, lag in lags.items():
        metrics.lag.labels(partition.topic, partition.partition).set(lag)

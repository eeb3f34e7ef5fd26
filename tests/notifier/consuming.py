"""The consumer on real topics: what a scribe has written goes there, and an instance brings it to the database."""

import asyncio
import contextlib
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry

from services.notifier.consumer import Consumer
from services.notifier.deciding import Deciding
from services.shared.metrics import NotifierMetrics
from services.shared.settings import NotifierSettings
from tests.notifier.scribe import Scribe
from tests.waiting import until

PARTITIONS = 2


class Topics:
    """A scribe's logs on real topics, as a scorer writes them: in transactions."""

    def __init__(self, settings: NotifierSettings, producer: AIOKafkaProducer) -> None:
        self.settings = settings
        self._producer = producer
        self._sent: dict[tuple[str, int], int] = {}

    async def publish(self, scribe: Scribe, *, abort: bool = False) -> None:
        """What is new in the scribe's logs, in one transaction; aborted it counts as not sent."""
        await self._producer.begin_transaction()
        sent = dict(self._sent)
        for (topic, partition), log in scribe.logs.items():
            for record in log[sent.get((topic, partition), 0) :]:
                await self._producer.send(self.settings.topic(topic), record.value, key=record.key, partition=partition)
            sent[topic, partition] = len(log)
        if abort:
            await self._producer.flush()
            await self._producer.abort_transaction()
        else:
            await self._producer.commit_transaction()
            self._sent = sent


class Instance:
    """One notifier's consumer, running in a task of its own."""

    def __init__(self, settings, database, policy):
        self.metrics = NotifierMetrics(CollectorRegistry())
        deciding = Deciding(policy, "corner_shop.yaml", list)
        self.consumer = Consumer(settings, database, deciding, self.metrics, lambda: datetime.now(UTC))
        self.task = asyncio.create_task(self.consumer.run())

    async def stop(self):
        self.consumer.stop()
        await self.task

    async def kill(self):
        """As kill -9 does: no step more, whatever it is at."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


async def arrived(desk, instance=None):
    """Waits until everything the scribe wrote is in the database; if the instance ends, its error is raised."""

    async def complete():
        if instance is not None and instance.task.done():
            instance.task.result()
        rows = await desk.rows("SELECT partition, sequence, state_sequence FROM progress")
        return all(
            any(row == (partition, sequence, sequence) for row in rows)
            for partition, sequence in desk.scribe.sequences.items()
        )

    await until(complete, what="all decisions and states in the database")

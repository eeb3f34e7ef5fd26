"""Faust as the worker's host: group membership, assignment, fetching, and the command line.

What is set here and why was measured (docs/adr): runs instead of messages (batches.py); no acknowledgements, since
positions are ours; partitions taken over in `on_rebalance_complete`, the only hook Faust awaits before they flow;
committed records only, which Faust asks for in a mode we do not use; no web server of Faust's, which would take a
fixed port; waits short enough that one quiet partition does not hold up a busy one; no broker asked for positions
before partitions flow, since Faust lets none flow ever again if that takes longer than a request may.
"""

import gc
import logging
import sys
from collections.abc import AsyncIterable, Awaitable, Callable, Mapping
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import aiokafka
import faust
from aiokafka.coordinator.assignors.roundrobin import RoundRobinPartitionAssignor
from aiokafka.errors import IllegalStateError
from faust.app.base import BootStrategy
from faust.transport.drivers import aiokafka as driver
from faust.types import TP

from schemas import topics
from services.scorer.engine import changelog, eventlog
from services.scorer.engine.batches import RawRun, RunScheduler
from services.scorer.engine.seldom import Seldom
from services.scorer.engine.worker import Worker
from services.shared.connection import for_aiokafka
from services.shared.settings import ScorerSettings

_logger = logging.getLogger("faust.scorer")
_COLLECT_EVERY = (50_000, 20, 50)
"""When Python looks for cyclic garbage. By default it does so every 700 objects, hence many times in each batch, whose
records and events are all alive then: a fifth of the worker's CPU time, to find next to nothing."""
_FETCH_WAIT_MS = 100
_FETCH_BYTES = int(topics.EVENTS.config()["max.message.bytes"])  # of one partition, whose longest record takes no more


class _Boot(BootStrategy):
    enable_web = False
    enable_kafka_producer = False  # ours write (transactions.py), and Faust's would go its own way to the broker


class _ConsumerThread(driver.AIOKafkaConsumerThread):
    logger = _logger

    def _create_worker_consumer(self, transport: Any) -> aiokafka.AIOKafkaConsumer:
        """As Faust's own, with our way to the broker, `read_committed` and short waits."""
        app: Any = self.app
        conf = app.conf
        return aiokafka.AIOKafkaConsumer(
            **for_aiokafka(app.settings),
            client_id=conf.broker_client_id,
            group_id=conf.id,
            partition_assignment_strategy=[RoundRobinPartitionAssignor],
            enable_auto_commit=False,
            auto_offset_reset="earliest",
            isolation_level="read_committed",
            max_poll_records=conf.broker_max_poll_records,
            max_partition_fetch_bytes=conf.consumer_max_fetch_size,
            fetch_max_wait_ms=_FETCH_WAIT_MS,
            max_poll_interval_ms=int(conf.broker_max_poll_interval * 1000),
            request_timeout_ms=int(conf.broker_request_timeout * 1000),
            session_timeout_ms=int(conf.broker_session_timeout * 1000),
            heartbeat_interval_ms=int(conf.broker_heartbeat_interval * 1000),
            rebalance_timeout_ms=int(conf.broker_rebalance_timeout * 1000),
            check_crcs=conf.broker_check_crcs,
            metadata_max_age_ms=conf.consumer_metadata_max_age_ms,
        )


class _Consumer(driver.Consumer):
    logger = _logger

    def _new_consumer_thread(self) -> _ConsumerThread:
        return _ConsumerThread(self, loop=self.loop, beacon=self.beacon)

    async def _getmany(self, *args: Any, **options: Any) -> Mapping[TP, list[Any]]:
        """Nothing more is fetched while the inboxes are full."""
        app: Any = self.app
        await app.worker.room.wait()
        return await super()._getmany(*args, **options)

    async def perform_seek(self) -> None:
        """Nothing is sought: takeovers have done so (partition.py), and partitions kept go on at the group's offsets,
        which aiokafka asks for as soon as it can. Whatever it fetches then is handed over."""
        self._read_offset.update(dict.fromkeys(self.assignment()))


class _Transport(driver.Transport):
    Consumer = _Consumer


class App(faust.App):
    """The Faust app around one worker.

    starting, stopping: awaited before Faust starts, and after it has stopped
    on_failure:         told if `starting` fails, before Faust makes of it what it will
    """

    BootStrategy = _Boot
    logger = _logger

    def __init__(
        self,
        settings: ScorerSettings,
        worker: Worker,
        *,
        starting: Callable[[], Awaitable[None]],
        stopping: Callable[[], Awaitable[None]],
        on_failure: Callable[[BaseException], None],
    ) -> None:
        self.settings = settings
        self.worker, self._starting, self._stopping, self._on_failure = worker, starting, stopping, on_failure
        session_s = settings.session_timeout_s
        super().__init__(
            settings.topic(settings.group),
            broker=[f"kafka://{server}" for server in settings.kafka_bootstrap.split(",")],
            store="memory://",
            autodiscover=False,
            web_enabled=False,
            topic_allow_declare=False,
            topic_disable_leader=True,
            topic_partitions=settings.partitions,
            stream_wait_empty=False,
            stream_buffer_maxsize=16,
            ConsumerScheduler=RunScheduler,
            consumer_auto_offset_reset="earliest",
            consumer_max_fetch_size=_FETCH_BYTES,
            broker_max_poll_records=settings.max_poll_records,
            broker_session_timeout=session_s,
            broker_heartbeat_interval=session_s / 4,
            broker_rebalance_timeout=max(20.0, session_s),
            # Faust wants it above the session's timeout
            broker_request_timeout=max(30.0, session_s * 2),
        )
        self._events = settings.topic(topics.EVENTS.name)
        worker.feed_from(_AppFeed(self, settings))
        self.on_partitions_revoked.connect(self._revoked)
        self.on_rebalance_complete.connect(self._complete)
        self.agent(self.topic(self._events, schema=RawRun(allow_empty=True), acks=False), name="scorer")(self._score)

    async def on_start(self) -> None:
        gc.set_threshold(*_COLLECT_EVERY)
        gc.freeze()  # what is loaded by now stays: never looked at again
        # Faust's command line has put its log in the place of stderr: our log would go round in circles.
        sys.stdout, sys.stderr = sys.__stdout__, sys.__stderr__
        for name in list(logging.root.manager.loggerDict):
            if name.startswith(("aiokafka", "faust", "mode")):
                logging.getLogger(name).setLevel(logging.WARNING)
                logging.getLogger(name).addFilter(Seldom())
        try:
            await self._starting()
        except Exception as error:
            self._on_failure(error)
            raise
        await super().on_start()

    async def on_stop(self) -> None:
        await self.worker.drain()
        await super().on_stop()
        await self.worker.close()
        await self._stopping()

    async def _score(self, stream: Any) -> None:
        events: AsyncIterable[Any] = stream.events()
        async for event in events:
            self.worker.hand_over(event.message.partition, event.value)

    async def _revoked(self, *args: Any, **more: Any) -> None:
        await self.worker.revoked()

    async def _complete(self, *args: Any, **more: Any) -> None:
        await self.worker.assigned({tp.partition for tp in self.consumer.assignment() if tp.topic == self._events})

    def _new_transport(self) -> Any:
        return _Transport(self.conf.broker_consumer, self)

    def _create_directories(self) -> None:
        """Faust would make folders for tables; we have none."""


class _AppFeed:
    """The partitions' feed: Faust's consumer, and the log itself where that is not to be trusted."""

    def __init__(self, app: App, settings: ScorerSettings) -> None:
        self._app, self._settings = app, settings
        self._topic = settings.topic(topics.EVENTS.name)
        self._pool = ThreadPoolExecutor(2, "log")

    def end(self, partition: int) -> int:
        try:
            return self._app.consumer.highwater(TP(self._topic, partition)) or 0
        except (AssertionError, IllegalStateError):
            return 0  # not assigned at this moment

    async def seek(self, partition: int, offset: int) -> None:
        try:
            await self._app.consumer.seek_wait({TP(self._topic, partition): offset})
        except (AssertionError, IllegalStateError):
            return  # not assigned at this moment: when it is, it begins at the group's offset

    async def what_follows(self, partition: int, offset: int) -> eventlog.Next:
        return await self._app.loop.run_in_executor(self._pool, self._ask, partition, offset)

    def _ask(self, partition: int, offset: int) -> eventlog.Next:
        consumer = changelog.reader(self._settings, self._settings.topic(self._settings.group))
        try:
            return eventlog.what_follows(consumer, self._topic, partition, offset)
        finally:
            consumer.close()

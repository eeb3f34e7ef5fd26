"""Audits one after the other, a slice of the customers each, until the process is asked to end."""

import asyncio
import contextlib
import os
import random
import signal
import threading
import time
from collections.abc import Callable

import structlog
from prometheus_client import GC_COLLECTOR, PLATFORM_COLLECTOR, PROCESS_COLLECTOR, CollectorRegistry

from services.audit.endpoints import Server
from services.audit.pace import Pace, Stopped
from services.audit.report import Report, report
from services.audit.run import Failed, Refused, audit
from services.audit.scope import Scope
from services.audit.tally import OUTCOMES
from services.scorer.domain.policy import PolicyError
from services.shared.foreign import ForeignRecord
from services.shared.kafka import KafkaUnavailable, TopicMismatch, TopicMissing
from services.shared.metrics import AuditMetrics
from services.shared.settings import AuditSettings

log = structlog.get_logger(__name__)

EXPECTED = (Refused, Failed, KafkaUnavailable, TopicMissing, TopicMismatch, ForeignRecord, PolicyError)
"""What an audit raises that may be another way the next time."""

_NICE = 10
_MOST_LOGGED = 20


class Watching:
    """every_s: from the beginning of one audit to that of the next.  slices: into which the customers are parted

    most:     records read a second
    on_found: told what each audit found
    """

    def __init__(
        self,
        settings: AuditSettings,
        *,
        every_s: float,
        slices: int,
        most: float | None,
        workers: int,
        on_found: Callable[[Report], None] = lambda _: None,
    ) -> None:
        self._settings, self._every_s, self._slices, self._workers = settings, every_s, slices, workers
        self._on_found = on_found
        registry = CollectorRegistry()
        for collector in (PROCESS_COLLECTOR, PLATFORM_COLLECTOR, GC_COLLECTOR):
            registry.register(collector)
        self._metrics = AuditMetrics(registry)
        for outcome in OUTCOMES:
            self._metrics.customers.labels(outcome)
        self._began_s: float | None = None
        self._metrics.running.set_function(self._running_s)
        self._metrics.last_success.set_to_current_time()
        self.server = Server(settings.host, settings.port, registry)
        self._stopping, self._ended = threading.Event(), asyncio.Event()
        self._pace = Pace(most, self._stopping)

    def stop(self) -> None:
        """End soon; to be called from the event loop."""
        self._stopping.set()
        self._ended.set()

    async def start(self) -> None:
        """Serve /metrics and /livez. OSError if the port is taken."""
        await self.server.start()
        log.info("auditing", every_s=self._every_s, slices=self._slices, port=self.server.port)

    async def run(self) -> None:
        """Until `stop`; after `start`."""
        number = random.randrange(self._slices)  # or a service often started anew would look at the same ones
        try:
            while not self._stopping.is_set():
                began_s = time.monotonic()
                await self._once(Scope(self._slices, number))
                number = (number + 1) % self._slices
                with contextlib.suppress(TimeoutError):
                    await asyncio.wait_for(self._ended.wait(), max(0.0, began_s + self._every_s - time.monotonic()))
        finally:
            await self.server.stop()

    async def _once(self, scope: Scope) -> None:
        self._began_s = time.monotonic()
        try:
            audited = await asyncio.to_thread(audit, self._settings, scope, workers=self._workers, pace=self._pace)
        except Stopped:
            return
        except EXPECTED as error:
            self._metrics.failures.inc()
            log.error("the audit did not come to its end, it is tried again", error=str(error))
            return
        finally:
            seconds, self._began_s = time.monotonic() - self._began_s, None
        self._metrics.last_success.set_to_current_time()
        self._tell(report(audited), seconds)

    def _tell(self, found: Report, seconds: float) -> None:
        for outcome, count in found.customers.items():
            self._metrics.customers.labels(outcome).inc(count)
        for finding in found.findings[:_MOST_LOGGED]:
            log.warning(
                "a customer differs from what the topics say",
                customer=finding.customer,
                differences=[difference.detail for difference in finding.differences],
            )
        log.info("audited", **found.customers, events=found.events, slice=found.slice, seconds=round(seconds, 1))
        self._on_found(found)

    def _running_s(self) -> float:
        return 0.0 if self._began_s is None else time.monotonic() - self._began_s


async def until_signalled(watching: Watching) -> None:
    """Audit until SIGINT or SIGTERM, behind whatever else this machine does. OSError if the port is taken."""
    await watching.start()
    os.nice(_NICE)
    loop = asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, watching.stop)
    await watching.run()

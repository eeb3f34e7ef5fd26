"""An upstream that sends as ingest does: acks=all, idempotent, and again with the same id when in doubt.

Of a thousand records a hundred are duplicates of earlier ones, one says something else under an id already used, and
one cannot be read. So many customers at a time are busy, and when each has some sixty records others take their place:
they go quiet, which time itself then tells of. All this depends on the seed alone; times are those of sending.
"""

import asyncio
import contextlib
import random
import threading
import time
from collections import deque
from collections.abc import AsyncIterator

import msgspec
from confluent_kafka import KafkaError, KafkaException, Message, Producer

from schemas.events import Event, Interaction, Purchase, PurchaseData
from services.shared.connection import SILENT
from tests.scorer.engine.installation import Installation, now

_encode = msgspec.json.Encoder().encode
_REMEMBERED = 2_000  # records back that a duplicate may be of
_A_CUSTOMER = 60  # records
_PORTION_S = 0.05  # a paced flow goes out in portions of so much time


class Upstream:
    """sent: records handed to the client so far.  acknowledged: where the broker says it has put them."""

    def __init__(self, installation: Installation, *, seed: int, customers: int = 100) -> None:
        self.sent = 0
        self.acknowledged: list[tuple[int, int]] = []
        self._topic = installation.settings.topic("events")
        self._random = random.Random(seed)
        self._seed, self._customers = seed, customers
        self._recent: deque[tuple[Event, bytes]] = deque(maxlen=_REMEMBERED)
        self._again: deque[tuple[bytes, bytes]] = deque()
        self._lock = threading.Lock()
        self._producer = Producer(
            {
                "bootstrap.servers": installation.bootstrap,
                "partitioner": "murmur2_random",
                "enable.idempotence": True,
                "linger.ms": 5,
                "queue.buffering.max.messages": 2_000_000,
                "message.timeout.ms": 0,  # through any outage; who waits has a deadline
                "metadata.recovery.strategy": "none",
                "reconnect.backoff.max.ms": 500,
            },
            logger=SILENT,
        )

    async def send(self, count: int, *, within: float = 120.0) -> None:
        """As many records as quickly as it goes; returns when the broker has them all."""
        await asyncio.to_thread(self._send, count)
        await self.settled(within=within)

    @contextlib.asynccontextmanager
    async def flowing(self, a_second: int) -> AsyncIterator[None]:
        """Records at a steady pace meanwhile; at the end the broker has them all."""
        ending = threading.Event()
        flow = asyncio.create_task(asyncio.to_thread(self._flow, a_second, ending))
        try:
            yield
        finally:
            ending.set()
            await flow
        await self.settled(within=120.0)

    async def settled(self, *, within: float) -> None:
        """Wait until the broker has everything; AssertionError after `within` seconds."""
        await asyncio.to_thread(self._settle, time.monotonic() + within)

    def _flow(self, a_second: int, ending: threading.Event) -> None:
        began_s, sent = time.monotonic(), 0
        while not ending.wait(_PORTION_S):
            owed = int((time.monotonic() - began_s) * a_second) - sent
            self._send(owed)
            sent += owed

    def _settle(self, deadline: float) -> None:
        while time.monotonic() < deadline:
            with self._lock:
                while self._again:
                    self._produce(*self._again.popleft())
            if self._producer.flush(1.0) == 0 and not self._again:
                return
        raise AssertionError(f"the broker has not taken {len(self._producer)} of {self.sent} records in time")

    def _send(self, count: int) -> None:
        with self._lock:
            for _ in range(count):
                self._produce(*self._next())
                self.sent += 1

    def _produce(self, value: bytes, key: bytes) -> None:
        while True:
            try:
                self._producer.produce(self._topic, value, key, on_delivery=self._delivered)
                self._producer.poll(0)
                return
            except BufferError:
                self._producer.poll(0.1)

    def _delivered(self, error: KafkaError | None, message: Message) -> None:
        if error is None:
            self.acknowledged.append((message.partition() or 0, message.offset() or 0))
        elif error.fatal():
            raise KafkaException(error)
        else:
            self._again.append((message.value() or b"", message.key() or b""))

    def _next(self) -> tuple[bytes, bytes]:
        """Value and key of the next record."""
        choose, n = self._random, self.sent
        if n % 10 == 9 and self._recent:
            event, value = choose.choice(self._recent)
            return value, event.subject.encode()
        if n % 1000 == 500:
            return b"this is no event", self._subject().encode()
        if n % 1000 == 750 and self._recent:
            event, _ = choose.choice(self._recent)
            changed = Purchase(
                id=event.id,
                source=event.source,
                subject=event.subject,
                time=event.time,
                data=PurchaseData(amount_minor=choose.randrange(20_000, 30_000), currency="EUR"),
            )
            return _encode(changed), event.subject.encode()
        return self._new(f"{self._seed}-{n}", self._subject())

    def _subject(self) -> str:
        generation = self.sent // (_A_CUSTOMER * self._customers)
        return f"c{generation * self._customers + self._random.randrange(self._customers)}"

    def _new(self, id: str, subject: str) -> tuple[bytes, bytes]:
        at = now()
        event: Event
        if self._random.random() < 0.3:
            event = Interaction(id=id, source="upstream", subject=subject, time=at, receivedtime=at)
        else:
            data = PurchaseData(amount_minor=self._random.randrange(100, 10_000), currency="EUR")
            event = Purchase(id=id, source="upstream", subject=subject, time=at, receivedtime=at, data=data)
        value = _encode(event)
        self._recent.append((event, value))
        return value, subject.encode()

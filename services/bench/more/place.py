"""Where these measurements are made: a broker, and a policy whose worker is asked. Installations come and go on it."""

import asyncio
import time
from collections.abc import Callable, Iterable
from pathlib import Path
from typing import NamedTuple

from confluent_kafka import Producer

from schemas.subjects import POSITION_KEY
from schemas.topics import SCORER_STATE
from services.bench.load import Topics
from services.bench.measure import Failed, Worker, committed
from services.local.kafka import EmbeddedKafka
from services.scorer.domain.packing import encode_position
from services.scorer.domain.policy import Policy
from services.scorer.domain.state import Position

_LOOK_S = 0.2
_RESTORED_WITHIN_S = 600.0


class Place(NamedTuple):
    kafka: EmbeddedKafka
    topics: Topics
    policy_file: Path
    policy: Policy
    folder: Path

    async def worker(self, prefix: str, on_line: Callable[[str], None] | None = None) -> Worker:
        """A worker of that installation, just started."""
        return await Worker.start(
            self.policy_file,
            bootstrap=self.kafka.bootstrap,
            prefix=prefix,
            partitions=self.topics.partitions,
            folder=self.folder,
            on_line=on_line,
        )

    async def restored(self, worker: Worker) -> None:
        """Returns when the worker, the only one, has all partitions. Failed."""
        deadline = time.monotonic() + _RESTORED_WITHIN_S
        while sum(map(len, await asyncio.to_thread(committed, [worker]))) < self.topics.partitions:
            if worker.process.exit_code is not None or time.monotonic() > deadline:
                raise Failed(f"a worker does not get its partitions: {worker.process.last_line()}")
            await asyncio.sleep(_LOOK_S)

    def seed(self, prefix: str, records: Iterable[tuple[str, bytes]]) -> None:
        """Make the installation with these customers in its changelog, as a worker would have left it. Blocks."""
        self.topics.create_tierline(prefix)
        topic, now_ms = prefix + SCORER_STATE.name, int(time.time() * 1000)
        self.topics.fill(topic, ((subject, record, 0) for subject, record in records))
        position = Position(
            events_offset=0,
            sequence=0,
            policy=self.policy.name,
            policy_digest=self.policy.digest,
            appended_ms=now_ms,
        )
        producer = Producer({"bootstrap.servers": self.kafka.bootstrap})
        for partition in range(self.topics.partitions):
            producer.produce(topic, encode_position(position), POSITION_KEY, partition)
        producer.flush(30)

"""The changelog compacted down to the last record of each key, while nobody has the partitions and while they work."""

import asyncio
from collections import Counter
from collections.abc import Mapping
from itertools import cycle, islice

from confluent_kafka import Producer
from confluent_kafka.admin import (
    AdminClient,
    AlterConfigOpType,
    ConfigEntry,
    ConfigResource,
    ResourceType,
)

from schemas.topics import SCORER_STATE
from services.shared.connection import SILENT
from tests.faults.reading import extra, read
from tests.faults.scenario import Scenario, small_batches
from tests.faults.stage import Stage
from tests.faults.verdict import Verdict
from tests.scorer.engine.installation import Installation
from tests.waiting import until

AT_ONCE = {
    "segment.ms": "50",
    "min.cleanable.dirty.ratio": "0.0",
    "max.compaction.lag.ms": "1",
}


class Compacted(Scenario):
    """Kafka's own cleaner does it: the settings of this changelog are changed for as long, and changed back."""

    name = "changelog-compacted"
    about = "the changelog compacted to the last record of each key between two kills"
    times = 2
    aborts = True
    own_broker = True

    async def prepare(self, stage: Stage) -> None:
        self._aborted = 0
        # The cleaner rests for 15 s whenever it has found nothing to do.
        await asyncio.to_thread(_set, stage.installation, ResourceType.BROKER, "1", {"log.cleaner.backoff.ms": "200"})

    async def play(self, stage: Stage) -> None:
        portion = stage.records // (self.times + 1)
        of = stage.installation
        topic = of.settings.topic(SCORER_STATE.name)
        settings = small_batches(portion)
        for place in islice(cycle(("after_produce", "after_offsets")), self.times):
            await stage.upstream.send(portion)
            victim = await stage.start_armed(place, 18, **settings)
            await victim.killed(within=120)
            self._aborted += await asyncio.to_thread(extra, of)
            await asyncio.to_thread(_set, of, ResourceType.TOPIC, topic, AT_ONCE)
            before, after = await self._compacted(of)
            stage.facts[f"records {len(stage.struck_ms) + 1}"] = f"{before} -> {after}"
            await asyncio.to_thread(_set, of, ResourceType.TOPIC, topic, _catalogued())
            stage.strike()
            worker = await stage.start(**settings)
            await worker.ready()
            await stage.everything_taken()
            await stage.stop()

    def extra(self, stage: Stage, verdict: Verdict) -> int:
        """The cleaner takes aborted records away too: what was there before it came counts."""
        return self._aborted

    async def _compacted(self, of: Installation) -> tuple[int, int]:
        """Wait until every key stands there once; how many records there were, and are."""
        before = len(await asyncio.to_thread(read, of, SCORER_STATE.name))
        assert before, "there is nothing to compact"

        async def once_each() -> int:
            # A segment is closed by the next record to be written, and only closed ones are compacted.
            await asyncio.to_thread(_write_and_abort, of)
            records = await asyncio.to_thread(read, of, SCORER_STATE.name)
            keys = Counter((record.partition, record.key) for record in records)
            return len(keys) if set(keys.values()) == {1} else 0

        return before, await until(once_each, within=120, what="the changelog has one record a key")


def _write_and_abort(of: Installation) -> None:
    """One record to each partition of the changelog that no reader of committed records ever sees."""
    producer = Producer({"bootstrap.servers": of.bootstrap, "transactional.id": of.prefix + "roll"}, logger=SILENT)
    producer.init_transactions(20)
    producer.begin_transaction()
    for partition in range(of.partitions):
        producer.produce(of.settings.topic(SCORER_STATE.name), b"", b"roll", partition)
    producer.flush(20)
    producer.abort_transaction(20)


def _catalogued() -> dict[str, str | None]:
    """As the topic is created; what the catalogue does not name as the broker has it."""
    wanted = SCORER_STATE.config()
    return {name: wanted.get(name) for name in AT_ONCE}


def _set(of: Installation, kind: ResourceType, name: str, settings: Mapping[str, str | None]) -> None:
    """None takes a setting away."""
    entries = [
        ConfigEntry(
            setting,
            value,
            incremental_operation=AlterConfigOpType.DELETE if value is None else AlterConfigOpType.SET,
        )
        for setting, value in settings.items()
    ]
    admin = AdminClient({"bootstrap.servers": of.bootstrap}, logger=SILENT)
    resource = ConfigResource(kind, name, incremental_configs=entries)
    for future in admin.incremental_alter_configs([resource]).values():
        future.result(20)

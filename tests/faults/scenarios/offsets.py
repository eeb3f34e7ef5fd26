"""The group's offsets deleted or moved by somebody: they are advisory, the position stands in the changelog."""

import asyncio
from itertools import cycle, islice

from confluent_kafka import Consumer, TopicPartition
from confluent_kafka.admin import AdminClient

from services.shared.connection import SILENT
from tests.faults.reading import ends
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage
from tests.scorer.engine.installation import Installation

TAKEN = "tierline_scorer_events_total"


class OffsetsGone(Scenario):
    name = "offsets-deleted"
    about = "the group's offsets deleted, set back to the beginning, and set past events nobody has taken"

    async def play(self, stage: Stage) -> None:
        portion = stage.records // (self.times + 1)
        of = stage.installation
        for spoil in islice(cycle((_delete, _to_the_beginning, _to_the_end)), self.times):
            await stage.upstream.send(portion)
            worker = await stage.start()
            await worker.ready()
            await stage.everything_taken()
            await stage.stop()
            await stage.upstream.send(portion // 2)
            await asyncio.to_thread(spoil, of)
            stage.strike()
            worker = await stage.start()
            await worker.ready()
            await stage.everything_taken()
            seen = await worker.metric(TAKEN)
            assert seen == portion // 2, f"{seen} events looked at, {portion // 2} were new"
            await stage.stop()


def _delete(of: Installation) -> None:
    admin = AdminClient({"bootstrap.servers": of.bootstrap}, logger=SILENT)
    for future in admin.delete_consumer_groups([of.settings.topic(of.settings.group)]).values():
        future.result(20)
    assert all(offset < 0 for offset in _committed(of)), "the group still has offsets"


def _to_the_beginning(of: Installation) -> None:
    _commit(of, dict.fromkeys(range(of.partitions), 0))


def _to_the_end(of: Installation) -> None:
    _commit(of, ends(of, "events"))


def _commit(of: Installation, wanted: dict[int, int]) -> None:
    consumer = _consumer(of)
    try:
        places = [TopicPartition(of.settings.topic("events"), p, offset) for p, offset in wanted.items()]
        consumer.commit(offsets=places, asynchronous=False)
    finally:
        consumer.close()
    assert _committed(of) == list(wanted.values()), "the group's offsets were not moved"


def _committed(of: Installation) -> list[int]:
    consumer = _consumer(of)
    try:
        places = [TopicPartition(of.settings.topic("events"), p) for p in range(of.partitions)]
        return [place.offset for place in consumer.committed(places, 20)]
    finally:
        consumer.close()


def _consumer(of: Installation) -> Consumer:
    return Consumer({"bootstrap.servers": of.bootstrap, "group.id": of.settings.topic(of.settings.group)})

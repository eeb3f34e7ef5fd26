"""A partition's events read again, on a broker: all of them, past what is no record, or not at all."""

import asyncio

import pytest
from confluent_kafka import Consumer, Producer, TopicPartition
from confluent_kafka.admin import AdminClient

from services.scorer.engine.replay import CutOff, Past, TopicReplay, first_missing
from tests.scorer.engine.conftest import Install
from tests.scorer.engine.installation import Installation, purchase
from tests.waiting import until


async def read(of: Installation, count: int) -> list[Past]:
    """So many of partition 0."""
    told = asyncio.Event()
    replay = TopicReplay(of.settings, 0, told.set)
    found: list[Past] = []

    def all_read() -> bool:
        found.extend(replay.more())
        return len(found) >= count

    try:
        await until(all_read)
        assert told.is_set(), "nobody was told that there is something"
    finally:
        replay.close()
    return found


def send_in_a_transaction(of: Installation, count: int) -> None:
    producer = Producer({"bootstrap.servers": of.bootstrap, "transactional.id": f"{of.prefix}somebody"})
    producer.init_transactions(20)
    producer.begin_transaction()
    for _ in range(count):
        producer.produce(of.settings.topic("events"), b"{}", b"c1", 0)
    producer.commit_transaction(20)


def end_of(of: Installation) -> int:
    consumer = Consumer({"bootstrap.servers": of.bootstrap, "group.id": f"{of.prefix}reader"})
    try:
        end: int = consumer.get_watermark_offsets(TopicPartition(of.settings.topic("events"), 0), 20, cached=False)[1]
        return end
    finally:
        consumer.close()


async def test_everything_is_read_and_what_comes_meanwhile_and_a_missing_offset_is_no_missing_record(
    install: Install,
) -> None:
    #  offsets  0 1 2 │ 3 4 │ (5: the transaction's end) │ 6
    installation = await install(partitions=1)
    await asyncio.to_thread(installation.send, [purchase(f"c{n}") for n in range(3)])
    await asyncio.to_thread(send_in_a_transaction, installation, 2)
    await until(lambda: asyncio.to_thread(lambda: end_of(installation) == 6), what="the transaction's end stands there")
    await asyncio.to_thread(installation.send, [purchase("c9")])
    found = await read(installation, 6)
    assert [past.offset for past in found] == [0, 1, 2, 3, 4, 6]
    assert [past.key for past in found] == [b"c0", b"c1", b"c2", b"c1", b"c1", b"c9"]
    stored = await asyncio.to_thread(installation.read, "events")
    assert [past.value for past in found] == [record.value for record in stored]


@pytest.mark.parametrize("first", [2, 6])
async def test_a_partition_that_has_lost_its_beginning_or_all_of_it_is_told_and_nothing_is_read(
    install: Install, first: int
) -> None:
    installation = await install(partitions=1)
    await asyncio.to_thread(installation.send, [purchase(f"c{n}") for n in range(6)])
    place = TopicPartition(installation.settings.topic("events"), 0, first)
    admin = AdminClient({"bootstrap.servers": installation.bootstrap})
    await asyncio.to_thread(lambda: admin.delete_records([place])[place].result(20))
    with pytest.raises(CutOff, match=rf"events-0 begins at offset {first}: what came before is gone"):
        await read(installation, 1)


@pytest.mark.parametrize(
    ("offsets", "missing"), [([], None), ([3, 4, 5], None), ([4, 5], 3), ([3, 5, 6, 9], 4), ([3, 4, 6], 5), ([5], 3)]
)
def test_offsets_missing_anywhere_are_noticed(offsets: list[int], missing: int | None) -> None:
    assert first_missing([Past(offset, 0, b"c1", b"{}") for offset in offsets], 3) == missing

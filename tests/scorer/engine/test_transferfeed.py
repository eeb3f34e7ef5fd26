"""Topic `transfers`, on a broker, is read no faster than partitions take it; nothing is missed, or told twice."""

import asyncio

import pytest
from confluent_kafka import Producer

from services.scorer.engine import transferfeed, transfers
from services.scorer.engine.transferfeed import TransferFeed
from services.scorer.engine.transfers import Forwarded, TransferInbox, pieces
from tests.scorer.engine.conftest import Install
from tests.scorer.engine.installation import Installation
from tests.waiting import until

COUNT = 3_000


def send(of: Installation, partition: int) -> None:
    producer = Producer({"bootstrap.servers": of.bootstrap})
    for n in range(COUNT):
        [value] = pieces(Forwarded(f"c{n}", b"x" * 1_000, 0, 1, n))
        producer.produce(of.settings.topic("transfers"), value, b"c", partition)
    assert producer.flush(20) == 0


async def test_where_much_waits_nothing_more_is_read_until_it_is_taken(
    install: Install, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(transfers, "_ROOM_BYTES", 200_000)
    monkeypatch.setattr(transferfeed, "_MOST_ON_WAY", 50_000)
    monkeypatch.setattr(transferfeed, "_AT_ONCE", 50)
    installation, failures = await install(partitions=2), list[BaseException]()
    for partition in (0, 1):
        await asyncio.to_thread(send, installation, partition)
    inboxes, told = [TransferInbox(), TransferInbox()], [list[int](), list[int]()]

    def on_record(partition: int, offset: int, value: bytes) -> None:
        told[partition].append(offset)
        inboxes[partition].put(offset, value)

    feed = TransferFeed(installation.settings, on_record, lambda n: inboxes[n].has_room, failures.append)
    try:
        for partition in (0, 1):
            feed.read_from(partition, 0)
        await until(lambda: not inboxes[0].has_room and not inboxes[1].has_room, what="both are full")
        with pytest.raises(AssertionError, match="not within"):  # it is read on though nobody takes it
            await until(lambda: inboxes[0].bytes > 400_000, within=1)
        waiting, taken = len(inboxes[0]), list[int]()
        while len(taken) < COUNT:  # of the other partition nothing is taken, which is no matter here
            await until(lambda: inboxes[1].head() is not None, what="more comes where it is taken")
            head = inboxes[1].head()
            assert isinstance(head, Forwarded)
            taken.append(head.offset)
            inboxes[1].take()
            assert inboxes[1].bytes < 400_000
        assert taken == list(range(COUNT))
        assert told[1] == list(range(COUNT))
        assert len(inboxes[0]) == waiting
        feed.read_from(0, 10)  # taken over again
        inboxes[0].begin(10)
        told[0].clear()
        await until(lambda: len(told[0]) > 0)
        assert told[0][0] == 10
        assert not failures
    finally:
        await asyncio.to_thread(feed.close)

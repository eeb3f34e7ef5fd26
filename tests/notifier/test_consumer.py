"""The consumer against a real Kafka and a real PostgreSQL: what it reads, whose partitions, and what ends it."""

import asyncio

import pytest

from services.notifier import gauges
from services.notifier.consumer import OffsetsGone
from services.notifier.deciding import OtherPolicy
from services.notifier.intake import Unreadable
from services.shared.kafka import TopicMissing
from tests.notifier.consuming import PARTITIONS, Topics, arrived
from tests.notifier.desk import contents
from tests.notifier.scribe import DECISIONS, Scribe
from tests.waiting import until


async def test_both_topics_come_to_the_database(desk, topics, run, expected):
    desk.scribe.varied_life()
    await topics.publish(desk.scribe)
    instance = run()
    await arrived(desk, instance)
    assert await contents(desk, without="consumed") == expected


async def test_an_aborted_transaction_is_not_read(desk, topics, run, policy):
    other = Scribe(policy)
    other.move("never", "tier", "gold")
    aborted = Topics(topics.settings, topics._producer)
    await aborted.publish(other, abort=True)
    desk.scribe.move("c1", "tier", "silver")
    desk.scribe.position()
    await topics.publish(desk.scribe)
    await arrived(desk, run())
    assert await desk.rows("SELECT subject FROM customers") == [("c1",)]
    assert await desk.rows("SELECT subject FROM decisions") == [("c1",)]


async def test_instances_share_the_partitions_and_hand_them_over(desk, topics, run, expected):
    desk.scribe.varied_life()
    first = run()
    await until(lambda: len(first.consumer._next) == 2 * PARTITIONS, what="the first has everything")
    second = run()
    await until(lambda: len(first.consumer._next) == len(second.consumer._next) == PARTITIONS, what="each has a half")
    for instance in (first, second):
        numbers = {p.partition for p in instance.consumer._next}
        assert len(numbers) == 1, "both topics' partitions of one number go to one instance"
    await topics.publish(desk.scribe)
    await arrived(desk)
    assert await contents(desk, without="consumed") == expected
    await first.stop()
    desk.scribe.move("c1", "tier", "gold")
    desk.scribe.move("c2", "tier", "gold")
    desk.scribe.position(0)
    desk.scribe.position(1)
    await topics.publish(desk.scribe)
    await arrived(desk, second)
    assert first.metrics.zombies._value.get() == second.metrics.zombies._value.get() == 0


async def test_lag_counts_what_is_not_in_the_database_yet(desk, topics, run, monkeypatch):
    go = asyncio.Event()
    instance = run(batch_records=3)
    await until(lambda: instance.consumer._placed, what="its place is known")
    apply = instance.consumer._applier.apply

    async def wait(connection, batch):
        await go.wait()
        return await apply(connection, batch)

    monkeypatch.setattr(instance.consumer._applier, "apply", wait)
    desk.scribe.varied_life()
    await topics.publish(desk.scribe)

    async def lag():
        return sum((await instance.consumer.lag()).values())

    await until(lag, what="something is behind")
    go.set()
    await arrived(desk, instance)

    async def nothing_left():
        return await lag() == 0

    await until(nothing_left, what="no lag, control records not counted")
    await gauges.refresh(desk.database, instance.consumer, instance.metrics)
    labels = (f"{topics.settings.topic_prefix}{DECISIONS}", 0)
    assert instance.metrics.lag.labels(*labels)._value.get() == 0
    assert instance.metrics.customers._value.get() == 6
    assert instance.metrics.latency._sum.get() > 0


async def test_a_database_that_has_read_more_than_there_is_is_refused(desk, settings, run):
    topic = settings.topic(DECISIONS)
    await desk.rows(f"INSERT INTO consumed VALUES ('{topic}', 0, 500) RETURNING 1")
    with pytest.raises(OffsetsGone) as refused:
        await run().task
    assert f"{topic}, partition 0 ends at offset 0, the database has read 500" in str(refused.value)
    assert "\n" not in str(refused.value)


async def test_a_record_that_cannot_be_read_ends_the_consumer(desk, topics, run):
    desk.scribe.move("c1", "tier", "gold")
    desk.scribe.append(DECISIONS, 1, b"c2", b"not JSON")
    await topics.publish(desk.scribe)
    with pytest.raises(Unreadable, match=f"{topics.settings.topic(DECISIONS)}, partition 1, offset 0"):
        await run().task


async def test_another_policys_state_ends_the_consumer(desk, topics, run):
    desk.scribe.position(policy="older", policy_digest="0123456789abcdef")
    await topics.publish(desk.scribe)
    with pytest.raises(OtherPolicy):
        await run().task
    assert await desk.rows("SELECT sum(next_offset) FROM consumed") == [(0,)]


async def test_missing_topics_end_the_consumer(settings, run):
    with pytest.raises(TopicMissing, match="tierline setup"):
        await run(topic_prefix=f"{settings.topic_prefix}other-").task

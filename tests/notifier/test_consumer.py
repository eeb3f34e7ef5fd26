"""The consumer against a real Kafka and a real PostgreSQL: once each, whatever happens between two steps."""

import asyncio
import contextlib
import importlib
import importlib.util
from datetime import UTC, datetime

import asyncpg
import pytest
import pytest_asyncio
from aiokafka import AIOKafkaProducer
from prometheus_client import CollectorRegistry

from schemas.topics import DECISIONS as DECISIONS_TOPIC
from schemas.topics import SCORER_STATE
from services.notifier import gauges
from services.notifier.apply import Applier, OtherPolicy
from services.notifier.consumer import Consumer, OffsetsGone
from services.notifier.intake import Unreadable
from services.notifier.store import decisions
from services.notifier.store.database import Database
from services.notifier.store.migrate import migrate
from services.shared.kafka import TopicMissing, create_topics
from services.shared.metrics import NotifierMetrics
from services.shared.settings import NotifierSettings
from tests.fixtures.database import fresh_database
from tests.notifier.desk import Desk, contents
from tests.notifier.scribe import DECISIONS, Scribe
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


@pytest_asyncio.fixture(loop_scope="session")
async def settings(kafka, topic_prefix, migrated_url):
    settings = NotifierSettings.model_construct(
        kafka_bootstrap=kafka.bootstrap, topic_prefix=topic_prefix, partitions=PARTITIONS, database_url=migrated_url
    )
    await asyncio.to_thread(create_topics, settings, (SCORER_STATE, DECISIONS_TOPIC))
    return settings


@pytest_asyncio.fixture(loop_scope="session")
async def topics(settings):
    producer = AIOKafkaProducer(
        bootstrap_servers=settings.kafka_bootstrap, transactional_id=f"{settings.topic_prefix}scribe"
    )
    await producer.start()
    yield Topics(settings, producer)
    await producer.stop()


class Instance:
    """One notifier's consumer, running in a task of its own."""

    def __init__(self, settings, database, policy):
        self.metrics = NotifierMetrics(CollectorRegistry())
        self.applier = Applier(policy, "corner_shop.yaml")
        self.consumer = Consumer(settings, database, self.applier, self.metrics, lambda: datetime.now(UTC))
        self.task = asyncio.create_task(self.consumer.run())

    async def stop(self):
        self.consumer.stop()
        await self.task

    async def kill(self):
        """As kill -9 does: no step more, whatever it is at."""
        self.task.cancel()
        with contextlib.suppress(asyncio.CancelledError):
            await self.task


@pytest_asyncio.fixture(loop_scope="session")
async def run(settings, database, policy):
    instances = []

    def start(**changes):
        instances.append(Instance(settings.model_copy(update=changes), database, policy))
        return instances[-1]

    yield start
    for instance in instances:
        instance.consumer.stop()
    await asyncio.gather(*(instance.task for instance in instances), return_exceptions=True)


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


@pytest_asyncio.fixture(scope="module", loop_scope="session")
async def expected(postgres, policy):
    """What should stand in the database after a varied life: delivered in peace, without Kafka."""
    async with fresh_database(postgres) as url:
        await migrate(url)
        desk = Desk(Database(url), policy, Scribe(policy))
        desk.scribe.varied_life()
        await desk.deliver()
        yield await contents(desk, without="consumed")
        await desk.database.close()


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


STEPS = [
    "services.notifier.store.offsets.load",
    "services.notifier.store.offsets.move",
    "services.notifier.store.customers.put",
    "services.notifier.store.progress.move",
    "services.notifier.store.feed.take",
    "services.notifier.store.decisions.add",
    "services.notifier.store.held.hold",
    "services.notifier.store.held.release",
    "services.notifier.store.tasks.add",
    "services.notifier.store.alerts.add",
    "services.notifier.consumer.Consumer._observe",  # the transaction is committed, nobody has noted it yet
]


@pytest.mark.parametrize("step", STEPS)
async def test_a_crash_after_any_step_loses_nothing_and_doubles_nothing(desk, topics, run, expected, monkeypatch, step):
    desk.scribe.varied_life()
    await topics.publish(desk.scribe)
    # Batches of one record of each partition or so: the crash comes in the middle.
    crash_at(monkeypatch, step, call=3 if "load" not in step else 1)
    first = run(batch_records=4)
    with pytest.raises(Crash):
        await first.task
    monkeypatch.undo()
    await arrived(desk, run())
    assert await contents(desk, without="consumed") == expected


async def test_a_kill_in_the_middle_of_a_statement_loses_nothing(desk, topics, run, expected, monkeypatch):
    desk.scribe.varied_life()
    await topics.publish(desk.scribe)
    reached = asyncio.Event()

    async def hang(*_):
        reached.set()
        await asyncio.Event().wait()

    monkeypatch.setattr("services.notifier.store.tasks.add", hang)
    first = run()
    await asyncio.wait_for(reached.wait(), 20)
    await first.kill()
    monkeypatch.undo()
    await arrived(desk, run())
    assert await contents(desk, without="consumed") == expected


async def test_a_zombie_writes_nothing_and_finds_its_place_again(desk, topics, run, expected, monkeypatch, policy):
    """Between its poll and its transaction another instance has done the same work."""
    desk.scribe.varied_life()
    await topics.publish(desk.scribe)
    zombie, other = run(), Applier(policy, "corner_shop.yaml")
    apply, overtaken = zombie.applier.apply, []

    async def late(connection, batch):
        if not overtaken:
            async with desk.database.transaction() as elsewhere:
                overtaken.append(await other.apply(elsewhere, batch))
        return await apply(connection, batch)

    monkeypatch.setattr(zombie.applier, "apply", late)
    await arrived(desk, zombie)
    await until(lambda: zombie.metrics.zombies._value.get() == 1, what="the conflict is counted")
    assert await contents(desk, without="consumed") == expected
    desk.scribe.move("c9", "tier", "gold")
    desk.scribe.position()
    await topics.publish(desk.scribe)
    await arrived(desk, zombie)


async def test_the_database_going_away_in_a_transaction_is_waited_for(
    desk, topics, run, expected, monkeypatch, migrated_url
):
    desk.scribe.varied_life()
    await topics.publish(desk.scribe)
    add, cut = decisions.add, []

    async def cut_off(connection, batch):
        await add(connection, batch)
        if not cut:
            driver = (await connection.get_raw_connection()).driver_connection
            cut.append(driver.get_server_pid())
            killer = await asyncpg.connect(desk.database.dsn)
            await killer.execute("SELECT pg_terminate_backend($1)", cut[0])
            await killer.close()

    monkeypatch.setattr(decisions, "add", cut_off)
    instance = run()
    await arrived(desk, instance)
    assert cut
    assert await contents(desk, without="consumed") == expected


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
    apply = instance.applier.apply

    async def wait(connection, batch):
        await go.wait()
        return await apply(connection, batch)

    monkeypatch.setattr(instance.applier, "apply", wait)
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


class Crash(Exception):
    """The process is gone."""


def crash_at(monkeypatch, step, call):
    """Let the `call`-th call of the function `step` be the last thing that happens."""
    path = step.split(".")
    at = next(i for i in range(len(path), 0, -1) if _is_module(".".join(path[:i])))
    owner = importlib.import_module(".".join(path[:at]))
    for part in path[at:-1]:
        owner = getattr(owner, part)
    function, calls = getattr(owner, path[-1]), []

    async def then_crash(*args):
        result = await function(*args)
        calls.append(args)
        if len(calls) == call:
            raise Crash
        return result

    def then_crash_at_once(*args):
        raise Crash

    monkeypatch.setattr(owner, path[-1], then_crash if asyncio.iscoroutinefunction(function) else then_crash_at_once)


def _is_module(name):
    with contextlib.suppress(ModuleNotFoundError):
        return importlib.util.find_spec(name) is not None
    return False

"""When merges, unmerges and erasures are done, and what comes from other partitions is taken; what waits rests."""

import asyncio
import time
from collections.abc import Callable
from datetime import datetime, timedelta
from itertools import count

import msgspec
import pytest
from msgspec.structs import replace

from schemas.decisions import CaughtUp, Decision
from schemas.events import Event, PurchaseData
from schemas.identities import Erasure, Merge
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import alias_of, decode, encode
from services.scorer.domain.state import Customer, Joined
from services.scorer.engine import partition as partition_module
from services.scorer.engine import relating as relating_module
from services.scorer.engine import rounds as rounds_module
from services.scorer.engine.kinship import Kinship
from services.scorer.engine.partition import Partition
from services.scorer.engine.relating import Relating
from services.scorer.engine.shard import Shard
from services.scorer.engine.transfers import Forwarded, Moved, pieces
from services.scorer.engine.turn import Turn
from services.shared.partitioner import partition_of
from tests.scorer.engine.installation import now, policy, purchase
from tests.scorer.engine.memory import POLICIES, Log, actor
from tests.scorer.engine.records import fetched
from tests.waiting import until


async def test_what_waits_and_lets_others_pass_does_not_fill_the_topic_meanwhile() -> None:
    # Two merges into b come before b's erasure, whose time has not come: each lets the other pass, round and round.
    kinship, later = Kinship(1), now() + timedelta(hours=1)
    kinship.learn(Erasure(sequence=1, at=later, subject="b"))
    for sequence, other in ((2, "c"), (3, "d")):
        kinship.learn(Merge(sequence=sequence, at=later, from_=other, into="b"))
    record = encode(Customer.new(POLICIES))
    moved = [Moved(n, "b", other, 0, record, Joined("b", {})) for n, other in ((2, "c"), (3, "d"))]
    log, loop, passed_s, offsets = Log(), asyncio.get_running_loop(), [], count()
    async with actor(log, kinship=kinship) as partition:

        def send_again() -> None:
            for _, _, value in log.turns[-1].transfers:
                passed_s.append(time.monotonic())
                loop.call_soon_threadsafe(partition.transferred, next(offsets), value)

        log.on_commit = send_again
        for one in moved:
            for value in pieces(one):
                partition.transferred(next(offsets), value)
        await until(lambda: len(passed_s) >= 10, within=30)
        assert passed_s[9] - passed_s[0] > 1, "0.1 s after the first round, then twice as long after each"


def reordered(subject: str, at: datetime, euros: int) -> Event:
    """An order whose key is always the same, and so is its event's id."""
    order = purchase(subject, at=at, id="again")
    return replace(order, data=PurchaseData(euros * 100, "EUR", "o1"))


def kept(log: Log, subject: str) -> list[int]:
    """The amounts of a customer's orders; none of one who is another name now."""
    record = log.state.get(subject.encode())
    if record is None or alias_of(record) is not None:
        return []
    return [entry.amount for entry in decode(record, log.policies).ledger.entries]


def returning(log: Log, partition: Partition, delay_s: float = 0, first: int = 0) -> Callable[[], None]:
    """To be done at each commit: what it wrote to `transfers` comes back, all partitions being this one.

    first: offset of the first of them
    """
    loop, offsets = asyncio.get_running_loop(), count(first)

    def send() -> None:
        for _, _, value in log.turns[-1].transfers:
            offset = next(offsets)
            loop.call_soon_threadsafe(loop.call_later, delay_s, partition.transferred, offset, value)

    return send


def letters(log: Log) -> list[object]:
    return [letter for turn in log.turns for letter in turn.dead_letters]


@pytest.mark.parametrize("delay_s", [0, 0.06])  # as Kafka has it
@pytest.mark.parametrize("max_batch", [1, 5_000])
@pytest.mark.parametrize("subject", ["a", "b"])
async def test_what_comes_after_an_erasure_in_one_backlog_is_not_held_against_what_came_before(
    subject: str, max_batch: int, delay_s: float
) -> None:
    #  order o1 of 5 ── merge of b into a ──▮ erasure of a ── order o1 of 7, both of a or both of b
    began = now() - timedelta(hours=1)
    kinship = Kinship(1)
    kinship.learn(Merge(sequence=1, at=began + timedelta(minutes=5), from_="b", into="a"))
    kinship.learn(Erasure(sequence=2, at=began + timedelta(minutes=10), subject="a"))
    events = [reordered(subject, began, 5), reordered(subject, began + timedelta(minutes=20), 7)]
    log = Log(fetched([*events, purchase("c", at=began + timedelta(minutes=30))]))
    async with actor(log, kinship=kinship, max_batch=max_batch) as partition:
        log.on_commit = returning(log, partition, delay_s)
        partition.hand_over(log.records)
        await until(lambda: kept(log, subject) == [7_00])
        await until(lambda: log.position.events_offset == 3)
    assert letters(log) == []


async def test_an_event_waits_for_an_erasure_that_begins_in_another_partition() -> None:
    #  o1 of 5 ── merge into one who lives elsewhere ──▮ that one's erasure ── o1 of 7
    began = now() - timedelta(hours=1)
    kinship = Kinship(2)
    b, a = (next(s for s in "abcdef" if partition_of(s.encode(), 2) == home) for home in (0, 1))
    kinship.learn(Merge(sequence=1, at=began + timedelta(minutes=5), from_=b, into=a))
    kinship.learn(Erasure(sequence=2, at=began + timedelta(minutes=10), subject=a))
    log = Log(fetched([reordered(b, began, 5), reordered(b, began + timedelta(minutes=20), 7)]))
    async with actor(log, kinship=kinship) as partition:
        partition.hand_over(log.records)
        await until(lambda: log.position.events_offset == 2 and log.position.identities == 1)
    assert letters(log) == []
    assert [key.decode() for turn in log.turns for _, key, _ in turn.transfers] == [a, a], (
        "who was merged, and the event"
    )


def erasure_that_waits(began: datetime) -> tuple[Kinship, str, str]:
    """With `old`, of another partition, who has been merged into `new` before it and has not come yet."""
    kinship = Kinship(2)
    old, new = (next(s for s in "abcdef" if partition_of(s.encode(), 2) == home) for home in (1, 0))
    kinship.learn(Merge(sequence=1, at=began, from_=old, into=new))
    kinship.learn(Erasure(sequence=2, at=began + timedelta(minutes=1), subject=new))
    return kinship, old, new


async def test_nobody_else_waits_for_an_erasure_that_has_to_wait_itself(monkeypatch: pytest.MonkeyPatch) -> None:
    # What has come for others takes all of a turn's time.
    monkeypatch.setattr(relating_module, "_RELATED_S", 0.0005)
    began = now() - timedelta(hours=1)
    kinship, old, new = erasure_that_waits(began)
    late = [reordered(new, began - timedelta(minutes=1), 5), reordered(new, began + timedelta(minutes=2), 7)]
    log = Log(fetched([*late, *[purchase("z", at=began + timedelta(minutes=n)) for n in range(3, 5)]]))
    async with actor(log, kinship=kinship) as partition:
        for n in range(100):
            order = purchase(f"x{n}", at=began - timedelta(minutes=2))
            [value] = pieces(Forwarded(order.subject, msgspec.json.encode(order), to_ms(order.time), 1, n))
            partition.transferred(n, value)
        partition.hand_over(log.records)
        await until(lambda: log.position.events_offset == 4)
        assert (log.position.identities, kept(log, "z")) == (0, [60_00] * 2)
        assert log.turns[0].events == 4
        log.on_commit = returning(log, partition, first=102)
        for turn in log.turns:
            for _, _, value in turn.transfers:
                partition.transferred(100, value)
        record = encode(Customer.new(POLICIES))
        for value in pieces(Moved(1, new, old, to_ms(began), record, Joined(new, {}))):
            partition.transferred(101, value)
        await until(lambda: log.position.identities == 2 and kept(log, new) == [7_00])
    assert letters(log) == []


async def test_what_comes_for_others_does_not_rest_as_long_as_what_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    # Events for z come over `transfers`, as from a name that was z's when they came.
    monkeypatch.setattr(rounds_module, "_FIRST_REST_S", 3_600.0)
    monkeypatch.setattr(rounds_module, "_LONGEST_REST_S", 3_600.0)
    monkeypatch.setattr(partition_module, "_TICK_S", 3_600.0)
    began = now() - timedelta(hours=1)
    kinship, _, new = erasure_that_waits(began)
    waiting = [reordered(new, began + timedelta(minutes=n), n) for n in (2, 3)]
    log, loop, offsets = Log(fetched(waiting)), asyncio.get_running_loop(), count()
    async with actor(log, kinship=kinship) as partition:

        def come(value: bytes) -> None:
            loop.call_soon_threadsafe(lambda: partition.transferred(next(offsets), value))

        def send_again() -> None:
            for _, _, value in log.turns[-1].transfers:
                come(value)

        log.on_commit = send_again
        partition.hand_over(log.records)
        await until(lambda: log.position.transfers == 2)
        for n in range(3):
            order = purchase("z", at=began + timedelta(minutes=10 + n))
            [value] = pieces(Forwarded("z", msgspec.json.encode(order), to_ms(order.time), 1, n))
            come(value)
            await until(lambda n=n: len(kept(log, "z")) == n + 1)
    assert sum(turn.forwarded for turn in log.turns) == 2, "once for each event, however often it went round"
    assert len(log.turns) < 20


def ago(days: float) -> datetime:
    return now() - timedelta(days=days)


def quiet_after_25_days(log: Log) -> None:
    policies = Policies.only(policy(window="20d", quiet="25d"))
    log.policies, newest = policies, policies.newest
    log.position = replace(log.position, policy=newest.name, policy_digest=newest.digest)


def tiers_while_catching_up(log: Log, subject: str) -> list[object]:
    """Of a customer of whom nothing but tiers is said, and nothing after the marker that all is caught up."""
    said = [one for one in log.said() if isinstance(one, CaughtUp) or one.subject == subject]
    assert isinstance(said[-1], CaughtUp)
    decided = [one for one in said if isinstance(one, Decision)]
    assert all(one.catching_up for one in decided)
    assert {one.dimension for one in decided} == {"tier"}, "before they would be quiet they had been erased"
    return [one.after for one in decided]


@pytest.mark.parametrize("last_days_ago", [17, 0.04])
async def test_operations_between_and_behind_events_of_a_backlog_are_done_there(last_days_ago: float) -> None:
    #  a   ──● 40 days ago ──▮ 38 ──────────────────● 18 ──────────────
    #  b   ──────────────────────────● 37 ──▮ 36 ──────────────────────
    #  c   ──────────────────────────● 37 ─────────────────▮ 15 ───────
    #  d   ────────────────────────────────────────────● 17 ────────● or a little ago
    kinship = Kinship(1)
    for sequence, (days, subject) in enumerate(((38, "a"), (36, "b"), (15, "c")), 1):
        kinship.learn(Erasure(sequence=sequence, at=ago(days), subject=subject))
    orders = [("a", 40), ("b", 37), ("c", 37), ("a", 18), ("d", last_days_ago)]
    log = Log(fetched([purchase(subject, 300, at=ago(days)) for subject, days in orders]))
    quiet_after_25_days(log)
    log.operation = 3
    async with actor(log, kinship=kinship) as partition:
        log.on_commit = returning(log, partition)
        partition.hand_over(log.records)
        await until(lambda: log.position.caught_up and log.position.identities == 3 and partition.status == "ready")
    assert tiers_while_catching_up(log, "a") == ["silver", "basic", "silver"]
    assert tiers_while_catching_up(log, "b") == tiers_while_catching_up(log, "c") == ["silver", "basic"]


@pytest.mark.parametrize("last_days_ago", [40, 0.04])
async def test_events_and_time_wait_for_an_operation_for_which_a_turn_has_no_time(
    monkeypatch: pytest.MonkeyPatch, last_days_ago: float
) -> None:
    #  a   ──● 40 days ago ──────── 300 transfers ──▮ 35
    #  m   ──● 40 ─────────────────────────────────────────▮ into n, 34 ──● 5
    #  c   ──● 40, or a little ago
    monkeypatch.setattr(relating_module, "_RELATED_S", 0.001)
    kinship = Kinship(1)
    kinship.learn(Erasure(sequence=1, at=ago(35), subject="a"))
    kinship.learn(Merge(sequence=2, at=ago(34), from_="m", into="n"))
    orders = [("a", 40), ("m", 40), ("c", last_days_ago)]
    log = Log(fetched([purchase(subject, 300, at=ago(days)) for subject, days in [*orders, ("m", 5)]]))
    quiet_after_25_days(log)
    log.operation, positions = 2, []
    async with actor(log, kinship=kinship) as partition:
        for n in range(300):
            order = purchase(f"z{n}", 300, at=ago(39))
            [value] = pieces(Forwarded(order.subject, msgspec.json.encode(order), to_ms(order.time), 1, n))
            partition.transferred(n, value)
        back = returning(log, partition, first=300)

        def committed() -> None:
            positions.append(log.position)
            back()

        log.on_commit = committed
        partition.hand_over(log.records)
        await until(lambda: log.position.caught_up and log.position.identities == 2 and partition.status == "ready")
        await until(lambda: log.position.events_offset == 4 and kept(log, "n"))
    assert len(log.turns) > 2
    assert tiers_while_catching_up(log, "a") == ["silver", "basic"]
    assert {one.dimension for one in log.said() if isinstance(one, Decision) and one.subject == "m"} == {"tier"}
    for one in positions:
        stands_at_ms = max((record.timestamp for record in log.records[: one.events_offset]), default=0)
        assert one.appended_ms == stands_at_ms, "where a takeover would go on"
    assert max(turn.received for turn in log.turns) < 250


@pytest.mark.parametrize("orders", [[("a", 40)], [("a", 40), ("c", 0.04)]])
async def test_a_turn_does_no_more_operations_than_it_has_time_for(
    monkeypatch: pytest.MonkeyPatch, orders: list[tuple[str, float]]
) -> None:
    #  a   ──● 40 days ago ── 300 erasures of others ──▮ 35        c   ──● a little ago, or none
    monkeypatch.setattr(relating_module, "_RELATED_S", 0.0005)
    kinship = Kinship(1)
    for n in range(300):
        kinship.learn(Erasure(sequence=n + 1, at=ago(39), subject=f"s{n}"))
    kinship.learn(Erasure(sequence=301, at=ago(35), subject="a"))
    log = Log(fetched([purchase(subject, 300, at=ago(days)) for subject, days in orders]))
    quiet_after_25_days(log)
    log.operation = 301
    async with actor(log, kinship=kinship) as partition:
        partition.hand_over(log.records)
        await until(lambda: log.position.caught_up and log.position.identities == 301 and partition.status == "ready")
    assert max(turn.operations.get("erasure", 0) for turn in log.turns) < 150
    assert tiers_while_catching_up(log, "a") == ["silver", "basic"]


async def test_an_event_from_another_partition_of_after_an_operation_is_taken_after_it() -> None:
    began = now() - timedelta(hours=1)
    kinship = Kinship(1)
    kinship.learn(Erasure(sequence=1, at=began + timedelta(minutes=10), subject="a"))
    first, second = reordered("a", began, 5), reordered("a", began + timedelta(minutes=20), 7)
    log = Log(fetched([first]))
    async with actor(log, kinship=kinship) as partition:
        appended_ms, raw = to_ms(second.time), msgspec.json.encode(second)
        [value] = pieces(Forwarded("a", raw, appended_ms, 0, 7))
        partition.transferred(0, value)
        partition.hand_over(log.records)
        await until(lambda: log.position.transfers == 1 and log.position.identities == 1)
    assert kept(log, "a") == [7_00]
    assert letters(log) == []


@pytest.mark.parametrize("way", ["events", "transfers"])
async def test_no_event_is_taken_before_the_operations_are_known_that_there_were_at_the_takeover(way: str) -> None:
    began = now() - timedelta(hours=1)
    kinship = Kinship(1)
    before, after = reordered("a", began, 5), reordered("a", began + timedelta(minutes=20), 7)
    log = Log(fetched([before]))
    async with actor(log) as partition:
        partition.hand_over(log.records)
        await until(lambda: log.position.events_offset == 1)
    log.operation, turns = 1, len(log.turns)
    if way == "events":
        log.records = fetched([before, after])
    async with actor(log, kinship=kinship) as partition:
        log.on_commit = returning(log, partition, first=1)
        if way == "events":
            partition.hand_over(log.records[1:])
        else:
            [value] = pieces(Forwarded("a", msgspec.json.encode(after), to_ms(after.time), 0, 7))
            partition.transferred(0, value)
        for _ in range(20):
            await asyncio.sleep(0)
        assert len(log.turns) == turns
        kinship.learn(Erasure(sequence=1, at=began + timedelta(minutes=10), subject="a"))
        await until(lambda: log.position.identities == 1 and kept(log, "a") == [7_00])
    assert letters(log) == []


async def test_many_erasures_between_events_take_few_turns() -> None:
    began = now() - timedelta(hours=1)
    kinship, events = Kinship(1), []
    for n in range(50):
        at = began + timedelta(seconds=10 * n)
        kinship.learn(Erasure(sequence=n + 1, at=at, subject=f"s{n}"))
        events += [reordered(f"s{n}", at - timedelta(seconds=1), 5), reordered(f"s{n}", at + timedelta(seconds=1), 7)]
    log = Log(fetched(events))
    async with actor(log, kinship=kinship) as partition:
        log.on_commit = returning(log, partition)
        partition.hand_over(log.records)
        await until(lambda: log.position.identities == 50 and kept(log, "s49") == [7_00])
    assert {n: kept(log, f"s{n}") for n in range(50)} == {n: [7_00] for n in range(50)}
    assert letters(log) == []
    assert len(log.turns) <= 20


def test_what_an_operation_has_waited_for_is_followed_by_it_though_something_later_stands_in_front() -> None:
    #  on transfers: for x at 30 ── b into a at 10 ── for a at 12 ── for a at 40 (o1 again)      erasure of a: 20
    began = now() - timedelta(hours=1)

    def minute(number: int) -> datetime:
        return began + timedelta(minutes=number)

    mine, theirs = ([s for s in "abcdefghijklmnop" if partition_of(s.encode(), 2) == home] for home in (0, 1))
    (a, x), (b, y) = mine[:2], theirs[:2]
    kinship, record = Kinship(2), encode(Customer.new(POLICIES))
    kinship.learn(Merge(sequence=1, at=minute(1), from_=y, into=x))
    kinship.learn(Merge(sequence=2, at=minute(10), from_=b, into=a))
    kinship.learn(Erasure(sequence=3, at=minute(20), subject=a))
    shard = Shard(POLICIES, number=0, partitions=2, topic="events")
    relating = Relating(0, kinship)
    relating.begin(0)

    def forwarded(subject: str, event: Event, offset: int) -> Forwarded:
        return Forwarded(subject, msgspec.json.encode(event), to_ms(event.time), 1, offset)

    for offset, transfer in enumerate(
        [
            Moved(1, x, y, to_ms(minute(1)), record, Joined(x, {})),
            forwarded(x, purchase(y, at=minute(30)), 3),
            Moved(2, a, b, to_ms(minute(10)), record, Joined(a, {})),
            forwarded(a, reordered(b, minute(12), 5), 1),
            forwarded(a, reordered(b, minute(40), 7), 5),
        ]
    ):
        for value in pieces(transfer):
            relating.put(offset, value)
    done, refused, sent = 0, [], []
    for _ in range(3):
        turn = Turn(0, to_ms(now()), catching_up=False)
        done = relating.work(shard, turn, [], to_ms(now()), done).begun
        refused += turn.dead_letters
        sent += turn.transfers
    assert (done, relating.waiting, refused) == (3, 0, [])
    assert [key.decode() for _, key, _ in sent] == [b, b], "who returns, and the event of the new life behind"

"""When merges, unmerges and erasures are done, and what comes from other partitions is taken; what waits rests."""

import asyncio
import time
from datetime import datetime, timedelta
from itertools import count

import msgspec
import pytest
from msgspec.structs import replace

from schemas.events import Event, PurchaseData
from schemas.identities import Erasure, Merge
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import decode, encode
from services.scorer.domain.state import Customer, Joined
from services.scorer.engine.kinship import Kinship
from services.scorer.engine.relating import Relating, Rounds
from services.scorer.engine.shard import Shard
from services.scorer.engine.transfers import Forwarded, Moved, pieces
from services.scorer.engine.turn import Turn
from services.shared.partitioner import partition_of
from tests.scorer.engine.installation import now, purchase
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
    customer = decode(log.state[subject.encode()], POLICIES)
    return [entry.amount for entry in customer.ledger.entries]


@pytest.mark.parametrize("max_batch", [1, 5_000])
@pytest.mark.parametrize("subject", ["a", "b"])
async def test_what_comes_after_an_erasure_in_one_backlog_is_not_held_against_what_came_before(
    subject: str, max_batch: int
) -> None:
    #  a: order o1 of 5 ── merge of b into a ──▮ erasure of a ── order o1 of 7, of a or of b
    began = now() - timedelta(hours=1)
    kinship = Kinship(1)
    kinship.learn(Merge(sequence=1, at=began + timedelta(minutes=5), from_="b", into="a"))
    kinship.learn(Erasure(sequence=2, at=began + timedelta(minutes=10), subject="a"))
    events = [reordered("a", began, 5), reordered(subject, began + timedelta(minutes=20), 7)]
    log = Log(fetched([*events, purchase("c", at=began + timedelta(minutes=30))]))
    offsets = count()
    async with actor(log, kinship=kinship, max_batch=max_batch) as partition:
        loop = asyncio.get_running_loop()

        def send() -> None:
            for _, _, value in log.turns[-1].transfers:
                loop.call_soon_threadsafe(partition.transferred, next(offsets), value)

        log.on_commit = send
        partition.hand_over(log.records)
        await until(lambda: subject.encode() in log.state and kept(log, subject) == [7_00])
        await until(lambda: log.position.events_offset == 3)
    assert [letter for turn in log.turns for letter in turn.dead_letters] == []


async def test_events_do_not_wait_for_an_erasure_that_has_to_wait_itself() -> None:
    # b has been merged into a before the erasure, and has not come yet.
    began = now() - timedelta(hours=1)
    kinship = Kinship(2)
    old, new = (next(s for s in "abcdef" if partition_of(s.encode(), 2) == home) for home in (1, 0))
    kinship.learn(Merge(sequence=1, at=began, from_=old, into=new))
    kinship.learn(Erasure(sequence=2, at=began + timedelta(minutes=1), subject=new))
    log = Log(fetched([purchase(new, at=began + timedelta(minutes=n)) for n in range(1, 4)]))
    async with actor(log, kinship=kinship) as partition:
        partition.hand_over(log.records)
        await until(lambda: log.position.events_offset == 3)
    assert (log.position.identities, kept(log, new)) == (0, [60_00] * 3)


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
    assert [letter for turn in log.turns for letter in turn.dead_letters] == []


async def test_no_event_is_taken_before_the_operations_are_known_that_there_were_at_the_takeover() -> None:
    began = now() - timedelta(hours=1)
    kinship = Kinship(1)
    log = Log(fetched([reordered("a", began, 5), reordered("a", began + timedelta(minutes=20), 7)]))
    log.operation = 1
    async with actor(log, kinship=kinship) as partition:
        partition.hand_over(log.records)
        partition.wake()
        for _ in range(20):
            await asyncio.sleep(0)
        assert log.turns == []
        kinship.learn(Erasure(sequence=1, at=began + timedelta(minutes=10), subject="a"))
        await until(lambda: log.position.events_offset == 2)
    assert kept(log, "a") == [7_00]


async def test_many_erasures_before_an_event_are_one_turn() -> None:
    began = now() - timedelta(hours=1)
    kinship = Kinship(1)
    for n in range(50):
        kinship.learn(Erasure(sequence=n + 1, at=began + timedelta(seconds=n), subject=f"s{n}"))
    log = Log(fetched([purchase("a", at=began - timedelta(seconds=9)), purchase("a", at=began + timedelta(minutes=5))]))
    async with actor(log, kinship=kinship) as partition:
        partition.hand_over(log.records)
        await until(lambda: log.position.events_offset == 2)
        await until(lambda: log.position.identities == 50)
    assert [turn.events for turn in log.turns if turn.events] == [1, 1]
    assert len(log.turns) <= 4


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
    done, letters, sent = 0, [], []
    for _ in range(3):
        turn = Turn(0, to_ms(now()), catching_up=False)
        done = relating.work(shard, turn, to_ms(now()), done)
        letters += turn.dead_letters
        sent += turn.transfers
    assert (done, relating.waiting, letters) == (3, 0, [])
    assert [key.decode() for _, key, _ in sent] == [b, b], "who returns, and the event of the new life behind"


def test_a_round_rests_once_it_comes_round_and_begins_anew_when_something_happens() -> None:
    rounds, one, other = Rounds(), Forwarded("b", b"{}", 9, 1, 4), Forwarded("b", b"{}", 9, 1, 5)
    for now_s, rest_s in ((0.0, 0.1), (0.11, 0.2), (0.32, 0.4)):
        assert not rounds.rests(one, now_s)
        rounds.passed_on(one)
        assert not rounds.rests(other, now_s)
        rounds.passed_on(other)
        assert rounds.rests(one, now_s)
        assert rounds.rests(other, now_s + rest_s - 0.01)
    rounds.begin_anew()
    assert not rounds.rests(one, 0.33)

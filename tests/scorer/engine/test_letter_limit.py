"""The limit of dead letters: what counts, and a partition that halts before it commits a turn that goes beyond it."""

import asyncio
from datetime import timedelta

import msgspec
import pytest
from confluent_kafka import KafkaError

from schemas.decisions import DeadLetterReason
from schemas.events import Event
from services.scorer.domain.instants import to_ms
from services.scorer.engine import shard
from services.scorer.engine.letter_limit import COUNTED, LEAST, WINDOW, LetterLimit, TooManyDeadLetters
from services.scorer.engine.transfers import Forwarded
from services.scorer.engine.turn import Turn
from tests.scorer.engine import poisoned
from tests.scorer.engine.installation import now, purchase
from tests.scorer.engine.memory import POLICIES, Log, actor, kafka_error
from tests.scorer.engine.records import Fetched, raw
from tests.scorer.engine.records import fetched as records_of
from tests.waiting import until

Case = tuple[str, DeadLetterReason | None]
GOOD: DeadLetterReason | None = None


class Partition:
    """A partition's events, one after another, and the limit's word on each batch of them."""

    def __init__(self, share: float = 0.2) -> None:
        self._limit, self._next = LetterLimit(share), 0

    def takes(self, *cases: Case) -> None:
        """A batch: of whom each event is, and why it was not taken."""
        batch: list[Fetched] = []
        turn = Turn(0, 0, catching_up=False)
        for subject, reason in cases:
            batch.append(raw(b"", subject.encode(), offset=self._next))
            if reason is not None:
                turn.refused[0, self._next] = reason
            self._next += 1
        self._limit.check(batch, turn)


def customers(count: int, reason: DeadLetterReason | None, name: str = "c") -> list[Case]:
    return [(f"{name}{n}", reason) for n in range(count)]


def test_two_bad_events_of_three_halt_nothing() -> None:
    Partition().takes(("a", "poison"), ("b", "poison"), ("c", GOOD))


def test_everybody_failing_halts_as_soon_as_that_can_be_said() -> None:
    partition = Partition()
    partition.takes(*customers(LEAST - 1, "poison"))
    with pytest.raises(TooManyDeadLetters) as halted:
        partition.takes(*customers(1, "poison", "next"))
    assert str(halted.value) == (
        "50 of the last 50 events cannot be taken (poison 50), those of 50 of 50 customers; "
        "the limit is 20% of them (TIERLINE_SCORER_DEAD_LETTER_SHARE)"
    )


@pytest.mark.parametrize(("failing", "halts"), [(200, False), (201, True)])
def test_the_share_is_of_the_customers_of_the_newest_thousand_events(failing: int, halts: bool) -> None:
    # 5,000 good ones before do not count
    partition = Partition()
    partition.takes(*customers(5 * WINDOW, GOOD, "before"))
    case = [*customers(WINDOW - failing, GOOD, "good"), *customers(failing, "wrong_partition")]
    if halts:
        with pytest.raises(TooManyDeadLetters, match="201 of 1000 customers"):
            partition.takes(*case)
    else:
        partition.takes(*case)


def test_a_bad_stretch_in_the_middle_of_a_large_batch_is_seen() -> None:
    with pytest.raises(TooManyDeadLetters):
        Partition().takes(*customers(2000, GOOD, "a"), *customers(500, "unreadable"), *customers(2000, GOOD, "b"))


@pytest.mark.parametrize("size", [1, 7, 1000])
def test_one_customer_alone_never_halts_the_others_however_much_it_sends(size: int) -> None:
    partition = Partition()
    cases = [case for n in range(1000) for case in (("bot", "poison"), ("bot", "poison"), (f"c{n}", GOOD))]
    for start in range(0, len(cases), size):
        partition.takes(*cases[start : start + size])  # type: ignore[arg-type]


def test_one_customer_that_is_alone_in_its_partition_does_not_halt_it_either() -> None:
    Partition().takes(*[("bot", "poison")] * 500)


def test_a_few_customers_all_of_whom_fail_halt_it() -> None:
    with pytest.raises(TooManyDeadLetters, match="of 3 of 3 customers"):
        Partition().takes(*[("a", "poison"), ("b", "poison"), ("c", "poison")] * 100)  # type: ignore[list-item]


def test_what_cannot_be_read_counts_each_by_itself_whatever_its_key() -> None:
    with pytest.raises(TooManyDeadLetters):
        Partition().takes(*[("same", "unreadable")] * 100, *customers(100, GOOD))


@pytest.mark.parametrize("reason", ["refund_exceeds_order", "refund_currency", "too_old", "ledger_full"])
def test_reports_and_what_the_rules_want_of_one_ledger_do_not_count(reason: DeadLetterReason) -> None:
    assert reason not in COUNTED
    Partition().takes(*customers(500, reason))


def test_a_share_of_one_never_halts() -> None:
    Partition(1.0).takes(*customers(3000, "poison"))


@pytest.fixture
def broken_core(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard, "score", poisoned.failing_score)


def came_over(limit: LetterLimit, first: int, *, bad: int = 0, good: int = 0) -> None:
    """Events of as many merged customers, in a turn that takes nothing of the partition's own."""
    of, turn = shard.Shard(POLICIES, number=1, partitions=2, topic="events"), Turn(0, 0, catching_up=False)
    for n in range(first, first + bad + good):
        event = purchase(f"c{n}", 1, id=f"{'poison' if n < first + bad else 'e'}-{n}")
        of.take_forwarded(turn, Forwarded(f"c{n}", msgspec.json.encode(event), to_ms(event.time), 0, n), to_ms(now()))
    limit.check([], turn)


@pytest.mark.usefixtures("broken_core")
def test_what_comes_from_other_partitions_for_merged_customers_counts_too() -> None:
    limit = LetterLimit(0.15)
    came_over(limit, 0, good=200)
    came_over(limit, 200, bad=49, good=10)
    with pytest.raises(TooManyDeadLetters, match="50 of 260 customers; the limit is 15%"):
        came_over(limit, 300, bad=1)


# The partition's actor


def orders(count: int, *, poison: int = 0) -> list[Event]:
    """Each of another customer; the last `poison` of them cannot be taken."""
    began = now() - timedelta(seconds=count)
    return [
        purchase(f"c{n}", 60, at=began + timedelta(seconds=n), id=f"{'poison' if n >= count - poison else 'e'}-{n}")
        for n in range(count)
    ]


@pytest.mark.usefixtures("broken_core")
async def test_a_partition_halts_before_it_commits_what_goes_too_far_and_stays_so() -> None:
    # ─── 100 good ───┬─── 40 poison ───┬─ 9 ─┬────  the fiftieth is at 149
    #                committed        committed   may be, in a batch of its own; the next one never
    log = Log()
    async with actor(log) as partition:
        log.records = records_of(orders(180, poison=80))
        for start, end in ((0, 100), (100, 140)):
            partition.hand_over(log.records[start:end])
            await until(lambda end=end: log.position.events_offset == end)
        partition.hand_over(log.records[140:])
        await until(lambda: partition.status == "halted")
        halted_at = log.position.events_offset
        assert 140 <= halted_at < 150
        assert sum(len(turn.dead_letters) for turn in log.turns) == halted_at - 100
        assert "poison" in str(partition.detail()["reason"])
        await partition.hold()
        partition.go_on()
        for _ in range(50):
            await asyncio.sleep(0)  # let the actor have its chance
        partition.hand_over(log.records[140:])
        await partition.hold()
        assert partition.status == "halted"
        assert log.takeovers == 1
    assert log.position.events_offset == halted_at


@pytest.mark.usefixtures("broken_core")
async def test_after_the_fault_is_mended_whoever_takes_it_over_goes_on_where_it_halted(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    log = Log(records_of(orders(100, poison=100)))
    async with actor(log) as partition:
        partition.hand_over(log.records)
        await until(lambda: partition.status == "halted")
    assert (log.position.events_offset, log.turns) == (0, [])
    monkeypatch.setattr(poisoned, "POISON", "nothing")
    async with actor(log) as partition:
        partition.hand_over(log.records)
        await until(lambda: partition.status == "ready")
        await until(lambda: log.position.events_offset == 100)
    assert len(log.state) == 100
    assert sum(turn.taken for turn in log.turns) == 100
    assert [turn.dead_letters for turn in log.turns] == [[]] * len(log.turns)


@pytest.mark.usefixtures("broken_core")
async def test_with_a_higher_limit_everything_goes_to_the_dead_letters() -> None:
    log = Log(records_of(orders(100, poison=100)))
    async with actor(log, letter_share=1.0) as partition:
        partition.hand_over(log.records)
        await until(lambda: log.position.events_offset == 100)
    assert sum(len(turn.dead_letters) for turn in log.turns) == 100


async def test_what_was_never_committed_does_not_count_the_broker_failing_as_often_as_it_will() -> None:
    #  30 that cannot be read   ── ╳ ── ╳ ── ● taken      seen three times, which would be 90
    log = Log()
    async with actor(log) as partition:
        log.records = [raw(b"junk", b"k%d" % n, offset=n, timestamp=1) for n in range(30)]
        log.fail = [kafka_error(KafkaError._TIMED_OUT)] * 2
        for takeovers in (1, 2, 3):
            await until(lambda takeovers=takeovers: log.takeovers == takeovers and partition.status != "restoring")
            partition.hand_over(log.records)
        await until(lambda: log.position.events_offset == 30)
        assert partition.status == "ready"

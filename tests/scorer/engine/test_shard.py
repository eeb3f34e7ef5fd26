"""A partition's customers in memory, without a broker."""

from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas.decisions import DeadLetter, Decision, DecisionRecord
from schemas.events import Event
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import decode, due_ms
from services.scorer.engine import shard as shard_module
from services.scorer.engine.shard import Shard
from services.scorer.engine.turn import Turn
from services.shared.partitioner import partition_of
from tests.scorer.engine.installation import interaction, policy, purchase
from tests.scorer.engine.records import Fetched, fetched, raw

POLICIES = Policies.only(policy(window="10s", quiet="1h"))
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
T0_MS = to_ms(T0)


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def shard(records: dict[bytes, bytes] | None = None, *, partitions: int = 1) -> Shard:
    return Shard(POLICIES, number=0, partitions=partitions, topic="events", records=records)


def new_turn(sequence: int = 0) -> Turn:
    return Turn(sequence, T0_MS, catching_up=False)


def take(of: Shard, batch: list[Fetched], until_s: float, turn: Turn | None = None) -> Turn:
    turn = turn or new_turn()
    of.take(turn, batch, T0_MS + int(until_s * 1000))
    return turn


def fire(of: Shard, until_s: float, limit: int = 100) -> tuple[Turn, int]:
    turn = new_turn()
    return turn, of.fire(turn, T0_MS + int(until_s * 1000), limit)


def decisions(turn: Turn) -> list[Decision]:
    return [msgspec.json.decode(value, type=DecisionRecord) for _, value in turn.decisions]  # type: ignore[misc]


def letters(turn: Turn) -> list[DeadLetter]:
    return [msgspec.json.decode(value, type=DeadLetter) for _, value in turn.dead_letters]


def calls(subject: str, *seconds: float) -> list[Event]:
    return [interaction(subject, at=at(second)) for second in seconds]


def test_a_customer_is_written_once_a_batch_whatever_comes_for_it() -> None:
    turn = take(shard(), fetched([purchase("a", at=at(n)) for n in range(5)]), 5)
    assert list(turn.customers) == [b"a"]
    assert len(decode(turn.customers[b"a"], POLICIES).ledger) == 5
    assert (turn.events, turn.taken, turn.duplicates) == (5, 5, 0)


@given(
    before=st.lists(st.integers(0, 20), max_size=3),
    batch=st.lists(
        st.tuples(st.integers(1, 20), st.integers(0, 12), st.integers(1, 3), st.sampled_from(["call", "buy"])),
        min_size=2,
        max_size=6,
    ),
    gap=st.integers(0, 30),
)
def test_events_in_a_row_come_to_the_same_together_and_each_by_itself(
    before: list[int], batch: list[tuple[int, int, int, str]], gap: int
) -> None:
    # known from before    ●  ●          the batch   ○1 came  ○2 came  ○3 came    looked at
    #                      0 … 20 s                  each after the one before it came
    known = fetched([purchase("a", 40, at=at(second)) for second in sorted(before)])
    records, came_s = [], 20
    for n, (wait, delay, size, kind) in enumerate(batch):
        happened = at(came_s + wait)
        came_s += wait + delay
        event = interaction("a", at=happened) if kind == "call" else purchase("a", 40 * size, at=happened)
        records += fetched([event], first=len(known) + n, appended_ms=T0_MS + came_s * 1000)
    outcomes = []
    for batches in ([records], [[record] for record in records]):
        of, turn = shard(), new_turn()
        take(of, known, 20)
        for records_of in batches:
            take(of, records_of, (records_of[-1].timestamp - T0_MS) / 1000, turn)
        of.fire(turn, T0_MS + (came_s + gap) * 1000, 100)
        later, _ = fire(of, came_s + 10_000)
        outcomes.append((decisions(turn), turn.taken, decisions(later)))
    assert outcomes[0] == outcomes[1]


def test_decisions_are_counted_on_from_the_last_sequence() -> None:
    turn = take(shard(), fetched([purchase("a", 60, at=at(0)), purchase("a", 60, at=at(1))]), 2, new_turn(41))
    assert [(d.sequence, d.dimension, d.after) for d in decisions(turn)] == [(42, "tier", "silver")]
    assert turn.sequence == 42
    assert [topic for topic, _, _ in turn.announcements] == ["tier-changes"]
    assert turn.transitions == {("tier", "silver", "event"): 1}


def test_each_kind_of_change_is_announced_on_its_own_topic() -> None:
    of = shard()
    turn = take(of, fetched([purchase("a", 100, at=at(0)), *calls("a", 1, 2)]), 3)
    later, _ = fire(of, 3600)
    topics = [topic for topic, _, _ in turn.announcements + later.announcements]
    assert topics == ["tier-changes", "segment-changes", "segment-changes", "churn-alerts"]


def test_a_duplicate_writes_nothing_but_counts_as_an_event() -> None:
    of = shard()
    event = purchase("a", at=at(0))
    take(of, fetched([event]), 1)
    turn = take(of, fetched([event], first=1), 2)
    assert turn.customers == {}
    assert (turn.events, turn.taken, turn.duplicates) == (1, 0, 1)
    assert turn.writes


def test_a_timer_fires_at_its_due_instant_however_late_it_is_looked_at() -> None:
    # calls   ●●────────── window 10 s ──────────▼ active ends        looked at
    #         0 1                                10                   500
    of = shard()
    take(of, fetched(calls("a", 0, 1)), 2)
    turn, fired = fire(of, 500)
    assert fired == 1
    assert [(d.dimension, d.after, d.effective_at, d.cause) for d in decisions(turn)] == [
        ("active", False, at(10), "time")
    ]
    assert turn.fired_due_ms == [T0_MS + 10_000]


def test_timers_fire_in_slices_and_in_the_order_they_are_due() -> None:
    of = shard()
    names = [f"c{n}" for n in range(10)]
    take(of, fetched([call for n, name in enumerate(names) for call in calls(name, n / 10, n / 10)]), 2)
    order = []
    while True:
        turn, fired = fire(of, 100, limit=3)
        order += [decision.subject for decision in decisions(turn)]
        if fired < 3:
            break
    assert order == names


def test_a_look_that_changes_nothing_is_not_written_and_not_looked_at_again() -> None:
    of = shard()
    take(of, fetched(calls("a", 0)), 1)
    due = due_ms(of.records[b"a"])
    assert due is None or due > T0_MS
    turn, fired = fire(of, 60)
    assert not turn.writes
    assert fire(of, 60)[1] == 0
    assert fired <= 1


def test_a_restored_shard_is_as_the_one_it_comes_from() -> None:
    of = shard()
    take(of, fetched([purchase("a", 100, at=at(0)), *calls("b", 0, 1), *calls("a", 1)]), 2)
    restored = shard(dict(of.records))
    assert (restored.bytes, restored.timed) == (of.bytes, of.timed)
    assert decisions(fire(restored, 7200)[0]) == decisions(fire(of, 7200)[0])


def test_sizes_and_timers_are_counted_as_they_change() -> None:
    of = shard()
    take(of, fetched([*calls("a", 0, 1), *calls("b", 0, 1)]), 2)
    assert of.bytes == sum(len(record) for record in of.records.values())
    assert of.timed == 2
    fire(of, 60)
    assert of.bytes == sum(len(record) for record in of.records.values())
    assert of.timed == sum(due_ms(record) is not None for record in of.records.values()) == 0


@pytest.mark.parametrize(
    ("value", "key"),
    [
        (b"no json", b"a"),
        (b'{"type": "unknown"}', b"a"),
        (None, b"a"),
        (b"[" * 100_000, b"a"),
        (msgspec.json.encode(purchase("a?", at=T0)).replace(b"?", b"\xff"), b"a\xff"),
        (msgspec.json.encode(purchase("a", at=T0, id="?")).replace(b"?", b"\xff"), b"a"),
        (msgspec.json.encode(purchase("a", at=T0)), b"b"),
        (msgspec.json.encode(purchase("a", at=T0)), None),
        (msgspec.json.encode(purchase("", at=T0)), b""),
        (msgspec.json.encode(purchase("\0", at=T0)), b"\0"),
        (msgspec.json.encode(purchase("a" * 1025, at=T0)), b"a" * 1025),
    ],
    ids=[
        "no JSON",
        "type",
        "no value",
        "nested",
        "subject in no UTF-8",
        "id in no UTF-8",
        "another's key",
        "no key",
        "markers' key",
        "position's key",
        "key too long",
    ],
)
def test_what_cannot_be_read_goes_to_the_dead_letters_and_nothing_else(value: bytes | None, key: bytes | None) -> None:
    of = shard()
    turn = take(of, [raw(value, key, offset=7)], 1)
    [letter] = letters(turn)
    assert (letter.reason, letter.offset, letter.event) == ("unreadable", 7, value or b"")
    assert of.records == {}
    assert turn.reasons == {"unreadable": 1}
    assert turn.writes


def test_a_new_customer_on_the_wrong_partition_is_refused_and_a_known_one_is_not_asked_again(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = shard(partitions=4)
    home = next(f"c{n}" for n in range(100) if partition_of(f"c{n}".encode(), 4) == 0)
    stray = next(f"c{n}" for n in range(100) if partition_of(f"c{n}".encode(), 4) != 0)
    turn = take(of, fetched([purchase(home, at=at(0)), purchase(stray, at=at(0))]), 1)
    assert [(letter.reason, letter.subject) for letter in letters(turn)] == [("wrong_partition", stray)]
    assert set(of.records) == {home.encode()}

    def unasked(*_: Any) -> int:
        raise AssertionError("asked again")

    monkeypatch.setattr(shard_module, "partition_of", unasked)
    assert take(of, fetched([purchase(home, at=at(2))], first=2), 3).taken == 1


def test_a_conflict_is_a_dead_letter_with_the_original_bytes() -> None:
    of = shard()
    take(of, fetched([purchase("a", 10, at=at(0), id="x")]), 1)
    batch = fetched([purchase("a", 11, at=at(0), id="x")], first=5)
    [letter] = letters(take(of, batch, 1))
    assert (letter.reason, letter.subject, letter.id, letter.offset) == ("id_conflict", "a", "x", 5)
    assert letter.event == batch[0].value

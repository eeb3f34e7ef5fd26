"""An event or a timer at which the core fails: it is set apart, and everything else goes on as if it were not there."""

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.decisions import DeadLetter, Decision, DecisionRecord
from schemas.events import Event
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.outcomes import Outcome
from services.scorer.domain.packing import decode
from services.scorer.domain.scoring import Arrival
from services.scorer.engine import poison
from services.scorer.engine import shard as shard_module
from services.scorer.engine.shard import Shard
from services.scorer.engine.transfers import Forwarded
from services.scorer.engine.turn import Turn
from tests.scorer.engine import poisoned
from tests.scorer.engine.installation import interaction, policy, purchase
from tests.scorer.engine.records import Fetched, fetched

POLICIES = Policies.only(policy(window="10s", quiet="1h"))
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
T0_MS = to_ms(T0)


class Log:
    """Hears what is logged as an error."""

    def __init__(self) -> None:
        self.errors: list[tuple[str, dict[str, Any]]] = []

    def error(self, event: str, **fields: Any) -> None:
        self.errors.append((event, fields))


@pytest.fixture(autouse=True)
def log(monkeypatch: pytest.MonkeyPatch) -> Log:
    """The shard's, with a core that fails."""
    heard = Log()
    monkeypatch.setattr(shard_module, "log", heard)
    monkeypatch.setattr(shard_module, "score", poisoned.failing_score)
    monkeypatch.setattr(poisoned, "stuck_from_ms", None)
    return heard


def at(seconds: float) -> datetime:
    return T0 + timedelta(seconds=seconds)


def shard(records: dict[bytes, bytes] | None = None) -> Shard:
    return Shard(POLICIES, number=0, partitions=1, topic="events", records=records)


def take(of: Shard, batch: list[Fetched], until_s: float) -> Turn:
    turn = Turn(0, T0_MS, catching_up=False)
    of.take(turn, batch, T0_MS + int(until_s * 1000))
    return turn


def fire(of: Shard, until_s: float) -> Turn:
    turn = Turn(0, T0_MS, catching_up=False)
    of.fire(turn, T0_MS + int(until_s * 1000), 100)
    return turn


def decisions(turn: Turn) -> list[Decision]:
    return [msgspec.json.decode(value, type=DecisionRecord) for _, value in turn.decisions]  # type: ignore[misc]


def letters(turn: Turn) -> list[DeadLetter]:
    return [msgspec.json.decode(value, type=DeadLetter) for _, value in turn.dead_letters]


def bad(subject: str, seconds: float, number: int = 1) -> Event:
    return purchase(subject, 5, at=at(seconds), id=f"poison-{number}")


def test_the_event_the_core_fails_at_is_a_dead_letter_that_says_why_and_everything_else_is_taken() -> None:
    #   a ──●─────☠──────●──▶        b ──────●──▶
    #       0     1      3               2
    events = [purchase("a", 60, at=at(0)), bad("a", 1), purchase("b", 60, at=at(2)), purchase("a", 60, at=at(3))]
    batch = fetched(events, first=10)
    turn = take(of := shard(), batch, 4)
    [letter] = letters(turn)
    assert (letter.reason, letter.subject, letter.id, letter.offset) == ("poison", "a", "poison-1", 11)
    assert letter.event == batch[1].value
    assert letter.detail.startswith("Broken: cannot be divided (poisoned.py:")
    assert len(decode(of.records[b"a"], POLICIES).ledger) == 2
    assert [(d.subject, d.after, d.cause) for d in decisions(turn)] == [("a", "silver", "event")]
    assert (turn.events, turn.taken, turn.reasons) == (4, 3, {"poison": 1})
    assert turn.refused == {(0, 11): "poison"}


def test_a_customer_of_whom_nothing_can_be_taken_is_not_made() -> None:
    turn = take(of := shard(), fetched([bad("a", 0), bad("a", 1, 2)]), 2)
    assert [letter.offset for letter in letters(turn)] == [0, 1]
    assert (of.records, turn.customers) == ({}, {})
    assert turn.writes


def test_it_is_logged_once_a_batch_with_the_error_itself(log: Log) -> None:
    take(shard(), fetched([bad("a", 0), bad("b", 1, 2)], first=7), 2)
    [(said, fields)] = log.errors
    assert said == "the core fails at events: they go to the dead letters"
    assert (fields["subject"], fields["events"], fields["first_offset"]) == ("a", 2, 7)
    assert isinstance(fields["exc_info"], poisoned.Broken)
    assert fields["exc_info"].__traceback__ is not None


def test_what_came_of_a_change_that_cannot_be_written_leaves_no_half_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    # the second of three changes cannot be written: the turn holds neither it nor the first
    of, record = shard(), Turn._record

    def broken(turn: Turn, change, subject: str, sequence: int):  # type: ignore[no-untyped-def]
        if subject == "a" and change.dimension.name == "active":
            raise ValueError("year 10000 is out of range")
        return record(turn, change, subject, sequence)

    monkeypatch.setattr(Turn, "_record", broken)
    calls = [interaction("a", at=at(n)) for n in range(2)]
    turn = take(of, fetched([purchase("a", 100, at=at(0)), *calls, purchase("b", 100, at=at(2))]), 3)
    assert [letter.reason for letter in letters(turn)] == ["poison"]
    assert [(d.sequence, d.subject, d.after) for d in decisions(turn)] == [(1, "b", "silver"), (2, "a", "silver")]
    assert (turn.sequence, len(turn.announcements)) == (2, 2)
    assert len(decode(of.records[b"a"], POLICIES).ledger) == 2


def test_too_little_memory_is_no_events_fault(monkeypatch: pytest.MonkeyPatch) -> None:
    def starved(*_: object) -> None:
        raise MemoryError

    monkeypatch.setattr(shard_module, "score", starved)
    with pytest.raises(MemoryError):
        take(shard(), fetched([purchase("a", at=at(0))]), 1)


HAPPENING = st.tuples(st.sampled_from("abc"), st.integers(0, 40), st.integers(0, 3))


@settings(max_examples=100, deadline=None)
@given(st.lists(HAPPENING, min_size=1, max_size=25), st.integers(1, 9))
def test_without_the_poison_exactly_the_same_comes_out(happened: list[tuple[str, int, int]], size: int) -> None:
    """In any order and batches: state, decisions, announcements, and what time brings later."""
    events: list[Event] = []
    for number, (subject, second, kind) in enumerate(happened):
        match kind:
            case 0:
                events.append(bad(subject, second, number))
            case 1:
                events.append(interaction(subject, at=at(second)))
            case _:
                events.append(purchase(subject, 20 * kind, at=at(second), id=f"e{number}"))
    assert told(events, size) == told([event for event in events if not event.id.startswith("poison")], size, events)


def told(events: list[Event], size: int, batches_of: list[Event] | None = None) -> object:
    """What comes out, customer by customer, of batches of `size` events of the log; the last one plays an hour more."""
    of, said = shard(), {name: [] for name in "abc"}
    log = batches_of or events
    for first in range(0, len(log), size):
        some = [event for event in log[first : first + size] if event in events]
        turn = take(of, fetched(some, first=first, appended_ms=T0_MS + 40_000 + first), 41 + first)
        for each in (turn, fire(of, 41 + first)):
            for decision in decisions(each):
                said[decision.subject].append(msgspec.structs.replace(decision, sequence=0))
            for topic, key, value in each.announcements:
                said[key.decode()].append((topic, value))
            for key, record in each.customers.items():
                said[key.decode()].append(record)
    turn = fire(of, 7200)
    return of.records, said, sorted(turn.customers.items()), sorted(turn.announcements)


# What is tried, told by a core that only notes what it is asked


def arrival(number: int) -> Arrival:
    return Arrival(purchase("a", at=at(number), id=f"{number}"), T0_MS + number * 1000, number, b"")


class Notes:
    """Takes numbers into a record that lists them; fails as `bad` says."""

    def __init__(self, *bad: set[int]) -> None:
        self.bad, self.asked = bad, 0

    def __call__(self, record: bytes | None, arrivals: Sequence[Arrival], until_ms: int) -> tuple[bytes, Outcome]:
        self.asked += 1
        known = {int(n) for n in (record or b"").split()} | {a.offset for a in arrivals}
        if any(bad <= known for bad in self.bad):
            raise poison.CoreFailed(ValueError("no"))
        return b" ".join(b"%d" % n for n in sorted(known)), Outcome([], [], True, NEVER, NEVER, len(arrivals), 0, 0)


def parted(*bad: set[int], count: int = 5) -> tuple[list[bytes], list[int], int]:
    core = Notes(*bad)
    found = poison.part(core, None, [arrival(n) for n in range(count)], T0_MS + 60_000)
    return [record for record, _ in found.taken], [one.offset for one, _ in found.poison], core.asked


def test_the_sound_ones_are_decided_together() -> None:
    assert parted({1}, {3}) == ([b"0 2 4"], [1, 3], 6)


def test_of_two_that_fail_only_together_the_later_one_is_the_poison() -> None:
    assert parted({1, 3}) == ([b"0 1 2 4"], [3], 6)


def test_if_none_fails_alone_each_is_taken_alone_and_time_is_left_to_the_timer() -> None:
    records, bad, _ = parted()
    assert (records[-1], bad, len(records)) == (b"0 1 2 3 4", [], 5)


def test_if_the_sound_ones_fail_together_each_keeps_what_it_brought() -> None:
    class Crowd(Notes):
        def __call__(self, record: bytes | None, arrivals: Sequence[Arrival], until_ms: int) -> tuple[bytes, Outcome]:
            if len(arrivals) > 1:
                raise poison.CoreFailed(ValueError("a crowd"))
            return super().__call__(record, arrivals, until_ms)

    found = poison.part(Crowd({2}), None, [arrival(n) for n in range(4)], T0_MS + 60_000)
    assert [record for record, _ in found.taken] == [b"0", b"0 1", b"0 1 3"]
    assert [one.offset for one, _ in found.poison] == [2]


def test_each_is_tried_at_its_own_append_time_never_beyond_what_is_played() -> None:
    asked: list[int] = []

    def attempt(record: bytes | None, arrivals: Sequence[Arrival], until_ms: int) -> tuple[bytes, Outcome]:
        asked.append(until_ms - T0_MS)
        return b"", Outcome([], [], True, NEVER, NEVER, 1, 0, 0)

    poison.part(attempt, None, [arrival(1), arrival(2), arrival(9)], T0_MS + 5_000)
    assert asked == [1_000, 2_000, 5_000]


# Timers


def test_a_timer_the_core_fails_at_is_set_aside_and_the_others_fire(monkeypatch: pytest.MonkeyPatch, log: Log) -> None:
    # stuck ●●────────── window 10 s ──────────▼ fails, is not tried again
    # other ●●─────────────────────────────────▼ active ends
    of = shard()
    take(of, fetched([interaction(name, at=at(0)) for name in ("stuck", "other") for _ in range(2)]), 1)
    monkeypatch.setattr(poisoned, "stuck_from_ms", T0_MS + 5_000)
    before = of.records[b"stuck"]
    fire(of, 2)
    of.timers.schedule(b"stuck", T0_MS + 11_500)  # a second hint, as a due instant that has moved leaves one
    turn = fire(of, 11)
    assert [(d.subject, d.after) for d in decisions(turn)] == [("other", False)]
    assert (of.aside, of.records[b"stuck"]) == ({b"stuck"}, before)
    assert fire(of, 12).decisions == []
    assert [(said, fields["subject"]) for said, fields in log.errors] == [  # once
        ("the core fails at customers: set aside until their next event, or a restart", "stuck")
    ]
    next_ms = of.timers.next_ms()
    assert next_ms is None or next_ms > T0_MS + 12_000  # nobody is woken for it again and again


def test_a_timer_set_aside_is_made_good_by_the_next_event(monkeypatch: pytest.MonkeyPatch) -> None:
    # stuck ●●──────── window 10 s ──▼ fails         the fault is gone   ● at 60
    #       0                        10                                  brings what was due at 10 first
    of = shard()
    take(of, fetched([interaction("stuck", at=at(0)) for _ in range(2)]), 1)
    monkeypatch.setattr(poisoned, "stuck_from_ms", T0_MS + 5_000)
    fire(of, 11)
    monkeypatch.setattr(poisoned, "stuck_from_ms", None)
    turn = take(of, fetched([purchase("stuck", 100, at=at(60))], first=9), 61)
    said = [(d.after, d.effective_at) for d in decisions(turn)]
    assert said == [(False, at(10)), ("silver", at(60))]
    assert of.aside == set()
    assert [(d.dimension, d.after) for d in decisions(fire(of, 7200))] == [("churn", True)]


def test_a_timer_set_aside_is_made_good_by_a_restart(monkeypatch: pytest.MonkeyPatch) -> None:
    of = shard()
    take(of, fetched([interaction("stuck", at=at(0)) for _ in range(2)]), 1)
    monkeypatch.setattr(poisoned, "stuck_from_ms", T0_MS + 5_000)
    fire(of, 11)
    monkeypatch.setattr(poisoned, "stuck_from_ms", None)
    assert [(d.after, d.effective_at) for d in decisions(fire(shard(dict(of.records)), 90))] == [(False, at(10))]


def test_an_event_of_a_customer_whose_time_cannot_be_played_is_not_lost(monkeypatch: pytest.MonkeyPatch) -> None:
    of = shard()
    take(of, fetched([interaction("stuck", at=at(0)) for _ in range(2)]), 1)
    monkeypatch.setattr(poisoned, "stuck_from_ms", T0_MS + 5_000)
    fire(of, 11)
    turn = take(of, fetched([purchase("stuck", 100, at=at(60), id="order")], first=9), 61)
    assert [(letter.reason, letter.id) for letter in letters(turn)] == [("poison", "order")]
    assert of.aside == {b"stuck"}


def test_an_early_event_of_such_a_customer_is_taken_and_its_timer_still_waits(monkeypatch: pytest.MonkeyPatch) -> None:
    # stuck ●●────●──── 10 s ──▼ fails from 8 on; the batch with the event of 3 plays to 11
    of = shard()
    take(of, fetched([interaction("stuck", at=at(0)) for _ in range(2)]), 1)
    monkeypatch.setattr(poisoned, "stuck_from_ms", T0_MS + 8_000)
    turn = take(of, fetched([purchase("stuck", 100, at=at(3))], first=9), 11)
    assert [d.after for d in decisions(turn)] == ["silver"]
    assert turn.dead_letters == []
    fire(of, 11)
    monkeypatch.setattr(poisoned, "stuck_from_ms", None)
    assert [d.after for d in decisions(fire(shard(dict(of.records)), 12))] == [False]


def test_a_new_policy_that_fails_at_one_customer_is_put_to_all_others(monkeypatch: pytest.MonkeyPatch) -> None:
    #  policy  silver from 100 ──────▮ from 50
    #  stuck   60 ●                  fails            a sound worker: silver
    #  other   60 ●                  silver
    records: dict[bytes, bytes] = {}
    take(of := shard(records), fetched([purchase(name, 60, at=at(0)) for name in ("stuck", "other")]), 1)
    changed = POLICIES.then(policy(window="10s", quiet="1h", silver=50), T0_MS + 5_000, T0_MS + 5_000)
    monkeypatch.setattr(poisoned, "stuck_from_ms", T0_MS + 5_000)
    of.follow(changed)
    turn = Turn(0, T0_MS, catching_up=False)
    while of.sweep.left:
        of.look_again(turn, T0_MS + 6_000, 1)
    assert [(d.subject, d.after) for d in decisions(turn)] == [("other", "silver")]
    assert of.aside == {b"stuck"}
    monkeypatch.setattr(poisoned, "stuck_from_ms", None)
    later = Shard(changed, number=0, partitions=1, topic="events", records=dict(of.records))
    turn = Turn(0, T0_MS, catching_up=False)
    while later.sweep.left:
        later.look_again(turn, T0_MS + 60_000, 10)
    assert [(d.subject, d.after, d.effective_at) for d in decisions(turn)] == [("stuck", "silver", at(5))]


def test_an_event_forwarded_from_another_partition_is_named_by_where_it_stands_there() -> None:
    of, turn = shard(), Turn(0, T0_MS, catching_up=False)
    for event, offset in ((purchase("b", 60, at=at(0)), 6), (bad("b", 1), 7)):
        of.take_forwarded(turn, Forwarded("a", msgspec.json.encode(event), T0_MS + 2_000, 3, offset), T0_MS + 2_000)
    [letter] = letters(turn)
    assert (letter.reason, letter.partition, letter.offset, letter.subject) == ("poison", 3, 7, "b")
    assert turn.taken == 1
    assert turn.refused == {(3, 7): "poison"}  # which is none of this partition's own events


def test_who_is_set_aside_and_then_becomes_another_name_or_is_put_anew_is_aside_no_more(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    of = shard()
    take(of, fetched([interaction(name, at=at(0)) for name in ("stuck1", "stuck2") for _ in range(2)]), 1)
    record = of.records[b"stuck2"]
    monkeypatch.setattr(poisoned, "stuck_from_ms", T0_MS + 5_000)
    fire(of, 11)
    assert of.aside == {b"stuck1", b"stuck2"}
    turn = Turn(0, T0_MS, catching_up=False)
    of.become_alias(turn, "stuck1", "other")
    of.put(turn, "stuck2", record)
    assert of.aside == set()
    monkeypatch.setattr(poisoned, "stuck_from_ms", None)
    assert [(d.subject, d.after) for d in decisions(fire(of, 12))] == [("stuck2", False)]

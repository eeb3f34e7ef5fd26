"""Which operations a partition has to do, and who must have been merged in before each, out of the sequence alone."""

import tracemalloc
from datetime import UTC, datetime, timedelta

from hypothesis import given
from hypothesis import strategies as st

from schemas.identities import Identity, Merge, Unmerge
from services.scorer.engine.kinship import Kinship
from services.shared.identities import Conflict, Directory
from services.shared.partitioner import partition_of

NOON = datetime(2026, 3, 1, 12, tzinfo=UTC)
PARTITIONS = 2
NAMES = st.sampled_from("abcdefgh")
ASKED = st.lists(st.tuples(st.sampled_from(["merge", "merge", "unmerge", "erase"]), NAMES, NAMES), max_size=40)


def sequence(asked: list[tuple[str, str, str]]) -> list[tuple[Identity, frozenset[str]]]:
    """What of it can be, each with those who have been merged by then into whom it is done to first."""
    known, found = Directory(), []
    for minute, (what, one, other) in enumerate(asked):
        at = NOON + timedelta(minutes=minute)
        try:
            match what:
                case "merge":
                    operation: Identity | None = known.merge(one, other, at)
                case "unmerge":
                    operation = known.unmerge(one, known.survivor(other), at)
                case _:
                    operation = known.erase(one, at)
        except Conflict:
            continue
        if operation is not None:
            found.append((operation, known.members(_first(operation))))
            known.take(operation)
    return found


def _first(operation: Identity) -> str:
    match operation:
        case Merge(from_=other):
            return other
        case Unmerge(into=into):
            return into
        case _:
            return operation.subject


@given(ASKED)
def test_rule_11_who_was_merged_in_before_an_operation_is_known_however_late_it_is_asked_for(
    asked: list[tuple[str, str, str]],
) -> None:
    kinship, wanted = Kinship(PARTITIONS), sequence(asked)
    homes = [kinship.learn(operation) for operation, _ in wanted]
    assert homes == [partition_of(_first(operation).encode(), PARTITIONS) for operation, _ in wanted]
    assert [kinship.learn(operation) for operation, _ in wanted] == [None] * len(wanted)
    found = []
    for partition in range(PARTITIONS):
        done = 0
        while (operation := kinship.next(partition, done)) is not None:
            assert kinship.next(partition, done) == operation
            found.append((operation.sequence, operation.subject, operation.with_))
            done = operation.sequence
    assert sorted(found) == [(o.sequence, _first(o), members) for o, members in wanted]
    erased = {}
    for operation, members in wanted:
        if not isinstance(operation, Merge | Unmerge):
            erased |= dict.fromkeys((operation.subject, *members), operation.sequence)
    assert kinship.erased().keys() == erased.keys()


def test_thousands_merged_and_parted_take_no_more_than_what_they_are() -> None:
    kinship, count = Kinship(1), 2_000
    tracemalloc.start()
    try:
        for n in range(count):
            kinship.learn(Merge(sequence=n + 1, at=NOON, from_=f"old{n}", into="new"))
        for n in range(count):
            kinship.learn(Unmerge(sequence=count + n + 1, at=NOON, from_=f"old{n}", into="new"))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert held < 1_000 * 2 * count, "each operation holds all who have been merged by then"
    parted = kinship.next(0, count + 5)
    assert parted is not None
    assert len(parted.with_) == count - 5

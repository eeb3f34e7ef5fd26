"""Which of the operations of topic `identities` a partition has to do, and what must have happened before each.

A merge begins where the one who becomes another name lives, an unmerge and an erasure where the one lives who goes on.
Each is done in the order of the sequence, and only when those have arrived who were merged in before: who has whom in
is known from the sequence alone. So no operation ever finds half of what an earlier one still has on its way.
"""

import threading
from bisect import bisect_right
from collections.abc import Mapping
from types import MappingProxyType
from typing import Literal, NamedTuple

from schemas.identities import Identity, Merge, Unmerge
from services.scorer.domain.instants import to_ms
from services.shared.identities import Directory
from services.shared.partitioner import partition_of


class Operation(NamedTuple):
    """subject: whom it is done to first.  with_: who has been merged into them by then

    into: of a merge who goes on, of an unmerge who is parted
    """

    kind: Literal["merge", "unmerge", "erasure"]
    sequence: int
    at_ms: int
    subject: str
    with_: frozenset[str]
    into: str = ""


class Kinship:
    """All operations known so far, by the partition that begins them; any thread may add what it has read."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._lock = threading.Lock()
        self._directory = Directory()
        self._of: dict[int, list[Operation]] = {}
        self._erased: dict[str, int] = {}

    def learn(self, one: Identity) -> int | None:
        """Add the operation that follows; the partition that has to begin it, None if it was known."""
        with self._lock:
            if one.sequence <= self._directory.sequence:
                return None
            operation = self._operation(one)
            self._directory.take(one)
            if operation.kind == "erasure":
                self._erased.update(dict.fromkeys((operation.subject, *operation.with_), operation.at_ms))
            home = partition_of(operation.subject.encode(), self._partitions)
            self._of.setdefault(home, []).append(operation)
            return home

    def next(self, partition: int, sequence: int) -> Operation | None:
        """What the partition has to do next behind the operation of this number."""
        operations = self._of.get(partition, [])
        place = bisect_right(operations, sequence, key=_sequence)
        return operations[place] if place < len(operations) else None

    def knows(self, sequence: int) -> bool:
        """Whether all operations up to this one are known here."""
        return self._directory.sequence >= sequence

    def comes_first(self, partition: int, begun: int, sequence: int, subject: str) -> bool:
        """Whether the partition, which has begun those up to `begun`, has one to do to the subject before that."""
        operations = self._of.get(partition, [])
        place = bisect_right(operations, begun, key=_sequence)
        while place < len(operations) and operations[place].sequence < sequence:
            if operations[place].subject == subject:
                return True
            place += 1
        return False

    def erased(self) -> Mapping[str, int]:
        """By name the instant (ms) up to which its events are forgotten; what is learned later is added to it."""
        return MappingProxyType(self._erased)

    def _operation(self, one: Identity) -> Operation:
        at_ms, known = to_ms(one.at), self._directory
        match one:
            case Merge(from_=other, into=into):
                return Operation("merge", one.sequence, at_ms, other, known.members(other), into)
            case Unmerge(from_=other, into=into):
                return Operation("unmerge", one.sequence, at_ms, into, known.members(into), other)
            case _:
                return Operation("erasure", one.sequence, at_ms, one.subject, known.members(one.subject))


def _sequence(operation: Operation) -> int:
    return operation.sequence

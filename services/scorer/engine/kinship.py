"""Which of the operations of topic `identities` a partition has to do, and what must have happened before each.

A merge begins where the one who becomes another name lives, an unmerge and an erasure where the one lives who goes on.
Each is done in the order of the sequence, and only when those have arrived who were merged in before: who has whom in
is known from the sequence alone. So no operation ever finds half of what an earlier one still has on its way.

`Directory` says who is whose other name after all operations; here it is asked as of any of them.
"""

import threading
from bisect import bisect_right
from collections.abc import Callable, Mapping
from functools import partial
from types import MappingProxyType
from typing import Final, Literal, NamedTuple

from schemas.identities import Erasure, Identity, Merge, Unmerge
from services.scorer.domain.instants import to_ms
from services.shared.partitioner import partition_of

_NEVER: Final = 1 << 62
NextLife = Callable[[str, int], bool]
"""Whether an event, by the name it came for and its append time (ms), is of a life that begins with an erasure which is
not done. It waits for it: in a new life nothing is known, so it is not to be held against the events of the old one."""


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


class _Begins(NamedTuple):
    """An operation without those who have been merged in: of them there may be thousands, at each."""

    kind: Literal["merge", "unmerge", "erasure"]
    sequence: int
    at_ms: int
    subject: str
    into: str


class _Link:
    """`other` was merged in by operation `since`, and parted by operation `until`."""

    __slots__ = ("other", "since", "until")

    def __init__(self, other: str, since: int) -> None:
        self.other, self.since, self.until = other, since, _NEVER


class Kinship:
    """All operations known so far, by the partition that begins them; any thread may add what it has read."""

    def __init__(self, partitions: int) -> None:
        self._partitions = partitions
        self._lock = threading.Lock()
        self._sequence = 0
        self._of: dict[int, list[_Begins]] = {}
        self._next: dict[int, Operation] = {}  # by partition what was asked for last: it is asked for again and again
        self._into: dict[str, _Link] = {}  # by who is another name now
        self._links: dict[str, list[_Link]] = {}  # by who goes on, also those that hold no more
        self._erased: dict[str, int] = {}
        self._erasures: dict[str, list[tuple[int, int]]] = {}  # by name: number and instant (ms)
        self._last_erasure = 0

    def learn(self, one: Identity) -> int | None:
        """Add the operation that follows; the partition that has to begin it, None if it was known."""
        with self._lock:
            if one.sequence <= self._sequence:
                return None
            begins = _begins(one)
            self._take(one, begins)
            home = partition_of(begins.subject.encode(), self._partitions)
            self._of.setdefault(home, []).append(begins)
            self._sequence = one.sequence
            return home

    def next(self, partition: int, sequence: int) -> Operation | None:
        """What the partition has to do next behind the operation of this number."""
        operations = self._of.get(partition, [])
        place = bisect_right(operations, sequence, key=_sequence)
        if place == len(operations):
            return None
        one, last = operations[place], self._next.get(partition)
        if last is None or last.sequence != one.sequence:
            with_ = self._members(one.subject, one.sequence)
            last = Operation(one.kind, one.sequence, one.at_ms, one.subject, with_, one.into)
            self._next[partition] = last
        return last

    def next_life(self, partition: int, begun: int) -> NextLife | None:
        """Which events are to wait in the partition, which has begun its operations up to `begun`; None if none has to.

        Wherever a name's old life is, some operation up to the erasure takes it from there: a merge, an unmerge, or the
        erasure itself. So an event of the next life waits until all are begun that the partition has up to there.
        """
        operations = self._of.get(partition, [])
        place = bisect_right(operations, begun, key=_sequence)
        if place == len(operations) or operations[place].sequence > self._last_erasure:
            return None
        return partial(self._begins_behind, operations[place].sequence)

    def _begins_behind(self, sequence: int, name: str, appended_ms: int) -> bool:
        return any(number >= sequence and at_ms < appended_ms for number, at_ms in self._erasures.get(name, ()))

    def knows(self, sequence: int) -> bool:
        """Whether all operations up to this one are known here."""
        return self._sequence >= sequence

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

    def _take(self, one: Identity, begins: _Begins) -> None:
        sequence = one.sequence
        match one:
            case Merge(from_=other, into=into):
                link = self._into[other] = _Link(other, sequence)
                self._links.setdefault(into, []).append(link)
            case Unmerge(from_=other):
                self._part(other, sequence)
            case Erasure(subject=subject):
                members = self._members(subject, sequence)
                for name in (subject, *members):
                    self._erased[name] = begins.at_ms
                    self._erasures.setdefault(name, []).append((sequence, begins.at_ms))
                self._last_erasure = sequence
                for other in members:
                    self._part(other, sequence)

    def _part(self, other: str, sequence: int) -> None:
        link = self._into.pop(other, None)
        if link is not None:
            link.until = sequence

    def _members(self, subject: str, sequence: int) -> frozenset[str]:
        """All who had been merged into the subject, and into those, before this operation."""
        found: set[str] = set()
        left = [subject]
        while left:
            for link in self._links.get(left.pop(), ()):
                if link.since < sequence <= link.until:
                    found.add(link.other)
                    left.append(link.other)
        return frozenset(found)


def _begins(one: Identity) -> _Begins:
    at_ms = to_ms(one.at)
    match one:
        case Merge(from_=other, into=into):
            return _Begins("merge", one.sequence, at_ms, other, into)
        case Unmerge(from_=other, into=into):
            return _Begins("unmerge", one.sequence, at_ms, into, other)
        case _:
            return _Begins("erasure", one.sequence, at_ms, one.subject, "")


def _sequence(operation: _Begins) -> int:
    return operation.sequence

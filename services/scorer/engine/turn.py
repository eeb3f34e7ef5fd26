"""A turn: what one micro-batch or one slice of timers wants written, all of it in one Kafka transaction."""

from collections.abc import Sequence
from typing import Final, NamedTuple

import msgspec

from schemas import topics
from schemas.decisions import CaughtUp, DeadLetter, Decision
from services.scorer.domain import records
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.domain.scoring import Change
from services.scorer.engine.dead_letters import key_of

_encode: Final = msgspec.json.Encoder().encode


class Told(NamedTuple):
    """A decision as it will be written.  announced: topic and value.  moved: dimension, after and cause"""

    decision: bytes
    announced: tuple[str, bytes] | None
    moved: tuple[str, str, str] | None
    received_ms: int | None


class Turn:
    """sequence: of the last record of `decisions`, those of this turn included.

    customers:     newest record of every customer whose state must be written
    transfers:     partition, subject it is for, value
    received:      how many transfers were taken.  operations: merges, unmerges, erasures begun, by kind
    announcements: topic (by its name in the catalogue), key, value
    flaps:         per ladder, moves back to the tier left less than 30 days before
    received_ms:   when ingest took the events that moved somebody, for end-to-end latency
    fired_due_ms:  when the timers that changed something were due
    refused:       partition and offset of an event with a dead letter -> its reason
    came_over:     of events from other partitions: subject, and partition and offset of the event
    rebuilt:       the rebuild that is done with this turn, 0 if none is
    """

    def __init__(self, sequence: int, decided_ms: int, catching_up: bool) -> None:
        self.sequence, self.decided_ms, self.catching_up = sequence, decided_ms, catching_up
        self.customers: dict[bytes, bytes] = {}
        self.decisions: list[tuple[bytes, bytes]] = []
        self.announcements: list[tuple[str, bytes, bytes]] = []
        self.transfers: list[tuple[int, bytes, bytes]] = []
        self.received = self.forwarded = self.rebuilt = 0
        self.operations: dict[str, int] = {}
        self.dead_letters: list[tuple[bytes | None, bytes]] = []
        self.events = self.taken = self.duplicates = self.unpriced = 0
        self.reasons: dict[str, int] = {}
        self.refused: dict[tuple[int, int], str] = {}
        self.came_over: list[tuple[bytes, tuple[int, int]]] = []
        self.transitions: dict[tuple[str, str, str], int] = {}
        self.flaps: dict[str, int] = {}
        self.received_ms: list[int] = []
        self.fired_due_ms: list[int] = []

    @property
    def writes(self) -> bool:
        """Whether there is anything to commit: a look at time that changed nothing writes nothing."""
        written = self.customers or self.decisions or self.transfers
        return bool(self.events or self.received or self.rebuilt or written)

    def change(self, change: Change, key: bytes, subject: str) -> None:
        """A change of a customer's path: always a decision, announced too if the position is another one."""
        self.tell(self.told([change], subject), key)

    def told(self, changes: Sequence[Change], subject: str) -> list[Told]:
        """How changes of a customer's path will be written, before any other; the turn stays as it is."""
        return [_told(self._record(change, subject, self.sequence + n)) for n, change in enumerate(changes, start=1)]

    def tell(self, told: Sequence[Told], key: bytes) -> None:
        for decision, announced, moved, received_ms in told:
            self.sequence += 1
            self.decisions.append((key, decision))
            if received_ms is not None:
                self.received_ms.append(received_ms)
            if moved is not None:
                self.transitions[moved] = self.transitions.get(moved, 0) + 1
            if announced is not None:
                topic, value = announced
                self.announcements.append((topic, key, value))

    def for_elsewhere(self, change: Change, subject: str) -> Decision:
        """The record of a change that another partition is to write, by `written_here`."""
        return self._record(change, subject, 0)

    def written_here(self, decision: Decision, key: bytes) -> None:
        """A decision made in another partition about somebody who lives in this one."""
        at, sequence = to_datetime(self.decided_ms), self.sequence + 1
        decision = msgspec.structs.replace(decision, sequence=sequence, decided_at=at, catching_up=self.catching_up)
        self.tell([_told(decision)], key)

    def _record(self, change: Change, subject: str, sequence: int) -> Decision:
        return records.decision(
            change, subject, sequence=sequence, decided_ms=self.decided_ms, catching_up=self.catching_up
        )

    def dead_letter(self, key: bytes | None, letter: DeadLetter) -> None:
        self.dead_letters.append((key_of(key), _encode(letter)))
        self.reasons[letter.reason] = self.reasons.get(letter.reason, 0) + 1
        self.refused[letter.partition, letter.offset] = letter.reason

    def caught_up(self, partition: int) -> None:
        """The partition has worked off what had piled up: playbooks may look at what still holds."""
        self.sequence += 1
        marker = CaughtUp(partition=partition, sequence=self.sequence, at=to_datetime(self.decided_ms))
        self.decisions.append((b"", _encode(marker)))
        self.catching_up = False


def _told(decision: Decision) -> Told:
    announced = moved = received_ms = None
    if decision.trigger is not None and decision.trigger.received_at is not None:
        received_ms = to_ms(decision.trigger.received_at)
    if decision.before != decision.after:
        moved = (decision.dimension, _label(decision.after), decision.cause)
        topic = _announced_on(decision)
        if topic is not None:
            announced = (topic, _encode(records.announcement(decision)))
    return Told(_encode(decision), announced, moved, received_ms)


def _announced_on(decision: Decision) -> str | None:
    """The topic that carries it; None for ladders other than `tier`, which stand on `decisions` only."""
    if decision.kind == "ladder":
        return topics.TIER_CHANGES.name if decision.dimension == "tier" else None
    return topics.CHURN_ALERTS.name if decision.kind == "churn" else topics.SEGMENT_CHANGES.name


def _label(value: str | bool) -> str:
    return value if isinstance(value, str) else str(value).lower()

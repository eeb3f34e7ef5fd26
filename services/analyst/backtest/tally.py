"""What many lives come to, counted; counts of parts add up, in whatever order."""

from collections import Counter
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.decisions import Value


class Move(NamedTuple):
    """A customer who stands elsewhere under the new policy.  since_ms: None if that is where everyone begins"""

    subject: str
    dimension: str
    before: Value
    after: Value
    since_ms: int | None


@dataclass
class Side:
    """One policy's.

    positions: (dimension, value) -> customers there in the end
    announced: dimension -> announced moves, `flaps` those of them that went back within 30 days
    triggered: (index of the playbook, Monday of the week as an ordinal day) -> times
    contacts:  (classes, class) -> interactions with customers who stood there
    unpriced:  currency -> orders for which the policy has no rate, so that they count as 0
    """

    positions: Counter[tuple[str, Value]] = field(default_factory=Counter)
    announced: Counter[str] = field(default_factory=Counter)
    flaps: Counter[str] = field(default_factory=Counter)
    triggered: Counter[tuple[int, int]] = field(default_factory=Counter)
    contacts: Counter[tuple[str, str]] = field(default_factory=Counter)
    unpriced: Counter[str] = field(default_factory=Counter)

    def add(self, other: "Side") -> None:
        for mine, its in (
            (self.positions, other.positions),
            (self.announced, other.announced),
            (self.flaps, other.flaps),
            (self.triggered, other.triggered),
            (self.contacts, other.contacts),
            (self.unpriced, other.unpriced),
        ):
            mine.update(its)  # type: ignore[arg-type]


@dataclass
class Tally:
    """new, old: old is empty where there is nothing to compare with

    matrix:      (dimension, value under the old policy, under the new one) -> customers
    movers:      customers who move in any dimension
    dead:        reason -> events that were not taken, or not as sent
    lived_ms:    of all customers, from the first event to the end
    first_ms:    the first event; None without any
    """

    new: Side = field(default_factory=Side)
    old: Side = field(default_factory=Side)
    matrix: Counter[tuple[str, Value, Value]] = field(default_factory=Counter)
    moves: list[Move] = field(default_factory=list)
    movers: int = 0
    customers: int = 0
    events: int = 0
    duplicates: int = 0
    dead: Counter[str] = field(default_factory=Counter)
    lived_ms: int = 0
    first_ms: int | None = None

    def add(self, other: "Tally") -> None:
        self.new.add(other.new)
        self.old.add(other.old)
        self.matrix.update(other.matrix)
        self.moves += other.moves
        self.movers += other.movers
        self.customers += other.customers
        self.events += other.events
        self.duplicates += other.duplicates
        self.dead.update(other.dead)
        self.lived_ms += other.lived_ms
        self.first_ms = min((ms for ms in (self.first_ms, other.first_ms) if ms is not None), default=None)

"""The oracle's identities: which events are whose, through merges, unmerges and erasures (rules 5, 11 and 12).

A *life* is the log of everything said about some subjects, in the order it came to be known.
"""

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from schemas.events import Event, Purchase
from tests.scorer.domain.oracle_calendar import to_ms
from tests.scorer.domain.oracle_orders import Orders, judge


class Complaint(NamedTuple):
    """A report: `arrival` is the place in the log of the event that raised it."""

    reason: str
    arrival: int


class Filed(NamedTuple):
    """origin: the subject the event was sent for."""

    event: Event
    origin: str


@dataclass
class Intake:
    """What became of a log: accepted events in log order, places of duplicates, and what was complained about."""

    accepted: list[Event] = field(default_factory=list)
    duplicates: list[int] = field(default_factory=list)
    complaints: set[Complaint] = field(default_factory=set)


def visible(filed: Sequence[Filed]) -> list[Event]:
    """The union as it counts: of what is filed under several origins, the smallest origin's stands."""
    found: list[Event] = []
    for event, _ in sorted(filed, key=lambda one: one.origin):
        if not any(same_thing(event, known) for known in found):
            found.append(event)
    return found


def same_thing(one: Event, other: Event) -> bool:
    if (one.source, one.id) == (other.source, other.id):
        return True
    if not (isinstance(one, Purchase) and isinstance(other, Purchase)):
        return False
    return one.data.order is not None and one.data.order == other.data.order


def surpluses(orders: Orders) -> dict[object, int]:
    """By what makes an order the same under two origins: its key, or without one its source and id."""
    return {order.data.order or (order.source, order.id): orders.surplus(order) for order in orders.all}


class Life:
    """Who is who, and what is filed under whom."""

    def __init__(self) -> None:
        self.filed: list[Filed] = []
        self.merged_into: dict[str, str] = {}
        self.erased: dict[str, int] = {}
        self.intake = Intake()

    # -- what is known of whom

    def root(self, subject: str) -> str:
        while subject in self.merged_into:
            subject = self.merged_into[subject]
        return subject

    def group(self, root: str) -> set[str]:
        """The subjects whose ledgers this one holds: itself and all merged into it."""
        subjects = {root} | {one.origin for one in self.filed} | set(self.merged_into)
        return {subject for subject in subjects if self.root(subject) == root}

    def events(self, root: str, now: int | None = None) -> list[Event]:
        """What counts for a customer, in log order within each origin; with `now`, of what has happened by then."""
        group = self.group(root)
        return visible([one for one in self.filed if one.origin in group and (now is None or when(one) <= now)])

    # -- what happens

    def take(self, event: Event, subject: str, place: int) -> bool:
        """An event arrives; whether it was taken. One that was erased is taken by nobody, in silence."""
        if to_ms(event.time) <= self.erased.get(subject, to_ms(event.time) - 1):
            return False
        verdict = judge(event, [one.event for one in self.filed if one.origin == subject])
        if verdict == "duplicate":
            self.intake.duplicates.append(place)
            return False
        if verdict is not None:
            self.intake.complaints.add(Complaint(verdict, place))
            return False
        root = self.root(subject)
        known = self.events(root)
        self.filed.append(Filed(event, subject))
        self.intake.accepted.append(event)
        later = self.events(root)
        before, after = Orders(known, known), Orders(later, later)
        exceeded = surpluses(before)
        if any(surplus > exceeded.get(order, 0) for order, surplus in surpluses(after).items()):
            self.intake.complaints.add(Complaint("refund_exceeds_order", place))
        if after.mismatches - before.mismatches:
            self.intake.complaints.add(Complaint("refund_currency", place))
        return True

    def merge(self, one: str, into: str) -> None:
        """ValueError where that would be a cycle, or the one is merged already."""
        if one in self.merged_into or self.root(into) == one:
            raise ValueError(f"{one} cannot be merged into {into}")
        self.merged_into[one] = into

    def unmerge(self, one: str, into: str) -> None:
        if self.merged_into.get(one) != into:
            raise ValueError(f"{one} is not merged into {into}")
        del self.merged_into[one]

    def erase(self, subject: str, at: int) -> None:
        """Everything up to `at` of the customer and of all merged into them is gone; the aliases end."""
        group = self.group(self.root(subject))
        for one in group:
            self.erased[one] = max(at, self.erased.get(one, at))
            self.merged_into.pop(one, None)
        self.filed = [one for one in self.filed if one.origin not in group or when(one) > at]


def when(filed: Filed) -> int:
    return to_ms(filed.event.time)

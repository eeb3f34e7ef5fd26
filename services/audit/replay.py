"""A family recomputed: everything that happened to it, in the order of time, through the scorer's own core."""

from collections.abc import Iterable, Sequence
from operator import itemgetter

import msgspec

from schemas.events import Event
from schemas.identities import Identity, Merge, Unmerge
from schemas.subjects import nobodys
from schemas.unreadable import UNREADABLE
from services.audit.dossier import Came
from services.scorer.domain import merging
from services.scorer.domain.eras import Policies
from services.scorer.domain.folding import CAP, HORIZON_MS, KEPT
from services.scorer.domain.instants import to_ms
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.state import Customer
from services.shared.partitioner import partition_of

_AT_ONCE = 128  # events of a long ledger; fewer than KEPT

_event: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)


class Replay:
    """customers: by subject.  aliases: by subject whom it stands for

    deep:   whether an event came so late that what it counts for depends on when its long ledger was folded
    joined: whether there was a merge or an unmerge.  events: how many were taken
    """

    def __init__(self, policies: Policies, partitions: int) -> None:
        self._policies, self._partitions = policies, partitions
        self.customers: dict[str, Customer] = {}
        self.aliases: dict[str, str] = {}
        self.deep = self.joined = False
        self.events = 0

    def play(self, arrived: Iterable[Came], operations: Iterable[Identity]) -> None:
        """All of it. Where two are of the same ms events come first; the outcome does not depend on it."""
        steps: list[tuple[int, int, int, int, Came | Identity]] = [
            (came.ordered_ms, 0, came.partition, came.offset, came) for came in arrived
        ]
        steps += [(to_ms(one.at), 1, 0, one.sequence, one) for one in operations]
        steps.sort(key=itemgetter(0, 1, 2, 3))
        waiting: dict[str, list[Arrival]] = {}
        for *_, step in steps:
            if not isinstance(step, Came):
                self._take_all(waiting)
                self._operate(step)
                continue
            event = self._read(step)
            if event is None:
                continue
            self.events += 1
            subject = self._survivor(event.subject)
            own = waiting.setdefault(subject, [])
            own.append(Arrival(event, step.appended_ms, step.offset, b""))
            if len(own) == _AT_ONCE or not self._is_long(subject):
                self._take(subject, waiting.pop(subject))
        self._take_all(waiting)

    def _read(self, came: Came) -> Event | None:
        """The event; None if the scorer does not take it, but writes a dead letter."""
        try:
            event = _event.decode(came.value)
        except UNREADABLE:
            return None
        key = came.key
        if key != event.subject.encode() or nobodys(key) or partition_of(key, self._partitions) != came.partition:
            return None
        return event

    def _survivor(self, subject: str) -> str:
        while subject in self.aliases:
            subject = self.aliases[subject]
        return subject

    def _customer(self, subject: str) -> Customer:
        customer = self.customers.get(subject)
        if customer is None:
            customer = self.customers[subject] = Customer.new(self._policies)
        return customer

    # -- events

    def _is_long(self, subject: str) -> bool:
        """Whether a scorer, which takes events by other portions, may have folded the ledger."""
        customer = self._customer(subject)
        return customer.frozen is not None or len(customer.ledger) > CAP - KEPT

    def _take_all(self, waiting: dict[str, list[Arrival]]) -> None:
        for subject, arrivals in waiting.items():
            self._take(subject, arrivals)
        waiting.clear()

    def _take(self, subject: str, arrivals: Sequence[Arrival]) -> None:
        customer = self._customer(subject)
        if self._is_long(subject):
            self._look_for_deep(customer, arrivals)
        decide(customer, self._policies, arrivals, arrivals[-1].appended_ms, subject, reasons=False)

    def _look_for_deep(self, customer: Customer, arrivals: Sequence[Arrival]) -> None:
        """The floor leaves the newest KEPT entries alone up to the horizon, whenever it is set; those of the portion
        count among them."""
        ledger, entries = customer.ledger, len(customer.ledger)
        newest_ms = ledger.last_ms
        for number, arrival in enumerate(arrivals):
            kept, time_ms = entries - KEPT + number, to_ms(arrival.event.time)
            newest_ms = max(newest_ms, time_ms)
            if time_ms <= max(newest_ms - HORIZON_MS, ledger.time(kept) if kept >= 0 else 0):
                self.deep = True
                return

    # -- merges, unmerges and erasures

    def _operate(self, operation: Identity) -> None:
        at_ms, customers, policies = to_ms(operation.at), self.customers, self._policies
        match operation:
            case Merge(from_=other, into=into):
                left = self._customer(other)
                merging.merge(self._customer(into), left, policies, subject=into, other_subject=other, at_ms=at_ms)
                del customers[other]
                self.aliases[other] = into
                self.joined = True
            case Unmerge(from_=other, into=into):
                parted = merging.unmerge(self._customer(into), policies, subject=into, other_subject=other, at_ms=at_ms)
                customers[into], customers[other] = parted.customer, parted.other
                del self.aliases[other]
                self.joined = True
            case _:
                subject = operation.subject
                erased = merging.erase(self._customer(subject), policies, subject=subject, at_ms=at_ms)
                for alias, freed in erased.freed.items():
                    customers[alias] = freed.customer
                    del self.aliases[alias]

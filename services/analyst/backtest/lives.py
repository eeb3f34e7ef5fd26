"""One customer's history played under one policy, as the scorer would have decided it: arrival by arrival, with every
timer fired when it was due."""

from collections.abc import Iterator, Sequence
from typing import NamedTuple

from schemas.events import Interaction
from services.scorer.domain.arrivals import Report
from services.scorer.domain.eras import Policies
from services.scorer.domain.rules import Classes
from services.scorer.domain.scoring import Arrival, Change, Outcome, decide
from services.scorer.domain.state import Customer


class Decided(NamedTuple):
    """decided_ms: when the arrival came that brought it out, or the timer was due"""

    change: Change
    decided_ms: int


class Contact(NamedTuple):
    """An interaction with a customer who stood in this class of these classes."""

    classes: str
    name: str


class Life:
    """customer: as they stand after the last arrival played, or at the instant `rest` has played to"""

    def __init__(self, policies: Policies, subject: str) -> None:
        self.customer = Customer.new(policies)
        self.reports: list[Report] = []
        self.duplicates = 0
        self.contacts: list[Contact] = []
        self._policies, self._subject = policies, subject
        self._classes = [d.name for d in policies.newest.dimensions if isinstance(d, Classes)]

    def play(self, arrivals: Sequence[Arrival], until_ms: int) -> Iterator[Decided]:
        """Every announced change, while the customer stands as they stood then. arrivals: in the order of the log"""
        for arrival in arrivals:
            yield from self._play(arrival.appended_ms - 1)
            outcome = self._decide((arrival,), arrival.appended_ms)
            self.reports += outcome.reports
            self.duplicates += outcome.duplicates
            for change in outcome.changes:
                if change.before != change.after:
                    yield Decided(change, arrival.appended_ms)
            if self._classes and isinstance(arrival.event, Interaction):
                shown = self.customer.shown()
                self.contacts += [Contact(name, str(shown[name][1])) for name in self._classes]
        yield from self._play(until_ms)

    def _play(self, until_ms: int) -> Iterator[Decided]:
        if self.customer.due_ms <= until_ms:
            for change in self._decide((), until_ms).changes:
                if change.before != change.after:
                    yield Decided(change, change.effective_ms)

    def _decide(self, arrivals: Sequence[Arrival], until_ms: int) -> Outcome:
        return decide(self.customer, self._policies, arrivals, until_ms, self._subject, reasons=False)

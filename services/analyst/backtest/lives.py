"""One customer's history played under one policy, as the scorer would have decided it: arrival by arrival, with every
timer fired when it was due."""

from collections.abc import Iterable, Iterator, Sequence
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
        self.subject, self._policies = subject, policies
        self._classes = [d.name for d in policies.newest.dimensions if isinstance(d, Classes)]

    def take(self, arrival: Arrival) -> Iterator[Decided]:
        """Every announced change up to and with the arrival, the next in the log, while the customer stands as they
        stood then."""
        yield from self.rest(arrival.appended_ms - 1)
        outcome = self._decide((arrival,), arrival.appended_ms)
        self.reports += outcome.reports
        self.duplicates += outcome.duplicates
        for change in announced(outcome.changes):
            yield Decided(change, arrival.appended_ms)
        if self._classes and isinstance(arrival.event, Interaction):
            shown = self.customer.shown()
            self.contacts += [Contact(name, str(shown[name][1])) for name in self._classes]

    def rest(self, until_ms: int) -> Iterator[Decided]:
        """The same of what time alone brings."""
        if self.customer.due_ms <= until_ms:
            for change in announced(self._decide((), until_ms).changes):
                yield Decided(change, change.effective_ms)

    def _decide(self, arrivals: Sequence[Arrival], until_ms: int) -> Outcome:
        return decide(self.customer, self._policies, arrivals, until_ms, self.subject, reasons=False)


def announced(changes: Iterable[Change]) -> Iterator[Change]:
    """Of what is recorded, what others are told of."""
    return (change for change in changes if change.before != change.after)

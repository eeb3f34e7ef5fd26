"""What should stand on the outputs: the pure core over the accepted events in log order, one at a time.

The naive oracle of the core's own tests, which shares no code with it, says the same of a sample of customers
(`naive`); and what an event counts for is counted here without either.
"""

from collections import Counter, defaultdict
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from schemas.decisions import Decision
from schemas.events import Event
from services.scorer.domain.records import decision
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.state import Customer
from services.shared.control import Control
from tests.faults.reading import Record
from tests.scorer.domain.oracle import Era, Oracle
from tests.scorer.domain.oracle_calendar import to_ms
from tests.scorer.domain.reader import Reader, Steps
from tests.scorer.engine.installation import Installation

DAY_MS = 86_400_000

_read_event = msgspec.json.Decoder(Event).decode

Letter = tuple[int, int, str]
"""A dead letter: partition and offset of the record, and the reason."""


@dataclass
class Expectation:
    """until_ms:   the instant up to which all time is played, a day after the last event: nothing moves any more
    events:     by who answers for the subject, what can be read of the log, duplicates included
    counted:    by subject, how many different events that are
    customers:  by subject, the core's state at the end
    readers:    by subject, the core's paths
    letters:    what must have gone to the dead letters, with how often
    """

    until_ms: int
    events: dict[str, list[Event]] = field(default_factory=lambda: defaultdict(list))
    counted: dict[str, int] = field(default_factory=dict)
    customers: dict[str, Customer] = field(default_factory=dict)
    readers: dict[str, Reader] = field(default_factory=dict)
    letters: Counter[Letter] = field(default_factory=Counter)


def expect(installation: Installation, log: Sequence[Record], survivors: Mapping[str, str]) -> Expectation:
    """From the records of topic `events`.

    survivors: of those who were merged, who answers for them; the core's state and paths of these are left out
    """
    made = Expectation(max((record.at_ms for record in log), default=0) + DAY_MS)
    for record in log:
        try:
            event = _read_event(record.value)
        except msgspec.DecodeError:
            made.letters[record.partition, record.offset, "unreadable"] += 1
            continue
        made.events[event.subject].append(event)
        _play(installation, made, event.subject, [Arrival(event, record.at_ms, record.offset, b"")], record)
    for subject in made.events:
        _play(installation, made, subject, [], None)
    for subject in survivors:
        made.customers.pop(subject, None)
        made.readers.pop(subject, None)
    for subject, survivor in survivors.items():
        if subject != survivor:
            made.events[survivor].extend(made.events.pop(subject, []))
    for subject, events in made.events.items():
        made.counted[subject] = len({(event.source, event.id) for event in events})
    return made


def naive_oracle(installation: Installation) -> Oracle:
    """By the policies as topic `control` has them; the first holds from the beginning."""
    return Oracle(*(Era(one.text, to_ms(one.effective_at)) for one in Control(installation.settings).read()))


def naive(oracle: Oracle, made: Expectation, subject: str) -> tuple[dict[str, Steps], dict[str, object]]:
    """One customer's paths, and positions at the end, as the naive oracle has them."""
    course = oracle.course(oracle.intake(made.events[subject]).accepted, made.until_ms)
    return course.paths, dict(course.output)


def _play(
    installation: Installation, made: Expectation, subject: str, arrivals: list[Arrival], record: Record | None
) -> None:
    policies = installation.policies
    customer = made.customers.get(subject)
    if customer is None:
        customer = made.customers[subject] = Customer.new(policies)
        made.readers[subject] = Reader()
    until_ms = made.until_ms if record is None else record.at_ms
    outcome = decide(customer, policies, arrivals, until_ms, subject, reasons=False)
    for change in outcome.changes:
        made.readers[subject].take(decision(change, subject, sequence=0, decided_ms=until_ms, catching_up=False))
    for report in outcome.reports:
        assert record is not None, "only what arrives is reported"
        made.letters[record.partition, report.arrival.offset, report.reason] += 1


def announced_on(said: Decision) -> str | None:
    """The topic an announced decision stands on too; None for other ladders than `tier`."""
    if said.kind == "ladder":
        return "tier-changes" if said.dimension == "tier" else None
    return "churn-alerts" if said.kind == "churn" else "segment-changes"

"""Plays a family of subjects through the core as the engine would, held against the oracle after every act."""

from collections.abc import Sequence

from schemas.decisions import Decision
from services.scorer.domain.merging import erase, merge, unmerge
from services.scorer.domain.packing import decode, encode
from services.scorer.domain.records import decision
from services.scorer.domain.scoring import Arrival, Change, decide
from services.scorer.domain.state import Customer
from tests.scorer.domain.oracle import Complaint, Life, Oracle, Steps
from tests.scorer.domain.playing import sequences
from tests.scorer.domain.reader import Reader
from tests.scorer.domain.strategies import Logged
from tests.scorer.domain.strategies_families import SUBJECTS, Deed, Family


class PlayedFamily:
    """The subjects of a script in the core, a record each, and in the oracle."""

    def __init__(self, family: Family) -> None:
        self.policies = sequences(tuple(family.eras), tuple(family.known))[-1]
        self.oracle = Oracle(*family.eras)
        self.life = Life()
        self.records = {subject: encode(Customer.new(self.policies)) for subject in SUBJECTS}
        self.readers = {subject: Reader() for subject in SUBJECTS}
        self.decisions: list[Decision] = []
        self.complaints: set[Complaint] = set()
        self.duplicates = 0
        self.place = 0
        self.now = 0
        self.beyond = 60
        self.foreseen: dict[str, tuple[object, int, dict[str, Steps]]] = {}

    # -- acts

    def act(self, what: Logged | Deed, at: int, until: int) -> None:
        self.now = max(at, self.now)
        if isinstance(what, Logged):
            self.arrive(what)
        else:
            self.do(what)
        self.look(max(until, self.now))
        self.check()

    def arrive(self, logged: Logged) -> None:
        subject = logged.event.subject
        self.life.take(logged.event, subject, self.place)
        root = self.life.root(subject)
        customer = self.open(root)
        arrival = Arrival(logged.event, logged.appended_ms, self.place, b"raw")
        outcome = decide(customer, self.policies, [arrival], self.now, root)
        self.complaints |= {Complaint(report.reason, self.place) for report in outcome.reports}
        self.duplicates += outcome.duplicates
        self.place += 1
        self.close(root, customer, outcome.changes)

    def do(self, deed: Deed) -> None:
        """What the oracle refuses, the core refuses."""
        if deed.what == "erase":
            root = self.life.root(deed.one)
            self.life.erase(deed.one, self.now)
            customer = self.open(root)
            changes, freed = erase(customer, self.policies, subject=root, at_ms=self.now)
            self.close(root, customer, changes, erasure=True)
            for subject, alone in freed.items():
                self.close(subject, alone.customer, alone.changes)
            return
        into = self.life.root(deed.other) if deed.what == "merge" else self.life.merged_into.get(deed.one)
        if into is None or (deed.what == "merge" and (deed.one in self.life.merged_into or into == deed.one)):
            return
        top = self.life.root(into)
        customer = self.open(top)
        if deed.what == "merge":
            other = self.open(deed.one)
            self.life.merge(deed.one, into)
            merged = merge(customer, other, self.policies, subject=top, other_subject=deed.one, at_ms=self.now)
            self.close(top, customer, merged.changes)
            self.close(deed.one, other, merged.of_alias)
            return
        self.life.unmerge(deed.one, into)
        parted = unmerge(customer, self.policies, subject=top, other_subject=deed.one, at_ms=self.now)
        self.close(top, parted.customer, parted.changes)
        self.close(deed.one, parted.other, parted.of_other)

    def look(self, until: int) -> None:
        """Time is played for everyone who is still themselves."""
        self.now = until
        for subject in SUBJECTS:
            if self.life.root(subject) == subject:
                customer = self.open(subject)
                outcome = decide(customer, self.policies, [], until, subject)
                assert customer.due_ms > until
                self.close(subject, customer, outcome.changes)

    def open(self, subject: str) -> Customer:
        return decode(self.records[subject], self.policies)

    def close(self, subject: str, customer: Customer, changes: Sequence[Change], erasure: bool = False) -> None:
        self.records[subject] = encode(customer)
        for change in changes:
            self.decisions.append(
                decision(change, subject, sequence=len(self.decisions) + 1, decided_ms=self.now, catching_up=False)
            )
            self.readers[subject].take(self.decisions[-1], erasure=erasure)

    # -- what must hold

    def check(self) -> None:
        """Every customer's path is that of the events that count for them; one who is somebody else has none."""
        assert self.complaints == self.life.intake.complaints
        assert self.duplicates == len(self.life.intake.duplicates)
        for subject in SUBJECTS:
            alone = self.life.root(subject) == subject
            expected = self.expected(subject) if alone else {}
            for name in self.oracle.dimensions:
                assert self.readers[subject].path(name) == expected.get(name, []), (subject, name)
                announced = self.readers[subject].kept[name].announced
                if expected.get(name) and announced is not None:
                    assert announced == expected[name][-1][1], "what was announced last is the present"

    def expected(self, subject: str) -> dict[str, Steps]:
        """The paths up to now, of the events up to now; they are foreseen for a while and kept."""
        events = self.life.events(subject, self.now)
        key = tuple(sorted((event.source, event.id, id(event)) for event in events))
        known, until, paths = self.foreseen.get(subject, (None, 0, {}))
        if known != key or until < self.now:
            until = self.now + self.beyond
            paths = self.oracle.paths(events, until)
            self.foreseen[subject] = (key, until, paths)
        return {name: [step for step in path if step[0] <= self.now] for name, path in paths.items()}


def play_family(family: Family) -> PlayedFamily:
    played = PlayedFamily(family)
    for at, what, pause in family.acts:
        played.act(what, at, at + pause)
    played.look(max(family.end_ms, played.now))
    played.check()
    return played

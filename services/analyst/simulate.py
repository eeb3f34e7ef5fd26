"""`tierline simulate`: the core in a sandbox, with a clock of its own, played by a script.

Nothing here decides anything: events go through ingest's checks and the scorer's core, timers fire when they are due,
and what comes out is told in the order it happens.
"""

from collections.abc import Iterable, Iterator, Mapping, Sequence
from datetime import datetime
from typing import NamedTuple

from schemas.decisions import Value
from schemas.events import Override, OverrideData
from schemas.explanations import Explanation
from schemas.problems import Refused
from services.analyst.script import Activate, Erase, Merge, Pair, Post, Query, Step, Unmerge, id_of
from services.analyst.timetable import Timetable
from services.ingest import identifiers
from services.ingest.normalise import Normaliser, Refusal
from services.scorer.domain import merging
from services.scorer.domain.document import suggest
from services.scorer.domain.eras import Policies, kept_for
from services.scorer.domain.explain import explain
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.packing import decode, encode
from services.scorer.domain.paths import Path
from services.scorer.domain.rules import Policy
from services.scorer.domain.scoring import Arrival, Change, decide
from services.scorer.domain.state import Customer


class Transition(NamedTuple):
    """An announced change.  decided_ms: the script's clock; for a timer the instant it was due"""

    subject: str
    change: Change
    decided_ms: int


class DeadLetter(NamedTuple):
    """An event that was not taken, or not as sent; a merge, unmerge or erasure that was refused.

    id: an event's as far as it could be read, the others' after their line in the script
    """

    id: str | None
    reason: str
    detail: str
    at_ms: int


class Answer(NamedTuple):
    """subject: of an alias, the customer it stands for.  explanation: None of an unknown customer"""

    subject: str
    at_ms: int
    explanation: Explanation | None


class Course(NamedTuple):
    """The path of a customer in one dimension, as it stood at the end."""

    subject: str
    dimension: str
    steps: Path


Happening = Transition | DeadLetter | Answer | Course


class _Refused(Exception):
    """A merge, unmerge or erasure that cannot be. str() says why in one line."""

    def __init__(self, reason: str, detail: str) -> None:
        super().__init__(detail)
        self.reason = reason


def masks_nothing(said: OverrideData, policy: Policy) -> str | None:
    """Why the policy shows nothing of an override; None if it may, or if it ends one."""
    by_name = {dimension.name: dimension for dimension in policy.dimensions}
    if said.dimension not in by_name:
        return f"the policy has no {said.dimension!r}; {suggest(said.dimension, by_name)}"
    values = by_name[said.dimension].values
    if said.value is None or any(said.value is v or (isinstance(v, str) and said.value == v) for v in values):
        return None
    if isinstance(said.value, str) and isinstance(values[0], bool):
        return f"{said.dimension!r} is true or false, not the text {said.value!r}; write it without quotes"
    return f"{said.dimension!r} is never {_written(said.value)}; {suggest(_bare(said.value), map(_bare, values))}"


def _written(value: Value) -> str:
    """As in a script: a text in quotes, true or false."""
    return repr(value) if isinstance(value, str) else _bare(value)


def _bare(value: Value) -> str:
    return value if isinstance(value, str) else str(value).lower()


class World:
    """Everybody a script speaks of, at one instant of its clock."""

    def __init__(self, policy: Policy) -> None:
        self.policies = Policies.only(policy)
        self._customers: dict[str, Customer] = {}
        self._aliases: dict[str, str] = {}
        self._courses: dict[str, dict[str, Path]] = {}
        self._timetable = Timetable()
        self._normalise = Normaliser()
        self._offset = 0
        self.remarks: list[str] = []
        """What was taken and yet can't do what it was meant for, a line each."""

    def run(self, steps: Sequence[Step]) -> Iterator[Happening]:
        """What happens, in order; at the end everybody's paths. Nothing is played beyond the last line's instant.

        Of an event is kept what any of the policies asks for, also those still to come: as if rebuilt for them.
        """
        for step in steps:
            if isinstance(step.action, Activate):
                self.policies = self.policies.keeping(kept_for(step.action.policy), self.policies.rebuild)
        at_ms = None
        for step in steps:
            at_ms = step.at_ms
            yield from self._act(step)
        if at_ms is None:
            return
        yield from self._play(at_ms)
        for subject in sorted(self._courses):
            courses: dict[str, Path] = {d.name: [] for d in self.policy_at(at_ms).dimensions}
            courses |= self._courses[subject]
            for dimension, path in courses.items():
                yield Course(subject, dimension, path)

    def explain(self, subject: str, at_ms: int) -> Explanation | None:
        """None if nothing of the customer has happened by then. An alias is answered for by whom it stands for."""
        customer = self._customers.get(self.survivor(subject))
        if customer is None or not len(customer.ledger) or customer.ledger.time(0) > at_ms:
            return None
        return explain(customer, self.policies, at_ms)

    def policy_at(self, at_ms: int) -> Policy:
        """The policy that holds at the instant."""
        return self.policies.eras[self.policies.at(at_ms, len(self.policies.eras))].policy

    def _act(self, step: Step) -> Iterator[Happening]:
        """What is due before a line's instant comes first; what is due in that very instant goes with the line."""
        at_ms, action = step.at_ms, step.action
        yield from self._play(at_ms - 1)
        match action:
            case Post(raw):
                yield from self._take(raw, to_datetime(at_ms), at_ms)
            case Activate(policy, effective_ms):
                self._activate(policy, effective_ms, at_ms)
            case Query(subject):
                yield from self._play(at_ms)
                yield Answer(self.survivor(subject), at_ms, self.explain(subject, at_ms))
            case Merge() | Unmerge() | Erase():
                try:
                    yield from self._relate(action, at_ms)
                except _Refused as refused:
                    yield DeadLetter(id_of(step.line), refused.reason, str(refused), at_ms)

    # -- time

    def _play(self, until_ms: int) -> Iterator[Happening]:
        """Every timer of everybody fires when it is due, in the order of time."""
        for due_ms, subject in self._timetable.due(until_ms):
            outcome = decide(self._customers[subject], self.policies, (), due_ms, subject)
            yield from self._tell(subject, outcome.changes, due_ms)

    def _tell(self, subject: str, changes: Iterable[Change], decided_ms: int) -> Iterator[Transition]:
        """A reader's books (a path is cut and gone on with) and timers are kept; what was announced comes out."""
        for change in changes:
            courses = self._courses[subject]
            kept = [step for step in courses.get(change.dimension.name, []) if step[0] < change.from_ms]
            courses[change.dimension.name] = kept + change.path
            if change.before != change.after:
                yield Transition(subject, change, decided_ms)
        self._timetable.put(subject, self._customers[subject].due_ms)

    # -- lines

    def _take(self, raw: bytes, accepted: datetime, at_ms: int) -> Iterator[Happening]:
        event = self._normalise(raw, accepted)
        if isinstance(event, Refusal):
            yield DeadLetter(event.id, _slug(event.problem.type), event.problem.detail, at_ms)
            return
        subject = self.survivor(event.subject)
        customer = self._customer(subject)
        if isinstance(event, Override) and (remark := masks_nothing(event.data, self.policy_at(at_ms))):
            self.remarks.append(f"override {event.id!r} masks nothing: {remark}")
        self._offset += 1
        outcome = decide(customer, self.policies, [Arrival(event, at_ms, self._offset, raw)], at_ms, subject)
        for report in outcome.reports:
            yield DeadLetter(event.id, report.reason, report.detail, at_ms)
        yield from self._tell(subject, outcome.changes, at_ms)

    def _customer(self, subject: str) -> Customer:
        if subject not in self._customers:
            self._customers[subject] = Customer.new(self.policies)
            self._courses[subject] = {}
        return self._customers[subject]

    def _activate(self, policy: Policy, effective_ms: int, at_ms: int) -> None:
        """As in the scorer: what was kept under the old sequence is read under the new one."""
        self.policies = self.policies.then(policy, effective_ms, at_ms)
        for subject, customer in self._customers.items():
            self._customers[subject] = decode(encode(customer), self.policies)
            self._timetable.put(subject, self._customers[subject].due_ms)

    # -- identities

    def survivor(self, subject: str) -> str:
        """Who answers for the subject: itself, or whom it has been merged into."""
        while subject in self._aliases:
            subject = self._aliases[subject]
        return subject

    def _relate(self, action: Merge | Unmerge | Erase, at_ms: int) -> Iterator[Happening]:
        """Who is one with whom, and who is forgotten. _Refused before anything is done, as in the running house."""
        match action:
            case Merge(ids):
                _check({"from": ids.from_, "into": ids.into})
                yield from self._merge(ids, at_ms)
            case Unmerge(ids):
                _check({"from": ids.from_, "into": ids.into})
                yield from self._unmerge(ids, at_ms)
            case Erase(subject):
                _check({"subject": subject})
                yield from self._erase(self.survivor(subject), at_ms)

    def _merge(self, ids: Pair, at_ms: int) -> Iterator[Happening]:
        other, into = ids.from_, self.survivor(ids.into)
        if other in self._aliases:
            if self.survivor(other) != into:
                detail = f"{other!r} is merged into {self.survivor(other)!r} already; unmerge it first"
                raise _Refused("merged-elsewhere", detail)
            return
        if other == into:
            raise _Refused("merge-cycle", f"{other!r} and {ids.into!r} are one customer already")
        customer, joining = self._customer(into), self._customer(other)
        merged = merging.merge(customer, joining, self.policies, subject=into, other_subject=other, at_ms=at_ms)
        yield from self._tell(other, merged.of_alias, at_ms)
        self._forget(other)
        self._aliases[other] = into
        yield from self._tell(into, merged.changes, at_ms)

    def _unmerge(self, ids: Pair, at_ms: int) -> Iterator[Happening]:
        other, subject = ids.from_, self.survivor(ids.into)
        if other not in self._aliases or self.survivor(other) != subject:
            raise _Refused("not-merged", f"{other!r} is not merged into {subject!r}")
        customer = self._customer(subject)
        parted = merging.unmerge(customer, self.policies, subject=subject, other_subject=other, at_ms=at_ms)
        del self._aliases[other]
        self._customers[subject], self._customers[other], self._courses[other] = parted.customer, parted.other, {}
        yield from self._tell(subject, parted.changes, at_ms)
        yield from self._tell(other, parted.of_other, at_ms)

    def _erase(self, subject: str, at_ms: int) -> Iterator[Happening]:
        """Everything up to now, of the customer and all merged into it; the aliases stand for themselves again."""
        changes, freed = merging.erase(self._customer(subject), self.policies, subject=subject, at_ms=at_ms)
        for alias, one in freed.items():
            del self._aliases[alias]
            self._customers[alias], self._courses[alias] = one.customer, {}
        yield from self._tell(subject, changes, at_ms)
        for alias, one in freed.items():
            yield from self._tell(alias, one.changes, at_ms)

    def _forget(self, subject: str) -> None:
        """The customer is none of its own any more."""
        del self._customers[subject], self._courses[subject]
        self._timetable.put(subject, NEVER)


def _check(subjects: Mapping[str, str]) -> None:
    """_Refused where ingest would refuse it.  subjects: by the field that names them"""
    for field, subject in subjects.items():
        try:
            identifiers.check(field, subject)
        except Refused as refused:
            raise _Refused(_slug(refused.problem.type), refused.detail) from None


def _slug(problem: str) -> str:
    return problem.rpartition("/")[2]

"""Plays a script through the core as the engine would, and holds every turn against the oracle.

Between any two turns the state goes through its bytes. What is checked of a turn stands in `Played.turn`.
"""

from collections.abc import Iterator, Mapping, Sequence
from functools import lru_cache
from typing import NamedTuple

from schemas.decisions import Decision, Value
from schemas.events import Event, Purchase
from services.scorer.domain import policy as core_policy
from services.scorer.domain.eras import Policies
from services.scorer.domain.explain import explain
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.packing import decode, due_ms, encode
from services.scorer.domain.records import announcement, decision
from services.scorer.domain.scoring import Arrival, Outcome, decide, score
from services.scorer.domain.state import Customer
from tests.scorer.domain import explaining
from tests.scorer.domain.oracle import ALWAYS, Complaint, Era, Intake, Oracle, Steps, initial
from tests.scorer.domain.oracle_calendar import to_ms
from tests.scorer.domain.reader import Reader, steps
from tests.scorer.domain.strategies import Logged, Script
from tests.scorer.domain.timeline import SUBJECT

Paths = Mapping[str, Steps]


class Named(NamedTuple):
    source: str
    id: str
    type: str
    time_ms: int

    @classmethod
    def of(cls, event: Event) -> "Named":
        return cls(event.source, event.id, type(event).__name__.lower(), to_ms(event.time))


def in_order(record: Decision) -> bool:
    """One step at its own instant, and nothing taken back."""
    return [to_ms(record.from_)] == [t for t, _ in steps(record)] and not record.retracts


@lru_cache(maxsize=300)
def sequences(eras: tuple[Era, ...], known: tuple[int, ...]) -> list[Policies]:
    """The sequence of policies as it grows."""
    first, *rest = [core_policy.compiled(era.policy) for era in eras]
    found = [Policies.only(first)]
    for policy, era, at in zip(rest, eras[1:], known[1:], strict=True):
        found.append(found[-1].then(policy, era.effective_at, at))
    return found


def everything(customer: Customer, until: int) -> object:
    """All there is of a customer for whom nothing is due by then, but when one has looked last and is to look again."""
    life = customer.life
    if life.era >= 0:
        life.machine.read(life.registers, life.ledger, until)
    ledger = (life.ledger.rows, life.ledger.profiles, life.ledger.extras)
    played = (life.era, life.known, life.truths, life.registers, life.standings)
    rare = (life.overrides, life.retired, customer.waiting, customer.rare, customer.changed_ms)
    return ledger, played, rare


def said_in(outcome: Outcome) -> tuple[object, ...]:
    """All of it but when the customer was due before, which only a record knows, and is due now, which is a bound."""
    reports = [(r.reason, r.detail, r.arrival.offset) for r in outcome.reports]
    counts = (outcome.taken, outcome.duplicates, outcome.unpriced)
    return outcome.changes, reports, outcome.altered, counts


class Played:
    """One customer's life so far, in the core and in the oracle side by side.

    early:  the scorer knows all policies from the first moment on, as after a restart; else it learns of them later
    beyond: how far the future is looked into, ms
    """

    def __init__(
        self, eras: Sequence[Era] | str, known: Sequence[int] = (ALWAYS,), early: bool = False, beyond: int = 10**9
    ) -> None:
        self.eras = (Era(eras),) if isinstance(eras, str) else tuple(eras)
        self.known = tuple(known)
        self.beyond = beyond
        self.policies = sequences(self.eras, self.known)[-1 if early else 0]
        self.record = encode(Customer.new(self.policies))
        self.reader = Reader()
        self.decisions: list[Decision] = []
        self.complaints: set[Complaint] = set()
        self.duplicates = 0
        self.log: list[Event] = []
        self.intake = Intake()
        self.taken: list[Event] = []
        self.appended: dict[int, int] = {}
        self.now = self.played = 0
        self.oracle = self.judge(0)
        self.paths: dict[str, Steps] = {}
        self._foreseen: tuple[object, int, dict[str, Steps]] = (None, 0, {})

    # -- the oracle's side

    def judge(self, now: int) -> Oracle:
        """The oracle that knows the policies that the scorer knows by `now`."""
        in_hand = zip(self.eras, self.known, self.policies.eras, strict=False)
        return Oracle(*(era for era, at, _ in in_hand if at <= now))

    def learned(self, now: int) -> int:
        return sum(at <= now for at in self.known[: len(self.policies.eras)])

    # -- turns

    def grow(self, now: int) -> bool:
        """The scorer reads of the policies activated by `now`; True if there was something to read."""
        count = max(len(self.policies.eras), sum(at <= now for at in self.known))
        grown = sequences(self.eras, self.known)[count - 1]
        fresh, self.policies = grown is not self.policies, grown
        return fresh

    def turn(self, arrivals: Sequence[Logged], until: int) -> list[Decision]:
        """A micro-batch, or without one a timer; afterwards everything is as the oracle says it is at `until`."""
        self.now = until = max(until, self.now)
        due = due_ms(self.record)
        self.grown = not self.aware or self.learned(until) > self.learned(self.played)
        customer = decode(self.record, self.policies)
        places = range(len(self.log), len(self.log) + len(arrivals))
        numbered = [Arrival(a.event, a.appended_ms, place, b"raw") for place, a in zip(places, arrivals, strict=True)]
        before_all = bool(arrivals) and not self.log
        fresh, outcome = score(None if before_all else self.record, self.policies, numbered, until, SUBJECT)
        assert outcome.due_before_ms == (NEVER if due is None else due)
        if arrivals:  # what a record becomes and what a customer becomes is the same; of several that goes another way
            became = decide(customer, self.policies, numbered, until, SUBJECT)
            assert said_in(became) == said_in(outcome)
            assert everything(customer, until) == everything(decode(fresh, self.policies), until)
        made = self.made_of(outcome)
        if not arrivals and not self.grown and (due is None or until < due):
            assert not outcome.altered, "nothing was due, so nothing is written"
        assert outcome.altered or not made
        if outcome.altered or not self.thrifty:
            self.record = fresh
        self.customer = decode(fresh, self.policies)
        self.check_intake(arrivals, outcome)
        before = self.paths
        self.oracle = self.judge(until)
        self.paths = self.present(until)
        self.check_records(made, before)
        self.check_steps(made)
        self.check_paths()
        self.check_due(outcome.due_ms)
        if arrivals:
            self.check_due(became.due_ms)
        self.played, self.aware = until, outcome.altered or not (self.thrifty and self.grown)
        return made

    grown = False
    """A policy has become known since the last turn."""
    aware = True
    """The record has been looked at since the policies grew."""
    thrifty = False
    """A state of which only the due instant is another is not written."""

    def made_of(self, outcome: Outcome) -> list[Decision]:
        first = len(self.decisions) + 1
        made = [
            decision(change, SUBJECT, sequence=number, decided_ms=self.now, catching_up=False)
            for number, change in enumerate(outcome.changes, first)
        ]
        self.decisions += made
        return made

    def eagerly_until(self, until: int) -> None:
        """Every timer at its instant."""
        while (due := due_ms(self.record)) is not None and due <= until:
            assert due > self.now, "a timer is about what is to come"
            self.turn([], due)

    # -- what must hold

    def check_intake(self, arrivals: Sequence[Logged], outcome: Outcome) -> None:
        self.log += [logged.event for logged in arrivals]
        known = len(self.intake.accepted)
        self.intake = self.oracle.intake(self.log) if arrivals else self.intake
        self.taken = self.intake.accepted[known:]
        self.appended = {id(event): appended for event, appended in reversed(arrivals)}
        self.complaints |= {Complaint(report.reason, report.arrival.offset) for report in outcome.reports}
        self.duplicates += outcome.duplicates
        assert outcome.taken == len(self.taken)
        book = Oracle(self.eras[len(self.policies.eras) - 1]).book
        priced = [(getattr(e.data, "currency", None), to_ms(e.time)) for e in self.taken]
        assert outcome.unpriced == sum(c is not None and book.price(1, c, at) is None for c, at in priced)
        assert self.complaints == self.intake.complaints
        assert self.duplicates == len(self.intake.duplicates)

    def check_records(self, made: list[Decision], before: Paths) -> None:
        """`before`: what the oracle said before this turn."""
        true_steps = self.true_steps(before) if made else {}
        for record in made:
            name = record.dimension
            self.reader.take(record)
            kept = self.reader.kept[name]
            assert kept.revision == record.revision, "a new record has a new revision"
            if record.revision == 1:
                assert record.before in self.beginnings(name), "the first record starts from where everyone begins"
            if record.before != record.after:
                assert announcement(record).revision == record.revision
            muddled = self.grown and len(self.taken) > 1  # any of them may have become late, in any order
            if not muddled and not any(self.reaches_back(event) for event in (*self.taken, *self.waited)):
                assert set(steps(record)) <= true_steps[name], "told is what is true, or was without what came late"
            self.check_cause(record, before)
            self.check_conditions(record)
        if len(self.taken) == 1:
            self.check_lateness(made, self.taken[0], before)

    def beginnings(self, name: str) -> list[Value]:
        return [initial(book)[name] for book in self.oracle.books if name in initial(book)]

    def check_steps(self, made: list[Decision]) -> None:
        """Without arrivals: what was to come has come, a record a step; unless a policy decides the past anew."""
        if self.taken or self.grown or any(map(self.reaches_back, self.waited)):
            return
        told = sorted(((record.dimension, *steps(record)[0]) for record in made if steps(record)), key=str)
        new = [(name, *step) for name, path in self.paths.items() for step in path if step[0] > self.played]
        assert told == sorted(new, key=str)
        assert all(in_order(record) for record in made)

    def check_conditions(self, record: Decision) -> None:
        """They stand as they stood at the instant of the step, where that is one, before or after what has come; what
        was still ahead of the clock when the step came had no say in it."""
        if len(self.taken) > 1 or record.cause not in ("event", "time") or len(self.eras) > 1:
            return
        at, found = to_ms(record.from_), []
        for until in (at, self.now):
            come = [event for event in self.intake.accepted if to_ms(event.time) <= until]
            for known in (come, [event for event in come if event not in self.taken]):
                values = self.oracle.values(known, at)
                found.append(all(explaining.agrees(condition, values) for condition in record.conditions))
        assert any(found), record.conditions

    def check_cause(self, record: Decision, before: Paths) -> None:
        """`event`: one at that very instant; `late_event`: one that has just arrived; `refund`, `manual`: either;
        `policy`: one that begins at that instant, or has become known."""
        come = {Named.of(event) for event in self.taken}
        here = {e for e in map(Named.of, self.intake.accepted) if e.time_ms == to_ms(record.from_)}
        late = any(self.is_late(event, before) for event in self.taken)
        late = late or any(self.reaches_back(event) for event in (*self.taken, *self.waited))
        if record.cause == "policy":
            begins = to_ms(record.from_) in [era.effective_at for era in self.oracle.eras]
            assert begins or self.grown
            return
        if record.cause == "time":
            assert record.trigger is None
            fresh = [e for e in here if e in come or e.time_ms > self.played]
            assert late or self.grown or not fresh, "event goes before time"
            assert in_order(record)
            return
        assert record.trigger is not None
        among = {"event": here, "late_event": come | {Named.of(event) for event in self.waited}}.get(
            record.cause, here | come
        )
        trigger = record.trigger
        assert Named(trigger.source, trigger.id, trigger.type, to_ms(trigger.time)) in among
        assert trigger.type == {"refund": "refund", "manual": "override"}.get(record.cause, trigger.type)
        assert record.cause != "event" or in_order(record)

    def is_late(self, event: Event, before: Paths) -> bool:
        """Not later than the last change of position, or from before the policy under which the customer began."""
        return to_ms(event.time) <= changed(before) or self.begins_elsewhere(event)

    def begins_elsewhere(self, event: Event, come: Sequence[Event] = ()) -> bool:
        """Whether it comes before the first one known, and another policy held then: everyone may begin elsewhere.

        come: what of the turn's events came before it
        """
        known = [to_ms(e.time) for e in self.intake.accepted if e not in self.taken or e in come]
        if not known or to_ms(event.time) >= min(known):
            return False
        then, before = (sum(era.effective_at <= t for era in self.oracle.eras) for t in (min(known), to_ms(event.time)))
        return then != before

    @property
    def waited(self) -> list[Event]:
        """What was still to come when the last turn ended."""
        return [event for event in self.intake.accepted if to_ms(event.time) > self.played]

    def reached_back(self) -> bool:
        """Whether an order has just come, or come due, that may change what was before it."""
        due = [event for event in self.intake.accepted if self.played < to_ms(event.time) <= self.now]
        return any(self.reaches_back(event) for event in [*self.taken, *due])

    def reaches_back(self, event: Event) -> bool:
        """An order that may take over another's refunds changes what was before it."""
        key = event.data.order if isinstance(event, Purchase) else None
        orders = [e for e in self.intake.accepted if isinstance(e, Purchase)]
        return key is not None and any(order.data.order is None and order.id == key for order in orders)

    def true_steps(self, before: Paths) -> dict[str, set[tuple[int, Value]]]:
        """Steps of the path as it is now, and as it was before each late event of the batch was known, and each policy
        that has become known."""
        true = {name: set(path) for name, path in self.paths.items()}
        yet_to_come = self.yet_to_come(before)
        learned = self.learned(self.now)
        for count in range(1 if self.grown else learned, learned + 1):
            oracle = Oracle(*self.eras[:count])
            for missing in [*yet_to_come, *([[]] if count < learned else [])]:
                without = [event for event in self.intake.accepted if event not in missing]
                for name, path in oracle.paths(without, self.now).items():
                    true.setdefault(name, set()).update(path)
        return true

    def yet_to_come(self, before: Paths) -> list[list[Event]]:
        """Of each late event of the batch: it and all that had yet to come when its turn came.

        In order at its own time, late when it became known; of one instant those in order go first, then by time. After
        a policy has become known any of them may be late. What a late one changes may make those after it late.
        """
        last = changed(before)

        def turn(event: Event) -> tuple[int, bool, int]:
            at, late = to_ms(event.time), to_ms(event.time) <= last
            return (self.appended[id(event)] if late else at, late, at)

        batch, found, now = sorted(self.taken, key=turn), [], self.played
        for place, event in enumerate(batch):
            at, missing = to_ms(event.time), batch[place:]
            if self.grown or at <= last or self.begins_elsewhere(event, batch[:place]):
                found.append(missing)
                at = max(last, self.appended[id(event)])
            if place + 1 < len(batch) and not self.grown:
                now = max(now, at)
                come = [
                    event for event in self.intake.accepted if event not in missing[1:] and to_ms(event.time) <= now
                ]
                last = changed(self.oracle.paths(come, now))
        return found

    def check_lateness(self, made: list[Decision], event: Event, before: Paths) -> None:
        """In order: one record a step. Late: what is past in the log's time is corrected by one record a dimension."""
        if self.reached_back() or self.grown:
            return
        if not self.is_late(event, before):
            assert all(in_order(record) for record in made), "in order: one step, one record"
            return
        named, last = (event.source, event.id), changed(before)
        net = [r.dimension for r in made if r.trigger is not None and (r.trigger.source, r.trigger.id) == named]
        for name, path in self.paths.items():
            old, new = ([step for step in p if step[0] <= last] for p in (before.get(name, []), path))
            assert net.count(name) <= 1, "one net record a dimension"
            assert name in net or old == new, "what was played is corrected"

    def check_paths(self) -> None:
        for name, path in self.paths.items():
            assert self.reader.path(name) == path, name
            announced = self.reader.kept[name].announced
            present = [path[-1][1]] if path else self.beginnings(name)
            assert announced is None or announced in present, "what was announced last is the present"

    def check_standings(self) -> None:
        """What the customer remembers is what the oracle does."""
        come = [event for event in self.intake.accepted if to_ms(event.time) <= self.now]
        for name, standing in self.oracle.course(come, self.now).standings.items():
            mover, held = next((m, s) for m, s in self.customer.life.placed() if m.dimension.name == name)
            assert (mover.values[held.place], held.since_ms, held.failing_ms) == standing, name

    def present(self, now: int) -> dict[str, Steps]:
        """The paths up to now; what is ahead of the clock has no say yet, not even in what refunds mean."""
        come = [event for event in self.intake.accepted if to_ms(event.time) <= now]
        if len(come) < len(self.intake.accepted):
            return {name: self.oracle.paths(come, now).get(name, []) for name in self.foreseen(now)}
        return {name: upto(path, now) for name, path in self.foreseen(now).items()}

    def foreseen(self, now: int) -> dict[str, Steps]:
        """The paths, and what is to come by the policies that decide by now or from an instant to come on."""
        in_hand = zip(self.eras, self.known, self.policies.eras, strict=False)
        eras = tuple(era for era, at, _ in in_hand if at <= now or at <= era.effective_at)
        key, until = (eras, len(self.intake.accepted)), now + self.beyond
        if self._foreseen[0] != key or self._foreseen[1] < now + self.beyond // 4:
            self._foreseen = (key, until, Oracle(*eras).paths(self.intake.accepted, until))
        return self._foreseen[2]

    def check_due(self, due: int) -> None:
        """Two ways may bound the next change differently."""
        assert due > self.now
        changes = [t for path in self.foreseen(self.now).values() for t, _ in path if self.now < t < due]
        assert not changes, "due is a lower bound"

    def check_explanation(self, ahead: int = 0) -> None:
        """As of now and later; by the policies activated by now, or already taken note of."""
        at = self.now + ahead
        learned = max(self.learned(self.now), decode(self.record, self.policies).life.known)
        policies = sequences(self.eras, self.known)[learned - 1]
        oracle = Oracle(*self.eras[:learned])
        future = oracle.paths(self.intake.accepted, at + self.beyond)
        told = explain(decode(self.record, policies), policies, at)
        explaining.check(told, oracle, self.intake.accepted, future, at)


def changed(paths: Paths) -> int:
    """The last change of position."""
    return max((t for path in paths.values() for t, _ in path), default=-1)


def upto(path: Steps, instant: int) -> Steps:
    return [step for step in path if step[0] <= instant]


def play(script: Script, beyond: int = 10**9) -> Iterator[Played]:
    """Yields after every batch, and at the end once more."""
    life = Played(script.eras, script.known, early=script.early, beyond=beyond)
    life.thrifty = not script.eager
    for batch, pause, looks in zip(script.batches, script.pauses, script.looks, strict=True):
        start = batch[0].appended_ms
        learn(life, script, start)
        if script.eager:
            life.eagerly_until(start)
        for part in looks:
            if start > life.now > 0:
                life.turn([], life.now + int((start - life.now) * part))
        life.turn(batch, batch[-1].appended_ms + pause)
        yield life
    learn(life, script, script.end_ms)
    if script.eager:
        life.eagerly_until(script.end_ms)
    life.turn([], script.end_ms)
    life.check_standings()
    yield life


def learn(life: Played, script: Script, until: int) -> None:
    """The policies activated by then become known; a sweep looks at the customer then, or nobody does."""
    for at in script.known[1:]:
        if life.now < at <= until and script.eager:
            life.eagerly_until(at)
        if at <= until and life.grow(at):
            life.aware = False
            if script.eager:
                life.turn([], max(at, life.now))

"""One customer, one turn: arrivals are put in their place and time is played, and every change of a path comes out.

An event later than the last change of position is in order: steps come out one by one, each at its own instant. An
earlier one is late: the path is played again from its place, and what differs comes out net, one change a dimension
(rules 3 and 10). So does what a policy changes that was activated after it took effect (rule 9).
"""

from collections import deque
from collections.abc import Callable, Sequence
from itertools import groupby
from typing import NamedTuple

from schemas.decisions import Cause, Condition, Trigger, Value
from schemas.events import AcceptedEvent, Override, Refund
from services.scorer.domain.admission import Admission, Admitted, Arrival, Report, admit
from services.scorer.domain.entries import OVERRIDE, REFUND, Entry, entry_of, read_profile
from services.scorer.domain.eras import Policies
from services.scorer.domain.explain import conditions_of
from services.scorer.domain.folding import CAP, fold_touches, is_due
from services.scorer.domain.frozen import Frozen
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.domain.ledger import NEVER, Effect, Ledger
from services.scorer.domain.life import Instant, Life, Path, Paths, fold
from services.scorer.domain.playing import coming_to
from services.scorer.domain.rules import Dimension, Policy
from services.scorer.domain.shadows import part_shadows
from services.scorer.domain.state import Customer, Rare, Waiting

__all__ = ["Arrival", "Change", "Outcome", "Report", "decide"]


class Change(NamedTuple):
    """One dimension's path from `from_ms` on is now `path`; what held of the old one but no longer does is `retracts`.

    before, after: what was announced last, and what holds now; a change with both alike is recorded, not announced
    policy:        the one in force that decided
    """

    dimension: Dimension
    policy: Policy
    revision: int
    from_ms: int
    path: Path
    before: Value
    after: Value
    effective_ms: int
    cause: Cause
    trigger: Trigger | None
    conditions: list[Condition]
    next: tuple[int, Value] | None
    retracts: Path


class Outcome(NamedTuple):
    """altered: the state must be written.  moved: only its due instant is another, which need not be."""

    changes: list[Change]
    reports: list[Report]
    altered: bool
    moved: bool
    taken: int
    duplicates: int
    unpriced: int


def decide(
    customer: Customer, policies: Policies, arrivals: Sequence[Arrival], until_ms: int, subject: str | None = None
) -> Outcome:
    """Take a micro-batch of one customer's arrivals (in log order), then play time up to `until_ms`.

    Duplicates go in log order; after that event-time order makes jitter within the batch free, and a late event takes
    its turn at the instant it became known: as if each timer had fired on time. `customer` is changed in place. Without
    arrivals this is a timer firing. subject: the customer's own, by default that of the first arrival.
    """
    due_before = customer.due_ms
    turn = Turn(customer, policies)
    admitted = NOBODY
    if len(arrivals) == 1 and due_before > until_ms:
        entry = turn.meet(arrivals[0], subject, due_before)
        if entry is not None:
            turn.advance(until_ms)
            moved = customer.due_ms != due_before
            return Outcome(turn.changes, [], True, moved, 1, 0, _unpriced(entry, policies.newest))
    if arrivals:
        admitted = admit(customer, arrivals[0].event.subject if subject is None else subject, arrivals)
        entries = admitted.entries
        if len(entries) == 1:
            turn.apply(entries, deque())
        else:
            place = _places(customer.changed_ms)
            batch = deque(list(instant) for _, instant in groupby(sorted(entries, key=place), key=place))
            while batch:
                turn.apply(batch.popleft(), batch)
    if admitted.reversed:
        now_ms = max(a.appended_ms for a in arrivals)
        shadowed = customer.rarely().shadowed
        own = arrivals[0].event.subject if subject is None else subject
        turn.rebase([*customer.ledger.entries, *shadowed], own, now_ms, "late_event", customer.frozen)
    turn.advance(until_ms)
    if is_due(customer.ledger, len(admitted.entries)):
        fold_touches(customer)
    taken = len(admitted.entries)
    return Outcome(
        changes=turn.changes,
        reports=admitted.reports,
        altered=bool(taken or turn.changes or admitted.shadowed),
        moved=customer.due_ms != due_before,
        taken=taken,
        duplicates=admitted.duplicates,
        unpriced=sum(_unpriced(entry, policies.newest) for entry, _ in admitted.entries),
    )


NOBODY = Admitted([], [], 0)


_SETTLED = (chr(65 + REFUND), chr(65 + OVERRIDE))
"""Entries of these kinds, by the first letter of their profile, always take the long way."""


def _unpriced(entry: Entry, policy: Policy) -> bool:
    if entry.profile[1:] == policy.currency:
        return False
    currency = read_profile(entry.profile).currency
    return bool(currency) and policy.prices.of(0, currency, entry.time_ms) is None


def _places(changed_ms: int) -> Callable[[tuple[Entry, Arrival]], tuple[int, bool, int]]:
    """Where an arrival stands in its batch: in order at its own time, late at its append time, after those in order."""

    def place(arrived: tuple[Entry, Arrival]) -> tuple[int, bool, int]:
        entry, arrival = arrived
        late = entry.time_ms <= changed_ms
        return (arrival.appended_ms if late else entry.time_ms, late, entry.time_ms)

    return place


class Turn:
    """The two operations of the core on one customer: `apply` an event, `advance` time."""

    def __init__(self, customer: Customer, policies: Policies) -> None:
        self._customer, self._policies = customer, policies
        self.changes: list[Change] = []
        if customer.life.known < len(policies.eras):
            self._expect()

    def _know(self, appended_ms: int) -> None:
        """Take note of all policies activated by now; of a customer not known before, all these count at once."""
        life, eras = self._customer.life, self._policies.eras
        if life.known == len(eras):
            return
        if life.era < 0:
            life.known = max(life.known, self._policies.known_by(appended_ms))
        while (life := self._customer.life).known < len(eras):
            era = eras[life.known]
            if max(era.effective_ms, era.activated_ms) > appended_ms:
                return
            self.advance(max(era.effective_ms, era.activated_ms))

    def _expect(self) -> None:
        """Take note of the eras that are still to come, up to one that decides the past anew (`_learn`)."""
        life = self._customer.life
        for era in self._policies.eras[life.known :]:
            if era.activated_ms > era.effective_ms or life.played_ms >= era.effective_ms:
                return
            life.known += 1
            if life.era >= 0:
                life.due_ms = min(life.due_ms, era.effective_ms)

    def meet(self, arrival: Arrival, subject: str | None, due_ms: int) -> Entry | None:
        """The short way, which most events take: new, in order, with nothing due before it and nothing to settle.

        None if it is not for this one, and nothing has been done.
        """
        customer, event = self._customer, arrival.event
        life = customer.life
        ledger = life.ledger
        if customer.rare is not None or customer.waiting or ledger.refunds or life.overrides or life.era < 0:
            return None
        if life.known < len(self._policies.eras) or (subject is not None and event.subject != subject):
            return None
        entry = entry_of(event, self._policies.fields)
        time_ms = entry.time_ms
        if not life.played_ms < time_ms < due_ms or time_ms > arrival.appended_ms:
            return None
        if entry.order or entry.profile[0] in _SETTLED or ledger.holds(entry.id) or len(ledger) >= CAP:
            return None
        instant = life.meet(entry)
        if instant is not None:
            self._announce(instant, (_trigger(event),))
        return entry

    # -- time

    def advance(self, until_ms: int) -> None:
        """Play, in order, every instant up to `until_ms` at which something can change without an event."""
        customer = self._customer
        while customer.due_ms <= until_ms:
            life = customer.life
            if life.known < len(self._policies.eras) and self._learn(min(life.due_ms, self._waited_ms())):
                continue
            at_ms = min(life.due_ms, self._waited_ms())
            if at_ms > until_ms:
                return
            came = self._come(at_ms)
            if came:
                self._enter([w.entry for w in came], [_trigger_of_waiting(w) for w in came])
            else:
                self._announce(life.at(at_ms, ()), ())

    def _come(self, at_ms: int) -> list[Waiting]:
        """The events that were waiting for this instant; they wait no longer."""
        waiting = self._customer.waiting
        if not waiting or waiting[0].entry.time_ms > at_ms:
            return []
        self._customer.waiting = [w for w in waiting if w.entry.time_ms > at_ms]
        return [w for w in waiting if w.entry.time_ms <= at_ms]

    def _waited_ms(self) -> int:
        return self._customer.waiting[0].entry.time_ms if self._customer.waiting else NEVER

    def _learn(self, before_ms: int) -> bool:
        """Take note of one more era, if nothing is due before it became known; True if that was done."""
        life = self._customer.life
        era = self._policies.eras[life.known]
        if before_ms < max(era.activated_ms, era.effective_ms):
            return False
        now_ms = max(era.activated_ms, life.played_ms)
        self.replay(life.ledger, era.effective_ms, now_ms, "policy", None, known=life.known + 1)
        self._expect()
        return True

    # -- events

    def apply(self, arrived: Sequence[Admission], following: deque[list[Admission]]) -> None:
        """Put the events of one instant in their place; `now` is the newest append time, nothing later is played.

        Late is what takes effect no later than the last change of position, or before its own time (an order that takes
        a refund over). Of several events, the first in the log stands as the trigger of what they change.
        following: the rest of the batch; what of it belongs to instants played already is taken along
        """
        customer = self._customer
        time_ms, appended_ms = arrived[0][0].time_ms, max(a.appended_ms for _, a in arrived)
        self._know(appended_ms)
        if time_ms > max(customer.changed_ms, appended_ms):
            waiting = [*customer.waiting, *(_waiting(e, a.event) for e, a in arrived)]
            customer.waiting = sorted(waiting, key=lambda w: (w.entry.time_ms, w.entry.id))
            return
        if time_ms > customer.changed_ms and customer.due_ms < time_ms:
            self.advance(time_ms - 1)
        came = self._come(time_ms)
        entries = [*(w.entry for w in came), *(e for e, _ in arrived)]
        triggers = [*(_trigger_of_waiting(w) for w in came), *(_trigger(a.event) for _, a in arrived)]
        event = arrived[0][1].event
        if time_ms <= customer.changed_ms or customer.is_frozen_at(time_ms):
            self.advance(max(customer.changed_ms, appended_ms))
            now_ms = max(customer.changed_ms, appended_ms, customer.life.played_ms)
            before, after = customer.ledger, customer.ledger.with_entries(entries)
            self.replay(after, _first_effect(before, after, time_ms), now_ms, _late(event), event)
            return
        life = customer.life
        first_ms = time_ms
        if life.ledger.refunds and any(e.order or e.currency for e in entries):
            first_ms = _first_effect(life.ledger, life.ledger.with_entries(entries), time_ms)
        if first_ms < time_ms:
            self.replay(life.ledger.with_entries(entries), first_ms, max(life.played_ms, time_ms), _late(event), event)
        elif time_ms > life.played_ms:
            self._enter(entries, triggers)
        else:
            self._enter_late(entries, triggers, following)

    def _enter(self, entries: Sequence[Entry], triggers: Sequence[Trigger]) -> None:
        """Entries of one instant that is later than all that has been played; `triggers` are their events."""
        life = self._customer.life
        ledger, at_ms = life.ledger, entries[0].time_ms
        first = len(ledger)
        for entry in entries if len(entries) == 1 else sorted(entries, key=lambda e: e.id):
            ledger.append(entry)
        effects = [Effect(at_ms, i, None) for i in range(first, len(ledger))]
        if ledger.refunds:
            ledger.entered = len(ledger)
            effects += [
                Effect(at_ms, ledger.place(t.refund), t) for t in ledger.settlement.takes if t.start_ms == at_ms
            ]
        self._announce(life.at(at_ms, effects), triggers)

    def _enter_late(self, entries: list[Entry], triggers: list[Trigger], following: deque[list[Admission]]) -> None:
        """Events in order whose instant time has already passed: from there on what is known is played again.

        Those of the batch that are like them come with them, so that each is the cause at its own instant.
        """
        customer = self._customer
        at_ms, played_ms = entries[0].time_ms, customer.life.played_ms
        causes = {at_ms: triggers}
        before = customer.ledger
        after = before.with_entries(entries)
        while following and customer.changed_ms < (next_ms := following[0][0][0].time_ms) <= played_ms:
            more = after.with_entries([e for e, _ in following[0]])
            if _first_effect(after, more, next_ms) < next_ms or any(a.appended_ms < next_ms for _, a in following[0]):
                break
            causes[next_ms] = [_trigger(a.event) for _, a in following.popleft()]
            after = more
        life, _ = self._fold(after, at_ms - 1, customer.life.known)
        self._carry_on(life)
        for instant in life.play([e for e in after.effects() if e.at_ms >= at_ms], played_ms):
            self._announce(instant, causes.get(instant.at_ms, ()))

    def _carry_on(self, life: Life) -> None:
        """Let the customer live on as `life`; its revisions are those of the decisions made."""
        revisions = self._revisions()
        for mover, standing in life.placed():
            standing.revision = revisions.pop(mover.dimension.name, 0)
        life.retired = revisions
        self._customer.life = life

    def _revisions(self) -> dict[str, int]:
        life = self._customer.life
        standing = {m.dimension.name: s.revision for m, s in life.placed()}
        return {**life.retired, **standing}

    # -- playing again

    def _fold(self, ledger: Ledger, until_ms: int, known: int) -> tuple[Life, Paths]:
        return fold(self._policies, ledger, until_ms, known, self._customer.frozen)

    def replay(
        self,
        after: Ledger,
        from_ms: int,
        now_ms: int,
        cause: Cause,
        event: AcceptedEvent | None,
        known: int | None = None,
    ) -> None:
        """Play the old ledger and the new one from where they differ up to now; bring out what differs of the paths."""
        customer = self._customer
        old, frozen = customer.life, customer.frozen
        if frozen is not None and from_ms <= frozen.floor_ms:
            self._replay_whole(after, now_ms, cause, event, frozen, known)
            return
        life, common = self._fold(old.ledger, from_ms - 1, old.known)
        was, old_paths = life.copy(), Paths()
        for instant in was.play([e for e in old.ledger.effects() if e.at_ms >= from_ms], now_ms):
            old_paths.take(instant)
        now, new_paths = life.copy(after), Paths()
        now.known = now.known if known is None else known
        if now.era >= 0:  # what was foreseen on the old ledger is void
            now.nexts, now.due_ms = None, from_ms
        for instant in now.play([e for e in after.effects() if e.at_ms >= from_ms], now_ms):
            new_paths.take(instant)
        self._differences(common, old_paths, new_paths, was, now, now_ms, cause, event)

    def rebase(self, entries: Sequence[Entry], subject: str, at_ms: int, cause: Cause, frozen: Frozen | None) -> None:
        """Live on with other entries altogether, played from their beginning or from where they are frozen."""
        customer = self._customer
        counted, shadowed = part_shadows(entries, subject)
        self._replay_whole(Ledger.of(counted), max(at_ms, customer.life.played_ms), cause, None, frozen, None)
        if customer.rare is not None or shadowed or frozen is not None:
            rare = customer.rarely()
            rare.shadowed, rare.frozen = shadowed, frozen
            if rare == Rare():
                customer.rare = None

    def _replay_whole(
        self,
        after: Ledger,
        now_ms: int,
        cause: Cause,
        event: AcceptedEvent | None,
        frozen: Frozen | None,
        known: int | None,
    ) -> None:
        customer = self._customer
        old = customer.life
        was, old_paths = self._fold(old.ledger, now_ms, old.known)
        now, new_paths = fold(self._policies, after, now_ms, old.known if known is None else known, frozen)
        self._differences(Paths(), old_paths, new_paths, was, now, now_ms, cause, event)

    def _differences(
        self,
        common: Paths,
        old: Paths,
        new: Paths,
        was: Life,
        now: Life,
        now_ms: int,
        cause: Cause,
        event: AcceptedEvent | None,
    ) -> None:
        """Live on as `now`, and bring out per dimension what differs of the paths since `common`."""
        self._carry_on(now)
        steps = [path[-1][0] for paths in (common, new) for path in paths.steps.values() if path]
        self._customer.changed_ms = max(steps, default=-NEVER)
        shown = {m.dimension.name: m.values[s.shown] for m, s in was.placed()}
        held = {m.dimension.name: (m.dimension, m.values[s.shown]) for m, s in now.placed()}
        gone = old.dimensions | new.dimensions
        names = dict.fromkeys([*held, *gone])
        differing = [name for name in names if old.steps.get(name, []) != new.steps.get(name, [])]
        coming = self._coming(differing) if differing else {}
        trigger = None if event is None else _trigger(event)
        for name in differing:
            old_steps, new_steps = old.steps.get(name, []), new.steps.get(name, [])
            same = _common(old_steps, new_steps)
            dimension = held[name][0] if name in held else gone[name]
            whole = common.steps.get(name, []) + new_steps
            self._change(
                dimension,
                shown.get(name, dimension.values[-1]),
                held[name][1] if name in held else dimension.values[-1],
                cause,
                trigger,
                coming.get(name),
                at_ms=now_ms,
                from_ms=min(steps[same][0] for steps in (old_steps, new_steps) if len(steps) > same),
                path=new_steps[same:],
                retracts=[step for step in old_steps[same:] if step not in new_steps[same:]],
                effective_ms=whole[-1][0] if whole else self._customer.ledger.began_ms(now_ms),
            )

    # -- what comes out

    def _announce(self, instant: Instant, triggers: Sequence[Trigger]) -> None:
        """What an instant in order changes, announced as it is: by its events, by a policy, by time, in this order."""
        if not instant.moved:
            return
        self._customer.changed_ms = instant.at_ms
        coming = self._coming([m.dimension.name for m in instant.moved])
        by_hand = self._overridden(instant)
        cause: Cause = "policy" if instant.switched else "time"
        if triggers:
            cause = "refund" if triggers[0].type == "refund" else "event"
        for moved in instant.moved:
            manual = moved.manual and moved.dimension.name in by_hand
            own = [t for t in triggers if t.type == "override"] if manual else triggers
            self._change(
                moved.dimension,
                moved.before,
                moved.after,
                "manual" if manual else cause,
                own[0] if own else None,
                coming.get(moved.dimension.name),
                at_ms=instant.at_ms,
                from_ms=instant.at_ms,
                path=[(instant.at_ms, moved.after)],
                retracts=[],
                effective_ms=instant.at_ms,
            )

    def _overridden(self, instant: Instant) -> list[str]:
        """The dimensions of which an override begins at the instant."""
        ledger = self._customer.ledger
        profiles = (read_profile(ledger.profile(e.place)) for e in instant.effects if e.take is None)
        return [dict(p.fields)["dimension"] for p in profiles if p.kind == OVERRIDE]

    def _coming(self, names: Sequence[str]) -> dict[str, tuple[int, Value]]:
        """The first change of each dimension that time alone will bring."""
        return coming_to(self._customer, names)

    def _change(
        self,
        dimension: Dimension,
        before: Value,
        after: Value,
        cause: Cause,
        trigger: Trigger | None,
        next_: tuple[int, Value] | None,
        *,
        at_ms: int,
        from_ms: int,
        path: Path,
        retracts: Path,
        effective_ms: int,
    ) -> None:
        life = self._customer.life
        for mover, standing in life.placed():
            if mover.dimension.name == dimension.name:
                standing.revision += 1
                revision = standing.revision
                break
        else:
            revision = life.retired[dimension.name] = life.retired.get(dimension.name, 0) + 1
        self.changes.append(
            Change(
                dimension=dimension,
                policy=life.machine.policy,
                revision=revision,
                from_ms=from_ms,
                path=path,
                before=before,
                after=after,
                effective_ms=effective_ms,
                cause=cause,
                trigger=trigger,
                conditions=conditions_of(dimension, before, after, life, at_ms),
                next=next_,
                retracts=retracts,
            )
        )


def _first_effect(before: Ledger, after: Ledger, time_ms: int) -> int:
    """The first instant at which the ledgers differ: the new entries', or an earlier one where refunds settle anew."""
    old, new = before.settlement, after.settlement
    if not (old.takes or new.takes):
        return time_ms
    starts = [take.start_ms for take in {*old.takes} ^ {*new.takes}]
    ends = [instant for _, instant in {*old.voided_ms.items()} ^ {*new.voided_ms.items()}]
    return min([time_ms, *starts, *ends])


def _common(old: Path, new: Path) -> int:
    """How many steps both paths begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def _late(event: AcceptedEvent) -> Cause:
    if isinstance(event, Override):
        return "manual"
    return "refund" if isinstance(event, Refund) else "late_event"


def _type(event: AcceptedEvent) -> str:
    return str(type(event).__struct_config__.tag)


def _trigger(event: AcceptedEvent) -> Trigger:
    return Trigger(type=_type(event), id=event.id, source=event.source, time=event.time, received_at=event.receivedtime)


def _waiting(entry: Entry, event: AcceptedEvent) -> Waiting:
    received_ms = None if event.receivedtime is None else to_ms(event.receivedtime)
    return Waiting(entry, _type(event), event.id, event.source, received_ms)


def _trigger_of_waiting(waiting: Waiting) -> Trigger:
    received_at = None if waiting.received_ms is None else to_datetime(waiting.received_ms)
    time = to_datetime(waiting.entry.time_ms)
    return Trigger(type=waiting.type, id=waiting.id, source=waiting.source, time=time, received_at=received_at)

"""A turn of one customer: events are put in their place, time is played, policies are taken note of.

An event later than the last change of position is in order: steps come out one by one, each at its own instant. An
earlier one is late: the path is played again from its place, and what differs comes out net (rules 3 and 10). So does
what a policy changes that was activated after it took effect (rule 9), and what keeping a long ledger by the
hour changes (rule 4).
"""

from collections import deque
from collections.abc import Sequence

from msgspec.structs import replace

from schemas.decisions import Cause, Trigger
from services.scorer.domain.admission import Admission
from services.scorer.domain.changes import Chronicle
from services.scorer.domain.entries import Entry
from services.scorer.domain.eras import Policies
from services.scorer.domain.folding import FEWEST, by_the_hour, freeze, without_texts
from services.scorer.domain.frozen import Frozen
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.life import Life
from services.scorer.domain.moments import Effect
from services.scorer.domain.paths import Paths, relive
from services.scorer.domain.shadows import part_shadows
from services.scorer.domain.state import Customer, Rare, Waiting
from services.scorer.domain.triggers import cause_late, trigger_of, trigger_of_waiting, wait_for, wait_unnamed


class Turn:
    """The core's operations on one customer: `apply` events, `advance` time, and to live on with other entries."""

    def __init__(
        self, customer: Customer, policies: Policies, *, reasons: bool = True, chronicle: Chronicle | None = None
    ) -> None:
        """chronicle: one that has been begun already"""
        self._customer, self._policies = customer, policies
        self._chronicle = Chronicle(customer, reasons) if chronicle is None else chronicle
        self.changes = self._chronicle.changes
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
                entries, triggers = [w.entry for w in came], [trigger_of_waiting(w) for w in came if w.type]
                if not self._reach_back(entries, triggers):
                    self._enter(entries, triggers)
            else:
                self._chronicle.announce(life.at(at_ms, ()), ())

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

        Late is what takes effect no later than the last change of position, before its own time (an order that takes a
        refund over), or before another policy held than the one under which the customer began. Of several events, the
        first in the log stands as the trigger of what they change.
        following: the rest of the batch; what of it belongs to instants played already is taken along
        """
        customer = self._customer
        time_ms, appended_ms = arrived[0][0].time_ms, max(a.appended_ms for _, a in arrived)
        self._know(appended_ms)
        if time_ms > max(customer.changed_ms, appended_ms, customer.life.played_ms):
            waiting = [*customer.waiting, *(wait_for(e, a.event) for e, a in arrived)]
            customer.waiting = sorted(waiting, key=lambda w: (w.entry.time_ms, w.entry.id))
            return
        if time_ms > customer.changed_ms and customer.due_ms < time_ms:
            self.advance(time_ms - 1)
        came = self._come(time_ms)
        entries = [*(w.entry for w in came), *(e for e, _ in arrived)]
        triggers = [*(trigger_of_waiting(w) for w in came if w.type), *(trigger_of(a.event) for _, a in arrived)]
        event = arrived[0][1].event
        if time_ms <= customer.changed_ms or customer.is_frozen_at(time_ms) or self._begins_elsewhere(time_ms):
            self.advance(max(customer.changed_ms, appended_ms))
            now_ms = max(customer.changed_ms, appended_ms, customer.life.played_ms)
            before, after = customer.ledger, customer.ledger.with_entries(entries)
            self.replay(after, _first_effect(before, after, time_ms), now_ms, cause_late(event), triggers[0])
            return
        if not self._reach_back(entries, triggers):
            if time_ms > customer.life.played_ms:
                self._enter(entries, triggers)
            else:
                self._enter_late(entries, triggers, following)

    def _begins_elsewhere(self, time_ms: int) -> bool:
        """Whether a first event at the instant would be under another policy than the first one known: everyone may
        begin in another place there."""
        life = self._customer.life
        if life.known == 1 or life.era < 0:
            return False
        began_ms = life.ledger.began_ms(time_ms)
        return time_ms < began_ms and self._policies.at(time_ms, life.known) != self._policies.at(began_ms, life.known)

    def _reach_back(self, entries: Sequence[Entry], triggers: Sequence[Trigger]) -> bool:
        """Orders that take a refund over from another change what was before their own time; whether these do."""
        life, time_ms = self._customer.life, entries[0].time_ms
        if not (life.ledger.refunds and any(map(life.ledger.names, entries))):
            return False
        after = life.ledger.with_entries(entries)
        first_ms = _first_effect(life.ledger, after, time_ms)
        if first_ms == time_ms:
            return False
        trigger = triggers[0] if triggers else None
        self.replay(after, first_ms, max(life.played_ms, time_ms), "late_event", trigger)
        return True

    def _enter(self, entries: Sequence[Entry], triggers: Sequence[Trigger]) -> None:
        """Entries of one instant that is later than all that has been played; `triggers` are their events."""
        life = self._customer.life
        ledger, at_ms = life.ledger, entries[0].time_ms
        first, settling = len(ledger), any(map(ledger.settles, entries))
        for entry in entries if len(entries) == 1 else sorted(entries, key=lambda e: e.id):
            ledger.append(entry)
        effects = [Effect(at_ms, i, None) for i in range(first, len(ledger))]
        if settling:
            ledger.entered = len(ledger)
            effects += [
                Effect(at_ms, ledger.place(t.refund), t) for t in ledger.settlement.takes if t.start_ms == at_ms
            ]
        self._chronicle.announce(life.at(at_ms, effects), triggers)

    def _enter_late(self, entries: list[Entry], triggers: list[Trigger], following: deque[list[Admission]]) -> None:
        """Events in order whose instant time has already passed: from there on what is known is played again.

        Those of the batch that are like them come with them, so that each is the cause at its own instant.
        """
        customer = self._customer
        at_ms, played_ms = entries[0].time_ms, customer.life.played_ms
        causes = {at_ms: triggers}
        before = customer.ledger
        after = before.with_entries(entries)
        while following and at_ms < (next_ms := following[0][0][0].time_ms) <= played_ms:
            more = after.with_entries([e for e, _ in following[0]])
            if _first_effect(after, more, next_ms) < next_ms:
                break
            causes[next_ms] = [trigger_of(a.event) for _, a in following.popleft()]
            after = more
        life, _ = self._relive(after, at_ms - 1)
        self._chronicle.carry_on(life)
        for instant in life.play([e for e in after.effects() if e.at_ms >= at_ms], played_ms):
            self._chronicle.announce(instant, causes.get(instant.at_ms, ()))

    # -- playing again

    def _relive(self, ledger: Ledger, until_ms: int) -> tuple[Life, Paths]:
        """By the policies that the customer's life knows, and from where it is frozen."""
        return relive(self._policies, ledger, until_ms, self._customer.life.known, self._customer.frozen)

    def replay(
        self,
        after: Ledger,
        from_ms: int,
        now_ms: int,
        cause: Cause,
        trigger: Trigger | None,
        known: int | None = None,
    ) -> None:
        """Play the old ledger and the new one from where they differ up to now; bring out what differs of the paths."""
        customer = self._customer
        old, frozen = customer.life, customer.frozen
        if frozen is not None and from_ms <= frozen.floor_ms:
            self._replay_whole(after, now_ms, cause, trigger, frozen, known)
            return
        life, common = self._relive(old.ledger, from_ms - 1)
        was, old_paths = life.copy(), Paths()
        for instant in was.play([e for e in old.ledger.effects() if e.at_ms >= from_ms], old.played_ms):
            old_paths.take(instant)
        now, new_paths = life.copy(after), Paths()
        now.begin_again(from_ms, now.known if known is None else known)
        for instant in now.play([e for e in after.effects() if e.at_ms >= from_ms], now_ms):
            new_paths.take(instant)
        self._chronicle.correct(common, old_paths, new_paths, now, now_ms, cause, trigger, begun=(life, from_ms))

    def rebase(
        self,
        entries: Sequence[Entry],
        subject: str,
        at_ms: int,
        cause: Cause,
        frozen: Frozen | None,
        since_ms: int = -NEVER,
        whole: bool = False,
    ) -> None:
        """Live on with other entries altogether, played from their beginning or from where they are frozen.

        What waits is parted with them, and of what counts now that waits which is ahead of the clock.
        since_ms: what the paths were before this instant is not compared; only of who is frozen
        whole: paths that were told are told anew from 1970 on, before which nothing is, whether they differ or not
        """
        customer = self._customer
        now_ms = max(at_ms, customer.life.played_ms)
        waiting = {(w.entry.id, w.entry.profile): w for w in customer.waiting}
        counted, shadowed = part_shadows([*entries, *(w.entry for w in customer.waiting)], subject)
        ahead = [e for e in counted if e.time_ms > now_ms]
        customer.waiting = [waiting.get((e.id, e.profile)) or wait_unnamed(e) for e in ahead]
        after = Ledger.of(e for e in counted if e.time_ms <= now_ms)
        if frozen is not None and not frozen.footings:
            if after.began_ms(NEVER) <= frozen.floor_ms:
                frozen, since_ms = self._as_told(frozen), max(since_ms, frozen.floor_ms)
            elif customer.frozen is not None:  # nothing is theirs of what was told up to the floor
                whole = True
        elif frozen is None and customer.frozen is not None:  # all of it is known again
            since_ms, whole = -NEVER, True
        self._replay_whole(after, now_ms, cause, None, frozen, None, since_ms, whole)
        if customer.rare is not None or shadowed or frozen is not None:
            rare = customer.rarely()
            rare.shadowed, rare.frozen = shadowed, frozen
            if rare == Rare():
                customer.rare = None

    def _as_told(self, frozen: Frozen) -> Frozen:
        """A floor without memory, up to which the path stays as it was told."""
        old = self._customer.life
        _, paths = self._relive(old.ledger, old.played_ms)
        return Frozen(frozen.floor_ms, {}, paths.last(frozen.floor_ms), 0)

    def forget_texts(self) -> None:
        """Keep of clicks and interactions only what some rule can tell of them: nothing is decided otherwise."""
        customer, texts = self._customer, self._policies.texts
        life, entered = customer.life, customer.ledger.entered
        life.ledger = Ledger.of(without_texts(customer.ledger.entries, texts))
        life.ledger.entered = entered
        entries = without_texts((w.entry for w in customer.waiting), texts)
        customer.waiting = [replace(w, entry=entry) for w, entry in zip(customer.waiting, entries, strict=True)]
        if customer.rare is not None:
            customer.rare.shadowed = without_texts(customer.rare.shadowed, texts)

    def fold_touches(self) -> None:
        """Keep old clicks and interactions by the hour (rule 4), and live on from what is still known of them.

        Where what is decided of them since the floor comes out otherwise by the hour, that is brought out too.
        """
        customer = self._customer
        old, ledger = customer.life, customer.ledger
        entries, floor_ms = by_the_hour(ledger.entries, customer.rare.shadowed if customer.rare else ())
        if customer.frozen is not None and floor_ms is not None:
            floor_ms = max(floor_ms, customer.frozen.floor_ms)
        if floor_ms is None or floor_ms >= old.played_ms or len(ledger) - len(entries) < FEWEST:
            return
        life, old_paths = self._relive(ledger, floor_ms)
        frozen = freeze(floor_ms, life, old_paths)
        old_paths.begin_at(floor_ms)
        for instant in life.play([e for e in ledger.effects() if e.at_ms > floor_ms], old.played_ms):
            old_paths.take(instant)
        now, new_paths = relive(self._policies, Ledger.of(entries), old.played_ms, old.known, frozen)
        customer.rarely().frozen = frozen
        self._chronicle.correct(Paths(), old_paths, new_paths, now, old.played_ms, "folding", None)

    def _replay_whole(
        self,
        after: Ledger,
        now_ms: int,
        cause: Cause,
        trigger: Trigger | None,
        frozen: Frozen | None,
        known: int | None,
        since_ms: int = -NEVER,
        whole: bool = False,
    ) -> None:
        customer = self._customer
        old = customer.life
        _, old_paths = self._relive(old.ledger, old.played_ms)
        now, new_paths = relive(self._policies, after, now_ms, old.known if known is None else known, frozen)
        anew = dict.fromkeys(self._chronicle.told(), 0) if whole else {}
        if frozen is not None and since_ms > -NEVER:
            old_paths.begin_at(since_ms)
            if frozen.footings or frozen.floor_ms < since_ms:  # else it begins as it was told
                anew |= _otherwise(old_paths, new_paths, since_ms, frozen.floor_ms)
        self._chronicle.correct(Paths(), old_paths, new_paths, now, now_ms, cause, trigger, anew)


def _otherwise(old: Paths, new: Paths, since_ms: int, floor_ms: int) -> dict[str, int]:
    """Where a replayed life takes the place of a folded one: by dimension that comes out otherwise, from when its path
    is told anew; the others are left as they were told.

    since_ms: the old paths are known from here on.  floor_ms: the new ones are from here on, no later
    """
    anew = {}
    for name in dict.fromkeys([*old.steps, *new.steps]):
        path, known = new.steps.get(name, []), new.since(name, since_ms)
        if old.steps.get(name, []) == known:
            new.steps[name] = known
        else:
            anew[name] = path[0][0] if path and path[0][0] <= floor_ms else 0
    return anew


def _first_effect(before: Ledger, after: Ledger, time_ms: int) -> int:
    """The first instant at which the ledgers differ: the new entries', or an earlier one where refunds settle anew."""
    old, new = before.settlement, after.settlement
    if not (old.takes or new.takes):
        return time_ms
    starts = [take.start_ms for take in {*old.takes} ^ {*new.takes}]
    ends = [instant for _, instant in {*old.voided_ms.items()} ^ {*new.voided_ms.items()}]
    return min([time_ms, *starts, *ends])

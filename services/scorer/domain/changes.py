"""What comes out of a turn: every change of a path, in order one by one, net where it was played again (rule 10)."""

from bisect import bisect_left
from collections.abc import Collection, Mapping, Sequence
from typing import Final

from msgspec.structs import replace

from schemas.decisions import Cause, Trigger, Value
from schemas.events import AcceptedEvent
from services.scorer.domain.entering import hash_of
from services.scorer.domain.entries import OVERRIDE, read_profile
from services.scorer.domain.explain import conditions_of
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.life import Life
from services.scorer.domain.machine import Step
from services.scorer.domain.moments import Instant
from services.scorer.domain.now import Now
from services.scorer.domain.outcomes import Change
from services.scorer.domain.paths import Path, Paths, relive
from services.scorer.domain.playing import coming_to, next_of
from services.scorer.domain.rules import Dimension
from services.scorer.domain.state import Customer, Rare
from services.scorer.domain.triggers import trigger_of

MOST_STEPS: Final = 4_000
"""Of a path, and of what is retracted, in one decision: 100 bytes each at most, and Kafka takes 1 MiB."""

_NOTHING: Final[Mapping[str, int]] = {}


def plain_changes(now: Now, moved: Sequence[Step], event: AcceptedEvent | None, reasons: bool) -> list[Change]:
    """What an event in order, or time, moves of somebody without anything rare; the same as a chronicle announces."""
    cause: Cause = "time" if event is None else "event"
    trigger = None if event is None else trigger_of(event)
    machine, at_ms, changes = now.machine, now.at_ms, []
    for place, left, standing in moved:
        mover = machine.movers[place]
        dimension, before, after = mover.dimension, mover.values[left], mover.values[standing.place]
        conditions = conditions_of(dimension, before, after, now) if reasons else []
        next_ = next_of(now, place, standing) if reasons else None
        path, policy, revision = [(at_ms, after)], machine.policy, standing.revision
        changes.append(
            Change(
                dimension, policy, revision, at_ms, path, before, after, at_ms, cause, trigger, conditions, next_, []
            )
        )
    return changes


class Chronicle:
    """The changes of one customer in one turn; revisions and the last change of position are kept in the customer.

    reasons: without them changes have no conditions and no next, which is most of what they cost
    """

    def __init__(self, customer: Customer, reasons: bool, changes: list[Change] | None = None) -> None:
        """changes: those of the turn so far"""
        self._customer, self._reasons = customer, reasons
        self.changes: list[Change] = [] if changes is None else changes

    def announce(self, instant: Instant, triggers: Sequence[Trigger]) -> None:
        """What an instant in order changes, announced as it is: by its events, by a policy, by time, in this order."""
        if self._customer.rare is not None and self._customer.rare.left:
            instant = self._begin_anew(instant, self._customer.rare.left)
        if not instant.moved:
            return
        self._customer.changed_ms = at_ms = instant.at_ms
        coming = coming_to(self._customer, [m.dimension.name for m in instant.moved]) if self._reasons else {}
        now = self._asked(self._customer.life, at_ms)
        cause: Cause = "policy" if instant.switched else "time"
        if triggers:
            cause = "refund" if triggers[0].type == "refund" else "event"
        for moved in instant.moved:
            name, after = moved.dimension.name, moved.after
            by_hand = self._hand(instant, triggers, name) if moved.manual else None
            self._change(
                moved.dimension,
                moved.before,
                after,
                "manual" if by_hand else cause,
                by_hand or (triggers[0] if triggers else None),
                coming.get(name),
                now,
                at_ms,
                [(at_ms, after)],
                [],
                at_ms,
            )

    def _hand(self, instant: Instant, triggers: Sequence[Trigger], name: str) -> Trigger | None:
        """The event of an override of the dimension that begins at the instant; None where none does."""
        ledger = self._customer.ledger
        for effect in reversed(instant.effects):  # of several of one instant the last one counts
            profile = read_profile(ledger.profile(effect.place))
            if profile.kind == OVERRIDE and dict(profile.fields)["dimension"] == name:
                id_ = ledger.entries[effect.place].id
                return next((t for t in triggers if hash_of(f"{t.source}\x00{t.id}") == id_), None)
        return None

    def _begin_anew(self, instant: Instant, left: dict[str, Value]) -> Instant:
        """The first instant after all was taken away from somebody: everyone may begin elsewhere by now than where that
        one was `left`, which is told with an empty path. What no policy knows by then stays left."""
        places = self._customer.life.machine.places
        self._keep_left({name: value for name, value in left.items() if name not in places})
        moved = [replace(m, before=left.get(m.dimension.name, m.before)) for m in instant.moved]
        stepped, at_ms = [m.dimension.name for m in moved], instant.at_ms
        elsewhere = []
        for mover, standing in self._customer.life.placed():
            name, after = mover.dimension.name, mover.values[standing.shown]
            if name not in stepped and left.get(name, after) != after:
                elsewhere.append((mover.dimension, after))
        coming = coming_to(self._customer, [d.name for d, _ in elsewhere]) if self._reasons else {}
        now = self._asked(self._customer.life, at_ms)
        for dimension, after in elsewhere:
            name = dimension.name
            self._change(dimension, left[name], after, "policy", None, coming.get(name), now, at_ms, [], [], at_ms)
        return replace(instant, moved=moved)

    def _change(
        self,
        dimension: Dimension,
        before: Value,
        after: Value,
        cause: Cause,
        trigger: Trigger | None,
        next_: tuple[int, Value] | None,
        now: Now | None,
        from_ms: int,
        path: Path,
        retracts: Path,
        effective_ms: int,
    ) -> None:
        life, name = self._customer.life, dimension.name
        place = life.machine.places.get(name)
        if place is None or life.era < 0:
            revision = life.retired[name] = life.retired.get(name, 0) + 1
        else:
            standing = life.standings[place]
            revision = standing.revision = standing.revision + 1
        conditions = [] if now is None else conditions_of(dimension, before, after, now)
        policy = life.machine.policy
        what = (dimension, policy, revision, from_ms, path, before, after)
        self.changes.append(Change(*what, effective_ms, cause, trigger, conditions, next_, retracts))

    def _asked(self, life: Life, at_ms: int) -> Now | None:
        """What conditions are measured on; None without reasons, or where nothing is left to be measured: an alias, an
        erased customer."""
        return life.now(at_ms) if self._reasons and life.era >= 0 else None

    def _asked_then(self, instants: Collection[int], begun: tuple[Life, int] | None) -> dict[int, Now | None]:
        """The same as it stood at each of these instants, if it has been played; of a folded ledger not before its
        floor.  begun: as in `correct`"""
        life = self._customer.life
        asked = {at_ms: self._asked(life, max(at_ms, life.played_ms)) for at_ms in instants}
        played = sorted(at_ms for at_ms, now in asked.items() if now is not None and at_ms < life.played_ms)
        if not played:
            return asked
        ledger = life.ledger.again()
        if begun is not None and begun[1] <= played[0]:
            then = begun[0].copy(ledger)
            then.begin_again(begun[1], life.known)
        else:
            then, _ = relive(life.policies, ledger, played[0], life.known, life.frozen)
        for at_ms in played:
            for _ in then.play([e for e in ledger.effects() if e.at_ms > then.played_ms], at_ms):
                pass
            asked[at_ms] = then.copy().now(max(at_ms, then.played_ms))
        return asked

    def correct(
        self,
        common: Paths,
        old: Paths,
        new: Paths,
        now: Life,
        now_ms: int,
        cause: Cause,
        trigger: Trigger | None,
        anew: Mapping[str, int] = _NOTHING,
        begun: tuple[Life, int] | None = None,
    ) -> None:
        """Live on as `now`, and bring out per dimension what differs of the paths since `common`.

        anew: by dimension from when its path is told anew as a whole, whether it differs or not
        begun: a life with which `now` is alike before this instant, played up to there
        """
        shown = self._announced()
        if now.era < 0:
            now.machine = now.policies.machines[now.policies.at(now_ms, now.known)]
        self.carry_on(now)
        steps = [path[-1][0] for paths in (common, new) for path in paths.steps.values() if path]
        self._customer.changed_ms = max(steps, default=-NEVER)
        held = now.shown()
        gone = old.dimensions | new.dimensions
        for machine in (*(now.policies.machines if anew else ()), now.machine):
            gone |= {m.dimension.name: m.dimension for m in machine.movers}
        names = dict.fromkeys([*held, *old.dimensions, *new.dimensions, *(name for name in anew if name in gone)])
        differing = [
            name
            for name in names
            if old.steps.get(name, []) != new.steps.get(name, [])
            or name in anew
            or (name in held and shown.get(name, held[name][1]) != held[name][1])  # everyone begins elsewhere now
        ]
        coming = coming_to(self._customer, differing) if differing and self._reasons else {}
        began_ms = self._customer.ledger.began_ms(now_ms)
        since = {n: path[-1][0] for n in differing if (path := new.steps.get(n) or common.steps.get(n))}
        asked = self._asked_then({now_ms, *since.values()}, begun) if differing else {}
        for name in differing:
            old_steps, new_steps = old.steps.get(name, []), new.steps.get(name, [])
            same = 0 if name in anew else _common(old_steps, new_steps)
            kept = set(new_steps[same:])
            dimension = held[name][0] if name in held else gone[name]
            steps_ms = [steps[same][0] for steps in (old_steps, new_steps) if len(steps) > same]
            before = shown.get(name, dimension.values[-1])
            after = held[name][1] if name in held else dimension.values[-1]
            from_ms, effective_ms = anew.get(name, min(steps_ms, default=began_ms)), since.get(name, began_ms)
            retracts = [step for step in old_steps[same:] if step not in kept]
            measured = asked[since.get(name, now_ms)]
            *parts, last = _parts(from_ms, new_steps[same:], retracts)
            for part in parts:  # recorded; the last one tells where that leads
                self._change(dimension, before, before, cause, trigger, None, measured, *part, effective_ms)
            self._change(dimension, before, after, cause, trigger, coming.get(name), measured, *last, effective_ms)
            shown[name] = after
        self._leave(shown)

    def told(self) -> list[str]:
        """The dimensions of which anything was ever told."""
        return [name for name, revision in self._revisions().items() if revision]

    def _announced(self) -> dict[str, Value]:
        """What was announced last, or holds where nothing was; of one without any event what is kept of before."""
        left = self._customer.rare.left if self._customer.rare is not None else {}
        return left | {name: value for name, (_, value) in self._customer.life.shown().items()}

    def _leave(self, announced: dict[str, Value]) -> None:
        """Keep what was announced of dimensions that this life knows nothing of: of all, if there is no event."""
        known, revisions = self._customer.life.shown(), self._revisions()
        self._keep_left({n: value for n, value in announced.items() if revisions.get(n) and n not in known})

    def _keep_left(self, left: dict[str, Value]) -> None:
        customer = self._customer
        if left:
            customer.rarely().left = left
        elif customer.rare is not None:
            customer.rare.left = {}
            if customer.rare == Rare():
                customer.rare = None

    def carry_on(self, life: Life) -> None:
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


def _common(old: Path, new: Path) -> int:
    """How many steps both paths begin with alike."""
    return next((i for i, (a, b) in enumerate(zip(old, new, strict=False)) if a != b), min(len(old), len(new)))


def _parts(from_ms: int, path: Path, retracts: Path) -> list[tuple[int, Path, Path]]:
    """The path from an instant on and what of the old one it retracts, in as many decisions as a record has room for:
    whoever cuts at each one's `from` and appends holds the whole."""
    parts = []
    while len(path) > MOST_STEPS or len(retracts) > MOST_STEPS:
        until_ms = min(steps[MOST_STEPS][0] for steps in (path, retracts) if len(steps) > MOST_STEPS)
        here, there = _before(path, until_ms), _before(retracts, until_ms)
        parts.append((from_ms, path[:here], retracts[:there]))
        from_ms, path, retracts = until_ms, path[here:], retracts[there:]
    return [*parts, (from_ms, path, retracts)]


def _before(path: Path, until_ms: int) -> int:
    """How many of its steps are earlier than the instant."""
    return bisect_left(path, until_ms, key=_instant_of)


def _instant_of(step: tuple[int, Value]) -> int:
    return step[0]

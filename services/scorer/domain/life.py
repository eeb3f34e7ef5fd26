"""A customer's life, played: instant by instant, everything of one millisecond and then one evaluation (rules 1, 2).

Between two instants at which something enters or may change nothing can change, so nothing is looked at. A life is
played on from where it stands; from the beginning it comes out the same, whatever order the events arrived in.
"""

from collections.abc import Iterator, Sequence
from typing import Any, Final

import msgspec

from schemas.decisions import Value
from services.scorer.domain.entries import OVERRIDE, Entry, letter, read_profile
from services.scorer.domain.eras import Policies
from services.scorer.domain.frozen import Footing, Frozen
from services.scorer.domain.gauges import Gauge, Registers
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.machine import Machine
from services.scorer.domain.moments import Effect, Instant, Moved
from services.scorer.domain.now import Now
from services.scorer.domain.positions import Mover
from services.scorer.domain.rules import Dimension
from services.scorer.domain.standing import Standing

_OVERRIDE: Final = letter(OVERRIDE)
_standings: Final = msgspec.msgpack.Decoder(list[Standing])
_encoder: Final = msgspec.msgpack.Encoder()
_NO_STANDINGS: Final = msgspec.Raw(_encoder.encode([]))

Override = list[Any]
"""[until (ms), time (ms), place in the ledger, dimension, value]: one in force. Value None masks nothing."""


class Life:
    """known: how many eras of the policies count.  era: the one in force, by index; -1 before the first event

    truths:    the thresholds that hold
    registers: of the machine's gauges
    standings: of the machine's movers; kept packed until they are looked at
    overrides: those in force
    retired:   by name the revision of dimensions that the policy in force does not know
    frozen:    what it went on from, if its ledger is folded
    played_ms: the last instant played.  due_ms: nothing changes before it without an event
    nexts, moves: the same for each gauge and each mover, once all have been asked (not kept in the state)
    said:         by index, what gauges that have just met an event said of when they change; None where none did
    """

    __slots__ = (
        "due_ms",
        "era",
        "frozen",
        "known",
        "ledger",
        "machine",
        "moves",
        "nexts",
        "overrides",
        "packed",
        "played_ms",
        "policies",
        "registers",
        "retired",
        "said",
        "truths",
        "unpacked",
    )

    def __init__(
        self,
        policies: Policies,
        ledger: Ledger,
        known: int,
        era: int,
        machine: Machine,
        truths: int,
        registers: list[Registers],
        packed: msgspec.Raw,
        played_ms: int,
        due_ms: int,
    ) -> None:
        """One that goes on from all that is kept of it."""
        self.policies, self.ledger, self.known, self.era = policies, ledger, known, era
        self.machine, self.truths, self.registers, self.packed = machine, truths, registers, packed
        self.unpacked: list[Standing] | None = None
        self.overrides: list[Override] = []
        self.retired: dict[str, int] = {}
        self.frozen: Frozen | None = None
        self.played_ms, self.due_ms = played_ms, due_ms
        self.nexts: list[int] | None = None
        self.moves: list[int] | None = None
        self.said: dict[int, int] | None = None

    @classmethod
    def new(cls, policies: Policies, ledger: Ledger, known: int) -> "Life":
        """One that has not begun."""
        return cls(policies, ledger, known, -1, policies.machines[0], 0, [], _NO_STANDINGS, -NEVER, NEVER)

    @property
    def standings(self) -> list[Standing]:
        if self.unpacked is None:
            self.unpacked = _standings.decode(self.packed)
        return self.unpacked

    @standings.setter
    def standings(self, standings: list[Standing]) -> None:
        self.unpacked = standings

    def packed_standings(self) -> msgspec.Raw:
        """Their bytes; those they came in, if nobody has looked at them."""
        if self.unpacked is None:
            return self.packed
        return msgspec.Raw(_encoder.encode(list(map(Standing.packed, self.unpacked))))

    def copy(self, ledger: Ledger | None = None) -> "Life":
        """A life that goes on by itself, on another ledger if given one that begins alike."""
        if ledger is None:
            ledger = self.ledger.again()
        ledger.entered = self.ledger.entered
        registers = [g.copy(r) for g, r in zip(self.machine.gauges, self.registers, strict=False)]
        known = (self.policies, ledger, self.known, self.era, self.machine, self.truths, registers, self.packed)
        copy = Life(*known, self.played_ms, self.due_ms)
        copy.standings = [s.copy() for s in self.standings]
        copy.overrides, copy.retired, copy.frozen = list(self.overrides), dict(self.retired), self.frozen
        copy.nexts = None if self.nexts is None else list(self.nexts)
        copy.moves = None if self.moves is None else list(self.moves)
        return copy

    def begin_again(self, from_ms: int, known: int) -> None:
        """Go on from this instant on another ledger, or with other policies: what was foreseen is void."""
        self.known = known
        if self.era >= 0:
            self.nexts, self.due_ms = None, from_ms

    def now(self, at_ms: int) -> Now:
        """How it stands; `at_ms` is not before the last instant played, and nothing is due in between."""
        return Now(self.machine, self.ledger, self.registers, self.truths, at_ms, self.said, self.nexts)

    def placed(self) -> Iterator[tuple[Mover, Standing]]:
        """Every dimension's mover and standing; nothing before the first event."""
        return zip(self.machine.movers, self.standings, strict=False)

    def play(self, effects: Sequence[Effect], until_ms: int) -> Iterator[Instant]:
        """Every instant up to and with `until_ms`; `effects` are those to come, in order."""
        place, count = 0, len(effects)
        while True:
            at_ms = self.due_ms
            if place < count and effects[place].at_ms <= at_ms:
                at_ms = effects[place].at_ms
            if at_ms > until_ms or at_ms >= NEVER:
                return
            first = place
            while place < count and effects[place].at_ms == at_ms:
                place += 1
            yield self.at(at_ms, effects[first:place])

    def at(self, at_ms: int, effects: Sequence[Effect]) -> Instant:
        """Everything of one instant, later than all played; then one evaluation."""
        ledger, self.said = self.ledger, None
        overriding = False
        for effect in effects:
            if effect.take is None and ledger.profile(effect.place)[0] == _OVERRIDE:
                self._override(effect.place, at_ms)
                overriding = True
        shown: dict[str, Moved] | None = None  # with a switch: what was shown before it
        if self.era < 0:
            self._begin(at_ms)
        elif self.next_era_ms() <= at_ms:
            shown = self._switch(at_ms)
        touched: list[tuple[int, Gauge]] = []
        if shown is None:
            for effect in effects:
                touched.extend(self.machine.enter(self.registers, ledger, effect))
        self.played_ms = at_ms
        if self.nexts is None and (overriding or at_ms >= self.due_ms):
            truths = self._read_all(at_ms)
            every = True
        else:
            truths = self._read(touched, at_ms)
            every = overriding or bool(self.overrides)
        changed = truths ^ self.truths
        self.truths = truths
        if not (changed or every or self.moves is None or min(self.moves) <= at_ms):
            self._look_again(NEVER)
            return Instant(at_ms, [], effects, False)
        moved = self._evaluate(at_ms, changed, every=every)
        if shown is not None:
            moved = _over(shown, self.machine.movers, self.standings)
        return Instant(at_ms, moved, effects, shown is not None)

    def meet(self, entry: Entry) -> Instant | None:
        """The short way of `at`: one new entry that settles nothing, no override, with nothing due before it. None if
        nothing moved."""
        place = self.ledger.append(entry)
        if self.due_ms <= entry.time_ms or self.ledger.refunds:
            return self.at(entry.time_ms, (Effect(entry.time_ms, place, None),))
        self.played_ms = entry.time_ms
        truths, self.due_ms, said = self.machine.meet(
            self.registers, self.ledger, place, entry, self.truths, self.due_ms
        )
        if self.nexts is not None and said is not None:
            for i, next_ms in said.items():
                self.nexts[i] = next_ms
        changed, self.truths, self.said = truths ^ self.truths, truths, said
        moved = self._evaluate(entry.time_ms, changed, every=False) if changed else None
        return Instant(entry.time_ms, moved, (Effect(entry.time_ms, place, None),), False) if moved else None

    def _read_all(self, at_ms: int) -> int:
        """What holds by every gauge; from now on it is known which of them may change when."""
        truths, _, said = self.machine.read(self.registers, self.ledger, at_ms)
        self.nexts, self.moves = list(said.values()), None
        return truths

    def _read(self, touched: list[tuple[int, Gauge]], at_ms: int) -> int:
        """What holds, where only the gauges touched and those that are due need be asked."""
        truths, nexts = self.truths, self.nexts
        if nexts is not None and at_ms >= self.due_ms:
            gauges = self.machine.gauges
            touched += [(i, gauges[i]) for i, next_ms in enumerate(nexts) if next_ms <= at_ms]
        for i, gauge in touched:
            bits, next_ms = gauge.read(self.registers[i], self.ledger, at_ms)
            truths = truths & ~gauge.bits | bits
            if nexts is not None:
                nexts[i] = next_ms
            elif next_ms < self.due_ms:
                self.due_ms = next_ms
        return truths

    def _evaluate(self, at_ms: int, changed: int, *, every: bool) -> list[Moved]:
        """Move the standings that may move, or with `every` look at all; what moved."""
        moved = []
        if every and self.overrides:
            self.overrides = [o for o in self.overrides if o[0] > at_ms]
        movers, moves, standings = self.machine.movers, self.moves, self.standings
        if moves is None and self.nexts is not None:
            moves = self.moves = [at_ms] * len(movers)
            every = True
        if every:
            places: Sequence[int] = range(len(movers))
        elif moves is None:
            places = self.machine.concerned(changed)
        else:
            places = [i for i, mover in enumerate(movers) if changed & mover.bits or moves[i] <= at_ms]
        soonest, truths = NEVER, self.truths
        for i in places:
            mover, standing = movers[i], standings[i]
            masked = standing.masked
            before = standing.place if masked < 0 else masked
            next_ms = mover.step(standing, truths, at_ms)
            if moves is not None:
                moves[i] = next_ms
            elif next_ms < soonest:
                soonest = next_ms
            if self.overrides or masked >= 0:
                standing.masked = self._mask(mover) if self.overrides else -1
            shown = standing.place if standing.masked < 0 else standing.masked
            if shown != before:
                manual = standing.masked != masked
                moved.append(Moved(mover.dimension, mover.values[before], mover.values[shown], manual))
        self._look_again(soonest)
        return moved

    def _look_again(self, soonest_ms: int) -> None:
        """Set when something may change next: exactly, if all gauges and movers have said so, else no later."""
        if self.nexts is None or self.moves is None:
            if soonest_ms < self.due_ms:
                self.due_ms = soonest_ms
            return
        due_ms = min(min(self.nexts, default=NEVER), min(self.moves, default=NEVER), self.next_era_ms())
        for override in self.overrides:
            due_ms = min(due_ms, override[0])
        self.due_ms = due_ms

    def thaw(self, frozen: Frozen, effects: Sequence[Effect]) -> Instant:
        """Begin at the floor as what stood there; without memory where nothing is known of a dimension, or a policy
        learned of since does not carry it. That may be elsewhere than its path was, and so may what the policy
        there does not know any more: this is what moved.

        What the ledger says of it is looked at from the next instant on: it may know less than when it was decided.
        It has forgotten no override: where nobody knows what was shown, those in force at the floor hold there.
        """
        floor_ms, self.frozen = frozen.floor_ms, frozen
        self.era = self.policies.at(floor_ms, self.known)
        self.machine = self.policies.machines[self.era]
        self.registers = self.machine.registers_at(self.ledger, effects, floor_ms)
        self.truths = self._read_all(floor_ms)
        for effect in effects:
            profile = self.ledger.profile(effect.place)
            if effect.at_ms <= floor_ms and effect.take is None and profile[0] == _OVERRIDE:
                self._override(effect.place, effect.at_ms)
        self.overrides = [o for o in self.overrides if o[0] > floor_ms]
        anew: list[tuple[Dimension, Value]] = []
        for mover in self.machine.movers:
            name, values, standing = mover.dimension.name, mover.values, Standing(mover.initial)
            footing = frozen.footings.get(name)
            carried = footing is not None and self._carries(name, footing)
            if footing is not None and carried:
                standing = Standing(values.index(footing.value), 0, footing.since_ms, footing.failing_ms)
            else:
                mover.forget(standing, self.truths, floor_ms)
            masked = None if footing is None else footing.masked
            if masked in values:
                standing.masked = values.index(masked)
            elif masked is not None or not carried:
                standing.masked = self._mask(mover)
                anew.append((mover.dimension, values[standing.shown]))
            self.standings.append(standing)
        anew += [(dimension, dimension.values[-1]) for dimension in self.left_out().values()]
        moved = [Moved(d, frozen.steps.get(d.name, (0, d.values[-1]))[1], after) for d, after in anew]
        self.nexts, self.played_ms, self.due_ms = None, floor_ms, floor_ms + 1
        return Instant(floor_ms, [m for m in moved if m.before != m.after], (), False)

    def _carries(self, name: str, footing: Footing) -> bool:
        """Whether all policies learned of since the footing was taken, and in force after its `since_ms`, carry it."""
        policies, frozen = self.policies, self.frozen
        assert frozen is not None
        kind = policies.machines[policies.at(frozen.floor_ms, frozen.known)].dimensions[name].kind
        since_ms = -NEVER if footing.since_ms is None else footing.since_ms
        since = [m.dimensions.get(name) for m in policies.in_force(frozen.known, self.era, since_ms)]
        return all(d is not None and d.kind == kind and footing.value in d.values for d in since)

    def is_at_floor(self) -> bool:
        """Whether it stands as it stood at its floor: what its ledger says of it is not looked at yet."""
        return self.frozen is not None and self.played_ms == self.frozen.floor_ms

    # -- policies

    def _begin(self, at_ms: int) -> None:
        """The first event: everyone begins in the last place of each dimension."""
        self.era = self.policies.at(at_ms, self.known)
        self.machine = self.policies.machines[self.era]
        self.registers = self.machine.fresh()
        self.nexts, self.due_ms = None, at_ms
        revisions = self.retired
        self.standings = [Standing(m.initial, revisions.pop(m.dimension.name, 0)) for m in self.machine.movers]

    def expects_a_policy(self) -> bool:
        """Whether another policy is known to come."""
        return self.next_era_ms() < NEVER

    def next_era_ms(self) -> int:
        """From when another policy decides that is known to come; NEVER without one."""
        return self.policies.eras[self.era + 1].effective_ms if self.era + 1 < self.known else NEVER

    def shown(self) -> dict[str, tuple[Dimension, Value]]:
        """By dimension what it shows; nothing before the first event."""
        shown = {name: (dimension, dimension.values[-1]) for name, dimension in self.left_out().items()}
        return shown | {m.dimension.name: (m.dimension, m.values[s.shown]) for m, s in self.placed()}

    def left_out(self) -> dict[str, Dimension]:
        """What a policy that held before in this life knew and the one in force does not: leaving it out has put this
        one back where everyone began. So it has what was told while the ledger was another, up to the floor."""
        if self.era < 0:
            return {}
        policies, known = self.policies, dict[str, Dimension]()
        if self.frozen is not None:
            for machine in (*policies.machines[: self.era], *policies.in_force(0, self.era)):
                known |= {name: d for name, d in machine.dimensions.items() if name in self.frozen.steps}
        for machine in policies.in_force(policies.at(self.ledger.began_ms(self.played_ms), self.known), self.era):
            known |= machine.dimensions
        return {name: dimension for name, dimension in known.items() if name not in self.machine.places}

    def _switch(self, at_ms: int) -> dict[str, Moved]:
        """The eras that begin now; what each dimension showed before, and after it where everyone began."""
        shown = {name: Moved(d, value, d.values[-1]) for name, (d, value) in self.shown().items()}
        effects = self.ledger.effects()
        before = {m.dimension.name: (m, s) for m, s in self.placed()}
        while self.next_era_ms() <= at_ms:
            self.era += 1  # one that holds at no instant has no say
        self.machine = self.policies.machines[self.era]
        self.registers = self.machine.registers_at(self.ledger, effects, at_ms)
        self.truths = self._read_all(at_ms)
        self.standings = [self._carried(mover, before, at_ms) for mover in self.machine.movers]
        self.retired |= {name: standing.revision for name, (_, standing) in before.items()}
        self.nexts, self.due_ms = None, at_ms
        return shown

    def _carried(self, mover: Mover, before: dict[str, tuple[Mover, Standing]], at_ms: int) -> Standing:
        name = mover.dimension.name
        if name not in before:
            return Standing(mover.initial, self.retired.pop(name, 0))
        old, standing = before.pop(name)
        if old.dimension.kind != mover.dimension.kind:
            return Standing(mover.initial, standing.revision)
        mover.cross(standing, old, self.truths, at_ms)
        standing.masked = -1
        return standing

    # -- overrides

    def _override(self, index: int, at_ms: int) -> None:
        fields = dict(read_profile(self.ledger.profile(index)).fields)
        value: Value | None = fields.get("value") or None
        if "inside" in fields:
            value = bool(fields["inside"])
        until_ms = self.ledger.amount(index)
        if until_ms > at_ms:
            self.overrides.append([until_ms, at_ms, index, fields["dimension"], value])

    def _mask(self, mover: Mover) -> int:
        """The place of the newest override of the dimension; -1 without one."""
        mine = [o for o in self.overrides if o[3] == mover.dimension.name]
        if not mine:
            return -1
        value = max(mine, key=lambda o: (o[1], o[2]))[4]
        places = [i for i, v in enumerate(mover.values) if v is value or (v == value and isinstance(value, str))]
        return places[0] if places else -1


def _over(shown: dict[str, Moved], movers: Sequence[Mover], now: Sequence[Standing]) -> list[Moved]:
    """What moved over a switch of policies: from what was shown before it to what is shown now; in what the new one
    does not know, back to where everyone began."""
    result = []
    for mover, standing in zip(movers, now, strict=True):
        name = mover.dimension.name
        after = mover.values[standing.shown]
        before = shown.pop(name).before if name in shown else mover.values[mover.initial]
        if before != after:
            result.append(Moved(mover.dimension, before, after))
    gone = [moved for moved in shown.values() if moved.before != moved.after]
    return gone + result

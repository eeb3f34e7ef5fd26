"""Paths: where a customer stood over time, as it comes out of a life played from its beginning."""

from schemas.decisions import Value
from services.scorer.domain.eras import Policies
from services.scorer.domain.frozen import Frozen
from services.scorer.domain.ledger import NEVER, Ledger
from services.scorer.domain.life import Life
from services.scorer.domain.moments import Instant
from services.scorer.domain.rules import Dimension

Path = list[tuple[int, Value]]
"""(instant, value from then on) of one dimension, ascending; before it the value everyone begins with."""


class Paths:
    """The paths of every dimension, as they come out of a life."""

    def __init__(self) -> None:
        self.steps: dict[str, Path] = {}
        self.dimensions: dict[str, Dimension] = {}

    def take(self, instant: Instant) -> None:
        for moved in instant.moved:
            self.steps.setdefault(moved.dimension.name, []).append((instant.at_ms, moved.after))
            self.dimensions[moved.dimension.name] = moved.dimension

    def last(self, at_ms: int) -> dict[str, tuple[int, Value]]:
        """Of each dimension the last step up to and with the instant."""
        last = {}
        for name, path in self.steps.items():
            earlier = [step for step in path if step[0] <= at_ms]
            if earlier:
                last[name] = earlier[-1]
        return last

    def since(self, name: str, at_ms: int) -> Path:
        """Of one dimension what is from the instant on, with the step to what held there."""
        path = self.steps.get(name, [])
        earlier = sum(step[0] <= at_ms for step in path)
        return path[max(0, earlier - 1) :]

    def begin_at(self, at_ms: int) -> None:
        """Forget what was before the instant, but for what held there."""
        self.steps = {name: self.since(name, at_ms) for name in self.steps}


def relive(
    policies: Policies, ledger: Ledger, until_ms: int, known: int, frozen: Frozen | None = None
) -> tuple[Life, Paths]:
    """The life of a ledger up to and with `until_ms`, and its paths: from its beginning, or from where it is frozen if
    it begins no later."""
    life, paths = Life.new(policies, ledger, known), Paths()
    effects = ledger.effects()
    ledger.entered = 0
    if frozen is not None and ledger.began_ms(NEVER) <= frozen.floor_ms:
        begun = life.thaw(frozen, effects)
        moved = [m.dimension.name for m in begun.moved]  # instead of a step at the floor itself
        last = {n: step for n, step in frozen.steps.items() if step[0] < frozen.floor_ms or n not in moved}
        paths.steps = {name: [step] for name, step in last.items()}
        paths.take(begun)
        effects = [e for e in effects if e.at_ms > frozen.floor_ms]
    for instant in life.play(effects, until_ms):
        paths.take(instant)
    return life, paths

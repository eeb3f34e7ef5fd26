"""A subscriber to topic `decisions`: rebuilds every path of one customer from the records alone (rule 10)."""

from collections import defaultdict
from dataclasses import dataclass, field

from schemas.decisions import Decision, Value
from tests.scorer.domain.oracle_calendar import to_ms

Steps = list[tuple[int, Value]]


@dataclass
class Kept:
    """What the reader keeps of one dimension; `announced` is the `after` of the newest record."""

    path: Steps = field(default_factory=list)
    revision: int = 0
    announced: Value | None = None


class Reader:
    """Records may come again, alone or in runs; what was seen is ignored."""

    def __init__(self) -> None:
        self.kept: dict[str, Kept] = defaultdict(Kept)

    def take(self, decision: Decision, erasure: bool = False) -> None:
        """AssertionError where the record contradicts what the contract promises of it.

        erasure: what is forgotten is not told again
        """
        kept = self.kept[decision.dimension]
        if decision.revision <= kept.revision:
            return
        assert decision.revision == kept.revision + 1, "revisions have no gaps"
        assert kept.announced in (None, decision.before), "`before` is what was announced last"
        path = steps(decision)
        start = to_ms(decision.from_)
        assert path == sorted(path, key=lambda step: step[0]), "a path goes forward"
        assert all(t >= start for t, _ in path), "a path begins at `from`"
        cut = [step for step in kept.path if step[0] >= start]
        retracts = [(to_ms(t), value) for t, value in decision.retracts]
        assert erasure or retracts == [step for step in cut if step not in path], "`retracts` is what no longer is"
        assert cut != path or decision.before != decision.after, "a record changes the path, or where everyone begins"
        kept.path = [step for step in kept.path if step[0] < start] + path
        kept.revision = decision.revision
        kept.announced = decision.after

    def path(self, dimension: str) -> Steps:
        return self.kept[dimension].path


def steps(decision: Decision) -> Steps:
    return [(to_ms(t), value) for t, value in decision.path]

"""How soon commits go on after a fault, and how long they pause, read from the committed positions' times. Blocks.

The time of a position is the producer's, a few ms before its commit.
"""

from collections import defaultdict
from collections.abc import Sequence
from itertools import pairwise
from statistics import median
from typing import NamedTuple

from schemas.subjects import POSITION_KEY
from services.scorer.domain.packing import decode_position
from tests.faults.reading import read
from tests.scorer.engine.installation import Installation


class Commit(NamedTuple):
    """A partition has come further."""

    partition: int
    at_ms: int
    offset: int


class Recovery(NamedTuple):
    """Seconds from a fault to the first commit that takes events further, and until each partition has had one."""

    first_s: float
    all_s: float


class Pause(NamedTuple):
    """Partitions stood still side by side. began_ms: since 1970.  longest_s, median_s: over those partitions"""

    began_ms: int
    longest_s: float
    median_s: float
    partitions: int


def commits(installation: Installation) -> list[Commit]:
    """Those that took a partition's events further, in order of time."""
    found, reached = [], defaultdict(int)
    for record in read(installation, "scorer-state"):
        if record.key == POSITION_KEY:
            offset = decode_position(record.value).events_offset
            if offset > reached[record.partition]:
                reached[record.partition] = offset
                found.append(Commit(record.partition, record.at_ms, offset))
    return sorted(found, key=lambda commit: commit.at_ms)


def recoveries(made: Sequence[Commit], struck_ms: Sequence[int]) -> list[Recovery | None]:
    """One a fault: None where nothing was committed between it and the next one."""
    found: list[Recovery | None] = []
    for at_ms, until_ms in zip(struck_ms, [*struck_ms[1:], float("inf")], strict=True):
        first: dict[int, int] = {}
        for commit in made:
            if at_ms < commit.at_ms < until_ms:
                first.setdefault(commit.partition, commit.at_ms)
        times = [(reached - at_ms) / 1000 for reached in first.values()]
        found.append(Recovery(min(times), max(times)) if times else None)
    return found


def pauses(made: Sequence[Commit], began_ms: int, ended_ms: int, *, least_s: float = 0.25) -> list[Pause]:
    """Where partitions under steady load stood still for at least `least_s`; what overlaps is one pause."""
    times: dict[int, list[int]] = defaultdict(list)
    for commit in made:
        if began_ms <= commit.at_ms <= ended_ms:
            times[commit.partition].append(commit.at_ms)
    gaps = sorted(
        (before, after)
        for of_partition in times.values()
        for before, after in pairwise(of_partition)
        if after - before >= least_s * 1000
    )
    together: list[list[tuple[int, int]]] = []
    for gap in gaps:
        if together and gap[0] < max(after for _, after in together[-1]):
            together[-1].append(gap)
        else:
            together.append([gap])
    return [_pause(some) for some in together]


def _pause(gaps: list[tuple[int, int]]) -> Pause:
    lengths = [(after - before) / 1000 for before, after in gaps]
    return Pause(gaps[0][0], max(lengths), round(median(lengths), 3), len(gaps))

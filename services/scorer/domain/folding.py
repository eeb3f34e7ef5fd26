"""Very long ledgers (rule 4): old clicks and interactions are kept by the hour, so that a record stays small.

The newest of each kind, origin and kept fields stay as they are, so that `count > k` is exact for every k below KEPT;
so does the very first of each origin, so that it is exact for how long someone is known. An hour of older ones becomes
one entry at the time of its newest; what it stands for is its amount. The floor is the newest time folded: nothing up
to it is played again, and no click or interaction up to it is taken any more.
"""

from collections import Counter
from collections.abc import Collection, Sequence
from typing import Final

import msgspec

from services.scorer.domain.entries import TOUCHES, Entry, read_profile
from services.scorer.domain.frozen import Footing, Frozen
from services.scorer.domain.ledger import Ledger
from services.scorer.domain.life import Life
from services.scorer.domain.paths import Paths

CAP: Final = 1_000
"""Up to so many entries nothing is folded."""

KEPT: Final = 256
"""So many of each kind, origin and kept fields stay exact."""

HORIZON_MS: Final = 400 * 86_400_000
"""What is older than this before the newest entry is folded too; no window over clicks and interactions is longer."""

_STEP: Final = 256  # look whether there is something to fold once in so many entries
_HOUR_MS: Final = 3_600_000


def is_due(ledger: Ledger, taken: int) -> bool:
    """Whether it is time to look for what can be folded, now that so many entries have been taken."""
    entries = len(ledger)
    return entries > CAP and entries // _STEP > (entries - taken) // _STEP


def freeze(floor_ms: int, at_floor: Life, paths: Paths) -> Frozen:
    """What is known of the floor: where a life played up to it stands there, and its paths."""
    footings = {}
    for mover, s in at_floor.placed():
        masked = mover.values[s.masked] if s.masked >= 0 else None
        footings[mover.dimension.name] = Footing(mover.values[s.place], s.since_ms, s.failing_ms, masked)
    return Frozen(floor_ms, footings, paths.last(floor_ms), at_floor.known)


def by_the_hour(entries: Sequence[Entry], shadowed: Collection[Entry] = ()) -> tuple[list[Entry], int | None]:
    """The ledger with old clicks and interactions by the hour, and the newest time that was folded.

    shadowed: what is kept aside because the ledger has the same events; those stay as they are, to be known by their id
    """
    twins = {entry.id for entry in shadowed}
    left = Counter(e.profile for e in entries if e.kind in TOUCHES)
    newest_ms = entries[-1].time_ms
    kept: list[Entry] = []
    hours: dict[tuple[str, int], Entry] = {}
    origins: set[str] = set()
    floor_ms = None
    for entry in entries:
        origin = read_profile(entry.profile).origin
        is_first = origin not in origins
        origins.add(origin)
        if entry.kind not in TOUCHES:
            kept.append(entry)
            continue
        left[entry.profile] -= 1
        if is_first or entry.id in twins or (left[entry.profile] < KEPT and entry.time_ms > newest_ms - HORIZON_MS):
            kept.append(entry)
            continue
        hour = (entry.profile, entry.time_ms // _HOUR_MS)
        before = hours.get(hour)
        amount = max(1, entry.amount) + (max(1, before.amount) if before else 0)
        hours[hour] = msgspec.structs.replace(entry, amount=amount)
        floor_ms = entry.time_ms
    return [*kept, *hours.values()], floor_ms

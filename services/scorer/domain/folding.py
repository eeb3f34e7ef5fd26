"""Very long ledgers (rule 4): old clicks and interactions are kept by the hour, so that a record stays small.

The newest of each kind, origin and kept fields stay as they are; so does the very first of each origin, so that it is
exact for how long someone is known. An hour of older ones becomes one entry at the time of its newest; what it stands
for is its amount. Nothing up to the floor is played again, and no click or interaction up to it is taken any more.

The floor lies as far above what is folded as needed for what is decided anew after it to come out as before: at every
instant from there on the newest KEPT are whole, and so is any window up to HORIZON that reaches back no further than
they do. So `count > k` is exact for every k below KEPT.
"""

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Final

import msgspec

from services.scorer.domain.basis import HOUR_MS
from services.scorer.domain.entries import TOUCHES, Entry, read_profile, write_profile
from services.scorer.domain.frozen import Footing, Frozen
from services.scorer.domain.ledger import Ledger
from services.scorer.domain.life import Life
from services.scorer.domain.paths import Paths

CAP: Final = 1_000
"""Up to so many entries nothing is folded."""

KEPT: Final = 256
"""So many of each kind, origin and kept fields stay whole above the floor, and as many more below it."""

HORIZON_MS: Final = 400 * 86_400_000
"""No window over clicks and interactions is longer. What is older before the newest entry than two of these is folded
too; then the floor lies one of them above it."""

_STEP: Final = 256  # look whether there is something to fold once in so many entries
FEWEST: Final = 32
"""With so few entries less, what is folded would soon be as long again, and folding plays all of it twice."""


LARGE: Final = 500_000
"""Bytes. Of a record that is longer clicks and interactions keep no text that no rule compares a field with: pages that
are hardly ever twice the same could not be folded."""

_LARGER: Final = 65_536
"""Bytes. So much more, and it is looked at again."""

OTHER: Final = "\x1e"
"""What stands in the place of such a text; none has control characters."""


def is_heavy(before: int, came: int) -> bool:
    """Whether it is time to forget texts: a record of so many bytes, and so many that came."""
    after = before + came
    return after > LARGE and after // _LARGER > before // _LARGER


def without_texts(entries: Iterable[Entry], texts: Collection[str]) -> list[Entry]:
    """The entries, of clicks and interactions only these texts."""
    shorter: dict[str, str] = {}
    kept = []
    for entry in entries:
        profile = entry.profile
        if entry.kind in TOUCHES:
            if profile not in shorter:
                read = read_profile(profile)
                told = tuple((name, text if text in texts else OTHER) for name, text in read.fields)
                shorter[profile] = write_profile(msgspec.structs.replace(read, fields=told))
            if shorter[profile] != profile:
                entry = msgspec.structs.replace(entry, profile=shorter[profile])  # noqa: PLW2901
        kept.append(entry)
    return kept


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
    """The ledger with old clicks and interactions by the hour, and its floor; None if nothing is folded.

    shadowed: what is kept aside because the ledger has the same events; those stay as they are, to be known by their id
    """
    twins = {entry.id for entry in shadowed}
    left = Counter(e.profile for e in entries if e.kind in TOUCHES)
    old_ms = entries[-1].time_ms - 2 * HORIZON_MS
    kept: list[Entry] = []
    hours: dict[tuple[str, int], Entry] = {}
    origins: set[str] = set()
    many: set[str] = set()  # profiles of which more than the newest are folded
    floors = []
    for entry in entries:
        profile, time_ms = entry.profile, entry.time_ms
        origin = read_profile(profile).origin
        is_first = origin not in origins
        origins.add(origin)
        if entry.kind not in TOUCHES:
            kept.append(entry)
            continue
        left[profile] -= 1
        is_spare = left[profile] >= 2 * KEPT
        if left[profile] == KEPT and (is_spare or profile in many):
            floors.append(time_ms)
        if is_first or entry.id in twins or not (is_spare or time_ms <= old_ms):
            kept.append(entry)
            continue
        hour = (profile, time_ms // HOUR_MS)
        before = hours.get(hour)
        amount = max(1, entry.amount) + (max(1, before.amount) if before else 0)
        hours[hour] = msgspec.structs.replace(entry, amount=amount)
        if is_spare:
            many.add(profile)
        else:
            floors.append(time_ms + HORIZON_MS)
    return [*kept, *hours.values()], max(floors, default=None)

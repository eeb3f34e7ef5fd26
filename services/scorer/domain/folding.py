"""Very long ledgers (rule 4): old clicks and interactions are kept by the hour, so that a record stays small.

The newest of each kind, origin and kept fields stay as they are, so that `count > k` is exact for every k below KEPT.
An hour of older ones becomes one entry at the time of its newest; what it stands for is its amount. The floor is the
newest time folded: nothing up to it is played again, and no click or interaction up to it is taken any more.
"""

from collections import Counter
from collections.abc import Iterable
from typing import Final

import msgspec

from services.scorer.domain.entries import TOUCHES, Entry
from services.scorer.domain.frozen import Footing, Frozen
from services.scorer.domain.ledger import Ledger
from services.scorer.domain.paths import fold
from services.scorer.domain.state import Customer

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


def fold_touches(customer: Customer) -> bool:
    """Fold what may be folded of a customer's ledger; whether that was anything. Positions are as they were."""
    life = customer.life
    folded, floor_ms = _by_the_hour(life.ledger.entries)
    if floor_ms is None or floor_ms >= life.played_ms:
        return False
    at_floor, paths = fold(life.policies, life.ledger, floor_ms, life.known, customer.frozen)
    footings = {
        mover.dimension.name: Footing(mover.values[s.place], s.since_ms, s.failing_ms) for mover, s in at_floor.placed()
    }
    frozen = Frozen(floor_ms, footings, {name: steps[-1] for name, steps in paths.steps.items() if steps})
    customer.rarely().frozen = frozen
    now, _ = fold(life.policies, Ledger.of(folded), life.played_ms, life.known, frozen)
    revisions = {mover.dimension.name: s.revision for mover, s in life.placed()}
    for mover, standing in now.placed():
        standing.revision = revisions.get(mover.dimension.name, 0)
    now.retired = life.retired
    customer.life = now
    return True


def _by_the_hour(entries: Iterable[Entry]) -> tuple[list[Entry], int | None]:
    """The ledger with old clicks and interactions by the hour, and the newest time that was folded."""
    entries = list(entries)
    left = Counter(e.profile for e in entries if e.kind in TOUCHES)
    newest_ms = entries[-1].time_ms
    kept: list[Entry] = []
    hours: dict[tuple[str, int], Entry] = {}
    floor_ms = None
    for entry in entries:
        if entry.kind not in TOUCHES:
            kept.append(entry)
            continue
        left[entry.profile] -= 1
        if left[entry.profile] < KEPT and entry.time_ms > newest_ms - HORIZON_MS:
            kept.append(entry)
            continue
        hour = (entry.profile, entry.time_ms // _HOUR_MS)
        before = hours.get(hour)
        amount = max(1, entry.amount) + (max(1, before.amount) if before else 0)
        hours[hour] = msgspec.structs.replace(entry, amount=amount)
        floor_ms = entry.time_ms
    return [*kept, *hours.values()], floor_ms

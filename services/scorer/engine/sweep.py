"""A sweep: customers whom no event brings up are decided under a new policy too, a slice at a time (rule 9).

A record's header names the newest policy its customer has been decided under. That is all the progress there is to
keep: whoever takes the partition over goes on with those that are left, and a policy activated meanwhile, or taken
back, begins a new sweep of all that do not know it.
"""

import math
import time
from collections.abc import Callable, Iterator, Mapping

from services.scorer.domain.eras import Policies
from services.scorer.domain.packing import StateError, mark

_EXAMINED_A_TURN = 20_000


class Sweep:
    """Of a partition's `records`, those decided under fewer policies than there are.

    left: how many may still have to be looked at, at most; 0 when it is done
    """

    def __init__(self, policies: Policies, records: Mapping[bytes, bytes]) -> None:
        self._records, self._newest = records, policies.marks[-1]
        self._keys: Iterator[bytes] = iter(())
        self.left, self._begins_ms = 0, 0
        if policies.count == 1:
            return
        known = min((policies.known.get(one, 0) for one in set(map(mark, records.values()))), default=policies.count)
        if known == 0:
            raise StateError("a state record was decided under a policy that is not on topic control")
        if known < policies.count:
            self._keys, self.left = iter(list(records)), len(records)
            self._begins_ms = max(policies.eras[known].effective_ms, policies.eras[known].activated_ms)

    def begins_ms(self) -> int | None:
        """From when on there is something to do; None if there is not."""
        return self._begins_ms if self.left else None

    def slice(self, limit: int) -> list[bytes]:
        """At most `limit` customers to look at, each once; fewer, even none, as many were found to need no look."""
        found: list[bytes] = []
        for _ in range(_EXAMINED_A_TURN):
            if len(found) == limit:
                break
            key = next(self._keys, None)
            if key is None:
                self.left = 0
                break
            self.left -= 1
            record = self._records.get(key)
            if record is not None and mark(record) != self._newest:
                found.append(key)
        return found


class Lane:
    """Of a worker's partitions one sweeps at a time, so that live events wait for one slice at most."""

    def __init__(self) -> None:
        self._taken_by: int | None = None

    def take(self, partition: int) -> bool:
        """Whether it is this partition's turn now."""
        if self._taken_by is None:
            self._taken_by = partition
        return self._taken_by == partition

    def leave(self, partition: int) -> None:
        if self._taken_by == partition:
            self._taken_by = None


class RestingLane(Lane):
    """While events come it rests between slices, RESTS times as long as a slice took until it was committed.

    So live events seldom find their partition, or the broker, at a slice. Times are seconds of a clock that only goes
    forward.
    """

    RESTS = 3
    LIVE_S = 1.0  # so long after an event more are expected

    def __init__(self, clock_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._clock_s = clock_s
        self._began_s = self._rests_until_s = self._heard_s = -math.inf

    def heard(self) -> None:
        """Events have come."""
        self._heard_s = self._clock_s()

    def take(self, partition: int) -> bool:
        if self._taken_by is None:
            now_s = self._clock_s()
            if now_s < self._rests_until_s:
                return False
            self._began_s = now_s
        return super().take(partition)

    def leave(self, partition: int) -> None:
        if self._taken_by == partition:
            now_s = self._clock_s()
            if now_s - self._heard_s < self.LIVE_S:
                self._rests_until_s = now_s + self.RESTS * (now_s - self._began_s)
        super().leave(partition)

"""The timer queue: which customers have something to happen next, and when (rule 2).

The queue holds *hints*; the truth is the due instant that stands in a customer's own record, asked for through
`due_of`. What must hold: a customer with a due instant has at least one hint at or before it. So when a due instant
moves later nothing is done, the old hint finds the newer instant when its turn comes and goes there; only when it moves
earlier is a hint added. Hints lie unsorted in the hour they belong to, a reference to the key each (13 bytes a customer
measured); only the hour that is open is sorted. Several hints of one customer become one when their hour is opened.

Times are ms since 1970 UTC. Nothing here scans all customers.
"""

from collections.abc import Callable
from heapq import heappop, heappush
from typing import Final

HOUR_MS: Final = 3_600_000
_BEFORE_ALL_TIME: Final = -(1 << 62)


class TimerQueue:
    """due_of: a key's true due instant, None if it has none (or is gone)."""

    def __init__(self, due_of: Callable[[bytes], int | None]) -> None:
        self._due_of = due_of
        self._hours: dict[int, list[bytes]] = {}
        self._coming: list[int] = []  # a heap of the hours in _hours, all after _opened
        self._open: list[tuple[int, bytes]] = []  # a heap of what was hinted up to the end of hour _opened
        self._opened = _BEFORE_ALL_TIME

    def schedule(self, key: bytes, due_ms: int) -> None:
        """Hint that `key` is due at `due_ms`.

        Needed for a key new to the queue, after its due instant has moved earlier, and after `due` has returned it;
        not when the due instant has moved later.
        """
        hour = due_ms // HOUR_MS
        if hour <= self._opened:
            heappush(self._open, (due_ms, key))
        else:
            self._put(hour, key)

    def due(self, until_ms: int, limit: int) -> list[bytes]:
        """At most `limit` keys due at or before `until_ms`, each once, in the order of their due instants.

        What is returned has lost its hint: the caller plays the customer and then calls `schedule` if its record
        still has a due instant.
        """
        found: dict[bytes, None] = {}
        while len(found) < limit:
            if not self._open and not self._open_next(until_ms):
                break
            if not self._open:
                continue
            hinted_ms, key = self._open[0]
            if hinted_ms > until_ms:
                break
            heappop(self._open)
            due_ms = self._due_of(key)
            if due_ms is None or key in found:
                continue
            if due_ms > hinted_ms:
                self.schedule(key, due_ms)
            else:
                found[key] = None
        return list(found)

    def next_ms(self) -> int | None:
        """An instant at or before the earliest due one: nothing is due before it. None if nothing is scheduled."""
        if self._open:
            return self._open[0][0]
        return self._coming[0] * HOUR_MS if self._coming else None

    def hints(self) -> int:
        """How many hints are held; at least one a scheduled customer."""
        return len(self._open) + sum(map(len, self._hours.values()))

    def _put(self, hour: int, key: bytes) -> None:
        bucket = self._hours.get(hour)
        if bucket is None:
            self._hours[hour] = [key]
            heappush(self._coming, hour)
        else:
            bucket.append(key)

    def _open_next(self, until_ms: int) -> bool:
        """Sort the next hour that has hints, if it begins at or before `until_ms`; False if there is none."""
        if not self._coming or self._coming[0] * HOUR_MS > until_ms:
            return False
        hour = self._opened = heappop(self._coming)
        due_of, opened = self._due_of, self._open
        for key in set(self._hours.pop(hour)):
            due_ms = due_of(key)
            if due_ms is None:
                continue
            true_hour = due_ms // HOUR_MS
            if true_hour > hour:
                self._put(true_hour, key)
            else:
                opened.append((due_ms, key))
        opened.sort()
        return True

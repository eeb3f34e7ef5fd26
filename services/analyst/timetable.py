"""When everybody is next due: a heap in which an entry counts only while it is the newest of its customer."""

from collections.abc import Iterator
from heapq import heappop, heappush

from services.scorer.domain.ledger import NEVER


class Timetable:
    def __init__(self) -> None:
        self._due_ms: dict[str, int] = {}
        self._heap: list[tuple[int, str]] = []

    def put(self, subject: str, due_ms: int) -> None:
        """The customer is due then, and at no other instant; NEVER takes them off."""
        if self._due_ms.get(subject, NEVER) == due_ms:
            return
        self._due_ms[subject] = due_ms
        if due_ms != NEVER:
            heappush(self._heap, (due_ms, subject))

    def due(self, until_ms: int) -> Iterator[tuple[int, str]]:
        """The next of those due by `until_ms`, as (instant, subject), soonest first; each must be `put` anew."""
        while self._heap and self._heap[0][0] <= until_ms:
            due_ms, subject = heappop(self._heap)
            if self._due_ms.get(subject) == due_ms:
                del self._due_ms[subject]
                yield due_ms, subject

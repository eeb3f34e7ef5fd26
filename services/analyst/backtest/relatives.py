"""What topic `identities` says about a history: who belongs together, what was done to them, and what is forgotten."""

from collections import defaultdict
from collections.abc import Sequence

from schemas.events import Event
from schemas.identities import Identity
from services.scorer.domain.instants import to_ms
from services.scorer.engine.kinship import Kinship
from services.shared.families import Families, subjects


class Relatives:
    """until_ms: merges, unmerges and erasures that were done later are not played; what an erasure forgets is forgotten
    whenever it was done, so that nobody who has been erased by now is named."""

    def __init__(self, operations: Sequence[Identity], until_ms: int) -> None:
        self._families = Families(operations)
        self._done: dict[bytes, list[Identity]] = defaultdict(list)
        kinship = Kinship(partitions=1)
        for operation in operations:
            kinship.learn(operation)
            if to_ms(operation.at) <= until_ms:
                self._done[self._families.head(next(subjects(operation)))].append(operation)
        self._erased_ms = kinship.erased()

    def head(self, subject: str) -> bytes:
        """What the subject's family goes by."""
        return self._families.head(subject.encode())

    def done(self, head: bytes) -> Sequence[Identity]:
        """What was done to the family, in order."""
        return self._done.get(head, ())

    def is_forgotten(self, event: Event) -> bool:
        """Whether an erasure covers the event: of that subject, or of whom it had been merged into."""
        erased_ms = self._erased_ms.get(event.subject)
        return erased_ms is not None and to_ms(event.time) <= erased_ms

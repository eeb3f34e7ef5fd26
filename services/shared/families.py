"""Families: subjects that any merge has ever joined, as keys of their records.

What one of them is can't be said without the others, so a family is played, recomputed and sampled as a whole.
"""

from collections.abc import Iterable, Iterator

from schemas.identities import Erasure, Identity


class Families:
    def __init__(self, operations: Iterable[Identity]) -> None:
        self._above: dict[bytes, bytes] = {}
        for operation in operations:
            one, *others = subjects(operation)
            for other in others:
                self._join(one, other)
        self._heads = {key: self._top(key) for key in self._above}

    def __bool__(self) -> bool:
        """Whether there is any of more than one."""
        return bool(self._heads)

    def head(self, key: bytes) -> bytes:
        """The family's smallest subject; for most the subject itself."""
        return self._heads.get(key, key)

    def has_relatives(self, key: bytes) -> bool:
        return key in self._heads

    def members(self, key: bytes) -> list[bytes]:
        """All of the subject's family."""
        head = self.head(key)
        return [member for member, its in self._heads.items() if its == head] or [key]

    def _join(self, one: bytes, other: bytes) -> None:
        low, high = sorted((self._top(one), self._top(other)))
        self._above[low], self._above[high] = low, low

    def _top(self, key: bytes) -> bytes:
        path = []
        while (above := self._above.get(key, key)) != key:
            path.append(key)
            key = above
        for passed in path:
            self._above[passed] = key
        return key


def subjects(operation: Identity) -> Iterator[bytes]:
    """Whom it is done to."""
    names = (operation.subject,) if isinstance(operation, Erasure) else (operation.from_, operation.into)
    return (name.encode() for name in names)

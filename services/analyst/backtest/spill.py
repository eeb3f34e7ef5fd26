"""A history parted by customer into files, so that one part at a time fits into memory and parts can share the work."""

from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO
from zlib import crc32

import msgspec

from schemas.identities import Identity
from services.scorer.domain.instants import to_ms
from services.shared.families import Families

_BUFFER = 1 << 16


class Record(msgspec.Struct, array_like=True, frozen=True, gc=False):
    """An event as it was kept or posted.

    appended_ms: when it arrived; -1 if that can't be read
    place:       in the history, so that what arrived in the same millisecond keeps its order
    dead:        why a scorer does not take it, if that is seen from where it stands
    """

    appended_ms: int
    place: int
    raw: bytes
    dead: str = ""


_encode = msgspec.msgpack.Encoder().encode
_decode = msgspec.msgpack.Decoder(Record).decode


class Spill:
    """events: how many are in it.  until_ms: the newest arrival, -1 without any.  parts: files, for `read`

    operations: the merges, unmerges and erasures that go with them
    """

    def __init__(self, folder: Path, parts: int) -> None:
        self.parts = [folder / f"part-{number:03}" for number in range(parts)]
        self.events, self.until_ms = 0, -1
        self.counts = [0] * parts
        self.operations: Sequence[Identity] = ()
        self._families = Families(())
        self._files: list[BinaryIO] = []

    def __enter__(self) -> "Spill":
        self._files = [part.open("wb", _BUFFER) for part in self.parts]
        return self

    def __exit__(self, *error: object) -> None:
        for file in self._files:
            file.close()

    def relate(self, operations: Sequence[Identity]) -> None:
        """From now on whoever was ever one customer is put into the same part. Before anything is put."""
        self.operations, self._families = operations, Families(operations)
        self.until_ms = max((to_ms(operation.at) for operation in operations), default=self.until_ms)

    def put(self, subject: bytes, appended_ms: int, raw: bytes, dead: str = "") -> None:
        """A customer's events all come to the same part; `subject` may be empty where it can't be read."""
        number = crc32(self._families.head(subject)) % len(self.parts)
        record = _encode(Record(appended_ms, self.events, raw, dead))
        file = self._files[number]
        file.write(len(record).to_bytes(4, "little"))
        file.write(record)
        self.counts[number] += 1
        self.events += 1
        self.until_ms = max(self.until_ms, appended_ms)


def read(part: Path) -> Iterator[Record]:
    """The records of one part, in the order they were put."""
    with part.open("rb", _BUFFER) as file:
        while head := file.read(4):
            yield _decode(file.read(int.from_bytes(head, "little")))

"""Topic `transfers`: customers on their way to another partition, and events that came for another name.

A scorer writes it in the transactions of its partitions, so what leaves one partition arrives in the other exactly
once. What is too long for a record goes in pieces; they stand in one transaction, and count when all are there.
"""

from collections import deque
from collections.abc import Iterator

import msgspec

from schemas.decisions import Decision
from services.scorer.domain.state import Joined

_PIECE_BYTES = 700_000
_ROOM_BYTES = 8 * 1024 * 1024  # a partition's; twice that with what is on its way when it is full
_RECORD_BYTES = 250  # of a small one in memory, beside its data


class Moved(msgspec.Struct, array_like=True, frozen=True, tag="moved"):
    """`other` has become another name for `subject`: their record as it stood, and what to keep for a parting.

    sequence: of the operation on topic `identities`.  at_ms: its instant
    """

    sequence: int
    subject: str
    other: str
    at_ms: int
    record: bytes
    joined: Joined


class Returned(msgspec.Struct, array_like=True, frozen=True, tag="returned"):
    """`subject` is a customer of their own again, with what that changed for them."""

    sequence: int
    subject: str
    at_ms: int
    record: bytes
    decisions: list[Decision]


class Forwarded(msgspec.Struct, array_like=True, frozen=True, tag="forwarded"):
    """An event that came for another name of `subject`, with its place on topic `events`.

    rebuild: the newest that was known where it came: it is kept with the fields that one asks for
    """

    subject: str
    event: bytes
    at_ms: int
    partition: int
    offset: int
    rebuild: int = 0


class Renewed(msgspec.Struct, array_like=True, frozen=True, tag="renewed"):
    """What a rebuild has made of the events that came for `name`, which is another name of `subject`.

    record: of a customer who lived on them alone.  offset: those from it on are not among them
    """

    subject: str
    name: str
    at_ms: int
    rebuild: int
    offset: int
    record: bytes


Transfer = Moved | Returned | Forwarded | Renewed
"""subject: whom it is for.  at_ms: not to be taken before this instant is played"""


class _Piece(msgspec.Struct, array_like=True, frozen=True):
    """Piece `number` (from 0) of `count` of the transfer named `of`."""

    of: str
    number: int
    count: int
    data: bytes


_encode = msgspec.msgpack.Encoder().encode
_read_piece = msgspec.msgpack.Decoder(_Piece).decode
_read_transfer = msgspec.msgpack.Decoder(Transfer).decode


def name_of(transfer: Transfer) -> str:
    """It has this name whenever it comes by here."""
    match transfer:
        case Forwarded():
            return f"{transfer.partition}/{transfer.offset}/{transfer.subject}"
        case Renewed():
            return f"rebuild {transfer.rebuild}/{transfer.offset}/{transfer.name}/{transfer.subject}"
        case _:
            return f"{transfer.sequence}/{transfer.subject}"


def pieces(transfer: Transfer) -> Iterator[bytes]:
    """The records it takes."""
    name = name_of(transfer)
    whole = _encode(transfer)
    count = max(1, -(-len(whole) // _PIECE_BYTES))
    for number in range(count):
        yield _encode(_Piece(name, number, count, whole[number * _PIECE_BYTES : (number + 1) * _PIECE_BYTES]))


class TransferInbox:
    """What has come for a partition and waits for its turn, in order.

    position: the next offset to take. A transfer in pieces is taken at its first one; of one that was taken already
    the other pieces are passed over.
    bytes: what it takes, about
    """

    def __init__(self) -> None:
        self._pieces: deque[tuple[int, _Piece]] = deque()
        self._next: tuple[Transfer, list[int]] | None = None
        self._taken: set[int] = set()
        self._is_partial = False
        self.position = self.bytes = 0

    def begin(self, position: int) -> None:
        """A takeover: what was here comes again."""
        self._pieces.clear()
        self._taken.clear()
        self._next, self.position = None, position
        self._is_partial, self.bytes = False, 0

    def put(self, offset: int, value: bytes) -> str:
        """A record of the topic; the name of what it is of. One of UNREADABLE if it is none of ours."""
        piece = _read_piece(value)
        if offset >= self.position:
            self._pieces.append((offset, piece))
            self.bytes += _size(piece)
        return piece.of

    @property
    def has_room(self) -> bool:
        """Whether more is to come: as long as there is little, or the first that waits has not come wholly. For what
        else it may wait, time or other topics, nothing here is needed."""
        return self.bytes < _ROOM_BYTES or self._is_partial

    def __len__(self) -> int:
        return len(self._pieces)

    @property
    def more(self) -> bool:
        """Whether anything stands behind the first transfer, which has come wholly."""
        return self._next is not None and len(self._pieces) > len(self._next[1])

    def head(self) -> Transfer | None:
        """What comes next, None if it is not here, or not wholly."""
        if self._next is None:
            self._pass_over()
            self._next = self._put_together()
            self._is_partial = self._next is None and len(self._pieces) > 0
        return None if self._next is None else self._next[0]

    def take(self) -> None:
        """The head has been taken."""
        assert self._next is not None, "head() comes first"
        self._taken.update(self._next[1])
        self._next = None
        self._pass_over()

    def _pass_over(self) -> None:
        """Pieces at the front that are taken, or whose first one was."""
        while self._pieces and (self._pieces[0][0] in self._taken or self._pieces[0][1].number > 0):
            offset, piece = self._pieces.popleft()
            self.bytes -= _size(piece)
            self._taken.discard(offset)
            self.position = offset + 1

    def _put_together(self) -> tuple[Transfer, list[int]] | None:
        if not self._pieces:
            return None
        first = self._pieces[0][1]
        parts: list[tuple[int, _Piece]] = []
        for offset, piece in self._pieces:
            if piece.of == first.of and piece.number == len(parts):
                parts.append((offset, piece))
                if len(parts) == first.count:
                    whole = b"".join(part.data for _, part in parts)
                    return _read_transfer(whole), [offset for offset, _ in parts]
        return None


def _size(piece: _Piece) -> int:
    return len(piece.data) + _RECORD_BYTES

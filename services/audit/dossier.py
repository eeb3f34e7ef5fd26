"""What an audit collects of a family before it is recomputed, as records of a spill."""

import msgspec

from schemas.identities import Identity


class Held(msgspec.Struct, array_like=True, frozen=True, tag="held"):
    """A subject's record in the live state.  into: whom it stands for, if it is an alias

    told_ms: the partition has taken events up to this append time and worked off all that was due by then
    """

    subject: str
    record: bytes
    into: str | None = None
    told_ms: int = 0


class Came(msgspec.Struct, array_like=True, frozen=True, tag="came"):
    """A record of topic `events` that the scorer has taken. ordered_ms never decreases in a partition."""

    partition: int
    offset: int
    ordered_ms: int
    appended_ms: int
    key: bytes
    value: bytes


class Poison(msgspec.Struct, array_like=True, frozen=True, tag="poison"):
    """The event at this place went to the dead letters, since the core failed at it: it counts for nothing."""

    partition: int
    offset: int


class Done(msgspec.Struct, array_like=True, frozen=True, tag="done"):
    """A merge, unmerge or erasure."""

    operation: Identity


class Moving(msgspec.Struct, array_like=True, frozen=True, tag="moving"):
    """Something of the family is on its way between partitions: it can't be compared now."""


Paper = Held | Came | Poison | Done | Moving


class Slip(msgspec.Struct, array_like=True, frozen=True):
    """A paper and whose it is: the head of the family."""

    head: bytes
    paper: Paper


encode = msgspec.msgpack.Encoder().encode
decode = msgspec.msgpack.Decoder(Slip).decode

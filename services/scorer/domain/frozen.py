"""What is frozen of a very long ledger (rule 4): nothing before its floor is played again."""

import msgspec

from schemas.decisions import Value


class Footing(msgspec.Struct, array_like=True, frozen=True):
    """Where a customer stood in one dimension, and with what memory; see `Standing`.

    masked: what was shown instead, while somebody's override held
    """

    value: Value
    since_ms: int | None
    failing_ms: int | None
    masked: Value | None = None


class Frozen(msgspec.Struct, array_like=True, frozen=True):
    """floor_ms: what was decided up to it stands; a click or interaction up to it is refused

    footings: by dimension, at the floor; one that is not named is set there by its rules alone, without memory
    steps:    by dimension the last step of its path up to the floor
    known:    how many eras of the policies counted when the footings were taken; 0 without any
    """

    floor_ms: int
    footings: dict[str, Footing]
    steps: dict[str, tuple[int, Value]]
    known: int

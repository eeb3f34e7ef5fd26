"""What is frozen of a very long ledger (rule 4): nothing before its floor is played again."""

import msgspec

from schemas.decisions import Value
from services.scorer.domain.positions import Standing


class Frozen(msgspec.Struct, array_like=True, frozen=True):
    """floor_ms:  the newest time known by the hour only; a click or interaction up to it is refused

    standings: by dimension, where it stood at the floor and with what memory
    steps:     by dimension the path up to the floor, which nothing changes any more
    """

    floor_ms: int
    standings: dict[str, Standing]
    steps: dict[str, list[tuple[int, Value]]]

"""What is frozen of a very long ledger (rule 4): nothing before its floor is played again."""

import msgspec

from schemas.decisions import Value
from services.scorer.domain.positions import Standing


class Frozen(msgspec.Struct, array_like=True, frozen=True):
    """floor_ms:  the newest time known by the hour only; a click or interaction up to it is refused

    standings: by dimension, where it stood at the floor and with what memory
               (one that is not named is set there by its rules alone, without memory)
    steps:     by dimension the last step of its path up to the floor
    """

    floor_ms: int
    standings: dict[str, Standing]
    steps: dict[str, tuple[int, Value]]

"""What an instant of a customer's life brings: what begins to count, and what moves."""

from collections.abc import Sequence

import msgspec

from schemas.decisions import Value
from services.scorer.domain.orders import Take
from services.scorer.domain.rules import Dimension


class Effect(msgspec.Struct, frozen=True, gc=False):
    """At `at_ms` the entry at this place of the ledger counts, or with a `take` its refund begins to."""

    at_ms: int
    place: int
    take: Take | None


class Moved(msgspec.Struct, frozen=True, gc=False):
    """manual: it was an override that moved what is shown."""

    dimension: Dimension
    before: Value
    after: Value
    manual: bool = False


class Instant(msgspec.Struct, frozen=True, gc=False):
    """What one instant brought.  switched: another policy began to hold"""

    at_ms: int
    moved: list[Moved]
    effects: Sequence[Effect]
    switched: bool

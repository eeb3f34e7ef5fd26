"""Where a customer stands in one dimension, as it is kept."""

import msgspec


class Standing(msgspec.Struct, array_like=True, gc=False, omit_defaults=True):
    """Where a customer stands in one dimension.

    place:      what the rules say, as an index of the dimension's values
    revision:   of the last decision about this dimension, 0 if there was none
    since_ms:   event time at which `place` was entered; None where everyone began
    failing_ms: event time since which the tier has not been earned without a break, None while it is
    masked:     the place shown instead while somebody's override holds, -1 without one
    """

    place: int
    revision: int = 0
    since_ms: int | None = None
    failing_ms: int | None = None
    masked: int = -1

    @property
    def shown(self) -> int:
        return self.place if self.masked < 0 else self.masked

    def packed(self) -> list[int | None]:
        """Its fields, as few as will do."""
        if self.masked >= 0 or self.failing_ms is not None:
            return [self.place, self.revision, self.since_ms, self.failing_ms, self.masked]
        if self.since_ms is not None:
            return [self.place, self.revision, self.since_ms]
        return [self.place, self.revision] if self.revision else [self.place]

    def copy(self) -> "Standing":
        return Standing(self.place, self.revision, self.since_ms, self.failing_ms, self.masked)

"""Flaps: moves back to where a customer has only just come from. A rule that flaps wants hysteresis (rule 6)."""

from collections.abc import Hashable

from schemas.decisions import Value
from services.scorer.domain.spans import UNITS_MS

FLAP_MS = 30 * UNITS_MS["d"]
"""A move is a flap if it ends at the value that was left less than so long before."""


class Flaps:
    """Remembers what was left last, of whom it has seen move, for as long as it can matter.

    most: of the moves remembered; the oldest are forgotten first
    """

    def __init__(self, most: int = 100_000) -> None:
        self._most = most
        self._left: dict[Hashable, tuple[Value, int]] = {}

    def moved(self, who: Hashable, before: Value, after: Value, at_ms: int) -> bool:
        """Take note of a move; True if it is a flap.  who: a customer and a dimension.  at_ms: effective"""
        left = self._left.pop(who, None)
        self._left[who] = (before, at_ms)
        self._forget(at_ms)
        return left is not None and left[0] == after and at_ms - left[1] < FLAP_MS

    def _forget(self, now_ms: int) -> None:
        while self._left:
            oldest = next(iter(self._left))
            if len(self._left) <= self._most and now_ms - self._left[oldest][1] < FLAP_MS:
                return
            del self._left[oldest]

"""How many bytes may be under way at once: backpressure is a 503, not a growing process."""

import contextlib
from collections.abc import Iterator

from prometheus_client import Gauge

from schemas.problems import OVERLOADED, Refused

RETRY_AFTER_S = 1


class Budget:
    """Bytes of bodies being read and of records Kafka has not acknowledged.

    A record given up by its request still counts until Kafka has taken it or the producer has dropped it.
    """

    def __init__(self, limit: int, gauge: Gauge) -> None:
        self._limit = limit
        self._held = 0
        self._gauge = gauge

    @property
    def held(self) -> int:
        return self._held

    def take(self, size: int) -> None:
        """Refused (overloaded) if there is no room; one alone may go beyond the limit, or it never could go."""
        if self._held and self._held + size > self._limit:
            raise Refused(OVERLOADED, f"{self._held} bytes are under way", retry_after_s=RETRY_AFTER_S)
        self._change(size)

    @contextlib.contextmanager
    def share(self) -> Iterator["Share"]:
        """What is taken through it is released at the end of the block."""
        share = Share(self)
        try:
            yield share
        finally:
            self.release(share.held)

    def release(self, size: int) -> None:
        self._change(-size)

    def _change(self, size: int) -> None:
        self._held += size
        self._gauge.set(self._held)


class Share:
    def __init__(self, budget: Budget) -> None:
        self._budget = budget
        self.held = 0

    def take(self, size: int) -> None:
        """As Budget.take."""
        self._budget.take(size)
        self.held += size

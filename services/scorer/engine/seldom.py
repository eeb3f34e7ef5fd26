"""A log filter for libraries that say the same ten times a second while the broker is away."""

import logging
import time
from collections.abc import Callable


class Seldom(logging.Filter):
    """Lets each message (by its template) through once in `every_s` seconds."""

    def __init__(self, every_s: float = 30.0, now_s: Callable[[], float] = time.monotonic) -> None:
        super().__init__()
        self._every_s, self._now_s = every_s, now_s
        self._said_s: dict[str, float] = {}

    def filter(self, record: logging.LogRecord) -> bool:
        now_s = self._now_s()
        if now_s - self._said_s.get(str(record.msg), -self._every_s) < self._every_s:
            return False
        self._said_s[str(record.msg)] = now_s
        return True

"""How fast an audit reads, so that it disturbs nobody, and whether it is to go on."""

import threading
import time


class Stopped(Exception):
    """The audit was asked to end."""


class Pace:
    """most: records a second, None for as many as come.  stopping: set when the audit is to end"""

    def __init__(self, most: float | None = None, stopping: threading.Event | None = None) -> None:
        self._most, self._stopping = most, stopping or threading.Event()
        self._next_s = time.monotonic()

    def took(self, records: int) -> None:
        """Wait until as many more may be read. Stopped."""
        if self._most is not None:
            now_s = time.monotonic()
            self._next_s = max(self._next_s, now_s) + records / self._most
            self._stopping.wait(self._next_s - now_s)
        self.go_on()

    def go_on(self) -> None:
        """Stopped, if that was asked for."""
        if self._stopping.is_set():
            raise Stopped

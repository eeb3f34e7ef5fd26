"""Fail points: places of a transaction where a test has the process kill itself, as kill -9 would, or stand still.

TIERLINE_FAILPOINT=after_produce:7 kills at the seventh passing of that place, after_produce:7:stop sends SIGSTOP there;
without the variable nothing is done. The places: `after_produce` (records are with the broker, uncommitted),
`after_offsets` (the group's offset too), `in_commit` (while the commit is under way), `after_commit` (committed, but
the process has not heard of it).
"""

import os
import signal
import threading
from collections.abc import Callable

VARIABLE = "TIERLINE_FAILPOINT"
PLACES = ("after_produce", "after_offsets", "in_commit", "after_commit")
_COMMIT_TAKES_S = 0.002  # about half of a commit: some are killed before the broker knows, some after


class FailPoints:
    """armed: the value of the variable, empty for none. ValueError if it is not `place:count` or `place:count:stop`."""

    def __init__(self, armed: str | None = None) -> None:
        place, _, rest = (os.environ.get(VARIABLE, "") if armed is None else armed).partition(":")
        count, _, how = rest.partition(":")
        if place and place not in PLACES:
            raise ValueError(f"{VARIABLE}: {place!r} is none of {', '.join(PLACES)}")
        if how not in ("", "stop"):
            raise ValueError(f"{VARIABLE}: {how!r} is not stop")
        self._place, self._left = place, int(count or 1)
        self._signal = signal.SIGSTOP if how else signal.SIGKILL
        self._lock = threading.Lock()

    def passing(self, place: str, prepare: Callable[[], object] = lambda: None) -> None:
        """Kill or stop the process if this is the place and its turn has come; `prepare` is called just before."""
        if place != self._place:
            return
        with self._lock:
            self._left -= 1
            if self._left != 0:
                return
        prepare()
        if place == "in_commit":
            threading.Timer(_COMMIT_TAKES_S, self._strike).start()
        else:
            self._strike()

    def _strike(self) -> None:
        # To this thread: a signal to the process may find another one first, and this one would go on for a while.
        signal.pthread_kill(threading.get_ident(), self._signal)

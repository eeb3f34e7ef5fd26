"""The engine's clock: wall time that never runs back, anchored to the broker's, and how far time is played by it.

Two clocks meet here. Events carry the broker's append time, the "now" of the rules; timers of live customers need the
time of this machine. `Clock` brings them together, `Playback` says which of them holds for a partition's timers.
"""

import time
from collections.abc import Callable


class Clock:
    """The broker's time in ms since 1970 UTC, counted on by a monotonic clock. This machine's wall clock is believed
    until the broker has answered once; steps of it, or a start while it is an hour off, do no harm.

    It is never below an append time it was just shown, so that no event seems to come from the future. It may go back
    where the broker's does; `Playback` does not.
    """

    def __init__(
        self, wall_s: Callable[[], float] = time.time, monotonic_s: Callable[[], float] = time.monotonic
    ) -> None:
        self._monotonic_s = monotonic_s
        self._ahead_ms = int((wall_s() - monotonic_s()) * 1000)

    def now_ms(self) -> int:
        return self.ticks_ms() + self._ahead_ms

    def ticks_ms(self) -> int:
        """The monotonic clock, to be given to `told`."""
        return int(self._monotonic_s() * 1000)

    def seen(self, appended_ms: int) -> None:
        """The broker has appended something at `appended_ms`: from now on it is at least that late."""
        behind_ms = appended_ms - self.now_ms()
        if behind_ms > 0:
            self._ahead_ms += behind_ms

    def told(self, appended_ms: int, asked_ticks_ms: int) -> None:
        """The broker has appended what it was sent since `asked_ticks_ms`: its clock stood at `appended_ms` between
        then and now, and ours is moved no further than that asks for."""
        least, most = appended_ms - self.ticks_ms(), appended_ms + 1 - asked_ticks_ms
        self._ahead_ms = min(max(self._ahead_ms, least), most)


class Playback:
    """Up to which instant a partition's time is played (rule 14). It never runs back.

    While events wait to be taken, time is the append time of the last one taken, so that timers due in the past come
    between the events they stood between; with nothing waiting it is the clock's.
    """

    def __init__(self, clock: Clock, appended_ms: int) -> None:
        self._clock = clock
        self.appended_ms = appended_ms
        self._played_ms = appended_ms
        clock.seen(appended_ms)

    def taken(self, appended_ms: int) -> None:
        """An event appended at `appended_ms` has been taken."""
        if appended_ms > self.appended_ms:
            self.appended_ms = appended_ms
            self._clock.seen(appended_ms)

    def until_ms(self, *, behind: bool, newest_ms: int = 0) -> int:
        """Up to when time is to be played next.

        behind: whether events are known to wait.  newest_ms: append time of the newest of those to be taken now
        """
        return max(self._played_ms, newest_ms, self.appended_ms if behind else self._clock.now_ms())

    def played(self, until_ms: int) -> None:
        """Time has been played up to then."""
        self._played_ms = max(self._played_ms, until_ms)

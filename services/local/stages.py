"""What took how long."""

import contextlib
import time
from collections.abc import Callable, Iterator


class Stages:
    """Names stages and takes their time. seconds: of each finished stage, in order. clock: monotonic seconds."""

    def __init__(self, clock: Callable[[], float] = time.monotonic) -> None:
        self._clock = clock
        self.seconds: dict[str, float] = {}

    @contextlib.contextmanager
    def stage(self, name: str) -> Iterator[None]:
        began = self._clock()
        try:
            yield
        finally:
            self.seconds[name] = self._clock() - began

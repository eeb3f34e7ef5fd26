"""Live events beside something else: a crowd's clicks, and among them purchases that each promote a customer."""

import threading
import time
from collections.abc import Callable

from schemas.topics import EVENTS
from services.bench.load import Happening, Topics, accepted
from services.bench.more.subscriber import percentile

CROWD = 50_000
PROBES_A_SECOND = 100
SLICE_S = 0.01


class Feed:
    """Events that happen now, in a thread: clicks of the crowd, so many a second, which move nobody, and the probes.

    posted: by the customer of a probe, when it was appended (s since 1970)
    """

    def __init__(self, topics: Topics, prefix: str, rate: float) -> None:
        self._producer, self._topic, self._rate = topics.producer(), prefix + EVENTS.name, rate
        self.posted: dict[str, float] = {}
        self._closing = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)
        self._thread.start()

    def close(self) -> None:
        self._closing.set()
        self._thread.join()
        self._producer.flush(30)

    def _run(self) -> None:
        began, number, probes = time.monotonic(), 0, 0
        while not self._closing.wait(SLICE_S):
            passed = time.monotonic() - began
            while number < passed * self._rate:
                self._send(number, "click", f"f{number % CROWD:05d}")
                number += 1
            while probes < passed * PROBES_A_SECOND:
                name = f"p{probes}"
                self.posted[name] = time.time()
                self._send(1_000_000_000 + probes, "purchase", name)
                probes += 1
            self._producer.poll(0)

    def _send(self, number: int, kind: str, customer: str) -> None:
        now_ms = int(time.time() * 1000)
        happening = Happening(number, kind, customer, now_ms, now_ms, 200_000)
        self._producer.produce(self._topic, accepted(happening), customer)

    def p99_ms(
        self, seen: dict[str, float], from_s: float, to_s: float, of: Callable[[str], bool] = lambda _: True
    ) -> float:
        """Of that time's probes, those of some customers: until what they changed was seen. One not seen took for
        ever."""
        took = [
            seen.get(name, float("inf")) - at_s
            for name, at_s in list(self.posted.items())
            if from_s <= at_s < to_s and of(name)
        ]
        return percentile(took, 0.99) * 1000

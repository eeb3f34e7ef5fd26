"""One customer with a million events, as of a robot or a test that runs wild: what becomes of it, and of the others.

They are appended as fast as the broker takes them, beside a crowd's. What is timed are single purchases that each
promote a customer, from being appended to when a subscriber of `tier-changes` could read it: before, and from when
the million is appended until it is worked off; those in other partitions, and those that stand behind it in its own.
"""

import asyncio
import time
from collections.abc import Iterator

from schemas.decisions import Announcement
from schemas.topics import EVENTS, TIER_CHANGES
from services.bench.load import Happening, accepted
from services.bench.measure import Failed, Worker
from services.bench.more.live import Feed
from services.bench.more.place import Place
from services.bench.more.subscriber import Subscriber
from services.shared.partitioner import partition_of

PREFIX = "hot."
HOT = "hot"
CALM_S = 20.0
LOOK_S = 0.2
WITHIN_S = 900.0


async def hot(place: Place, wanted: int, rate: float) -> list[str]:
    """How quickly its events are taken, and live events' p99 beside them. Failed."""
    topics, home = place.topics, partition_of(HOT.encode(), place.topics.partitions)
    await asyncio.to_thread(topics.create_tierline, PREFIX)
    seen: dict[str, float] = {}

    def on_told(told: Announcement, at_s: float) -> None:
        seen[told.subject] = at_s

    worker = await place.worker(PREFIX)
    subscriber = Subscriber(place.kafka.bootstrap, PREFIX + TIER_CHANGES.name, topics.partitions, on_told)
    try:
        await place.restored(worker)
        feed = Feed(topics, PREFIX, rate)
        try:
            calm = (time.time(), time.time() + CALM_S)
            await asyncio.sleep(CALM_S)
            await asyncio.to_thread(topics.fill, PREFIX + EVENTS.name, _calls(wanted))
            appended_s = time.time()  # until then this process and the broker are too busy to time the others fairly
            end = (await asyncio.to_thread(topics.ends, PREFIX))[home]
            busy = (appended_s, await _taken(worker, home, end))
            await asyncio.sleep(1)
        finally:
            feed.close()
    finally:
        subscriber.close()
        await worker.process.stop(within=10)
        await asyncio.to_thread(topics.delete_of_run, PREFIX)

    def p99s(*, at_home: bool) -> str:
        def there(customer: str) -> bool:
            return (partition_of(customer.encode(), topics.partitions) == home) is at_home

        during, before = (feed.p99_ms(seen, *span, there) for span in (busy, calm))
        return f"{during:,.0f} ms, before {before:.0f} ms"

    appended, taken = appended_s - calm[1], busy[1] - calm[1]
    return [
        f"{wanted:,} events of one customer, appended in {appended:.1f} s, were taken {taken:.1f} s after the first",
        f"live p99 beside {rate:,.0f} events/s meanwhile: in other partitions {p99s(at_home=False)}; "
        f"behind it in its own {p99s(at_home=True)}",
    ]


def _calls(wanted: int) -> Iterator[tuple[str, bytes, int]]:
    """Key, value, and the broker's own time."""
    for number in range(wanted):
        now_ms = int(time.time() * 1000)
        yield HOT, accepted(Happening(number, "interaction", HOT, now_ms, now_ms, 0)), 0


async def _taken(worker: Worker, home: int, end: int) -> float:
    """When the partition has come to that offset. Failed."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        position = (await asyncio.to_thread(worker.partitions)).get(home, {}).get("position")
        if isinstance(position, int) and position >= end:
            return time.time()
        await asyncio.sleep(LOOK_S)
    raise Failed(f"the events are not taken after {WITHIN_S:.0f} s")

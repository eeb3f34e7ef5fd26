"""What a new policy costs live events: their way to a tier change before it, and while all are looked at anew.

A quarter of the dormant customers move with each activation, back and forth. What is timed are single purchases that
each promote a customer, from being appended to when a subscriber of `tier-changes` could read it.
"""

import asyncio
import time
from collections.abc import Iterator, Sequence
from datetime import UTC, datetime, timedelta
from statistics import median

from msgspec.structs import replace

from schemas import events
from schemas.control import Activation
from schemas.decisions import Announcement
from schemas.topics import TIER_CHANGES
from services.bench.load import Topics
from services.bench.measure import Failed, Worker
from services.bench.more.live import Feed
from services.bench.more.place import Place
from services.bench.more.subscriber import Subscriber
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.domain.packing import encode
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.state import Customer
from services.scorer.sequence import first
from services.shared.control import LEAD_MS, Control

PREFIX = "sweep."
CALM_S = 10.0
LOOK_S = 0.25
WITHIN_S = 300.0
RULE, OTHER = "interactions_30d > 5", "interactions_30d > 6"


def dormant(policies: Policies, wanted: int) -> Iterator[tuple[str, bytes]]:
    """Customers with five to eight interactions of yesterday, and their records."""
    yesterday = datetime.now(UTC) - timedelta(days=1)
    for number in range(wanted):
        arrivals = []
        for call in range(5 + number % 4):
            at = yesterday + timedelta(milliseconds=number % 60_000 + call)
            event = events.Interaction(id=f"d{call}", source="shop", subject="d", time=at)
            arrivals.append(Arrival(event, to_ms(at), call, b""))
        customer = Customer.new(policies)
        decide(customer, policies, arrivals, arrivals[-1].appended_ms, "d")
        yield f"d{number:07d}", encode(customer)


async def sweep(place: Place, wanted: int, rate: float, *, rounds: int) -> list[str]:
    """A line a round, and one for all: p99 of live events while dormant customers are looked at, and before."""
    text = place.policy_file.read_text("utf-8")
    if text.count(RULE) != 1:
        raise Failed(f"{place.policy_file.name} has no rule {RULE!r} to change: sweep goes with policies/bench.yaml")
    texts = [text.replace(RULE, OTHER), text]
    await asyncio.to_thread(place.seed, PREFIX, dormant(Policies.only(place.policy), wanted))
    seen: dict[str, float] = {}

    def on_told(told: Announcement, at_s: float) -> None:
        seen[told.subject] = at_s

    worker = await place.worker(PREFIX)
    topic, lines, ratios = PREFIX + TIER_CHANGES.name, [], []
    subscriber = Subscriber(place.kafka.bootstrap, topic, place.topics.partitions, on_told)
    try:
        await place.restored(worker)
        feed = Feed(place.topics, PREFIX, rate)
        try:
            for number in range(rounds):
                began_s = time.time()
                await asyncio.sleep(CALM_S)
                calm = (began_s, time.time())
                await asyncio.to_thread(_activate, place.topics, texts[number % 2])
                swept = (time.time(), await _done(worker, number + 2))
                await asyncio.sleep(1)
                before, during = (feed.p99_ms(seen, *span) for span in (calm, swept))
                ratios.append(during / before)
                took = f"{wanted:,} customers looked at in {swept[1] - swept[0]:.1f} s"
                lines.append(f"{took}: live p99 {during:.0f} ms, before {before:.0f} ms")
        finally:
            feed.close()
    finally:
        subscriber.close()
        await worker.process.stop(within=10)
        await asyncio.to_thread(place.topics.delete_of_run, PREFIX)
    return [*lines, f"beside {rate:,.0f} events/s: {median(ratios):.2f} times before, median of {rounds}"]


def _activate(topics: Topics, text: str) -> None:
    """As `tierline policy activate` does."""

    def following(known: Sequence[Activation]) -> list[Activation]:
        now_ms = int(time.time() * 1000)
        at, holds = to_datetime(now_ms), to_datetime(now_ms + LEAD_MS)
        return [
            replace(first(text), sequence=len(known) + 1, effective_at=holds, activated_at=at, activated_by="bench")
        ]

    Control(topics.settings(PREFIX)).append(following)


async def _done(worker: Worker, policies: int) -> float:
    """When everybody has been looked at under so many policies. Failed."""
    deadline = time.monotonic() + WITHIN_S
    while time.monotonic() < deadline:
        found = (await asyncio.to_thread(worker.partitions)).values()
        if found and all(one.get("policies") == policies and one["to_look_at_again"] == 0 for one in found):
            return time.time()
        await asyncio.sleep(LOOK_S)
    raise Failed(f"customers are still to be looked at after {WITHIN_S:.0f} s")

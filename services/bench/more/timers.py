"""How late timers fire: a million customers wait for an instant each, while events come at half load.

Each customer has six interactions just under 30 days ago, so that segment `active` of policies/bench.yaml ends at an
instant of its own, spread evenly. Lateness is what a subscriber of `segment-changes` sees: from that instant to when
the announcement could be read.
"""

import asyncio
import time
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta

from schemas import events
from schemas.decisions import Announcement
from schemas.topics import EVENTS, SEGMENT_CHANGES
from services.bench.load import Happening, Topics, accepted
from services.bench.more.place import Place
from services.bench.more.subscriber import Subscriber, percentile
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import encode
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.state import Customer

WINDOW = timedelta(days=30)
CALLS = 6
CROWD = 50_000
KINDS = ("interaction", "click", "purchase", "interaction")
SLICE_S = 0.02
PREFIX = "timers."


def waiting(policies: Policies, wanted: int, first_due: datetime, span_s: float) -> Iterator[tuple[str, bytes]]:
    """Customers with their records, due evenly over `span_s` from `first_due` on."""
    for number in range(wanted):
        begins = first_due - WINDOW + timedelta(milliseconds=int(span_s * 1000 * number / wanted))
        arrivals = []
        for call in range(CALLS):
            at = begins + timedelta(milliseconds=call)
            arrivals.append(
                Arrival(events.Interaction(id=f"t{call}", source="shop", subject="t", time=at), to_ms(at), call, b"")
            )
        customer = Customer.new(policies)
        decide(customer, policies, arrivals, arrivals[-1].appended_ms, "t")
        yield f"t{number:07d}", encode(customer)


async def feed(topics: Topics, prefix: str, rate: float, seconds: float) -> None:
    """Events of other customers, now, so many a second."""
    topic, number, began, producer = prefix + EVENTS.name, 0, time.monotonic(), topics.producer()
    while (passed := time.monotonic() - began) < seconds:
        now_ms = int(time.time() * 1000)
        while number < passed * rate:
            customer = f"f{number % CROWD:05d}"
            happening = Happening(number, KINDS[number % len(KINDS)], customer, now_ms, now_ms, 5_000)
            producer.produce(topic, accepted(happening), customer)
            number += 1
        producer.poll(0)
        await asyncio.sleep(SLICE_S)
    producer.flush(30)


async def timers(place: Place, wanted: int, rate: float, *, span_s: float, seconds: float) -> list[str]:
    """One line: how many fired meanwhile, and how late."""
    topics = place.topics
    # The first are due when all are made and restored, also on a busy machine; what is due before counts for nothing.
    first_due = datetime.now(UTC) + timedelta(seconds=45 + wanted / 4_000)
    people = waiting(Policies.only(place.policy), wanted, first_due, span_s)
    await asyncio.to_thread(place.seed, PREFIX, people)
    fired: list[tuple[float, float]] = []

    def seen(told: Announcement, at_s: float) -> None:
        if told.cause == "time":
            fired.append((told.effective_at.timestamp(), at_s))

    worker = await place.worker(PREFIX)
    subscriber = Subscriber(place.kafka.bootstrap, PREFIX + SEGMENT_CHANGES.name, topics.partitions, seen)
    try:
        await place.restored(worker)
        gauges = await asyncio.to_thread(worker.metrics)
        pending = sum(value for name, value in gauges.items() if name.startswith("tierline_scorer_timers_pending"))
        await asyncio.sleep(max(0.0, first_due.timestamp() - time.time()))
        begun_s = time.time()
        await feed(topics, PREFIX, rate, seconds)
    finally:
        subscriber.close()
        await worker.process.stop(within=10)
        await asyncio.to_thread(topics.delete_of_run, PREFIX)
    late = [at_s - due_s for due_s, at_s in fired if due_s >= begun_s]
    p50, p99, most = (percentile(late, share) * 1000 for share in (0.5, 0.99, 1.0))
    return [
        f"{pending:,.0f} timers pending, {len(late):,} fired in {seconds:.0f} s beside {rate:,.0f} events/s: "
        f"late by p50 {p50:.0f} ms, p99 {p99:.0f} ms, at most {most:.0f} ms"
    ]

"""What an event costs, what a customer weighs and how fast a worker restores, by how many customers there are.

The customers are given as a changelog; each has ten entries. The events that follow are of these customers, in order.
"""

import asyncio
import json
import random
from collections.abc import Iterator
from datetime import UTC, datetime, timedelta
from typing import Any

import psutil

from services.bench.core import event
from services.bench.load import Load
from services.bench.measure import Run, work_off
from services.bench.more.place import Place
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import encode
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.state import Customer

MADE = 2_000
ENTRIES = 10


def customers(policies: Policies, wanted: int, until: datetime) -> Iterator[tuple[str, bytes]]:
    """So many subjects with their records, MADE different ones; the last of ten events up to a day ago."""
    rng = random.Random(7)
    made = []
    for _ in range(MADE):
        customer = Customer.new(policies)
        happened = sorted(until - timedelta(days=rng.uniform(1, 60)) for _ in range(ENTRIES))
        for number, at in enumerate(happened):
            arrival = Arrival(event(rng, number, at), to_ms(at), number, b"")
            decide(customer, policies, [arrival], to_ms(at), "c")
        decide(customer, policies, [], to_ms(until), "c")
        made.append(encode(customer))
    for number in range(wanted):
        yield f"c{number:07d}", made[number % MADE]


async def size(place: Place, wanted: int, events: int) -> tuple[float, float, Run | None]:
    """Seconds the restore took, bytes of memory after it, and the run over the events; None without events."""
    topics, prefix = place.topics, f"size-{wanted}."
    people = customers(Policies.only(place.policy), wanted, datetime.now(UTC))
    await asyncio.to_thread(place.seed, prefix, people)
    if events:
        await asyncio.to_thread(topics.fill_accepted, prefix, Load(events, wanted, days=1 / 24, late=0))
    ends = await asyncio.to_thread(topics.ends, prefix)
    took_s: list[float] = []
    memory: list[int] = []

    def on_line(line: str) -> None:
        told: dict[str, Any] = json.loads(line) if line.startswith("{") else {}
        if told.get("event") == "partition taken over":
            took_s.append(told["seconds"])
            memory.append(psutil.Process(worker.process.pid).memory_info().rss)

    worker = await place.worker(prefix, on_line)
    try:
        run = await work_off([worker], ends, broker_pid=place.kafka.pid) if events else None
        await place.restored(worker)
        return max(took_s), memory[-1], run
    finally:
        await worker.process.stop(within=20)
        await asyncio.to_thread(topics.delete_of_run, prefix)


async def sizes(place: Place, wanted: list[int], events: int) -> list[str]:
    """A table, a line a size."""
    _, empty, _ = await size(place, 0, 0)  # a worker that has nothing
    lines = [f"{'customers':>10}  {'events/s':>9}  CPU s per million  bytes a customer  customers restored/s"]
    for number in wanted:
        took_s, memory, run = await size(place, number, events)
        assert run is not None
        lines.append(
            f"{number:10,}  {run.rate:9,.0f}  {run.cpu_a_million:17.1f}  {(memory - empty) / number:16,.0f}"
            f"  {number / took_s:20,.0f}"
        )
    return lines

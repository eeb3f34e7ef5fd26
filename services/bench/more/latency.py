"""From POST to tier change: single purchases that each promote a customer, while batches are posted at half load.

Ingest and the scorer are the real processes; the time ends when a subscriber of `tier-changes` could read it.
"""

import asyncio
import os
import sys
import time

import httpx
import msgspec

from schemas.decisions import Announcement
from schemas.topics import TIER_CHANGES
from services.bench.more.place import Place
from services.bench.more.subscriber import Subscriber, percentile
from services.local.ports import HOST, free_port
from services.local.process import Process

BATCH = 500
PROBES_A_SECOND = 20
SETTLE_S = 2
PREFIX = "latency."
_JSON = {"content-type": "application/json"}


async def latency(place: Place, rate: float, *, seconds: float) -> list[str]:
    """One line: how long it took."""
    topics, port = place.topics, free_port()
    await asyncio.to_thread(topics.create_tierline, PREFIX)
    variables = {
        "KAFKA_BOOTSTRAP": place.kafka.bootstrap,
        "TIERLINE_TOPIC_PREFIX": PREFIX,
        "TIERLINE_PARTITIONS": str(topics.partitions),
        "TIERLINE_INGEST_PORT": str(port),
    }
    posted: dict[str, float] = {}
    took: list[float] = []

    def seen(told: Announcement, at_s: float) -> None:
        if told.subject in posted:
            took.append(at_s - posted[told.subject])

    ingest = await Process.spawn([sys.executable, "-m", "services.ingest"], env={**os.environ, **variables})
    worker = await place.worker(PREFIX)
    subscriber = Subscriber(place.kafka.bootstrap, PREFIX + TIER_CHANGES.name, topics.partitions, seen)
    try:
        async with httpx.AsyncClient(base_url=f"http://{HOST}:{port}", timeout=30) as client:
            await _ready(client)
            await place.restored(worker)
            await asyncio.gather(_crowd(client, rate, seconds), _probes(client, posted, seconds))
        await asyncio.sleep(SETTLE_S)
    finally:
        subscriber.close()
        await worker.process.stop(within=10)
        await ingest.stop(within=10)
        await asyncio.to_thread(topics.delete_of_run, PREFIX)
    p50, p99, most = (percentile(took, share) * 1000 for share in (0.5, 0.99, 1.0))
    return [
        f"{len(took):,} of {len(posted):,} promotions seen, beside {rate:,.0f} events/s posted: "
        f"p50 {p50:.0f} ms, p99 {p99:.0f} ms, at most {most:.0f} ms"
    ]


async def _ready(client: httpx.AsyncClient) -> None:
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        try:
            if (await client.get("/readyz")).is_success:
                return
        except httpx.TransportError:
            pass
        await asyncio.sleep(0.1)


async def _crowd(client: httpx.AsyncClient, rate: float, seconds: float) -> None:
    """Batches of interactions of 50,000 customers, so many events a second."""
    began, number = time.monotonic(), 0
    while (passed := time.monotonic() - began) < seconds:
        if number < passed * rate:
            events = [
                {"id": f"f{n}", "source": "shop", "type": "interaction", "subject": f"f{n % 50_000:05d}"}
                for n in range(number, number + BATCH)
            ]
            number += BATCH
            (await client.post("/v1/events", content=msgspec.json.encode(events), headers=_JSON)).raise_for_status()
        else:
            await asyncio.sleep(number / rate - passed)


async def _probes(client: httpx.AsyncClient, posted: dict[str, float], seconds: float) -> None:
    for number in range(int(seconds * PROBES_A_SECOND)):
        event = {"id": f"p{number}", "source": "shop", "type": "purchase", "subject": f"p{number}"}
        event |= {"amount": "2000.00", "currency": "USD"}
        posted[f"p{number}"] = time.time()
        response = await client.post("/v1/events", content=msgspec.json.encode(event), headers=_JSON)
        response.raise_for_status()
        await asyncio.sleep(1 / PROBES_A_SECOND)

"""The same backlog with one worker process and with two: events a second, and what sharing costs."""

import asyncio

from services.bench.load import Load
from services.bench.measure import tierline
from services.bench.more.place import Place
from services.bench.systems import Tierline

PREFIX = "workers."


async def workers(place: Place, load: Load, counts: list[int]) -> list[str]:
    """A table, a line a number of workers."""
    topics = place.topics
    await asyncio.to_thread(topics.create_tierline, PREFIX)
    await asyncio.to_thread(topics.fill_accepted, PREFIX, load)
    lines = [f"{'processes':>9}  {'events/s':>9}  CPU s per million  broker"]
    for count in counts:
        await asyncio.to_thread(topics.create_tierline, PREFIX)
        run = await tierline(
            Tierline("tierline", place.policy_file),
            bootstrap=place.kafka.bootstrap,
            broker_pid=place.kafka.pid,
            prefix=PREFIX,
            ends=await asyncio.to_thread(topics.ends, PREFIX),
            folder=place.folder,
            workers=count,
        )
        await asyncio.to_thread(topics.delete_tierline, PREFIX)
        broker = run.broker_cpu_s / run.events * 1e6
        lines.append(f"{count:9}  {run.rate:9,.0f}  {run.cpu_a_million:17.1f}  {broker:6.1f}")
    await asyncio.to_thread(topics.delete_of_run, PREFIX)
    return lines

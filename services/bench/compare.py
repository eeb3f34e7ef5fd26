"""Tierline beside its peers, in one run on one broker: `make bench`.

Each repeat runs every system once, one after the other, so that a noisy minute hits them alike. How the clocks run
stands in measure.py, what the systems do in systems.py and the load in load.py. Figures of one run may be compared
with each other, those of two runs hardly.

Exit codes: 0 measured, 1 a run came to nothing, 2 misused (an option, or a system that can't be built here).
"""

import argparse
import asyncio
import json
import os
import sys
import tempfile
from collections.abc import Sequence
from pathlib import Path

from services.bench import measure, report
from services.bench.load import Load, Topics
from services.bench.systems import SYSTEMS, Missing, Peer, System
from services.local.errors import CannotStart
from services.local.kafka import EmbeddedKafka

PEERS_TOPIC = "bench"
PREFIX = "tierline."


async def compare(
    systems: Sequence[System], load: Load, *, partitions: int, repeats: int, folder: Path
) -> tuple[list[float], dict[str, list[measure.Run]]]:
    """Per repeat the load average before it, and per system its runs. Failed, CannotStart."""
    runs: dict[str, list[measure.Run]] = {system.name: [] for system in systems}
    averages = []
    kafka = EmbeddedKafka(folder / "kafka", report=print)
    await kafka.start()
    try:
        topics = Topics(kafka.bootstrap, partitions)
        print(f"filling: {load.events:,} events of {load.customers:,} customers, twice", flush=True)
        await asyncio.to_thread(topics.fill_simple, PEERS_TOPIC, load)
        await asyncio.to_thread(topics.create_tierline, PREFIX)
        await asyncio.to_thread(topics.fill_accepted, PREFIX, load)
        for repeat in range(repeats):
            averages.append(os.getloadavg()[0])
            print(f"repeat {repeat + 1} of {repeats}, load average {averages[-1]:.2f}", flush=True)
            for number, system in enumerate(systems):
                name = f"run-{repeat}-{number}"
                run = await once(system, load, kafka, topics, name, folder / name)
                runs[system.name].append(run)
                print(
                    f"  {system.name:18} {run.rate:10,.0f} events/s  {run.cpu_s / run.events * 1e6:7.1f} CPU s/million"
                )
    finally:
        await kafka.stop()
    return averages, runs


async def once(
    system: System, load: Load, kafka: EmbeddedKafka, topics: Topics, name: str, folder: Path
) -> measure.Run:
    """One run of one system, with nothing left of it."""
    await asyncio.to_thread(folder.mkdir)
    if isinstance(system, Peer):
        await asyncio.to_thread(topics.create, f"{name}-out", f"{name}-out-state")
        run = await measure.peer(
            system,
            bootstrap=kafka.bootstrap,
            broker_pid=kafka.pid,
            topic=PEERS_TOPIC,
            name=name,
            events=int(load.events * system.share),
            partitions=topics.partitions,
            folder=folder,
        )
        await asyncio.to_thread(topics.delete_of_run, name)
        return run
    await asyncio.to_thread(topics.create_tierline, PREFIX)
    run = await measure.tierline(
        system,
        bootstrap=kafka.bootstrap,
        broker_pid=kafka.pid,
        prefix=PREFIX,
        ends=await asyncio.to_thread(topics.ends, PREFIX),
        folder=folder,
    )
    await asyncio.to_thread(topics.delete_tierline, PREFIX)
    return run


def main() -> int:
    options = argparse.ArgumentParser(prog="make bench", description=__doc__.partition("\n")[0])
    names = [system.name for system in SYSTEMS]
    options.add_argument("--events", type=int, default=2_000_000)
    options.add_argument("--customers", type=int, default=1_000_000)
    options.add_argument("--repeats", type=int, default=3)
    options.add_argument("--partitions", type=int, default=4)
    options.add_argument("--days", type=float, default=60, help="that the events cover; 0: all of this moment")
    options.add_argument("--late", type=float, default=0.01, help="share of the events that come late")
    options.add_argument("--only", type=_names, default=names, metavar="NAME,...", help=f"of {', '.join(names)}")
    options.add_argument("--skip", type=_names, default=[], metavar="NAME,...")
    options.add_argument("--json", type=Path, metavar="FILE", help="write every run there too")
    given = options.parse_args()
    if unknown := [name for name in [*given.only, *given.skip] if name not in names]:
        options.error(f"no system {', '.join(unknown)}; there are {', '.join(names)}")
    systems = [system for system in SYSTEMS if system.name in given.only and system.name not in given.skip]
    load = Load(given.events, given.customers, given.days, given.late)
    for what, value in report.machine().items():
        print(f"{what}: {value}")
    try:
        for system in systems:
            if isinstance(system, Peer):
                system.build()
        with tempfile.TemporaryDirectory(prefix="tierline-bench-") as folder:
            work = compare(systems, load, partitions=given.partitions, repeats=given.repeats, folder=Path(folder))
            averages, runs = asyncio.run(work)
    except Missing as error:
        print(f"bench: {error}", file=sys.stderr)
        return 2
    except (measure.Failed, CannotStart) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    print("", *report.table(runs), "", sep="\n")
    if given.json is not None:
        asked = {name: value for name, value in vars(given).items() if name != "json"}
        given.json.write_text(json.dumps(report.as_json(asked, averages, runs), indent=1) + "\n", "utf-8")
    print(report.ratios(runs))
    return 0


def _names(given: str) -> list[str]:
    return [name for name in given.split(",") if name]


if __name__ == "__main__":
    sys.exit(main())

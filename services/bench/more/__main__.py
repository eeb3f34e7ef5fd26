"""Further figures of Tierline alone: `make bench-more`. Each question by its name, all of them without one.

sizes: cost of an event, memory and restore by customers.  workers: one process and two.  timers: how late they fire.
latency: from POST to tier change.  sweep: live events while a new policy is put to all.  hot: beside one customer with
a million events.
Exit codes: 0 measured, 1 it came to nothing.
"""

import argparse
import asyncio
import os
import sys
import tempfile
from collections.abc import Awaitable, Callable
from pathlib import Path

from services.bench import report
from services.bench.load import Load, Topics
from services.bench.measure import Failed
from services.bench.more.hot import hot
from services.bench.more.latency import latency
from services.bench.more.place import Place
from services.bench.more.sizes import sizes
from services.bench.more.sweep import sweep
from services.bench.more.timers import timers
from services.bench.more.workers import workers
from services.local.errors import CannotStart
from services.local.kafka import EmbeddedKafka
from services.scorer.domain.policy import Policy, parse

QUESTIONS = ("sizes", "workers", "timers", "latency", "sweep", "hot")


async def ask(given: argparse.Namespace, policy: Policy, folder: Path) -> None:
    kafka = EmbeddedKafka(folder / "kafka", report=print)
    await kafka.start()
    place = Place(kafka, Topics(kafka.bootstrap, given.partitions), given.policy, policy, folder)
    load = Load(given.events, 50_000, days=60, late=0.01)
    answers: dict[str, Callable[[], Awaitable[list[str]]]] = {
        "sizes": lambda: sizes(place, given.customers, given.events),
        "workers": lambda: workers(place, load, [1, 2]),
        "timers": lambda: timers(place, given.timers, given.rate, span_s=given.timers / 1000, seconds=60),
        "latency": lambda: latency(place, given.rate, seconds=30),
        "sweep": lambda: sweep(place, given.dormant, given.rate / 2, rounds=5),
        "hot": lambda: hot(place, given.hot, given.rate / 2),
    }
    try:
        for name in given.questions:
            print(f"\n{name}, load average {os.getloadavg()[0]:.2f}", flush=True)
            print(*await answers[name](), sep="\n", flush=True)
    finally:
        await kafka.stop()


def main() -> int:
    options = argparse.ArgumentParser(prog="make bench-more", description=__doc__.partition("\n")[0])
    options.add_argument("questions", nargs="*", help=f"of {', '.join(QUESTIONS)}")
    options.add_argument("--policy", type=Path, default=Path("policies/bench.yaml").absolute())
    options.add_argument("--partitions", type=int, default=4)
    options.add_argument("--events", type=int, default=200_000)
    options.add_argument("--customers", type=int, nargs="+", default=[50_000, 1_000_000, 5_000_000])
    options.add_argument("--timers", type=int, default=1_000_000, help="pending; a thousand of them are due a second")
    options.add_argument("--dormant", type=int, default=300_000, help="customers a new policy is put to")
    options.add_argument("--hot", type=int, default=1_000_000, help="events of one customer")
    options.add_argument("--rate", type=float, default=15_000, help="events a second at half load")
    given = options.parse_args()
    given.questions = given.questions or list(QUESTIONS)
    if unknown := set(given.questions) - set(QUESTIONS):
        options.error(f"no question {', '.join(unknown)}; there are {', '.join(QUESTIONS)}")
    for what, value in report.machine().items():
        print(f"{what}: {value}")
    policy = parse(given.policy.read_text("utf-8"), str(given.policy))
    try:
        with tempfile.TemporaryDirectory(prefix="tierline-bench-") as folder:
            asyncio.run(ask(given, policy, Path(folder)))
    except (Failed, CannotStart) as error:
        print(f"bench: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())

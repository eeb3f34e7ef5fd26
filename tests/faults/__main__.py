"""`python -m tests.faults`: play the faults, all of them or those named, and say what came of it.

Exit code 0 if after each everything was exact, 1 if not, 2 if called with what cannot be.
"""

import argparse
import asyncio
import contextlib
import sys
from collections.abc import AsyncIterator

from rich.console import Console

from services.local.kafka import EmbeddedKafka
from tests.faults.catalogue import ALL, SHORT
from tests.faults.scenario import Result, Scenario, run
from tests.faults.stage import Options
from tests.faults.table import as_json, show
from tests.fixtures.places import open_folder
from tests.scorer.engine.workers import ROOT

_COMPILED = ROOT / "build" / "native"
_LISTED = {one.name: one for one in (*ALL, *(one for one, _, _ in SHORT))}


def main() -> int:
    parser = argparse.ArgumentParser(
        prog="python -m tests.faults", description="Play faults and hold what is committed against the oracles."
    )
    parser.add_argument("--only", metavar="NAME,...", help="these alone; see --list")
    parser.add_argument("--records", type=_positive, metavar="N", help="how many each sends, not its own number")
    parser.add_argument("--seed", type=int, default=1, metavar="S", help="of traffic and kills")
    parser.add_argument("--away", type=_positive, default=300, metavar="SECONDS", help="how long the broker is away")
    parser.add_argument("--compiled", action="store_true", help="workers have the compiled core of `make native`")
    parser.add_argument("--keep", action="store_true", help="leave the shared broker and all topics until Enter")
    parser.add_argument("--json", action="store_true", help="the result as JSON on stdout")
    parser.add_argument("--list", action="store_true", help="the faults there are")
    given = parser.parse_args()
    if given.list:
        for name, one in _LISTED.items():
            print(f"{name:22}{one.about}")
        return 0
    names = given.only.split(",") if given.only else [one.name for one in ALL]
    for name in names:
        if name not in _LISTED:
            parser.error(f"--only: {name!r} is none of {', '.join(_LISTED)}")
    if given.compiled and not _COMPILED.is_dir():
        parser.error(f"--compiled: {_COMPILED} is not there; `make native` makes it")
    options = Options(given.records, given.seed, given.away, given.keep, _COMPILED if given.compiled else None)
    results = asyncio.run(_play([_LISTED[name]() for name in names], options, Console(stderr=True)))
    if given.json:
        print(as_json(results))
    else:
        show(results, Console(width=max(130, Console().width)))
    return 0 if all(result.passed for result in results) else 1


async def _play(scenarios: list[Scenario], options: Options, console: Console) -> list[Result]:
    results = []
    async with _broker(options) as shared:
        for scenario in scenarios:
            console.print(f"{scenario.name}: {scenario.about}", highlight=False, markup=False, soft_wrap=True)
            results.append(await run(scenario, shared, options))
            for problem in results[-1].problems:
                console.print(f"  {problem}", highlight=False, markup=False, soft_wrap=True)
        if options.keep:
            console.print(f"the broker is at {shared.bootstrap}; Enter ends it")
            await asyncio.to_thread(sys.stdin.readline)
    return results


@contextlib.asynccontextmanager
async def _broker(options: Options) -> AsyncIterator[EmbeddedKafka]:
    """The broker that no fault harms."""
    with open_folder() as folder:
        kafka = EmbeddedKafka(folder / "kafka")
        try:
            await kafka.start()
            yield kafka
        finally:
            await kafka.stop()


def _positive(text: str) -> int:
    number = int(text)
    if number < 1:
        raise argparse.ArgumentTypeError(f"{text} is not a positive number")
    return number


if __name__ == "__main__":
    sys.exit(main())

"""What was found, as a table for people and as JSON."""

import json
from collections.abc import Iterable, Sequence
from dataclasses import asdict

from rich import box
from rich.console import Console
from rich.table import Table

from tests.faults.scenario import Result


def show(results: Sequence[Result], console: Console) -> None:
    table = Table(box=box.SIMPLE_HEAD)
    for heading, justify in (
        ("fault", "left"),
        *((heading, "right") for heading in ("times", "records", "decisions", "lost", "doubled")),
        *((heading, "right") for heading in ("recover s", "all s", "uncommitted", "took s")),
        ("", "left"),
    ):
        table.add_column(heading, justify=justify, no_wrap=True)  # type: ignore[arg-type]
    for result in results:
        if result.skipped is not None:
            table.add_row(result.name, *[""] * 9, "not played")
            continue
        counts = (result.times, result.records, result.decided, result.lost, result.doubled)
        table.add_row(
            result.name,
            *(f"{count:,}" for count in counts),
            *("-" if seconds is None else f"{seconds:.1f}" for seconds in (result.first_s, result.all_s)),
            f"{result.extra:,}",
            f"{result.seconds:.0f}",
            "exact" if result.passed else "FAILED",
        )
    console.print(table)
    console.print(
        "recover: from the fault to the first commit after it, the slowest of its times; of a broker away or a full "
        "disk, from the end of it. all: until every partition with events had one. uncommitted: records that only a "
        "reader of uncommitted ones sees."
    )
    for line in _notes(results):
        console.print(line, highlight=False, markup=False, soft_wrap=True)


def as_json(results: Sequence[Result]) -> str:
    faults = [asdict(result) | {"passed": result.passed} for result in results]
    document = {"passed": all(result.passed for result in results), "faults": faults}
    return json.dumps(document, indent=2, default=str)


def _notes(results: Iterable[Result]) -> Iterable[str]:
    for result in results:
        for name, fact in result.facts.items():
            for line in fact if isinstance(fact, list) else [fact]:
                yield f"  {result.name}: {name}: {line}"
        for problem in result.problems:
            yield f"  {result.name}: FAILED: {problem}"
        if result.skipped is not None:
            yield f"  {result.name}: not played: {result.skipped}"

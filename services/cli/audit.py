"""`tierline audit`: the live state held against a recomputation from the topics, once or again and again."""

import asyncio
import random
import re

import click
import msgspec
from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TextColumn, TimeRemainingColumn

from services.audit.pace import Pace
from services.audit.report import Report, lines, report
from services.audit.run import Audited, Failed, Refused, Watch
from services.audit.run import audit as audited
from services.audit.scope import Scope
from services.audit.watching import Watching, until_signalled
from services.local.errors import FAILED, MISUSED, CannotStart
from services.shared import logging
from services.shared.foreign import ForeignRecord
from services.shared.kafka import KafkaUnavailable, TopicMismatch, TopicMissing
from services.shared.settings import AuditSettings

_SECONDS = {"s": 1, "min": 60, "h": 3_600, "d": 86_400}
_GENTLE = 50_000  # records read a second by an audit that goes on for ever
_MOST_SLICES = 10_000


class _Share(click.ParamType):
    """`1%` -> 100 slices."""

    name = "percent"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> int:
        if isinstance(value, int):
            return value
        text = str(value).strip().removesuffix("%").strip()
        percent = float(text) if re.fullmatch(r"\d+(\.\d+)?", text) else 0.0
        if not 100 / _MOST_SLICES <= percent <= 100:
            self.fail(f"{value!r} is no share; write it as 1%, from {100 / _MOST_SLICES:g}% to 100%", param, ctx)
        return round(100 / percent)


class _Span(click.ParamType):
    """`90min` -> 5400.0 seconds."""

    name = "span"

    def convert(self, value: object, param: click.Parameter | None, ctx: click.Context | None) -> float:
        if isinstance(value, float):
            return value
        written = re.fullmatch(r"(\d+)\s*(s|min|h|d)", str(value).strip())
        if written is None or not int(written[1]):
            self.fail(f"{value!r} is no span of time; write it as 30s, 15min, 1h or 1d", param, ctx)
        return float(int(written[1]) * _SECONDS[written[2]])


@click.command()
@click.option("--customer", help="Only this one, and whoever they were ever merged with.")
@click.option("--sample", "slices", type=_Share(), metavar="PERCENT", help="A share of the customers, by hash: 1%.")
@click.option("--slice", "number", type=click.IntRange(1), metavar="N", help="With --sample: which; any if not given.")
@click.option("--every", "every_s", type=_Span(), metavar="SPAN", help="Again and again, as 1h; another slice each.")
@click.option("--pace", type=click.IntRange(1), metavar="N", help="Read at most so many records a second.")
@click.option("--workers", type=click.IntRange(1, 256), help="Processes to use; one a core, with --every one in all.")
@click.option(
    "--port", type=click.IntRange(0, 65535), help="With --every: of /metrics and /livez; TIERLINE_AUDIT_PORT."
)
@click.option("--json", "as_json", is_flag=True, help="Print what was found as JSON; with --every a line an audit.")
def audit(
    customer: str | None,
    slices: int | None,
    number: int | None,
    every_s: float | None,
    pace: int | None,
    workers: int | None,
    port: int | None,
    as_json: bool,
) -> None:
    """Recompute customers from topics events, control and identities, and compare with the scorer's live state.

    Each customer's events are played one by one through the scorer's own core, up to where the live state stands, with
    all merges, unmerges and erasures. Positions and since when, entries, and what merges and erasures left are
    compared.

    Scorers may go on meanwhile: whoever is on their way between two partitions is left out and counted.

    With --every it does so for ever, behind all else that runs on the machine and at most 50,000 records a second, and
    serves /metrics and /livez.

    Exit codes: 0 all agree, 1 somebody differs, or it could not be read; 2 misused, or topic events does not reach back
    to its beginning any more.
    """
    if customer is not None and (slices is not None or every_s is not None):
        raise click.UsageError("--customer goes alone")
    if number is not None and (slices is None or number > slices or every_s is not None):
        raise click.UsageError(
            "--slice goes with --sample, and is at most as many as there are; --every goes through all"
        )
    if port is not None and every_s is None:
        raise click.UsageError("--port goes with --every")
    settings = AuditSettings()
    if every_s is not None:
        if port is not None:
            settings.port = port
        _watch(settings, every_s, slices or 1, pace or _GENTLE, workers or 1, as_json=as_json)
        return
    chosen = 0 if slices is None else (random.randrange(slices) if number is None else number - 1)
    found = report(_audited(settings, Scope(slices or 1, chosen, customer), Pace(pace), workers))
    if customer is not None and not sum(found.customers.values()):
        raise CannotStart(f"nothing is known of customer {customer!r}", exit_code=FAILED)
    if as_json:
        click.echo(msgspec.json.format(msgspec.json.encode(found)).decode())
    else:
        for line in lines(found):
            click.echo(line)
    if found.customers["differs"]:
        raise SystemExit(1)


def _audited(settings: AuditSettings, scope: Scope, pace: Pace, workers: int | None) -> Audited:
    """With progress on stderr if somebody looks at it."""
    console = Console(stderr=True, markup=False)
    bar = Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        TextColumn("{task.percentage:>3.0f} %"),
        TimeRemainingColumn(),
        console=console,
        disable=not console.is_terminal,
        transient=True,
    )
    with bar:
        try:
            return audited(settings, scope, workers=workers, pace=pace, watch=_Bar(bar))
        except Refused as error:
            raise CannotStart(str(error), exit_code=MISUSED) from error
        except (KafkaUnavailable, TopicMissing, TopicMismatch) as error:
            raise CannotStart(str(error), exit_code=error.exit_code) from error
        except (Failed, ForeignRecord) as error:
            raise CannotStart(str(error)) from error


def _watch(settings: AuditSettings, every_s: float, slices: int, most: int, workers: int, *, as_json: bool) -> None:
    def tell(found: Report) -> None:
        click.echo(msgspec.json.encode(found).decode())

    async def run() -> None:
        watching = Watching(settings, every_s=every_s, slices=slices, most=most, workers=workers)
        if as_json:
            watching = Watching(settings, every_s=every_s, slices=slices, most=most, workers=workers, on_found=tell)
        await until_signalled(watching)

    logging.configure("audit", log_format=settings.log_format, level=settings.log_level)
    try:
        asyncio.run(run())
    except OSError as error:
        raise CannotStart(
            f"cannot listen on {settings.host}:{settings.port}: {error.strerror or error}", exit_code=MISUSED
        ) from error


class _Bar(Watch):
    def __init__(self, progress: Progress) -> None:
        self._progress, self._tasks = progress, dict[str, TaskID]()

    def reading(self, what: str, records: int, total: int) -> None:
        self._show(f"reading {what}", records, total)

    def playing(self, records: int, total: int) -> None:
        self._show("recomputing", records, total)

    def _show(self, what: str, done: int, total: int) -> None:
        if what not in self._tasks:
            for task in self._tasks.values():
                self._progress.update(task, visible=False)
            self._tasks[what] = self._progress.add_task(what, total=total)
        self._progress.update(self._tasks[what], completed=min(done, total), total=total)

"""`tierline rebuild`: have every customer made anew from topic events, with what a policy needs that was not kept."""

import math
import time
from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

import click
import msgspec
from confluent_kafka import KafkaException
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, TextColumn, TimeElapsedColumn
from rich.progress import Progress as Bar

from schemas.control import Rebuild, Record
from schemas.topics import EVENTS
from services.analyst import words
from services.cli import activation, kept, policy
from services.cli.kept import Progress
from services.local.errors import MISUSED, CannotStart
from services.scorer.domain.instants import to_datetime, to_ms
from services.scorer.domain.policy import Policy
from services.scorer.engine import changelog, eventlog
from services.shared.control import Control
from services.shared.kafka import KafkaUnavailable
from services.shared.settings import KafkaSettings

_PAUSE_S = 1.0
_SILENT_S = 10.0
"""Without any progress, until it is said whose turn it is."""


@click.command()
@click.option("--for", "file", type=click.Path(path_type=Path), help="Keep what this policy asks for, in the past too.")
@click.option("--wait", is_flag=True, help="Return when all partitions have done it.")
@click.option("--by", help="Who does it; your user name if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print what was asked for, and how far it is, as JSON.")
def rebuild(file: Path | None, wait: bool, by: str | None, as_json: bool) -> None:
    """Replay topic events into a new generation of customers while the present one serves, and switch.

    Of an event only the fields are kept that some policy named when it came. With --for, those that a policy asks for
    are found again, and `tierline policy activate` takes it then; what is kept, or asked for already, is not asked for
    again. Without --for, each call asks for another rebuild.

    Scorers that run follow it at once, behind live events, one partition of each at a time. Whoever stands elsewhere
    afterwards is told so. Refused if topic events does not begin at its beginning any more.

    Exit codes: 0 done, 1 it could not be asked for or cannot be finished, 2 misused or refused.
    """
    wanted = None if file is None else policy.read(file)
    settings, control = KafkaSettings(), activation.control()
    records = activation.told(control.records)
    if not records:
        raise CannotStart("no policy was activated yet: start a scorer first", exit_code=MISUSED)
    fields = frozenset() if wanted is None else activation.told(lambda: kept.missing(records, wanted))
    number = kept.found_by(records, fields) if wanted is not None else None
    if wanted is not None and not fields:
        if as_json:
            _print(None, fields, Progress(0, settings.partitions, settings.partitions))
        else:
            click.echo(f"all that {wanted.name} asks for is kept already: `tierline policy activate {file}` takes it")
        return
    if number is None:
        _check_beginnings(settings, MISUSED)
        number = _asked(control, fields, wanted, by).sequence
    reached = _wait(settings, number) if wait else activation.told(lambda: kept.progress(settings, number))
    if as_json:
        _print(number, fields, reached)
    else:
        click.echo(_said(reached, fields))


def _asked(control: Control, fields: frozenset[str], wanted: Policy | None, by: str | None) -> Rebuild:
    def following(records: Sequence[Record]) -> Sequence[Rebuild]:
        one = Rebuild(
            record="rebuild",
            sequence=sum(isinstance(record, Rebuild) for record in records) + 1,
            fields=sorted(fields),
            asked_at=to_datetime(to_ms(datetime.now(UTC))),
            asked_by=by or activation.user(),
            policy=None if wanted is None else wanted.name,
        )
        return [one]

    return activation.told(lambda: control.ask(following))[-1]


def _check_beginnings(settings: KafkaSettings, exit_code: int) -> None:
    """CannotStart if a partition of `events` has lost its beginning."""
    topic = settings.topic(EVENTS.name)
    consumer = changelog.reader(settings, settings.topic("rebuild"))
    try:
        for number in range(settings.partitions):
            first, _ = eventlog.bounds(consumer, topic, number)
            if first > 0:
                raise CannotStart(
                    f"{topic}-{number} begins at offset {first}: what came before is gone, so nobody can be made anew "
                    "from it",
                    exit_code=exit_code,
                )
    except KafkaException as error:
        raise CannotStart(f"Kafka at {settings.kafka_bootstrap}: {error.args[0].str()}") from error
    finally:
        consumer.close()


def _wait(settings: KafkaSettings, number: int) -> Progress:
    """Until all partitions have done it. CannotStart if they cannot any more."""
    console = Console(stderr=True, markup=False)
    columns = (TextColumn("rebuild {task.fields[number]}"), BarColumn(), MofNCompleteColumn(), TextColumn("partitions"))
    with Bar(*columns, TimeElapsedColumn(), console=console, disable=not console.is_terminal, transient=True) as bar:
        task = bar.add_task("", total=settings.partitions, number=number)
        silent_until, done = time.monotonic() + _SILENT_S, 0
        while True:
            try:
                reached = kept.progress(settings, number)
            except KafkaUnavailable as error:
                bar.console.print(f"{error}; trying again")
            else:
                bar.update(task, completed=reached.done)
                if reached.is_done:
                    return reached
                if reached.done > done and silent_until != math.inf:
                    silent_until, done = time.monotonic() + _SILENT_S, reached.done
                elif time.monotonic() >= silent_until:
                    silent_until = math.inf  # once is enough
                    said = f"{_so_far(reached)}; it waits for scorers to do the rest: is one running?"
                    bar.console.print(f"rebuild {number}: {said}", soft_wrap=True)
                _check_beginnings(settings, exit_code=1)
            time.sleep(_PAUSE_S)


def _print(number: int | None, fields: frozenset[str], reached: Progress) -> None:
    """As JSON.  number: none if nothing had to be asked for"""
    told = {"number": number, "fields": sorted(fields), "partitions": reached.partitions, "done": reached.done}
    click.echo(msgspec.json.encode(told).decode())


def _said(reached: Progress, fields: frozenset[str]) -> str:
    what = f"rebuild {reached.number}" + (f" for {', '.join(sorted(fields))}" if fields else "")
    if reached.is_done:
        return f"{what}: done"
    return f"{what}: {_so_far(reached)}; --wait waits for it"


def _so_far(reached: Progress) -> str:
    return f"done in {reached.done} of {words.counted(reached.partitions, 'partition')}"

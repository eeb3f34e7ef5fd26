"""`tierline policy activate [FILE]`: a policy takes its place in the sequence."""

from pathlib import Path
from typing import Any

import click

from services.analyst.backtest.evaluate import Document
from services.analyst.recalibrated import completed, recalibrated
from services.cli import activation
from services.cli.policy import text_of
from services.local.errors import MISUSED, CannotStart
from services.scorer.domain.document import read


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Put the calibration of this file, as `tierline fit --out` writes it, in the place of the policy's; parts "
    "that it lacks stay.",
)
@activation.options
def activate(file: Path | None, calibration: Path | None, **given: Any) -> None:
    """Check FILE, try it on what has happened, and write it to topic control, behind what was activated before. With
    --calibration alone it is the policy activated last, with other numbers.

    It is tried against the policy activated last, or TIERLINE_POLICY if there is none: if more than --most percent of
    customers would stand elsewhere, it is only written with --confirm and their exact number. The history is topic
    events with the merges, unmerges and erasures on topic identities, played as by `tierline policy backtest --topic`:
    merged customers are one, erased ones none. --events or --cdnow name another.

    Scorers that run follow it at once; from its instant on whoever it moves is told, a slice of customers at a time.

    What `tierline policy check` says is not carried out yet cannot be activated.

    Nothing can be effective before what was activated last. Of two who write at the same time, one fails.

    Exit codes: 0 done, 1 it could not be written, 2 misused, 3 needs --confirm.
    """
    if file is None and calibration is None:
        raise click.UsageError("name a policy's file, or --calibration")
    quiet = bool(given["as_json"])
    new = None if file is None else _checked(Document(text_of(file), str(file)), calibration, quiet=quiet)
    asked, control = activation.wish(given), activation.control()
    known = activation.sequence(control)
    new = new or _checked(activation.current(known), calibration, quiet=quiet)
    activation.activate(control, known, new, asked)


def _checked(policy: Document, calibration: Path | None, *, quiet: bool) -> Document:
    """The policy to activate. What is wrong with a file is said before Kafka is asked for anything."""
    new = policy if calibration is None else _recalibrated(policy, calibration, quiet=quiet)
    new.policy()
    return new


def _recalibrated(policy: Document, file: Path, *, quiet: bool) -> Document:
    """It is said which parts stay; with `quiet` on stderr."""
    before = read(policy.text, policy.source).policy.calibration
    source = f"{policy.source} with {file}"
    try:
        text, stay = completed(recalibrated(policy.text, text_of(file)), source, before)
    except ValueError as error:
        raise CannotStart(f"{file}: {error}", exit_code=MISUSED) from error
    if stay:
        click.echo(f"{file} has no {', '.join(stay)}: as in {policy.source}", err=quiet)
    return Document(text, source)

"""`tierline policy activate [FILE]`: a policy takes its place in the sequence."""

from pathlib import Path
from typing import Any

import click

from services.analyst.backtest.evaluate import Document
from services.analyst.recalibrated import recalibrated
from services.cli import activation
from services.cli.policy import text_of
from services.local.errors import MISUSED, CannotStart


@click.command()
@click.argument("file", type=click.Path(path_type=Path), required=False)
@click.option(
    "--calibration",
    type=click.Path(path_type=Path),
    help="Put the calibration of this file, as `tierline fit --out` writes it, in the place of the policy's.",
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
    new = None if file is None else _checked(Document(text_of(file), str(file)), calibration)
    asked, control = activation.wish(given), activation.control()
    known = activation.sequence(control)
    activation.activate(control, known, new or _checked(activation.current(known), calibration), asked)


def _checked(policy: Document, calibration: Path | None) -> Document:
    """The policy to activate. What is wrong with a file is said before Kafka is asked for anything."""
    new = policy if calibration is None else _recalibrated(policy, calibration)
    new.policy()
    return new


def _recalibrated(policy: Document, file: Path) -> Document:
    try:
        return Document(recalibrated(policy.text, text_of(file)), f"{policy.source} with {file}")
    except ValueError as error:
        raise CannotStart(f"{file}: {error}", exit_code=MISUSED) from error

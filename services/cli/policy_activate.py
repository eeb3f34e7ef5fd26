"""`tierline policy activate FILE`: a policy takes its place in the sequence."""

from pathlib import Path
from typing import Any

import click

from services.analyst.backtest.evaluate import Document
from services.cli import activation
from services.cli.policy import text_of


@click.command()
@click.argument("file", type=click.Path(path_type=Path))
@activation.options
def activate(file: Path, **given: Any) -> None:
    """Check FILE, try it on what has happened, and write it to topic control, behind what was activated before.

    It is tried against the policy activated last, or TIERLINE_POLICY if there is none: if more than --most percent of
    customers would stand elsewhere, it is only written with --confirm and their exact number. The history is topic
    events, if --events or --cdnow do not name another.

    Scorers that run follow it at once; from its instant on whoever it moves is told, a slice of customers at a time.

    Nothing can be effective before what was activated last. Of two who write at the same time, one fails.

    Exit codes: 0 done, 1 it could not be written, 2 misused, 3 needs --confirm.
    """
    new = Document(text_of(file), str(file))
    new.policy()
    asked, control = activation.wish(given), activation.control()
    activation.activate(control, activation.sequence(control), new, asked)

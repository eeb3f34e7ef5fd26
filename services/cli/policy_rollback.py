"""`tierline policy rollback`: the other policy before the present one is activated again."""

from collections.abc import Sequence
from typing import Any

import click

from schemas.control import Activation
from services.analyst.backtest.evaluate import Document
from services.cli import activation
from services.local.errors import MISUSED, CannotStart


@click.command()
@activation.options
def rollback(**given: Any) -> None:
    """Activate the text of the policy before the present one again; once more, and it is the one before that. One that
    decides as the present one does is passed over.

    It is written to topic control behind what was activated before, and tried and confirmed as by `tierline policy
    activate`, and followed like that.

    Exit codes: 0 done, 1 it could not be written, 2 there is nothing to go back to, or misused, 3 needs --confirm.
    """
    control = activation.control()
    known = activation.sequence(control)
    before = previous(known)
    if before is None:
        raise CannotStart("nothing was activated before; activate a file instead", exit_code=MISUSED)
    number = before.restores or before.sequence
    document = Document(before.text, f"control number {before.sequence}")
    activation.activate(control, known, document, activation.wish(given), restores=number)


def previous(known: Sequence[Activation]) -> Activation | None:
    """What was to decide before the present policy, and otherwise; of one that was itself taken up again, before it
    first was."""
    if not known:
        return None
    present = known[-1].restores or known[-1].sequence
    earlier = [one for one in known if one.sequence < present and one.digest != known[-1].digest]
    return earlier[-1] if earlier else None

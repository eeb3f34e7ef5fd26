"""`tierline dead-letters list`: which events were not taken, why, and what was done about it."""

from datetime import datetime
from typing import get_args

import click
import msgspec
from rich import box
from rich.console import Console
from rich.table import Table
from rich.text import Text

from schemas import instants
from schemas.decisions import DeadLetterReason
from schemas.problems import Refused
from services.analyst import words
from services.cli.letters import Letter, Letterbox
from services.local.errors import MISUSED, CannotStart


@click.command("list")
@click.option("--reason", type=click.Choice(get_args(DeadLetterReason)), help="Only those with this reason.")
@click.option("--since", help="Only those written at this instant or later, as 2026-03-01T00:00:00Z.")
@click.option("--subject", help="Only those of this customer.")
@click.option("--open", "only_open", is_flag=True, help="Only those of which nothing was sent since.")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a letter, one a line.")
def list_(reason: str | None, since: str | None, subject: str | None, only_open: bool, as_json: bool) -> None:
    """Say which events were not taken, the oldest first: why, of whom, when, and whether they were sent again.

    `repaired` waits for `tierline dead-letters resend`. The reasons are explained in docs/semantics.md. What is too
    long for a line is cut; --json has it whole.

    Exit codes: 0 done, 1 the topic cannot be read, 2 misused.
    """
    since_at = None if since is None else _instant(since)
    found = [
        one
        for one in Letterbox().all()
        if (reason is None or one.letter.reason == reason)
        and (subject is None or one.letter.subject == subject)
        and (since_at is None or one.letter.at >= since_at)
        and not (only_open and one.handling.is_resent)
    ]
    if as_json:
        for one in found:
            click.echo(msgspec.json.encode(one.as_json()).decode())
        return
    if not found:
        click.echo("no dead letters")
        return
    console = Console(width=None if Console().is_terminal else 200, highlight=False, markup=False)
    console.print(_table(found))
    waiting = sum(not one.handling.is_resent for one in found)
    click.echo(f"{words.counted(len(found), 'letter')}, {waiting:,} not sent again")


def _table(letters: list[Letter]) -> Table:
    """A line a letter. Its id is always whole, since the other commands ask for it; the longest of the rest are cut."""
    table = Table(box=box.SIMPLE_HEAD, pad_edge=False, padding=(0, 1, 0, 0))
    table.add_column("letter", no_wrap=True)
    for name in ("reason", "subject", "event", "written", "state", "what was wrong"):
        table.add_column(_cut(name))
    for one in letters:
        letter = one.letter
        at = words.instant(letter.at)
        subject, id_ = letter.subject or "", letter.id or ""
        rest = (letter.reason, subject, id_, at, one.state, letter.detail)
        table.add_row(str(one.place), *map(_cut, rest))
    return table


def _cut(text: str) -> Text:
    return Text(text, no_wrap=True, overflow="ellipsis")


def _instant(text: str) -> datetime:
    try:
        return instants.instant(text)
    except Refused as refused:
        raise CannotStart(f"--since: {refused.detail}; write it as 2026-03-01T00:00:00Z", exit_code=MISUSED) from None

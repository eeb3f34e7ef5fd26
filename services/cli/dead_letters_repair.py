"""`tierline dead-letters repair ID`: another event takes the place of the one that was not taken."""

import json
import sys
from pathlib import Path
from typing import Any

import click
import msgspec

from schemas.problems import ProblemDetails
from services.cli import letters, repairs
from services.cli.letters import Letter, Letterbox
from services.local.errors import FAILED, MISUSED, CannotStart


@click.command()
@click.argument("letter")
@click.option("--set", "sets", multiple=True, metavar="PATH=VALUE", help="Set a field, as data.amount=12.30.")
@click.option("--unset", "unsets", multiple=True, metavar="PATH", help="Take a field away.")
@click.option("--file", type=click.Path(path_type=Path), help="Take the event from this file, as it would be posted.")
@click.option("--by", help="Who does it; your user name if not given.")
@click.option("--json", "as_json", is_flag=True, help="Print what was done as JSON.")
def repair(
    letter: str, sets: tuple[str, ...], unsets: tuple[str, ...], file: Path | None, by: str | None, as_json: bool
) -> None:
    """Say what is to be sent in the place of LETTER, and have ingest's checks look at it; nothing is sent yet.

    The event is shown as it would be posted: a CloudEvent with `data.amount` in decimals. --set and --unset change it,
    --file replaces it; with neither, your $EDITOR opens. A repair goes on from the one before. Values are text, but for
    null, true, false and what begins with a quote or a bracket. What passes the checks is kept, and
    `tierline dead-letters resend` sends it.

    Exit codes: 0 kept, 1 ingest would refuse it, or the topic cannot be read or written; 2 misused.
    """
    if file is not None and (sets or unsets):
        raise click.UsageError("--file or --set and --unset, not both")
    who, box = letters.by(by), Letterbox()
    one = box.one(letter)
    raw = box.original(one.letter)
    original = letters.as_posted(raw)
    present = original if one.handling.event is None else msgspec.json.decode(one.handling.event)
    if file is not None:
        document = _read(file)
    elif sets or unsets:
        document = repairs.changed(present or {}, sets, unsets)
    else:
        document = _edited(one, present)
    changes = list(repairs.differences(original, document))
    found = repairs.checked(document, letters.now())
    refused = isinstance(found, ProblemDetails)
    warning = None if isinstance(found, ProblemDetails) else letters.comes_back(one.letter, raw, found)
    if not refused:
        kept = repairs.encoded(document).decode()
        box.note(msgspec.structs.replace(one.handling, event=kept, repaired_at=letters.now(), repaired_by=who))
    if as_json:
        told: dict[str, Any] = {"letter": str(one.place), "event": document, "differences": changes}
        told |= {"kept": not refused, "warning": warning, "problem": found if refused else None}
        click.echo(msgspec.json.encode(told).decode())
    else:
        for line in changes or ["as it was"]:
            click.echo(line)
    if isinstance(found, ProblemDetails):
        raise CannotStart(f"not kept, ingest would refuse it: {repairs.problem(found)}", exit_code=FAILED)
    if as_json:
        return
    click.echo("would be sent:")
    click.echo(repairs.shown(document, indent=2))
    if warning:
        click.echo(f"but as it is it would only come back: {warning}")
    click.echo(f"kept; `tierline dead-letters resend {one.place}` sends it")


def _read(file: Path) -> repairs.Document:
    try:
        return _document(file.read_bytes(), str(file))
    except OSError as error:
        raise CannotStart(f"{file} cannot be read: {error.strerror}", exit_code=MISUSED) from error


def _edited(one: Letter, present: repairs.Document | None) -> repairs.Document:
    if not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("say what is to be changed: --set, --unset or --file")
    text = repairs.shown(present, indent=2) if present is not None else one.letter.event.decode("utf-8", "replace")
    edited = click.edit(text + "\n", extension=".json")
    if edited is None:
        raise CannotStart("nothing was saved in the editor, so nothing was changed", exit_code=FAILED)
    return _document(edited.encode(), "what you wrote")


def _document(text: bytes, where: str) -> repairs.Document:
    try:
        found = json.loads(text, parse_float=str)
    except (ValueError, RecursionError) as error:
        raise CannotStart(f"{where} is no JSON: {error}", exit_code=MISUSED) from None
    if not isinstance(found, dict):
        raise CannotStart(f"{where} is no JSON object, which an event is", exit_code=MISUSED)
    return found

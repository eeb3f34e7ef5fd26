"""`tierline policy diff OLD NEW`: what a policy says otherwise than another."""

from pathlib import Path

import click
import msgspec

from services.analyst.differences import Difference, differences
from services.cli.policy import read

_SIGNS = {"added": "+", "removed": "-", "changed": "~", "moved": "~"}
_ONE = {"ladders": "ladder", "rates": "rate", "features": "feature", "segments": "segment", "playbooks": "playbook",
        "scorecards": "scorecard", "attributes": "attribute", "classes": "class"}  # fmt: skip


@click.command()
@click.argument("old", type=click.Path(path_type=Path))
@click.argument("new", type=click.Path(path_type=Path))
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a difference, one a line.")
@click.pass_context
def diff(context: click.Context, old: Path, new: Path, as_json: bool) -> None:
    """Say what NEW says otherwise than OLD: not how it is written, but what it means.

    Exit codes: 0 they say the same, 1 they differ, 2 misused.
    """
    before, after = read(old), read(new)
    found = differences(before.document, after.document)
    if as_json:
        for difference in found:
            click.echo(msgspec.json.encode(difference))
    elif not found:
        click.echo(f"{new} says the same as {old} ({after.digest})")
    else:
        decides = (
            "nothing is decided otherwise" if before.digest == after.digest else f"{before.digest} -> {after.digest}"
        )
        click.echo(f"{old} -> {new} ({decides})")
        for difference in found:
            click.echo(f"  {line(difference)}")
    context.exit(1 if found else 0)


def line(difference: Difference) -> str:
    """`+ segment north`, `~ ladder tier 'gold', when: ... -> ...`."""
    return f"{_SIGNS[difference.change]} {_said(difference)}"


def _said(difference: Difference) -> str:
    section, *names = difference.item
    what = " ".join([_ONE.get(section, section), *names[:1], *(repr(name) for name in names[1:])])
    match difference.change:
        case "added":
            return f"{what}: {difference.after}" if difference.after else what
        case "removed":
            return f"{what}: {difference.before}" if difference.before else what
        case "moved":
            return f"{what}, order: {difference.before} -> {difference.after}"
    return f"{what}, {difference.setting}: {difference.before or '(none)'} -> {difference.after or '(none)'}"

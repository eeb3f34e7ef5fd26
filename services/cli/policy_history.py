"""`tierline policy history`: which policies were activated, when, by whom, and what each says otherwise."""

from collections.abc import Iterator

import click
import msgspec

from schemas.control import Activation
from services.analyst import words
from services.analyst.differences import Difference, differences
from services.cli import activation
from services.cli.policy_diff import line
from services.scorer.domain.policy import PolicyError, compiled


@click.command()
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object an activation, one a line.")
def history(as_json: bool) -> None:
    """Say which policies were activated, the first one first, and what each says otherwise than the one before.

    Exit codes: 0 done, 1 the topic cannot be read, 2 misused.
    """
    known = activation.sequence(activation.control())
    if not known and not as_json:
        click.echo("nothing was activated yet: the first start of a scorer begins with TIERLINE_POLICY")
    for before, one in zip([None, *known], known, strict=False):
        if as_json:
            told = {name: value for name, value in msgspec.to_builtins(one).items() if name != "record"}
            click.echo(msgspec.json.encode(told | {"differences": _differences(before, one)}).decode())
        else:
            for text in _told(before, one):
                click.echo(text)


def _told(before: Activation | None, one: Activation) -> Iterator[str]:
    again = "" if one.restores is None else f", number {one.restores} again"
    yield f"{one.sequence}  {one.policy} ({one.digest}){again}"
    yield f"   from {words.instant(one.effective_at)} on" + ("" if one.playbooks else ", playbooks off for the switch")
    yield f"   activated {words.instant(one.activated_at)} by {one.activated_by}"
    differing = _differences(before, one)
    if differing is None:
        yield "   what it says otherwise cannot be told: this version does not read one of the two"
    elif before is not None and not differing:
        yield "   says the same as the one before"
    yield from (f"   {line(difference)}" for difference in differing or ())


def _differences(before: Activation | None, one: Activation) -> list[Difference] | None:
    """None if one of them is in a language this version doesn't read."""
    if before is None:
        return []
    try:
        return differences(compiled(before.text).document, compiled(one.text).document)
    except PolicyError:
        return None

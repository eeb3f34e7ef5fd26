"""`tierline policy check FILE`: whether a policy can be used."""

from pathlib import Path

import click

from services.local.errors import MISUSED, CannotStart
from services.scorer.domain.policy import Policy, parse


def read(file: Path) -> Policy:
    """The policy of a file. CannotStart (exit code 2) if it can't be read, PolicyError if it isn't one."""
    try:
        return parse(file.read_text("utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise CannotStart(f"policy {file} is not text in UTF-8", exit_code=MISUSED) from error
    except OSError as error:
        raise CannotStart(f"policy {file} cannot be read: {error.strerror}", exit_code=MISUSED) from error


@click.group()
def policy() -> None:
    """Look at policies: the rules of who is in which tier."""


@policy.command()
@click.argument("file", type=click.Path(path_type=Path))
def check(file: Path) -> None:
    """Say whether FILE can be used, and if not, where and why."""
    checked = read(file)
    click.echo(f"{file}: policy {checked.name} ({checked.digest}) can be used")
    for dimension in checked.dimensions:
        says = " > ".join(map(str, dimension.values)) if dimension.kind == "ladder" else dimension.rules[0].text
        click.echo(f"  {dimension.kind:8} {dimension.name:14} {says}")
    click.echo(f"  {len(checked.playbooks)} playbooks, {len(checked.features)} features, amounts in {checked.currency}")

"""`tierline policy check FILE...`: whether policies can be used."""

from collections.abc import Iterator
from pathlib import Path
from typing import Literal

import click
import msgspec

from services.cli.policy import text_of
from services.local.errors import FAILED, CannotStart
from services.scorer.domain.policy import Policy, PolicyError, examined
from services.scorer.domain.rules import Classes, Ladder, Segment


class Found(msgspec.Struct, frozen=True):
    """One thing to say: `error` for what must be mended. place: `file:line:column`"""

    severity: Literal["error", "warning"]
    place: str
    message: str


class Report(msgspec.Struct, frozen=True, omit_defaults=True):
    """What `--json` prints of a file; without `usable`, what follows `findings` is not known.

    pending: how many parts are checked, but not carried out yet; with any of them it cannot be put in force
    features, thresholds, playbooks: how many.  dimensions: their positions, best or first before
    """

    file: str
    usable: bool
    findings: list[Found]
    policy: str = ""
    digest: str = ""
    currency: str = ""
    zone: str = ""
    features: int = 0
    thresholds: int = 0
    playbooks: int = 0
    pending: int = 0
    dimensions: dict[str, list[str | bool]] = {}


@click.command()
@click.argument("files", nargs=-1, required=True, type=click.Path(path_type=Path), metavar="FILE...")
@click.option("--json", "as_json", is_flag=True, help="Print one JSON object a file, one a line.")
@click.pass_context
def check(context: click.Context, files: tuple[Path, ...], as_json: bool) -> None:
    """Say whether policies can be used: a line for each mistake, with its place and what to do.

    A mistake is what cannot be read, and what is provably false: a condition that never holds, a tier no one can
    reach. Of a policy that cannot be read only the first mistake is told; of one that can, all that is provably false.
    A warning is what looks wrong, or what the language has and no service carries out yet: with that a policy can be
    tried, but not put in force.

    Exit codes: 0 all can be used, warnings or not; 1 one has a mistake; 2 misused, or a file is not there or cannot be
    opened: that is told on standard error, and the others are checked all the same.
    """
    code = 0
    for path in files:
        file = str(path)
        try:
            checked, found = _examined(path)
        except CannotStart as error:
            click.echo(f"tierline: {error}", err=True)
            code = error.exit_code
            continue
        if any(f.severity == "error" for f in found):
            code = max(code, FAILED)
        if as_json:
            click.echo(msgspec.json.encode(_report(file, checked, found)))
        else:
            for finding in found:
                click.echo(f"{finding.place}: {finding.severity}: {finding.message}")
            if checked is not None and not any(f.severity == "error" for f in found):
                click.echo("\n".join(_summary(file, checked)))
    context.exit(code)


def _examined(path: Path) -> tuple[Policy | None, list[Found]]:
    """CannotStart if the file can't be read."""
    file = str(path)
    try:
        checked, findings = examined(text_of(path), file)
    except PolicyError as error:
        place, _, message = str(error).removeprefix(file).partition(": ")
        return None, [Found("error", file + place, message)]
    found = [Found("error" if f.severity == "refuse" else "warning", f.place, f.message) for f in findings]
    return checked, found + [Found("warning", part.place, part.message) for part in checked.pending]


def _report(file: str, checked: Policy | None, found: list[Found]) -> Report:
    if checked is None or any(f.severity == "error" for f in found):
        return Report(file, usable=False, findings=found)
    return Report(
        file,
        True,
        found,
        checked.name,
        checked.digest,
        checked.currency,
        checked.zone.key,
        len(checked.features),
        len(checked.thresholds),
        len(checked.playbooks),
        len(checked.pending),
        {dimension.name: list(dimension.values) for dimension in checked.dimensions},
    )


def _summary(file: str, checked: Policy) -> Iterator[str]:
    can = "can be tried, but not put in force yet" if checked.pending else "can be used"
    yield f"{file}: policy {checked.name} ({checked.digest}) {can}; {checked.currency}, {checked.zone.key}"
    width = max(len(dimension.name) for dimension in checked.dimensions)
    for dimension in checked.dimensions:
        match dimension:
            case Ladder(values=values):
                says = " > ".join(map(str, values))
            case Classes(values=values):
                says = ", ".join(map(str, values))
            case Segment(rule=rule):
                says = " ".join(rule.text.split())
        yield f"  {dimension.kind:8} {dimension.name:{width}}  {says}"
    count = len(checked.features), len(checked.thresholds), len(checked.playbooks)
    yield "  {} features, {} thresholds, {} playbooks".format(*count)

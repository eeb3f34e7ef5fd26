"""`schemas write|check`: publish what is generated from code, or say what is not current.

Run it in the repository: `make schemas`. Exit 0: done or current; 1: `check` found something; 2: misused.
"""

from collections.abc import Iterator
from pathlib import Path

import click

from schemas import publish
from services.cli import catalogues
from services.ingest import app as ingest
from services.notifier import app as notifier
from services.scorer.domain.policy import parse
from services.shared.settings import IngestSettings, NotifierSettings

PUBLISHED = Path("schemas/published")
_ANY_POLICY = """
policy: any
currency: USD
zone: UTC
features: {orders: {count: purchase}}
ladders: {tier: [{name: buyer, when: orders > 0}, {name: other}]}
"""  # the notifier wants one; its document is the same under all
_BEGIN, _END = "<!-- settings:begin -->", "<!-- settings:end -->"


def documents(root: Path) -> dict[Path, str]:
    """Every generated file below `root` and the text it should have; README keeps what is around its tables."""
    made = {PUBLISHED / name: text for name, text in publish.documents().items()}
    made |= {PUBLISHED / f"openapi-{service}.json": text for service, text in _openapi()}
    made[Path("docs/metrics.md")] = catalogues.metrics_page()
    made[Path("docs/topics.md")] = catalogues.topics_page()
    made[Path("docs/problems.md")] = catalogues.problems_page()
    made[Path("README.md")] = _between((root / "README.md").read_text("utf-8"), catalogues.settings_tables())
    return made


def not_current(root: Path) -> Iterator[str]:
    """What `write` would change, one line each."""
    made = documents(root)
    for path, text in made.items():
        if not (root / path).is_file():
            yield f"{path} is missing"
        elif (root / path).read_text("utf-8") != text:
            yield f"{path} is not what the code says"
    for path in _left_over(root, made):
        yield f"{path} is published, but nothing makes it"


@click.group("schemas")
@click.option(
    "--root", type=click.Path(path_type=Path, file_okay=False), default=Path(), help="the repository's top folder"
)
@click.pass_context
def schemas(context: click.Context, root: Path) -> None:
    """Publish the contracts: JSON Schema, AsyncAPI, OpenAPI and the tables of the documentation."""
    if not (root / "pyproject.toml").is_file() or not (root / "README.md").is_file():
        raise click.UsageError(f"{root.resolve()} is not the repository's top folder; go there or give --root")
    context.obj = root


@schemas.command()
@click.pass_obj
def write(root: Path) -> None:
    """Write every generated file, and remove published ones that nothing makes any more."""
    made = documents(root)
    for path in _left_over(root, made):
        (root / path).unlink()
    for path, text in made.items():
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_text(text, "utf-8")
    click.echo(f"{len(made)} files are current")


@schemas.command()
@click.pass_obj
def check(root: Path) -> None:
    """Exit 1 and name each generated file that is not current."""
    stale = list(not_current(root))
    for line in stale:
        click.echo(line)
    if stale:
        click.echo("run `make schemas`, look at the difference and commit it")
        raise SystemExit(1)
    click.echo("every published document is current")


def _openapi() -> Iterator[tuple[str, str]]:
    """The documents of the HTTP APIs, made from the apps as they are with every setting at its default."""
    yield "ingest", publish.render(ingest.build(IngestSettings.model_construct()).openapi())
    yield "notifier", publish.render(notifier.build(NotifierSettings.model_construct(), parse(_ANY_POLICY)).openapi())


def _left_over(root: Path, made: dict[Path, str]) -> list[Path]:
    present = (path.relative_to(root) for path in (root / PUBLISHED).rglob("*.json"))
    return sorted(path for path in present if path not in made)


def _between(readme: str, tables: str) -> str:
    """README with `tables` between its two markers; both have to be there, in order."""
    before, begin, rest = readme.partition(_BEGIN)
    _, end, after = rest.partition(_END)
    if not begin or not end:
        raise click.UsageError(f"README.md lacks its markers {_BEGIN} and {_END}")
    return f"{before}{_BEGIN}\n{tables}{_END}{after}"


if __name__ == "__main__":
    schemas()

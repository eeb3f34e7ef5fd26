"""What is published is what the code says: this fails when someone changes a contract and not its document."""

import tomllib
from pathlib import Path

import pytest
from click.testing import CliRunner

from schemas import publish
from services.cli import schemas

ROOT = Path(__file__).parents[2]


@pytest.fixture
def repository(tmp_path: Path) -> Path:
    """A repository's top folder in which everything is current."""
    (tmp_path / "pyproject.toml").touch()
    (tmp_path / "README.md").write_text("before\n<!-- settings:begin -->\nold\n<!-- settings:end -->\nafter\n")
    assert run("write", tmp_path) == (0, "files are current")
    return tmp_path


def run(command: str, root: Path) -> tuple[int, str]:
    """Exit code, and the last line without its number."""
    result = CliRunner().invoke(schemas.schemas, ["--root", str(root), command])
    return result.exit_code, result.output.strip().splitlines()[-1].lstrip("0123456789 ")


def test_every_published_document_is_current() -> None:
    assert list(schemas.not_current(ROOT)) == []


def test_what_was_written_is_current_and_readme_keeps_its_own_words(repository: Path) -> None:
    assert run("check", repository) == (0, "every published document is current")
    readme = (repository / "README.md").read_text()
    assert readme.startswith("before\n")
    assert readme.endswith("after\n")
    assert "`KAFKA_BOOTSTRAP`" in readme
    assert "old" not in readme


def test_check_names_what_is_changed_missing_and_left_over(repository: Path) -> None:
    published = repository / schemas.PUBLISHED
    (published / "asyncapi.json").write_text("{}")
    (published / "json-schema/policy.json").unlink()
    (published / "json-schema/gone.json").write_text("{}")
    assert sorted(schemas.not_current(repository)) == [
        "schemas/published/asyncapi.json is not what the code says",
        "schemas/published/json-schema/gone.json is published, but nothing makes it",
        "schemas/published/json-schema/policy.json is missing",
    ]
    assert run("check", repository)[0] == 1
    assert run("write", repository)[0] == 0
    assert run("check", repository)[0] == 0


def test_outside_the_repository_it_says_where_to_go(tmp_path: Path) -> None:
    code, line = run("check", tmp_path)
    assert code == 2
    assert "is not the repository's top folder" in line


def test_the_contracts_have_the_project_s_version() -> None:
    project = tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]
    assert project["version"] == publish.VERSION

"""What is pleasant about the command line."""

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from services.cli.main import COMMANDS


def tierline(*args: str | bytes) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [sys.executable, "-m", "services.cli.main", *args],
        capture_output=True,
        encoding="utf-8",
        errors="backslashreplace",
        timeout=60,
        check=False,
    )


def test_help_names_every_command_and_how_to_begin():
    answer = tierline("--help")
    assert answer.returncode == 0
    assert "tierline up --demo" in answer.stdout
    assert all(f"\n  {command} " in answer.stdout for command in COMMANDS)


def test_without_a_command_the_help_is_shown_as_misuse():
    answer = tierline()
    assert (answer.returncode, answer.stdout) == (2, "")
    assert "tierline up --demo" in answer.stderr


def test_the_version_is_one_line():
    answer = tierline("--version")
    assert answer.returncode == 0
    assert answer.stdout.startswith("tierline ")
    assert answer.stdout.count("\n") == 1


def test_every_option_of_up_is_explained():
    answer = tierline("up", "--help")
    assert answer.returncode == 0
    for option in ("--demo", "--once", "--sample", "--data", "--fresh", "--policy", "--ingest-port"):
        assert option in answer.stdout


def test_a_policy_that_can_be_used_is_shown():
    answer = tierline("policy", "check", "policies/retail.yaml")
    assert answer.returncode == 0
    assert "platinum > gold > silver > basic" in answer.stdout


def test_the_shipped_policies_can_be_used():
    for file in Path("policies").glob("*.yaml"):
        assert tierline("policy", "check", str(file)).returncode == 0, file


@pytest.mark.parametrize(
    "command", [("explain",), ("audit", "--customer"), ("policy", "activate", "policies/retail.yaml", "--by")]
)
def test_an_argument_that_is_not_utf_8_is_one_line(command: tuple[str, ...]):
    answer = tierline(*command, b"a\xff")
    assert (answer.returncode, answer.stdout) == (2, "")
    assert answer.stderr == "tierline: 'a\\xff' is not UTF-8\n"


def test_a_file_may_have_a_name_that_is_not_utf_8(tmp_path: Path):
    file = os.fsencode(tmp_path) + b"/a\xff.yaml"
    shutil.copy("policies/retail.yaml", file)
    answer = tierline("policy", "check", file)
    assert (answer.returncode, answer.stderr) == (0, "")

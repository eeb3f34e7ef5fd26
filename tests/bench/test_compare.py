"""The whole of `make bench` in small: a bare loop and a real worker, on a broker of its own."""

import json
import subprocess
import sys
from pathlib import Path

import pytest


@pytest.mark.whole
@pytest.mark.timeout(180)
def test_systems_run_one_after_the_other_and_the_figures_are_kept(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "services.bench.compare", "--only", "confluent-loop,tierline"]
    options = ["--events", "3000", "--customers", "300", "--repeats", "2", "--json", str(tmp_path / "figures.json")]
    done = subprocess.run([*command, *options], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    figures = json.loads((tmp_path / "figures.json").read_text())
    assert {name: len(runs) for name, runs in figures["runs"].items()} == {"confluent-loop": 2, "tierline": 2}
    assert all(run["events"] == 3000 for runs in figures["runs"].values() for run in runs)
    assert done.stdout.splitlines()[-1] == figures["line"]


def test_an_unknown_system_is_told_with_those_there_are() -> None:
    command = [sys.executable, "-m", "services.bench.compare", "--only", "spark"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no system spark; there are faust-idiomatic, quix-eos" in done.stderr

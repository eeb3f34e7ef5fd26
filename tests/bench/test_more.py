"""`make bench-more` in small, of a question that seeds an installation, restores it and works events off."""

import subprocess
import sys

import pytest


@pytest.mark.whole
@pytest.mark.timeout(180)
def test_a_line_a_size_tells_what_an_event_costs_and_a_customer_weighs() -> None:
    command = [sys.executable, "-m", "services.bench.more", "sizes", "--customers", "300", "600", "--events", "2000"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    head, *lines = done.stdout.splitlines()[-3:]
    assert head.split("  ")[-1] == "customers restored/s"
    assert [line.split()[0] for line in lines] == ["300", "600"]


def test_an_unknown_question_is_told_with_those_there_are() -> None:
    command = [sys.executable, "-m", "services.bench.more", "size"]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 2
    assert "no question size; there are sizes, workers" in done.stderr

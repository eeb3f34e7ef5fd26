"""A port is given once, though nobody listens there yet."""

import random
import subprocess
import sys

from services.local.ports import free_port

_SAME_DRAW = "import random; random.seed(11); from services.local.ports import free_port; print(free_port())"


def test_a_port_just_given_is_not_given_again() -> None:
    given = set()
    for _ in range(20):
        random.seed(11)  # each search tries the same ports in the same order
        given.add(free_port())
    assert len(given) == 20


def test_nor_by_a_process_beside_this_one() -> None:
    random.seed(11)
    here = free_port()
    there = subprocess.run([sys.executable, "-c", _SAME_DRAW], check=True, capture_output=True, text=True, timeout=60)
    assert int(there.stdout) != here

"""An audit's pace: slow by choice, and told to end while it waits."""

import threading
import time

import pytest

from services.audit.pace import Pace, Stopped


def test_reading_faster_than_the_pace_waits_for_it() -> None:
    pace, began_s = Pace(1_000), time.monotonic()
    for _ in range(4):
        pace.took(25)
    assert time.monotonic() - began_s >= 0.1


def test_without_a_pace_nothing_waits() -> None:
    Pace().took(10**9)


def test_a_wait_ends_at_once_when_the_audit_is_to_end() -> None:
    stopping = threading.Event()
    pace = Pace(1, stopping)
    timer = threading.Timer(0.05, stopping.set)
    timer.start()
    with pytest.raises(Stopped):
        pace.took(3_600)
    timer.join()

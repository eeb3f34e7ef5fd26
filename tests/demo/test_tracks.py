"""What is seen of the replay while it runs."""

import io

from rich.console import Console

from services.demo.tracks import Tracks


def tracks(console: Console, clock: list[float]) -> Tracks:
    return Tracks(console, ["accepted", "stored"], 1000, clock=lambda: clock[0])


def test_without_a_terminal_there_is_a_plain_line_now_and_then():
    clock, said = [100.0], io.StringIO()
    with tracks(Console(file=said), clock) as shown:
        shown.at("accepted", 10)
        clock[0] += 2
        shown.at("accepted", 500)
        shown.at("stored", 200)
        clock[0] += 2
        shown.at("stored", 400)
    lines = said.getvalue().splitlines()
    assert lines[0] == "of 1,000 events: accepted 500, stored 0"
    assert lines[1] == "of 1,000 events: accepted 500, stored 400 (100 events/s, 6 s left)"
    assert "\x1b" not in said.getvalue()


def test_what_was_there_before_does_not_count_into_the_speed():
    clock, said = [100.0], io.StringIO()
    with tracks(Console(file=said), clock) as shown:
        shown.begin("stored", 600)
        clock[0] += 1
        shown.at("stored", 700)
        assert shown.line() == "of 1,000 events: accepted 0, stored 700 (100 events/s, 3 s left)"


def test_a_count_never_goes_back_nor_beyond_the_end():
    with tracks(Console(file=io.StringIO()), [0.0]) as shown:
        shown.at("stored", 5000)
        shown.at("stored", 300)
        assert "stored 1,000" in shown.line()


def test_on_a_terminal_there_are_bars():
    said = io.StringIO()
    with tracks(Console(file=said, force_terminal=True, width=120), [100.0]) as shown:
        shown.at("accepted", 1000)
    assert "1000/1000" in said.getvalue()

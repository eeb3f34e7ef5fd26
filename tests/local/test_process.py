"""One child process: its lines, its end."""

import signal

import pytest

from services.local.process import Process, describe_exit
from tests.local.programs import IGNORES_SIGTERM, SLEEPS, has_ended, python
from tests.waiting import until


async def test_lines_of_stdout_and_stderr_are_passed_on_whole_however_long() -> None:
    heard: list[str] = []
    process = await Process.spawn(
        python("import sys; print('x' * 200_000, flush=True); print('oops', file=sys.stderr); print('no end', end='')"),
        on_line=heard.append,
    )
    assert await process.wait() == 0
    assert sorted(heard, key=len) == ["oops", "no end", "x" * 200_000]


async def test_stop_asks_first() -> None:
    process = await Process.spawn(SLEEPS)
    assert await process.stop(within=5.0) == -signal.SIGTERM


async def test_stop_kills_what_does_not_listen() -> None:
    process = await Process.spawn(IGNORES_SIGTERM)
    await until(lambda: process.last_line() == "here")
    assert await process.stop(within=0.1) == -signal.SIGKILL
    assert has_ended(process.pid)


async def test_a_grandchild_that_keeps_the_output_open_does_not_hold_up_the_end() -> None:
    code = "import os, signal\nif os.fork() == 0: signal.alarm(4); signal.pause()\nprint('parent', flush=True)"
    process = await Process.spawn(python(code))
    assert await process.wait() == 0
    assert process.last_line() == "parent"


@pytest.mark.parametrize(("code", "words"), [(3, "exit code 3"), (-9, "signal SIGKILL"), (-200, "signal 200")])
def test_an_exit_is_described_as_people_say_it(code: int, words: str) -> None:
    assert describe_exit(code) == words

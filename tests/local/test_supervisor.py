"""The supervisor: starts, restarts a few times, takes all down."""

import asyncio
import io
import os
import signal
import subprocess
import sys
from pathlib import Path

import asyncpg
import pytest
from rich.console import Console

from services.local.command import Command
from services.local.errors import CannotStart
from services.local.ports import free_port, is_open
from services.local.postgres import EmbeddedPostgres
from services.local.supervisor import Supervisor
from tests.local.programs import IGNORES_SIGTERM, SLEEPS, has_ended, python
from tests.local.test_postgres import execute
from tests.waiting import until


class Terminal:
    """What a user would see."""

    def __init__(self, *, colours: bool = False) -> None:
        self._file = io.StringIO()
        self.console = Console(
            file=self._file, width=40, force_terminal=colours, color_system="standard" if colours else None
        )

    @property
    def text(self) -> str:
        return self._file.getvalue()

    @property
    def lines(self) -> list[str]:
        return self.text.splitlines()


@pytest.fixture
def terminal() -> Terminal:
    return Terminal()


def command(supervisor: Supervisor, name: str, argv: list[str], **options: object) -> Command:
    return Command(name, argv, on_line=supervisor.voice(name), **options)  # type: ignore[arg-type]


async def test_each_line_bears_the_name_of_its_child_and_is_not_broken(terminal: Terminal) -> None:
    async with Supervisor(terminal.console, restarts=0) as supervisor:
        child = command(supervisor, "scorer", python(f"print('[a] ' + 'x' * 100, flush=True); {SLEEPS[-1]}"))
        await supervisor.start(child)
        await until(lambda: len(terminal.lines) >= 2)
    assert terminal.lines == ["scorer    │ [a] " + "x" * 100, "scorer    │ here"]


def test_names_are_coloured_each_in_its_own_colour() -> None:
    async def speak() -> str:
        terminal = Terminal(colours=True)
        supervisor = Supervisor(terminal.console)
        supervisor.voice("ingest")("hello")
        supervisor.voice("scorer")("hello")
        return terminal.text

    ingest, scorer = asyncio.run(speak()).splitlines()
    assert ingest.startswith("\x1b[")
    assert ingest.split("ingest")[0] != scorer.split("scorer")[0]


async def test_a_child_that_dies_is_restarted_three_times_then_all_are_stopped(terminal: Terminal) -> None:
    async with Supervisor(terminal.console, pause=0.0) as supervisor:
        steady = command(supervisor, "ingest", SLEEPS)
        mortal = command(supervisor, "scorer", python("import os; print('born', flush=True); os._exit(7)"))
        await supervisor.start(steady, mortal)
        with pytest.raises(CannotStart) as gave_up:
            await supervisor.wait()
    assert str(gave_up.value) == "scorer died (exit code 7), after 3 restarts: stopping all"
    assert gave_up.value.exit_code == 1
    said = [line for line in terminal.lines if "restart" in line]
    assert said == [f"tierline  │ scorer died (exit code 7): restart {n} of 3" for n in (1, 2, 3)]
    assert sum("born" in line for line in terminal.lines) == 4
    assert has_ended(steady.pid)


async def test_a_child_that_is_killed_comes_back(terminal: Terminal) -> None:
    async with Supervisor(terminal.console, pause=0.0) as supervisor:
        child = command(supervisor, "notifier", SLEEPS)
        await supervisor.start(child)
        first = child.pid
        os.kill(first, signal.SIGKILL)
        await until(lambda: child.pid != first and not has_ended(child.pid))
        assert "notifier died (signal SIGKILL): restart 1 of 3" in terminal.text
    assert has_ended(child.pid)


async def test_a_database_that_is_killed_comes_back_where_it_was_with_its_rows(
    terminal: Terminal, data_folder: Path
) -> None:
    async with Supervisor(terminal.console, pause=0.0) as supervisor:
        postgres = EmbeddedPostgres(data_folder / "postgres", on_line=supervisor.voice("postgres"))
        await supervisor.start(postgres)
        await execute(postgres.url, "CREATE TABLE kept (id int)")
        first, url = postgres.pid, postgres.url
        os.kill(first, signal.SIGKILL)
        await until(lambda: postgres.pid != first and is_open(postgres.port))
        await until(lambda: answers(url))
        assert await execute(url, "SELECT count(*) FROM kept") == 0
        assert "postgres died (signal SIGKILL): restart 1 of 3" in terminal.text
    assert has_ended(postgres.pid)


async def answers(url: str) -> bool:
    try:
        return await execute(url, "SELECT 1") == 1
    except (OSError, asyncpg.PostgresError):
        return False


@pytest.mark.parametrize("when", ["at the start", "later"])
async def test_a_misused_child_is_not_restarted_and_its_last_line_is_the_error(terminal: Terminal, when: str) -> None:
    code = "import sys; print('reading'); print('policy retail.yaml: line 3: no such feature'); sys.exit(2)"
    ready = f"http://127.0.0.1:{free_port()}/readyz" if when == "at the start" else None
    async with Supervisor(terminal.console) as supervisor:
        other = command(supervisor, "ingest", SLEEPS)
        await supervisor.start(other)
        child = command(supervisor, "scorer", python(code), ready_url=ready)

        async def go_on() -> None:
            await supervisor.start(child)
            await supervisor.wait()

        with pytest.raises(CannotStart) as misused:
            await go_on()
    assert str(misused.value) == "scorer: policy retail.yaml: line 3: no such feature"
    assert misused.value.exit_code == 2
    assert "restart" not in terminal.text
    assert has_ended(other.pid)


SERVES = """
import http.server, sys, threading
class Ready(http.server.BaseHTTPRequestHandler):
    asked = 0
    def do_GET(self):
        Ready.asked += 1
        self.send_response(200 if Ready.asked >= int(sys.argv[2]) else 503)
        self.end_headers()
        self.wfile.write(b'catching up')
    def log_message(self, *args): print('asked', flush=True)
http.server.HTTPServer(('127.0.0.1', int(sys.argv[1])), Ready).serve_forever()
"""


async def test_start_waits_until_the_child_says_it_is_ready(terminal: Terminal) -> None:
    port = free_port()
    async with Supervisor(terminal.console) as supervisor:
        argv = [*python(SERVES), str(port), "3"]
        await supervisor.start(command(supervisor, "scorer", argv, ready_url=f"http://127.0.0.1:{port}/readyz"))
        await until(lambda: terminal.text.count("asked") == 3)


async def test_a_child_that_is_never_ready_is_an_error_that_says_what_it_answered(terminal: Terminal) -> None:
    url = f"http://127.0.0.1:{(port := free_port())}/readyz"
    async with Supervisor(terminal.console) as supervisor:
        child = command(supervisor, "scorer", [*python(SERVES), str(port), "1000"], ready_url=url, within=1.0)
        with pytest.raises(CannotStart) as late:
            await supervisor.start(child)
    assert str(late.value) == f"scorer was not ready within 1 s: {url}: 503 catching up"
    assert has_ended(child.pid)


async def test_a_program_that_is_not_there_is_one_clear_line(terminal: Terminal) -> None:
    async with Supervisor(terminal.console) as supervisor:
        with pytest.raises(CannotStart, match=r"^scorer: cannot run /no/such: No such file"):
            await supervisor.start(command(supervisor, "scorer", ["/no/such"]))


async def test_work_beside_the_children_gives_its_result(terminal: Terminal) -> None:
    async def replay() -> int:
        return 69_659

    async with Supervisor(terminal.console) as supervisor:
        await supervisor.start(command(supervisor, "scorer", SLEEPS))
        assert await supervisor.run(replay()) == 69_659


async def test_work_is_cancelled_when_a_child_dies_for_good(terminal: Terminal) -> None:
    cancelled = asyncio.Event()

    async def replay() -> None:
        try:
            await asyncio.Event().wait()
        finally:
            cancelled.set()

    async with Supervisor(terminal.console, restarts=0) as supervisor:
        await supervisor.start(command(supervisor, "scorer", python("import os; os._exit(1)")))
        with pytest.raises(CannotStart):
            await supervisor.run(replay())
    assert cancelled.is_set()


async def test_later_groups_are_stopped_before_earlier_ones(terminal: Terminal) -> None:
    says_bye = python(
        "import os, signal\nsignal.signal(signal.SIGTERM, lambda *_: (os.write(1, b'bye\\n'), os._exit(0)))\n"
        "print('here', flush=True)\nwhile True: signal.pause()"
    )
    async with Supervisor(terminal.console) as supervisor:
        await supervisor.start(command(supervisor, "kafka", says_bye))
        await supervisor.start(command(supervisor, "scorer", says_bye))
        await until(lambda: terminal.text.count("here") == 2)
    assert [line.split()[0] for line in terminal.lines if "bye" in line] == ["scorer", "kafka"]


async def test_a_child_that_does_not_listen_is_killed_after_its_grace(terminal: Terminal) -> None:
    async with Supervisor(terminal.console) as supervisor:
        child = command(supervisor, "scorer", IGNORES_SIGTERM, grace=0.1)
        await supervisor.start(child)
        await until(lambda: "here" in terminal.text)
    assert has_ended(child.pid)


# A program as `tierline up` is one: two children, then wait for a signal; its lines are the children's process ids.
UP = """
import signal
signal.signal(signal.SIGHUP, signal.SIG_DFL)  # though the tests may run under nohup
import asyncio, sys
from rich.console import Console
from services.local.command import Command
from services.local.supervisor import Interrupted, Supervisor
sys.path.insert(0, '.')
from tests.local.programs import IGNORES_SIGTERM, SLEEPS
async def main():
    here = asyncio.Semaphore(0)
    async with Supervisor(Console(file=sys.stderr)) as supervisor:
        children = [
            Command('a', SLEEPS, on_line=lambda line: here.release()),
            Command('b', IGNORES_SIGTERM, grace=float(sys.argv[1]), on_line=lambda line: here.release()),
        ]
        await supervisor.start(*children)
        await here.acquire()
        await here.acquire()
        print(*(child.pid for child in children), flush=True)
        await supervisor.run(asyncio.Event().wait())
try:
    asyncio.run(main())
except Interrupted as error:
    sys.exit(error.exit_code)
"""


def up(grace: float) -> tuple[subprocess.Popen[bytes], list[int]]:
    """The running program and the ids of its children."""
    program = subprocess.Popen(
        [sys.executable, "-c", UP, str(grace)],
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        cwd=Path(__file__).parents[2],
    )
    assert program.stdout is not None
    return program, [int(pid) for pid in program.stdout.readline().split()]


@pytest.mark.parametrize(("sig", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130), (signal.SIGHUP, 129)])
def test_a_signal_takes_all_down(sig: signal.Signals, code: int) -> None:
    program, children = up(grace=0.1)
    with program:
        program.send_signal(sig)
        assert program.wait(10) == code
        assert all(has_ended(pid) for pid in children)


async def test_a_second_signal_does_not_wait_for_the_stubborn() -> None:
    program, children = up(grace=60.0)
    with program:
        program.send_signal(signal.SIGTERM)
        await until(lambda: has_ended(children[0]))  # it is stopping by now
        program.send_signal(signal.SIGTERM)
        assert program.wait(10) == 143
        assert all(has_ended(pid) for pid in children)


async def test_children_die_with_a_supervisor_that_is_killed() -> None:
    program, children = up(grace=60.0)
    with program:
        program.kill()
        await until(lambda: all(has_ended(pid) for pid in children), within=5.0)

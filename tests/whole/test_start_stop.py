"""One data folder over three starts of `tierline up --demo`: interrupted, gone on with, not done twice."""

import asyncio
import signal
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.demo.cdnow import purchases
from services.local.ports import is_open
from tests.freezing import freeze
from tests.waiting import until
from tests.whole.machine import Machine, tierline_up

pytestmark = [pytest.mark.whole, pytest.mark.timeout(240)]  # three starts of a whole machine

EVENTS = len(purchases(10))
OPTIONS = ("--demo", "--sample", "10")


async def shell(line: str) -> dict[str, Any]:
    """Run a line as it was printed; what it prints as JSON."""
    answer = await asyncio.to_thread(subprocess.run, line, shell=True, capture_output=True, timeout=30, check=True)
    return dict(msgspec.json.decode(answer.stdout))


async def gone(machine: Machine) -> None:
    """Nothing of it is left: no process, nobody on its ports."""
    await until(lambda: not machine.left_behind(), within=5, what=f"{machine.left_behind()} gone")
    assert not [service for service, port in machine.ports.items() if is_open(port)]


@pytest.fixture
async def interrupted(data_folder: Path) -> Path:
    """A data folder whose replay was cut off behind its first batches by a dead ingest and a SIGTERM."""
    data = data_folder / "data"
    async with tierline_up(data, *OPTIONS) as machine:
        await until(machine.bookmark, within=90, what="a first batch is acknowledged")
        ingest = machine.child("ingest")
        assert ingest is not None
        await freeze(ingest.pid)
        machine.remember_family()
        ingest.send_signal(signal.SIGKILL)
        machine.terminate()
        assert await machine.ended() == 128 + signal.SIGTERM, machine.log()
        await gone(machine)
        bookmark = machine.bookmark()
        assert bookmark is not None
        assert 0 < bookmark["acknowledged"] < EVENTS, "it was stopped too late to be in the middle"
    return data


async def test_an_interrupted_replay_goes_on_and_a_finished_one_is_not_done_again(interrupted: Path):
    async with tierline_up(interrupted, *OPTIONS) as machine:
        began = machine.bookmark()
        assert began is not None
        await machine.says("goes on behind the first")
        await machine.says("Where to look next")
        await until(lambda: sum("curl" in line for line in machine.stdout) == 3, what="three curl lines")
        best, one, post = [line.strip() for line in machine.stdout if "curl" in line]
        listed = await shell(best)
        assert {row["tier"] for row in listed["customers"]} == {"platinum"}
        assert (await shell(one))["tier"] == "platinum"
        posted = await shell(post)
        assert posted["status"] == "accepted"

        async def newcomer() -> dict[str, object] | None:
            try:
                return await shell(f"curl -sf {machine.url('notifier')}/v1/customers/newcomer-1")
            except subprocess.CalledProcessError:
                return None

        assert (await until(newcomer, what="the purchase has reached the customer's page"))["tier"] == "platinum"
        activated = await shell(f"{machine.exports()}; {sys.executable} -m services.cli.main policy history --json")
        assert activated["sequence"] == 1
        machine.remember_family()
        assert set(machine.family.values()) >= {"java", "postgres"}
        machine.terminate()
        assert await machine.ended() == 0, machine.log()
        await gone(machine)
        done = machine.bookmark()
        assert done is not None
        assert (done["acknowledged"], done["done"], done["shift_days"]) == (EVENTS, True, began["shift_days"])

    async with tierline_up(interrupted, *OPTIONS, "--once") as machine:
        assert await machine.ended() == 0, machine.log()
        assert any("have been replayed before" in line for line in machine.stderr)
        assert machine.bookmark() == done
        assert any("All 2,357 customers are" in line for line in machine.stdout)

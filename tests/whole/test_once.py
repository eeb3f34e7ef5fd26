"""The whole way of an event, by `tierline up --demo --once` on a tenth of CDNOW, with a scorer killed in the middle."""

import signal
from pathlib import Path

import pytest

from tests.waiting import until
from tests.whole.machine import tierline_up

pytestmark = pytest.mark.whole

EVENTS = 6_937


async def test_every_customer_stands_where_the_recomputation_says_though_a_scorer_is_killed(data_folder: Path):
    options = ("--demo", "--once", "--sample", "10")
    # Small batches, so that the middle lasts long enough to be met.
    settings = {"TIERLINE_SCORER_SESSION_TIMEOUT_S": "6", "TIERLINE_SCORER_MAX_POLL_RECORDS": "100"}
    async with tierline_up(data_folder / "data", *options, **settings) as machine:

        async def in_the_middle() -> int:
            decided = await machine.decided()
            return decided if decided >= EVENTS // 10 else 0

        decided = await until(in_the_middle, within=90, what="the scorer has decided a part")
        scorer = machine.child("scorer")
        assert scorer is not None
        scorer.send_signal(signal.SIGKILL)
        assert decided < EVENTS, "it was killed too late to be in the middle"
        assert await machine.ended() == 0, machine.log()
    said = "\n".join(machine.stdout)
    assert "All 2,357 customers are where the recomputation from the file says" in said
    assert any("scorer died (signal SIGKILL): restart 1 of 3" in line for line in machine.stderr), machine.log()
    for row in ("accepted", "platinum", "gold", "silver", "basic", "high_value", "active", "at_risk", "time alone"):
        assert row in said
    assert "6,937" in said

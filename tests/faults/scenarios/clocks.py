"""The machine's clock an hour off when a worker starts, and set forwards and backwards while it works."""

import asyncio
from collections.abc import Sequence
from pathlib import Path

import msgspec

from schemas.decisions import Decision, DecisionRecord
from tests.faults.reading import Record, read
from tests.faults.scenario import Scenario
from tests.faults.stage import Stage
from tests.waiting import until

_HOUR_S = 3_600
_STEPS_S = (0, _HOUR_S, -_HOUR_S, 0)
_AT_MOST_MS = 30_000
"""No decision is further from the time the client library, whose clock is the real one, put on its record: far more
than a transaction takes here, far less than a step."""

_STEPPING = '''
"""Python imports this at its start: what the wall clock says is off by the seconds that the file beside holds."""

import pathlib
import time

_file, _seen, _real = pathlib.Path(__file__).with_name("off"), pathlib.Path(__file__).with_name("seen"), time.time
_last = None


def _stepped():
    global _last
    off = int(_file.read_text())
    if off != _last:
        _last = off
        with _seen.open("a") as told:
            told.write(f"{off}\\n")
    return _real() + off


time.time = _stepped
'''

_read_decision = msgspec.json.Decoder(DecisionRecord).decode


class ClockSteps(Scenario):
    """The wall clock that Python sees is set by an hour; the broker's and the client library's stay right. It bit if
    the worker has looked at each setting. Beyond exactness no decision may be an hour off."""

    name = "clock-steps"
    about = "a worker starts while its clock is an hour ahead or behind; the clock is set by an hour while it works"
    times = 2
    bites = True

    async def play(self, stage: Stage) -> None:
        places = [stage.folder / name for name in ("ahead", "behind")]
        for place, off_s in zip(places, (_HOUR_S, -_HOUR_S), strict=True):
            place.mkdir()
            (place / "sitecustomize.py").write_text(_STEPPING)
            _set(place, off_s)
        async with stage.upstream.flowing(1_000):
            for place in places:
                stage.strike()
                await stage.start(first=[place])
                await asyncio.gather(*(worker.owning(4 // len(stage.running), 60) for worker in stage.running))
                await stage.further()
            for off_s in _STEPS_S * self.times:
                for place in places:
                    _set(place, off_s)
                stage.strike()
                await asyncio.gather(*(_seen(place, off_s) for place in places))
                await stage.further()
                stage.bitten += 1

    async def after(self, stage: Stage) -> None:
        worst_ms = _furthest_ms(await asyncio.to_thread(read, stage.installation, "decisions"))
        stage.facts["a decision's time is off by at most, ms"] = worst_ms
        assert worst_ms <= _AT_MOST_MS, f"a decision says it was made {worst_ms} ms before or after it was"


def _set(place: Path, off_s: int) -> None:
    """At once, so that nobody reads half of it."""
    written = place / "written"
    written.write_text(str(off_s))
    written.rename(place / "off")


async def _seen(place: Path, off_s: int) -> None:
    """Wait until the worker has read a clock that is so far off."""

    def is_seen() -> bool:
        return (place / "seen").read_text().split()[-1] == str(off_s)

    await until(is_seen, within=60, what=f"a clock {off_s} s off is seen")


def _furthest_ms(decisions: Sequence[Record]) -> int:
    said = [(record.at_ms, _read_decision(record.value)) for record in decisions]
    apart = [abs(at_ms - int(one.decided_at.timestamp() * 1000)) for at_ms, one in said if isinstance(one, Decision)]
    return max(apart, default=0)

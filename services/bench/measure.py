"""One run of one system: wall time and CPU time from the first event to the last.

A peer says itself when it is given its first and its last event, a bare loop when its last transaction is committed;
Tierline's clock runs from the last look at which nothing was committed to the first at which everything is, so it is
the strictest. Starting is out of all of them, warming up is in.
"""

import asyncio
import http.client
import json
import os
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import psutil

from services.bench.systems import Peer, Tierline, core_environment
from services.local.ports import HOST, free_port
from services.local.process import Process, describe_exit

T = TypeVar("T")

LOOK_S = 0.05
_START_S = 120.0


class Failed(Exception):
    """A run came to nothing. str() is one line."""


class Run(NamedTuple):
    """Seconds are those from the first event to the last.

    cpu_s:       of the process and its children.  started_cpu_s: the same from its start on
    broker_cpu_s: of the broker meanwhile
    """

    events: int
    seconds: float
    cpu_s: float
    started_cpu_s: float
    broker_cpu_s: float
    memory_mb: float

    @property
    def rate(self) -> float:
        return self.events / self.seconds

    @property
    def cpu_a_million(self) -> float:
        return self.cpu_s / self.events * 1e6


class Moment(NamedTuple):
    """The wall clock, and the CPU time of the process and of the broker until then."""

    wall_s: float
    cpu_s: float
    broker_cpu_s: float


class Meter:
    """Wall and CPU time of a process between two moments."""

    def __init__(self, pid: int, broker_pid: int) -> None:
        self._process, self._broker = psutil.Process(pid), psutil.Process(broker_pid)
        self.began = self.read()

    def begin(self, at: Moment | None = None) -> None:
        """Now, or at a moment that was read before."""
        self.began = at or self.read()

    def end(self, events: int) -> Run:
        now, began = self.read(), self.began
        memory = sum(process.memory_info().rss for process in self._all()) / 1e6
        seconds, spent_s, broker_s = (a - b for a, b in zip(now, began, strict=True))
        return Run(events, seconds, spent_s, now.cpu_s, broker_s, memory)

    def _all(self) -> list[psutil.Process]:
        return [self._process, *self._process.children(recursive=True)]

    def read(self) -> Moment:
        try:
            return Moment(time.monotonic(), sum(map(cpu_s, self._all())), cpu_s(self._broker))
        except psutil.NoSuchProcess as error:
            raise Failed("a process ended while it was measured") from error


def cpu_s(process: psutil.Process) -> float:
    times = process.cpu_times()
    return float(times.user + times.system + times.children_user + times.children_system)


async def peer(
    system: Peer, *, bootstrap: str, broker_pid: int, topic: str, name: str, events: int, partitions: int, folder: Path
) -> Run:
    """Run `system` over the first `events` events of `topic`. Failed if it ends by itself or takes too long."""
    output = f"{name}-out"
    place = [bootstrap, topic, output, str(events), name, str(folder), str(partitions)]
    first: asyncio.Future[None] = asyncio.get_running_loop().create_future()
    last: asyncio.Future[Run] = asyncio.get_running_loop().create_future()
    meters: list[Meter] = []

    def on_line(line: str) -> None:
        if line == "first" and not first.done():
            meters[0].begin()
            first.set_result(None)
        elif line == "last" and not last.done():
            last.set_result(meters[0].end(events))

    process = await Process.spawn([*system.program(), *place], on_line=on_line)
    try:
        meters.append(Meter(process.pid, broker_pid))
        await _or_its_end(process, first, _START_S, system.name)
        return await _or_its_end(process, last, 60 + events / 500, system.name)
    finally:
        await process.kill()


async def _or_its_end(process: Process, awaited: asyncio.Future[T], s: float, name: str) -> T:
    ended = asyncio.ensure_future(process.wait())
    both: set[asyncio.Future[Any]] = {awaited, ended}
    await asyncio.wait(both, timeout=s, return_when=asyncio.FIRST_COMPLETED)
    if awaited.done():
        ended.cancel()
        return awaited.result()
    if ended.done():
        raise Failed(f"{name}: {describe_exit(ended.result())}, {process.last_line()}")
    ended.cancel()
    raise Failed(f"{name}: not done after {s:.0f} s")


class Worker:
    """A scorer worker as installed, `python -m services.scorer`, with everything on."""

    def __init__(self, process: Process, port: int) -> None:
        self.process, self._port = process, port
        self._connection: http.client.HTTPConnection | None = None

    @classmethod
    async def start(
        cls,
        policy: Path,
        *,
        bootstrap: str,
        prefix: str,
        partitions: int,
        folder: Path,
        environment: Mapping[str, str] | None = None,
        on_line: Callable[[str], None] | None = None,
    ) -> "Worker":
        port = free_port()
        variables = {
            "KAFKA_BOOTSTRAP": bootstrap,
            "TIERLINE_TOPIC_PREFIX": prefix,
            "TIERLINE_PARTITIONS": str(partitions),
            "TIERLINE_POLICY": str(policy),
            "TIERLINE_SCORER_PORT": str(port),
        }
        environment = {**os.environ, **core_environment(), **variables, **(environment or {})}
        process = await Process.spawn(
            [sys.executable, "-m", "services.scorer"], env=environment, cwd=folder, on_line=on_line
        )
        return cls(process, port)

    def partitions(self) -> dict[int, dict[str, object]]:
        """Where each of its partitions stands; none before it listens. Blocks."""
        try:
            detail = json.loads(self._get("/readyz"))
        except (OSError, http.client.HTTPException):
            return {}
        return {int(number): partition for number, partition in detail["partitions"].items()}

    def metrics(self) -> dict[str, float]:
        """Each sample of /metrics by its name and labels as they are written there. Blocks."""
        lines = [line for line in self._get("/metrics").decode().splitlines() if not line.startswith("#")]
        return {name: float(value) for name, _, value in (line.rpartition(" ") for line in lines)}

    def _get(self, path: str) -> bytes:
        if self._connection is None:
            self._connection = http.client.HTTPConnection(HOST, self._port, timeout=10)
        try:
            self._connection.request("GET", path)
            return self._connection.getresponse().read()
        except (OSError, http.client.HTTPException):
            self._connection.close()
            self._connection = None
            raise


def committed(workers: list[Worker]) -> list[dict[int, int]]:
    """Of each worker: partition -> the offset up to which all is committed, of those that are restored. Blocks."""
    return [
        {
            number: position
            for number, detail in worker.partitions().items()
            if isinstance(position := detail.get("position"), int)
        }
        for worker in workers
    ]


async def tierline(
    system: Tierline,
    *,
    bootstrap: str,
    broker_pid: int,
    prefix: str,
    ends: Mapping[int, int],
    folder: Path,
    workers: int = 1,
) -> Run:
    """Run a fresh scorer of so many workers over topic `events` of the installation `prefix`, which ends at `ends`."""
    started: list[Worker] = []
    try:
        for _ in range(workers):
            started.append(
                await Worker.start(
                    system.policy, bootstrap=bootstrap, prefix=prefix, partitions=len(ends), folder=folder
                )
            )
        return await work_off(started, ends, broker_pid=broker_pid)
    finally:
        for worker in started:
            await worker.process.stop(within=10)


async def work_off(workers: list[Worker], ends: Mapping[int, int], *, broker_pid: int) -> Run:
    """From now, before anything is committed, until all of the events are. Failed if a worker ends or it takes long.

    Of several workers the first to come has all partitions until the others have joined: what is done by then does not
    count.
    """
    meters = [Meter(worker.process.pid, broker_pid) for worker in workers]
    total, done_before, share = sum(ends.values()), 0, len(ends) // len(workers)
    shared = len(workers) == 1
    deadline = time.monotonic() + _START_S + total / 500
    while time.monotonic() < deadline:
        for worker in workers:
            if worker.process.exit_code is not None:
                raise Failed(f"a worker ended: {worker.process.last_line()}")
        moments = [meter.read() for meter in meters]
        of_each = await asyncio.to_thread(committed, workers)
        at = {number: position for of_worker in of_each for number, position in of_worker.items()}
        done, pause_s = sum(at.values()), LOOK_S
        if not done or not shared:
            done_before = done
            for meter, moment in zip(meters, moments, strict=True):
                meter.begin(moment)
        elif done > done_before:  # each look costs the worker something: few while there is much to do, many at the end
            left_s = (moments[0].wall_s - meters[0].began.wall_s) * (total - done) / (done - done_before)
            pause_s = max(LOOK_S, min(1.0, left_s / 3))
        shared = shared or all(len(of_worker) == share for of_worker in of_each)
        if all(at.get(number, -1) >= end for number, end in ends.items()):
            if done_before == total:
                raise Failed("all was done before the workers shared the partitions; give them more --events")
            return _together([meter.end(total - done_before) for meter in meters])
        await asyncio.sleep(pause_s)
    raise Failed(f"a worker is not done in time: {workers[0].process.last_line()}")


def _together(runs: list[Run]) -> Run:
    return runs[0]._replace(
        cpu_s=sum(run.cpu_s for run in runs),
        started_cpu_s=sum(run.started_cpu_s for run in runs),
        memory_mb=sum(run.memory_mb for run in runs),
    )

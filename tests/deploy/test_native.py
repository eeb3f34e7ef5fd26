"""`pip install .` compiles the core where that can be done, and installs plain Python elsewhere (docs/adr/0009)."""

import ensurepip
import os
import re
import shutil
import subprocess
import sys
import sysconfig
import zipfile
from pathlib import Path

import pytest

from tests.deploy.compose import ROOT

SOURCES = ["setup.py", "pyproject.toml", "requirements.in", "README.md", "LICENSE", "schemas", "services", "policies"]
RULES = ROOT / "tests/scorer/domain/rules"
PIP = next((Path(ensurepip.__file__).parent / "_bundled").glob("pip-*.whl"))
PLAIN = "tierline: the core is installed as plain Python"
SERVICES = ROOT / "services"


def named(what: str, end: str) -> list[str]:
    """The modules in one of setup.py's lists."""
    return re.findall(r'"(\w+)"', (ROOT / "setup.py").read_text("utf-8").partition(f"{what} = (")[2].partition(end)[0])


NATIVE = [
    *(f"scorer/domain/{n}" for n in named("NATIVE", "\n)")),
    *(f"scorer/engine/{n}" for n in named("NATIVE_ENGINE", ")")),
    *(f"shared/{n}" for n in named("NATIVE_SHARED", ")")),
]


@pytest.fixture(scope="module")
def tree(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A copy of what an install needs, so that nothing is built in the checkout."""
    copy = tmp_path_factory.mktemp("tree")
    pack = ["tar", "-cf", "-", "--exclude=__pycache__", *SOURCES]
    archive = subprocess.run(pack, cwd=ROOT, capture_output=True, timeout=30, check=True).stdout
    subprocess.run(["tar", "-xf", "-"], cwd=copy, input=archive, timeout=30, check=True)
    return copy


@pytest.fixture(scope="module")
def installed(tree: Path, tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the plain command installs where there is a C compiler and mypyc; made once, it takes half a minute."""
    if not shutil.which((sysconfig.get_config_var("CC") or "cc").split()[0]):
        pytest.skip("there is no C compiler here")
    target = tmp_path_factory.mktemp("installed")
    done = pip_install(tree, "--target", str(target), ".")
    assert done.returncode == 0, done.stdout + done.stderr
    assert PLAIN not in done.stderr, done.stderr
    return target


def pip_install(tree: Path, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    """`pip install` with the pip that comes with Python, and with the build tools that are here."""
    return subprocess.run(
        [sys.executable, "-m", "pip", "install", "-v", "--no-deps", "--no-build-isolation", *options],
        cwd=tree,
        env={
            **os.environ,
            "TIERLINE_NATIVE": "",
            "PIP_DISABLE_PIP_VERSION_CHECK": "1",
            **environment,
            "PYTHONPATH": os.pathsep.join([*filter(None, [environment.get("PYTHONPATH")]), str(PIP)]),
        },
        capture_output=True,
        text=True,
        timeout=400,
        check=False,
    )


def run(installed: Path, *arguments: str, cwd: Path | None = None) -> str:
    """What a program prints with what is installed there, and nothing of this checkout before it."""
    done = subprocess.run(
        [sys.executable, "-P", *arguments],
        cwd=cwd or installed,
        env={**os.environ, "PYTHONPATH": str(installed), "CORE": "compiled"},
        capture_output=True,
        text=True,
        timeout=100,
        check=False,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout.strip()


def core_of(installed: Path) -> str:
    """The file that an install there takes for the core."""
    return run(installed, "-c", "from services.scorer.domain import life; print(life.__file__)")


def is_plain(installed: Path) -> bool:
    return core_of(installed) == str(installed / "services/scorer/domain/life.py") and not list(installed.rglob("*.so"))


def said(done: subprocess.CompletedProcess[str]) -> str:
    """The one line that says why the core is plain Python. pip -v tells on stderr what a build said."""
    assert done.returncode == 0, done.stdout + done.stderr
    (line,) = [line for line in done.stderr.splitlines() if PLAIN in line]
    return line


def asked_for(tree: Path, **environment: str) -> list[str]:
    """What an isolated build is given beyond setuptools and wheel."""
    program = "import setuptools.build_meta as b; print(*b.get_requires_for_build_wheel(), sep='\\n')"
    done = subprocess.run(
        [sys.executable, "-c", program],
        cwd=tree,
        env={**os.environ, "TIERLINE_NATIVE": "", **environment},
        capture_output=True,
        text=True,
        timeout=100,
        check=True,
    )
    return [line for line in done.stdout.splitlines() if re.match(r"\w+ ?(==|@)", line)]


@pytest.mark.timeout(500)
def test_where_there_is_a_compiler_the_plain_command_compiles(installed: Path) -> None:
    for name in NATIVE:
        assert list((installed / "services").glob(f"{name}.*.so")), name
    assert core_of(installed).endswith(".so")
    assert run(installed, "-m", "services.cli.main", "--version").endswith("compiled core")


@pytest.mark.timeout(500)
def test_what_is_compiled_decides_what_the_rules_say(installed: Path) -> None:
    rules = ["-m", "pytest", "--import-mode=append", "-p", "no:cacheprovider", "-q", "tests/scorer/domain/test_core.py"]
    told = run(installed, *rules, *map(str, sorted(RULES.glob("test_rule_01*.py"))), cwd=ROOT)
    assert re.search(r"\b\d\d+ passed", told), told


def test_without_a_compiler_the_same_command_installs_plain_python_and_says_so(tree: Path, tmp_path: Path) -> None:
    done = pip_install(tree, "--target", str(tmp_path), ".", CC="false")
    assert "no C compiler that works" in said(done)
    assert is_plain(tmp_path)


def test_without_mypyc_too(tree: Path, tmp_path: Path) -> None:
    none, target = tmp_path / "none", tmp_path / "installed"
    (none / "mypyc").mkdir(parents=True)
    (none / "mypyc/__init__.py").write_text("raise ImportError('there is none')")
    done = pip_install(tree, "--target", str(target), ".", PYTHONPATH=str(none))
    assert "mypyc is not here (there is none)" in said(done)
    assert is_plain(target)


def test_who_wants_plain_python_says_0(tree: Path, tmp_path: Path) -> None:
    done = pip_install(tree, "--target", str(tmp_path), ".", TIERLINE_NATIVE="0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert PLAIN not in done.stderr
    assert is_plain(tmp_path)
    assert run(tmp_path, "-m", "services.cli.main", "--version").endswith("core in Python")


def test_a_choice_there_is_not_is_refused(tree: Path, tmp_path: Path) -> None:
    done = pip_install(tree, "--target", str(tmp_path), ".", TIERLINE_NATIVE="yes")
    assert done.returncode != 0
    assert "it can be 0 (plain Python), 1 (native) or try" in done.stdout + done.stderr


def test_an_isolated_build_asks_only_for_what_it_can_have(tree: Path, tmp_path: Path) -> None:
    for wheel in ("mypy-2.4.1", "msgspec-0.22.0"):
        name, version = wheel.split("-")
        with zipfile.ZipFile(tmp_path / f"{wheel}-py3-none-any.whl", "w") as archive:
            inside = f"{wheel}.dist-info"
            archive.writestr(f"{inside}/METADATA", f"Metadata-Version: 2.1\nName: {name}\nVersion: {version}\n")
            archive.writestr(f"{inside}/WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
            archive.writestr(f"{inside}/RECORD", "")
    here = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path)}
    nowhere = {"PIP_NO_INDEX": "1", "PIP_FIND_LINKS": str(tmp_path / "none")}
    given = tree.resolve() / "build/native-needs"
    assert sorted(asked_for(tree, **here)) == [
        f"msgspec @ {given.as_uri()}/msgspec-0.22.0-py3-none-any.whl",
        f"mypy @ {given.as_uri()}/mypy-2.4.1-py3-none-any.whl",
    ]
    assert asked_for(tree, **nowhere) == []
    assert asked_for(tree, **here, CC="false") == asked_for(tree, **here, TIERLINE_NATIVE="0") == []
    assert asked_for(tree, **nowhere, TIERLINE_NATIVE="1") == ["mypy==2.4.1", "msgspec==0.22.0"]


def test_it_is_translated_by_the_mypy_of_the_tests_with_the_types_of_the_services() -> None:
    needs = re.findall(r'"(\w+==[\d.]+)"', (ROOT / "setup.py").read_text("utf-8"))
    locked = ((ROOT / name).read_text("utf-8") for name in ("requirements.txt", "requirements-dev.txt"))
    assert len(needs) == 2
    assert set(needs) <= {pin for text in locked for pin in re.findall(r"^\S+==\S+", text, re.MULTILINE)}


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
    assert not [*SERVICES.rglob("*.so"), *SERVICES.rglob("*.pyd")]


def test_no_compiled_module_defines_what_mypyc_gets_wrong() -> None:
    # The class keywords of a Struct (frozen, array_like) are dropped without a word.
    assert len(NATIVE) >= 15
    for name in NATIVE:
        assert not re.search(r"^class .*Struct", (SERVICES / f"{name}.py").read_text("utf-8"), re.MULTILINE), name

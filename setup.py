"""The deciding core as native modules, where they can be built (docs/adr/0009); pyproject.toml says all else.

`pip install .` translates NATIVE with mypyc. Where there is no C compiler that works or no mypyc to be had, the same
command installs plain Python and says why in one line (`pip install -v .` shows it; `tierline --version` tells what one
has). TIERLINE_NATIVE=0 leaves it out; with 1 the install fails rather than do without. An editable install never has
it: what is edited must be what runs.
"""

import os
import shutil
import subprocess
import sys
import tempfile
from importlib import metadata
from importlib.util import find_spec
from pathlib import Path

from setuptools import Distribution, Extension, setup
from setuptools.command.build_ext import build_ext

SCORER, SHARED = Path("services/scorer"), Path("services/shared")
NATIVE = (
    *("admission", "arrivals", "basis", "blends", "buying", "changes", "decaying", "entering", "eras"),
    *("expected", "explain", "folding", "gauges", "instants", "intervals", "ledger", "life"),
    *("machine", "packing", "paths", "playing", "poisson", "positions", "profiles", "scoring", "shadows"),
    *("short", "timers", "triggers", "turns", "windows"),
)
NATIVE_ENGINE = ("shard", "turn")
NATIVE_SHARED = ("partitioner",)
"""What an event passes through, in the core and around it. mypyc drops the options of a msgspec Struct, so none of
these may define one."""

NEEDS = ["mypy==2.4.1", "msgspec==0.22.0"]
"""To translate; msgspec for its types. No other mypy: what this one makes of the core is what the tests have seen."""

CHOICE = os.environ.get("TIERLINE_NATIVE") or "try"
if CHOICE not in {"0", "1", "try"}:
    sys.exit(f"tierline: TIERLINE_NATIVE is {CHOICE!r}; it can be 0 (plain Python), 1 (native) or try")


def say(reason: object) -> None:
    line = f"tierline: the core is installed as plain Python, not native: {reason}"
    if CHOICE == "1":
        sys.exit(f"{line} (TIERLINE_NATIVE=1 asks for it)")
    print(line, file=sys.stderr, flush=True)


def needs(folder: Path) -> list[str]:
    """What an isolated build has to be given to translate: wheels in that folder, or nothing if they cannot be had.

    To ask for NEEDS by name would make an install fail for want of what it can do without.
    """
    if CHOICE == "1":
        return NEEDS
    folder.mkdir(parents=True, exist_ok=True)
    download = "download --quiet --disable-pip-version-check --only-binary=:all: --retries=1 --timeout=15 --dest"
    for pip in pips():
        done = subprocess.run(
            [sys.executable, "-m", "pip", *download.split(), str(folder), *NEEDS],
            env={**os.environ, "PYTHONPATH": pip},
            capture_output=True,
            check=False,
        )
        if done.returncode == 0:
            return [f"{wheel.name.partition('-')[0]} @ {wheel.resolve().as_uri()}" for wheel in folder.glob("*.whl")]
    return []


def pips() -> list[str]:
    """Where Python finds a pip: with what is installed, or in the wheel that Python itself brings."""
    found = find_spec("ensurepip")
    bundled = Path(found.origin).parent.glob("_bundled/pip-*.whl") if found and found.origin else ()
    return ["", *map(str, bundled)]


def compiler_trouble(folder: str) -> str | None:
    """Why no extension module can be compiled here; None if one can."""
    source = Path(folder, "probe.c")
    source.write_text("#include <Python.h>\nPyMODINIT_FUNC PyInit_probe(void) { return NULL; }\n", "utf-8")
    probe = build_ext(Distribution({"ext_modules": [Extension("probe", [str(source)])]}))
    probe.build_lib = probe.build_temp = folder
    probe.ensure_finalized()
    try:
        probe.run()
    except Exception as error:  # noqa: BLE001 - each compiler fails in its own way
        return f"no C compiler that works ({error})"
    return None


def translated(folder: str) -> list[Extension]:
    """The modules as C; raises if mypyc is not here or refuses them."""
    from mypyc.build import mypycify  # noqa: PLC0415 - only a build that needs it has it

    here = f"mypy=={metadata.version('mypy')}"
    if here not in NEEDS:
        raise ImportError(f"{here}, where {NEEDS[0]} is needed")
    options = ["--config-file=", f"--cache-dir={folder}/cache", "--ignore-missing-imports", "--follow-imports=silent"]
    paths = [str(SCORER / "domain" / f"{name}.py") for name in NATIVE]
    paths += [str(SCORER / "engine" / f"{name}.py") for name in NATIVE_ENGINE]
    paths += [str(SHARED / f"{name}.py") for name in NATIVE_SHARED]
    made = mypycify([*options, *paths], target_dir=folder, group_name="tierline_core", opt_level="2", debug_level="0")
    for extension in made:  # another compiler's warnings are no reason to do without
        extension.extra_compile_args = [a for a in extension.extra_compile_args if a not in {"-Werror", "/WX"}]
        if os.name == "posix":  # they call each other directly: 2 % of an event
            extension.extra_compile_args += ["-fvisibility=hidden"]
    return list(made)


class AllOrNothing(build_ext):
    """The native modules refer to each other: a few of them are worse than none."""

    def run(self) -> None:
        try:
            super().run()
        except Exception as error:  # noqa: BLE001 - each compiler fails in its own way
            say(f"compiling it failed ({error})")
            for made in self.get_outputs():
                Path(made).unlink(missing_ok=True)
            self.extensions = []


def extensions(folder: str) -> list[Extension]:
    if CHOICE == "0":
        return []
    if trouble := compiler_trouble(folder):
        say(trouble)
        return []
    try:
        return translated(folder)
    except ImportError as error:
        say(f"mypyc is not here ({error})")
    except (Exception, SystemExit) as error:  # noqa: BLE001 - it has printed what it minds
        say(f"mypyc refuses it ({error!r})")
    return []


WHEEL = "bdist_wheel" in sys.argv
GIVEN = Path("build/native-needs")

shutil.rmtree(GIVEN, ignore_errors=True)  # by the time a wheel is made they are where they were needed
Path("build").mkdir(exist_ok=True)
with tempfile.TemporaryDirectory(prefix="native-", dir="build") as made_here:
    # A fresh folder for each wheel: nothing of an earlier build can get in. Relative, as setuptools wants it.
    scratch = os.path.relpath(made_here)
    asked = "egg_info" in sys.argv and CHOICE != "0" and compiler_trouble(scratch) is None
    setup(
        ext_modules=extensions(scratch) if WHEEL else [],
        cmdclass={"build_ext": AllOrNothing},
        options={"build": {"build_base": f"{scratch}/build"}} if WHEEL else {},
        setup_requires=needs(GIVEN) if asked else [],
    )

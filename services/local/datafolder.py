"""The data folder of one machine: made, locked against a second instance, emptied only if it is ours.

What is in it:  .tierline (marks it as ours; the lock)   kafka/   postgres/   and what else the parts of Tierline keep.
"""

import fcntl
import os
import shutil
from pathlib import Path
from types import TracebackType

import platformdirs

from services.local import postgres_home
from services.local.errors import MISUSED, CannotStart

MARKER = ".tierline"
_TITLE = "Tierline data folder"


def default_data_folder() -> Path:
    """Where data is kept unless said otherwise: the user's folder for state that outlives a restart."""
    return Path(platformdirs.user_state_dir("tierline"))


class DataFolder:
    """A folder that is ours alone while this context is entered.

    fresh: empty it first. CannotStart (exit code 2) if another instance has it, if it holds files and is not marked as
    ours, or if it can't be made or written. The lock is the kernel's (flock): it ends with the process that has it.
    """

    def __init__(self, path: Path | None = None, *, fresh: bool = False) -> None:
        self.path = (path or default_data_folder()).expanduser().absolute()
        self._fresh = fresh
        self._lock: int | None = None

    @property
    def kafka(self) -> Path:
        return self.path / "kafka"

    @property
    def postgres(self) -> Path:
        return self.path / "postgres"

    def __enter__(self) -> "DataFolder":
        try:
            self._lock = self._take()
            if self._fresh:
                self._empty()
        except OSError as error:
            self._release()
            raise CannotStart(
                f"data folder {self.path} cannot be used: {error.strerror or error}", exit_code=MISUSED
            ) from error
        except CannotStart:
            self._release()
            raise
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, traceback: TracebackType | None
    ) -> None:
        self._release()

    def _take(self) -> int:
        """The descriptor that holds the lock."""
        self.path.mkdir(parents=True, exist_ok=True)
        marker = self.path / MARKER
        if not marker.exists() and any(self.path.iterdir()):
            raise CannotStart(
                f"folder {self.path} is not a data folder of tierline (it holds files, but no {MARKER}): "
                "name an empty one",
                exit_code=MISUSED,
            )
        lock = os.open(marker, os.O_RDWR | os.O_CREAT, 0o644)
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            words = os.read(lock, 200).decode(errors="replace").split()
            os.close(lock)
            raise CannotStart(
                f"data folder {self.path} is in use by another tierline (pid {words[-1] if words else 'unknown'})",
                exit_code=MISUSED,
            ) from None
        os.ftruncate(lock, 0)
        os.write(lock, f"{_TITLE}\npid {os.getpid()}\n".encode())
        return lock

    def _empty(self) -> None:
        """Remove everything but the marker, which is the lock. Links go, not what they lead to, the database aside."""
        postgres_home.clear(self.postgres)
        for entry in self.path.iterdir():
            if entry.name == MARKER:
                continue
            if entry.is_dir() and not entry.is_symlink():
                shutil.rmtree(entry)
            else:
                entry.unlink()

    def _release(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None

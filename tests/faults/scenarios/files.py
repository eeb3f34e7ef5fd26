"""Local files: the scorer keeps none, so a worker on another machine, or with an empty disk, is as good."""

import os
import shutil
from pathlib import Path

from tests.faults.scenario import Scenario
from tests.faults.stage import Stage


class FilesWiped(Scenario):
    """The worker has a folder of its own as home, temporary and working folder; nothing ever stands in it, nor has it
    a file open for writing anywhere. Killed, and the folder made anew, the next one goes on."""

    name = "files-wiped"
    about = "kill -9 and an empty disk: the worker keeps no local files, which is looked at each time"

    async def play(self, stage: Stage) -> None:
        folder = stage.folder / "work"
        places = dict.fromkeys(("HOME", "TMPDIR", "XDG_CACHE_HOME", "XDG_DATA_HOME", "XDG_STATE_HOME"), str(folder))
        async with stage.upstream.flowing(1_000):
            for _ in range(self.times):
                shutil.rmtree(folder, ignore_errors=True)
                folder.mkdir()
                worker = await stage.start(cwd=folder, **places)
                await worker.ready()
                await stage.further()
                written = open_for_writing(worker.process.pid)
                assert not written, f"the worker writes to {written}"
                await worker.process.kill()
                stage.strike()
                left = [str(path) for path in folder.rglob("*")]
                assert not left, f"the worker has left {left}"
        stage.facts["files"] = 0


def open_for_writing(pid: int) -> list[str]:
    """Linux: the files, not sockets, pipes or devices, that a process could write to now."""
    found = []
    for link in Path(f"/proc/{pid}/fd").iterdir():
        try:
            target, info = link.readlink(), Path(f"/proc/{pid}/fdinfo/{link.name}").read_text()
        except FileNotFoundError:
            continue
        flags = int(info.partition("flags:")[2].split()[0], 8)
        if target.is_absolute() and not target.is_relative_to("/dev") and flags & os.O_ACCMODE != os.O_RDONLY:
            found.append(str(target))
    return found

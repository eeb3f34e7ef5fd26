"""A process held still with SIGSTOP. The signal only asks: on a busy machine its threads work on for a while."""

import os
import signal
from pathlib import Path

from tests.waiting import until


async def freeze(pid: int) -> None:
    """SIGSTOP; returns when every thread of the process has stopped."""
    os.kill(pid, signal.SIGSTOP)
    await frozen(pid)


async def frozen(pid: int) -> None:
    """Returns when every thread of the process has stopped."""
    await until(lambda: is_still(pid), what=f"process {pid} stands still")


def is_still(pid: int) -> bool:
    """Linux: the state follows the name, which stands in brackets. A thread may end while it is asked for."""
    for stat in Path(f"/proc/{pid}/task").glob("*/stat"):
        try:
            state = stat.read_text().rpartition(")")[2].split()[0]
        except (FileNotFoundError, ProcessLookupError):
            continue
        if state not in "TtZX":
            return False
    return True

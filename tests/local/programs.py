"""Small programs for the tests of processes, and whether one still runs."""

import sys

import psutil

SLEEPS = [sys.executable, "-I", "-S", "-c", "import signal; print('here', flush=True); signal.pause()"]
IGNORES_SIGTERM = [
    *SLEEPS[:-1],
    "import signal; signal.signal(signal.SIGTERM, signal.SIG_IGN); print('here', flush=True)\n"
    "while True: signal.pause()",
]


def python(code: str) -> list[str]:
    """The command line of a Python that starts fast and runs `code`."""
    return [*SLEEPS[:-1], code]


def has_ended(pid: int) -> bool:
    """True if it is gone, or dead and merely not yet asked for by whoever adopted it."""
    try:
        return bool(psutil.Process(pid).status() == psutil.STATUS_ZOMBIE)
    except psutil.NoSuchProcess:
        return True

"""What a part of the machine says when it cannot go on: one line for people, one exit code for scripts."""

FAILED = 1
MISUSED = 2


class CannotStart(Exception):
    """Something on this machine cannot be brought up or kept up.

    str() is one clear line that names the thing and, where there is one, the remedy.
    exit_code: 1 (FAILED) if it went wrong, 2 (MISUSED) if what was asked for cannot be done: a port or a data
    folder in use, a folder that is not ours, a setting that makes no sense.
    """

    def __init__(self, message: str, *, exit_code: int = FAILED) -> None:
        super().__init__(message)
        self.exit_code = exit_code


class Died(CannotStart):
    """A child ended by itself before it was ready. Worth another try, unless its exit code says MISUSED."""

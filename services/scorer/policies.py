"""A policy out of its file: for every program that is given one."""

from pathlib import Path

from services.scorer.domain.policy import Policy, PolicyError, parse


def read(file: Path) -> Policy:
    """PolicyError, one line, if the file can't be read or holds no policy."""
    return parse(text(file), str(file))


def text(file: Path) -> str:
    """What stands in the file, not looked at yet; PolicyError if it can't be read."""
    try:
        return decoded(file)
    except OSError as error:
        raise PolicyError(f"{file}: the policy cannot be read: {error.strerror}") from error


def decoded(file: Path) -> str:
    """What stands in the file; OSError if it can't be read, PolicyError at the first byte that is not UTF-8."""
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        before = error.object[: error.start].decode()
        line, column = before.count("\n") + 1, len(before) - before.rfind("\n")
        wrong = f"byte 0x{error.object[error.start]:02x} is not UTF-8; save it as UTF-8"
        raise PolicyError(f"{file}:{line}:{column}: {wrong}") from error

"""A policy out of its file: for every program that is given one."""

from pathlib import Path

from services.scorer.domain.policy import Policy, PolicyError, parse


def read(file: Path) -> Policy:
    """PolicyError, one line, if the file can't be read or holds no policy."""
    return parse(text(file), str(file))


def text(file: Path) -> str:
    """What stands in the file, not looked at yet; PolicyError if it can't be read."""
    try:
        return file.read_text("utf-8")
    except UnicodeDecodeError as error:
        raise PolicyError(f"{file}: the policy is not text in UTF-8") from error
    except OSError as error:
        raise PolicyError(f"{file}: the policy cannot be read: {error.strerror}") from error

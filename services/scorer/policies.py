"""A policy out of its file: for every program that is given one."""

from pathlib import Path

from services.scorer.domain.policy import Policy, PolicyError, parse


def read(file: Path) -> Policy:
    """PolicyError, one line, if the file can't be read or holds no policy."""
    try:
        return parse(file.read_text("utf-8"), str(file))
    except UnicodeDecodeError as error:
        raise PolicyError(f"policy {file} is not text in UTF-8") from error
    except OSError as error:
        raise PolicyError(f"policy {file} cannot be read: {error.strerror}") from error

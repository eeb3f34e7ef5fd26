"""What went wrong, as one clear line and an exit code: 1 it failed, 2 what was asked for cannot be done."""

from collections.abc import Mapping
from typing import Any

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

from services.local.errors import FAILED, MISUSED, CannotStart
from services.local.supervisor import Interrupted
from services.scorer.domain.policy import PolicyError

EXPECTED = (click.ClickException, CannotStart, PolicyError, ValidationError, SettingsError, Interrupted)
"""The errors that are told in a line; any other is a bug and shows where it happened."""


def told(error: Exception) -> tuple[str, int]:
    """The line, empty if there is nothing to add, and the exit code."""
    line, code = str(error), FAILED
    match error:
        case click.UsageError():
            line, code = _usage(error), MISUSED
        case click.ClickException():
            line, code = error.format_message(), error.exit_code
        case Interrupted():
            line, code = "", error.exit_code
        case CannotStart():
            code = error.exit_code
        case ValidationError():
            line, code = "; ".join(_setting(found) for found in error.errors(include_url=False)), MISUSED
        case PolicyError() | SettingsError():
            code = MISUSED
    return " ".join(line.split()), code


def _usage(error: click.UsageError) -> str:
    where = f"; see {error.ctx.command_path} --help" if error.ctx else ""
    return error.format_message().rstrip(".") + where


def _setting(found: Mapping[str, Any]) -> str:
    """One setting that cannot be used: its variable, its value, what is allowed."""
    variable = ".".join(str(part) for part in found["loc"])
    wanted = found["msg"].removeprefix("Input ").removeprefix("Value error, ")
    return f"{variable}={found['input']!r} cannot be used: it {wanted}"

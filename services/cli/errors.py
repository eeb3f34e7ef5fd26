"""What went wrong, as one clear line and an exit code: 1 it failed, 2 what was asked for cannot be done."""

import click
from pydantic import ValidationError
from pydantic_settings import SettingsError

from services.local.errors import FAILED, MISUSED, CannotStart
from services.local.supervisor import Interrupted
from services.scorer.domain.policy import PolicyError
from services.shared.settings import unusable

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
            line, code = unusable(error), MISUSED
        case PolicyError() | SettingsError():
            code = MISUSED
    return " ".join(line.split()), code


def _usage(error: click.UsageError) -> str:
    where = f"; see {error.ctx.command_path} --help" if error.ctx else ""
    return error.format_message().rstrip(".") + where

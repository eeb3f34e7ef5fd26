"""The command `tierline`: what each subcommand does stands in the file of its name."""

import os
import sys
from collections.abc import Sequence
from importlib import metadata
from importlib.util import find_spec

import click

from services.cli.commands import Commands
from services.cli.errors import EXPECTED, told
from services.local.errors import MISUSED

COMMANDS = {
    "up": ("services.cli.up:up", "Bring everything up on this machine, without Docker."),
    "setup": ("services.cli.setup:setup", "Create the topics and tables, or bring them up to date."),
    "ingest": ("services.cli.run:ingest", "Run the service that takes events over HTTP."),
    "scorer": ("services.cli.run:scorer", "Run the service that decides who is in which tier."),
    "notifier": ("services.cli.run:notifier", "Run the service that keeps customers, tasks and alerts."),
    "policy": (
        "services.cli.policy:policy",
        "Check, compare, try and activate policies.",
    ),
    "simulate": ("services.cli.simulate:simulate", "Play a script of events against a policy."),
    "explain": ("services.cli.explain:explain", "Say why a customer stands where they stand, and what comes next."),
    "dead-letters": (
        "services.cli.dead_letters:dead_letters",
        "See events that were not taken, repair them, send them again.",
    ),
    "audit": ("services.cli.audit:audit", "Recompute customers from the topics and compare with the live state."),
    "rebuild": ("services.cli.rebuild:rebuild", "Make every customer anew from all events, while the old ones serve."),
    "fit": ("services.cli.fit:fit", "Estimate a policy's calibration from purchases."),
    "schemas": ("services.cli.schemas:schemas", "Publish the contracts; for those who work on tierline."),
}


def _version() -> str:
    """With the core there is, since pip hides why an install could not compile it."""
    try:
        version = metadata.version("tierline")
    except metadata.PackageNotFoundError:
        version = "(run from its sources)"
    core = find_spec("services.scorer.domain.life")
    return f"{version}, {'core in Python' if core and str(core.origin).endswith('.py') else 'compiled core'}"


@click.command(
    cls=Commands, lazy=COMMANDS, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 110}
)
@click.version_option(_version(), "-V", "--version", message="tierline %(version)s")
def tierline() -> None:
    """Tierline tiers customers in real time, and says why.

    \b
    See it work, with real purchases:       tierline up --demo
    Run it on this machine, your events:    tierline up
    Run a service in a cluster of yours:    tierline setup, then tierline ingest | scorer | notifier

    Services read their settings from the environment (README.md lists them).

    Exit codes: 0 done, 1 failed or found wanting, 2 misused, 3 needs confirmation.
    """


def _check_text(arguments: Sequence[str]) -> None:
    """UsageError if one is neither UTF-8 nor the name of a file: it could be sent, kept and printed nowhere."""
    for argument in arguments:
        try:
            argument.encode()
        except UnicodeEncodeError:
            if not os.path.lexists(argument):
                shown = os.fsencode(argument).decode(errors="backslashreplace")
                raise click.UsageError(f"'{shown}' is not UTF-8") from None


def main() -> None:
    """Run the command line; what goes wrong is one line on stderr and an exit code (services/cli/errors.py)."""
    try:
        _check_text(sys.argv[1:])
        sys.exit(tierline.main(prog_name="tierline", standalone_mode=False))
    except click.exceptions.NoArgsIsHelpError as error:
        click.echo(error.format_message(), err=True)
        sys.exit(MISUSED)
    except click.Abort:
        sys.exit(130)
    except EXPECTED as error:
        line, code = told(error)
        if line:
            click.echo(f"tierline: {line}", err=True)
        sys.exit(code)


if __name__ == "__main__":
    main()

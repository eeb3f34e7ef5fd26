"""`tierline policy ...`: what can be done with policies. Each subcommand is in the file of its name, `policy_*.py`."""

from pathlib import Path

import click

from services.cli.commands import Commands
from services.local.errors import MISUSED, CannotStart
from services.scorer.domain.policy import Policy, parse
from services.scorer.policies import decoded

COMMANDS = {
    "check": ("services.cli.policy_check:check", "Say whether policies can be used, and what looks wrong."),
    "diff": ("services.cli.policy_diff:diff", "Say what a policy says otherwise than another."),
    "backtest": ("services.cli.policy_backtest:backtest", "Try a policy on what has happened."),
    "activate": ("services.cli.policy_activate:activate", "Try a policy, and put it into the sequence of policies."),
    "rollback": ("services.cli.policy_rollback:rollback", "Activate the policy before the present one again."),
    "history": ("services.cli.policy_history:history", "Say which policies were activated, when and by whom."),
}


def text_of(file: Path) -> str:
    """CannotStart (exit code 2) if the file can't be read, PolicyError if it isn't text in UTF-8."""
    try:
        return decoded(file)
    except OSError as error:
        raise CannotStart(f"policy {file} cannot be read: {error.strerror}", exit_code=MISUSED) from error


def read(file: Path) -> Policy:
    """The policy of a file. CannotStart (exit code 2) if it can't be read, PolicyError if it isn't one."""
    return parse(text_of(file), str(file))


@click.group(cls=Commands, lazy=COMMANDS)
def policy() -> None:
    """Look at policies, try them, activate them: the rules of who is in which tier."""

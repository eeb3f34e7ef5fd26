"""`tierline dead-letters ...`: events that were not taken. Each subcommand is in the file of its name."""

import click

from services.cli.commands import Commands

COMMANDS = {
    "list": (
        "services.cli.dead_letters_list:list_",
        "Say which events were not taken, why, and what was done about it.",
    ),
    "show": ("services.cli.dead_letters_show:show", "Say all that is known of one of them."),
    "repair": ("services.cli.dead_letters_repair:repair", "Change what will be sent instead of one of them."),
    "resend": ("services.cli.dead_letters_resend:resend", "Send some of them to ingest again."),
}


@click.group("dead-letters", cls=Commands, lazy=COMMANDS)
def dead_letters() -> None:
    """See events that the scorer could not take, put them right, send them again.

    A letter's id is its place on topic dead-letters, as 0:17. Services need not run, but for `resend`, which posts to
    ingest, so that all its checks apply.
    """

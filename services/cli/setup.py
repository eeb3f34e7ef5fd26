"""`tierline setup`: topics and tables, before the services of a cluster start for the first time."""

import asyncio

import click

from services.shared.settings import NotifierSettings


@click.command()
def setup() -> None:
    """Create the topics and the database's tables, or bring them up to date.

    Reads KAFKA_BOOTSTRAP, DATABASE_URL, TIERLINE_TOPIC_PREFIX, TIERLINE_PARTITIONS and TIERLINE_REPLICATION. The
    number of partitions is for ever. Changes nothing where all is there; run it before each new version starts.
    """
    from services.local.prepare import prepare  # noqa: PLC0415 - takes a second, which --help need not

    settings = NotifierSettings()
    created = asyncio.run(prepare(settings, settings.database_url))
    click.echo(f"topics created: {', '.join(created)}" if created else "topics: all there")
    click.echo("tables: current")

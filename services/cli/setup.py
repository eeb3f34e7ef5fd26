"""`tierline setup`: topics and tables, before the services of a cluster start for the first time."""

import asyncio

import click
import msgspec

from services.shared.settings import NotifierSettings


@click.command()
@click.option("--repair", is_flag=True, help="Set what is wrong with the settings of topics that are there.")
@click.option("--json", "as_json", is_flag=True, help="Print what was created and repaired as JSON.")
def setup(repair: bool, as_json: bool) -> None:
    """Create the topics and the database's tables, or bring them up to date.

    Reads DATABASE_URL, TIERLINE_TOPIC_PREFIX, TIERLINE_PARTITIONS, TIERLINE_REPLICATION, TIERLINE_MIN_INSYNC_REPLICAS
    and KAFKA_... The number of partitions is for ever. Changes nothing where all is there; run it before each new
    version starts.
    """
    from services.local.prepare import prepare  # noqa: PLC0415 - takes a second, which --help need not

    settings = NotifierSettings()
    created, repaired = asyncio.run(prepare(settings, settings.database_url, repair=repair))
    if as_json:
        changed = [difference._asdict() for difference in repaired]
        click.echo(msgspec.json.encode({"created": created, "repaired": changed}).decode())
        return
    for topic, setting, found, wanted in repaired:
        click.echo(f"topic {topic}: {setting} was {found}, is {wanted}")
    click.echo(f"topics created: {', '.join(created)}" if created else "topics: all there")
    click.echo("tables: current")

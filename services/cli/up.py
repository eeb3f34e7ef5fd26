"""`tierline up`: everything on this machine, without Docker."""

import asyncio
import os
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click
from rich.console import Console

import services
from services.cli import policy as policies
from services.local.datafolder import default_data_folder
from services.scorer.domain.pending import refuse_pending
from services.shared.settings import CATALOGUE, NotifierSettings

RETAIL = Path(next(iter(services.__path__))).parent / "policies" / "retail.yaml"


def _port(service: str, default: int) -> Callable[[Any], Any]:
    return click.option(
        f"--{service}-port",
        type=click.IntRange(0, 65535),
        default=default,
        envvar=f"TIERLINE_{service.upper()}_PORT",
        show_envvar=True,
        show_default=True,
        help=f"Port of {service}; 0 takes any free one.",
    )


@click.command()
@click.option("--demo", is_flag=True, help="Replay the purchases of CDNOW and show what became of the customers.")
@click.option("--once", is_flag=True, help="With --demo: hold every customer against a recomputation, then exit.")
@click.option("--sample", type=click.IntRange(1), default=1, metavar="N", help="With --demo: every N-th customer only.")
@click.option(
    "--data",
    type=click.Path(path_type=Path, file_okay=False),
    default=default_data_folder,
    show_default="a folder in your state directory",
    help="Where all data is kept; a later start goes on with it.",
)
@click.option("--fresh", is_flag=True, help="Empty the data folder first.")
@click.option(
    "--policy",
    type=click.Path(path_type=Path),
    default=RETAIL,
    envvar="TIERLINE_POLICY",
    show_envvar=True,
    show_default="policies/retail.yaml",
    help="Who is in which tier, and why.",
)
@_port("ingest", 8080)
@_port("scorer", 8081)
@_port("notifier", 8082)
def up(
    demo: bool,
    once: bool,
    sample: int,
    data: Path,
    fresh: bool,
    policy: Path,
    ingest_port: int,
    scorer_port: int,
    notifier_port: int,
) -> None:
    """Bring everything up on this machine, without Docker.

    Apache Kafka and PostgreSQL are started from pip packages, unless KAFKA_BOOTSTRAP or DATABASE_URL name yours; then
    topics and tables are made and ingest, scorer and notifier run, each as a process of its own. Ctrl-C ends all.
    """
    if (once or sample > 1) and not demo:
        raise click.UsageError(f"{'--once' if once else '--sample'} goes with --demo", click.get_current_context())
    refuse_pending(policies.read(policy))
    for settings in CATALOGUE:
        settings()  # those the services will read: a mistake is told before anything is started
    from services.local.up import Options, bring_up  # noqa: PLC0415 - takes seconds, which --help need not

    options = Options(
        data=data,
        fresh=fresh,
        policy=policy.absolute(),
        demo=demo,
        once=once,
        sample=sample,
        ports={"ingest": ingest_port, "scorer": scorer_port, "notifier": notifier_port},
        kafka_bootstrap=os.environ.get("KAFKA_BOOTSTRAP") or None,
        database_url=NotifierSettings().database_url if os.environ.get("DATABASE_URL") else None,
    )
    code = asyncio.run(bring_up(options, log=Console(stderr=True, markup=False), out=Console(markup=False)))
    raise SystemExit(code)

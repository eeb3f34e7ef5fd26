"""Everything on this machine: the composition root of `tierline up`.

Kafka and PostgreSQL (embedded unless addresses are given), topics and tables, then the three services as processes of
their own under the supervisor, then the demo if asked for. Whatever ends it, nothing is left running.
"""

import os
import sys
from collections.abc import Mapping
from pathlib import Path

import msgspec
from rich.console import Console

from services.demo.run import Demo
from services.local.beside import exports
from services.local.command import Command
from services.local.datafolder import DataFolder
from services.local.errors import FAILED, MISUSED, CannotStart
from services.local.kafka import EmbeddedKafka
from services.local.ports import HOST, claim
from services.local.postgres import EmbeddedPostgres
from services.local.prepare import prepare
from services.local.stages import Stages
from services.local.supervisor import Child, Supervisor
from services.shared.settings import KafkaSettings

SERVICES = ("ingest", "scorer", "notifier")
PARTITIONS = 4
"""Of every topic on one machine, unless TIERLINE_PARTITIONS says otherwise at the first start. Two, four and twelve
cost the same within the noise; few keep lists and logs short."""


class Options(msgspec.Struct, frozen=True, kw_only=True):
    """What `tierline up` was asked for.

    ports:           of each service, 0 for any free one
    kafka_bootstrap, database_url: addresses that replace the embedded ones
    sample:          the demo takes every so many-th customer
    """

    data: Path
    fresh: bool
    policy: Path
    demo: bool
    once: bool
    sample: int
    ports: Mapping[str, int]
    kafka_bootstrap: str | None
    database_url: str | None


async def bring_up(options: Options, *, log: Console, out: Console) -> int:
    """Run until a signal ends it, or the demo does with --once; the exit code.

    log: gets the progress and the services' logs. out: gets the demo's table.
    CannotStart if something can't be brought up or kept up; Interrupted if a signal ended it before it was up.
    """
    if options.fresh and (options.kafka_bootstrap or options.database_url):
        raise CannotStart(
            "--fresh empties the data folder only, not the Kafka or database you name: give TIERLINE_TOPIC_PREFIX and "
            "an empty database instead",
            exit_code=MISUSED,
        )
    if not options.kafka_bootstrap and KafkaSettings().security_protocol != "PLAINTEXT":
        raise CannotStart(
            "KAFKA_SECURITY_PROTOCOL is for a Kafka of yours, but KAFKA_BOOTSTRAP names none: set both or neither",
            exit_code=MISUSED,
        )
    stages = Stages()
    with DataFolder(options.data, fresh=options.fresh) as folder:
        ports = {name: claim(port, name) for name, port in options.ports.items()}
        settings = _settings(options, folder.path)
        async with Supervisor(log) as supervisor:
            say = supervisor.voice("tierline")
            say(f"data is kept in {folder.path}")
            with stages.stage("Kafka and PostgreSQL"):
                bootstrap, database_url = await _stores(options, folder, supervisor)
            settings = settings.model_copy(update={"kafka_bootstrap": bootstrap})
            with stages.stage("topics and tables"):
                await supervisor.run(prepare(settings, database_url))
            environment = _environment(options, settings, database_url, ports)
            with stages.stage("services"):
                await supervisor.start(*(_service(name, environment, ports, supervisor) for name in SERVICES))
            urls = {name: f"http://{HOST}:{ports[name]}" for name in SERVICES}
            say(f"ready: events to {urls['ingest']}/v1/events, customers at {urls['notifier']}/v1/customers")
            if variables := exports(environment):
                say(f"other commands beside it: {variables}")
            if options.demo:
                demo = Demo(
                    **urls,
                    folder=folder.path,
                    policy=options.policy.read_text("utf-8"),
                    sample=options.sample,
                    stages=stages,
                    log=log,
                    out=out,
                )
                agrees = await supervisor.run(demo.run(verify=options.once))
                if options.once:
                    return 0 if agrees else FAILED
            say("Ctrl-C ends all; a later start goes on with the same data")
            await supervisor.wait()
    return 0


def _settings(options: Options, folder: Path) -> KafkaSettings:
    """The settings all services share, with the number of partitions this data folder began with."""
    settings = KafkaSettings()
    if options.kafka_bootstrap:
        return settings
    kept = folder / "partitions"
    if kept.exists():
        partitions = int(kept.read_text())
        if "partitions" in settings.model_fields_set and settings.partitions != partitions:
            raise CannotStart(
                f"TIERLINE_PARTITIONS={settings.partitions}, but {folder} began with {partitions}, which is for ever",
                exit_code=MISUSED,
            )
    else:
        partitions = settings.partitions if "partitions" in settings.model_fields_set else PARTITIONS
        kept.write_text(f"{partitions}\n")
    return settings.model_copy(update={"partitions": partitions})


async def _stores(options: Options, folder: DataFolder, supervisor: Supervisor) -> tuple[str, str]:
    """Kafka's address and the database's, once both answer: those given, else embedded ones, started together."""
    voice = supervisor.voice("kafka")
    kafka = EmbeddedKafka(folder.kafka, on_line=voice, report=voice)
    postgres = EmbeddedPostgres(folder.postgres, on_line=supervisor.voice("postgres"))
    embedded: list[Child] = []
    if not options.kafka_bootstrap:
        embedded.append(kafka)
    if not options.database_url:
        embedded.append(postgres)
    await supervisor.start(*embedded)
    return options.kafka_bootstrap or kafka.bootstrap, options.database_url or postgres.url


def _environment(
    options: Options, settings: KafkaSettings, database_url: str, ports: Mapping[str, int]
) -> dict[str, str]:
    """What the services read their settings from."""
    return {
        "TIERLINE_LOG_FORMAT": "text",
        "TIERLINE_LOG_LEVEL": "warning",
        **os.environ,
        "KAFKA_BOOTSTRAP": settings.kafka_bootstrap,
        "TIERLINE_PARTITIONS": str(settings.partitions),
        "DATABASE_URL": database_url,
        "TIERLINE_POLICY": str(options.policy),
        **{f"TIERLINE_{name.upper()}_PORT": str(port) for name, port in ports.items()},
    }


def _service(name: str, environment: Mapping[str, str], ports: Mapping[str, int], supervisor: Supervisor) -> Command:
    return Command(
        name,
        [sys.executable, "-m", "services.cli.main", name],
        env=environment,
        ready_url=f"http://{HOST}:{ports[name]}/readyz",
        on_line=supervisor.voice(name),
    )

"""`tierline ingest`, `tierline scorer`, `tierline notifier`: one service in this process, until a signal ends it."""

import runpy

import click

from services.shared.settings import IngestSettings, KafkaSettings, NotifierSettings, ScorerSettings


def _service(name: str, settings: type[KafkaSettings], about: str) -> click.Command:
    @click.command(name, help=f"{about}\n\nReads its settings from the environment; SIGTERM ends it in order.")
    def command() -> None:
        settings()  # a setting that cannot be used is told like any other misuse
        runpy.run_module(f"services.{name}", run_name="__main__", alter_sys=True)

    return command


ingest = _service("ingest", IngestSettings, "Take events over HTTP and keep them in Kafka.")
scorer = _service("scorer", ScorerSettings, "Decide who is in which tier; run several to share the partitions.")
notifier = _service(
    "notifier", NotifierSettings, "Keep customers, history, tasks and alerts in PostgreSQL, and answer for them."
)

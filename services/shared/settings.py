"""The catalogue of settings: every environment variable the services read, with its default and meaning.

README's tables are made from these classes. A value that cannot be used is one clear line and exit code 2
(`unusable`).
"""

from pathlib import Path
from typing import Any

from pydantic import AliasChoices, Field, ValidationError
from pydantic_settings import BaseSettings, SettingsConfigDict


def _variable(name: str, default: Any, about: str, **limits: Any) -> Any:
    return Field(default, validation_alias=AliasChoices(name), description=about, **limits)


class KafkaSettings(BaseSettings):
    """What every service needs to reach Kafka."""

    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True)

    kafka_bootstrap: str = _variable("KAFKA_BOOTSTRAP", "127.0.0.1:9092", "Kafka's bootstrap servers, host:port[,...]")
    topic_prefix: str = _variable("TIERLINE_TOPIC_PREFIX", "", "put before every topic, group and transactional id")
    partitions: int = _variable(
        "TIERLINE_PARTITIONS", 12, "partitions of every topic, fixed for ever at the first start", ge=1, le=1024
    )
    replication: int = _variable("TIERLINE_REPLICATION", 1, "replicas of every topic when it is created", ge=1, le=9)
    log_format: str = _variable("TIERLINE_LOG_FORMAT", "json", "json, or text for people", pattern="^(json|text)$")
    log_level: str = _variable(
        "TIERLINE_LOG_LEVEL", "info", "debug, info, warning or error", pattern="^(debug|info|warning|error)$"
    )

    def topic(self, name: str) -> str:
        """The topic's name in this installation."""
        return self.topic_prefix + name


class IngestSettings(KafkaSettings):
    """services/ingest"""

    host: str = _variable("TIERLINE_INGEST_HOST", "127.0.0.1", "address to listen on")
    port: int = _variable("TIERLINE_INGEST_PORT", 8080, "port of the API, /metrics and /docs", ge=0, le=65535)
    max_body_bytes: int = _variable("TIERLINE_INGEST_MAX_BODY_BYTES", 8 * 1024 * 1024, "largest request body", ge=1024)
    max_batch_events: int = _variable("TIERLINE_INGEST_MAX_BATCH_EVENTS", 10_000, "most events in one request", ge=1)
    max_in_flight_bytes: int = _variable(
        "TIERLINE_INGEST_MAX_IN_FLIGHT_BYTES", 64 * 1024 * 1024, "bytes not yet acknowledged by Kafka; beyond it, 503"
    )
    ack_timeout_ms: int = _variable(
        "TIERLINE_INGEST_ACK_TIMEOUT_MS", 10_000, "how long to wait for Kafka's acknowledgement before 503", ge=100
    )
    allow_personal_subjects: bool = _variable(
        "TIERLINE_INGEST_ALLOW_PERSONAL_SUBJECTS", False, "take ids that look like e-mail addresses or phone numbers"
    )


class ScorerSettings(KafkaSettings):
    """services/scorer"""

    policy: Path = _variable("TIERLINE_POLICY", Path("policies/retail.yaml"), "YAML file of the first start's policy")
    group: str = _variable("TIERLINE_SCORER_GROUP", "scorer", "consumer group and start of the transactional ids")
    metrics_host: str = _variable("TIERLINE_SCORER_HOST", "127.0.0.1", "address of /metrics, /livez and /readyz")
    metrics_port: int = _variable("TIERLINE_SCORER_PORT", 8081, "port of /metrics, /livez and /readyz", ge=0, le=65535)
    max_poll_records: int = _variable("TIERLINE_SCORER_MAX_POLL_RECORDS", 5_000, "most records of one fetch", ge=1)
    session_timeout_s: float = _variable("TIERLINE_SCORER_SESSION_TIMEOUT_S", 10.0, "a silent worker is out after this")


class NotifierSettings(KafkaSettings):
    """services/notifier"""

    database_url: str = _variable(
        "DATABASE_URL", "postgresql+asyncpg://tierline@127.0.0.1:5432/tierline", "PostgreSQL, as an SQLAlchemy URL"
    )
    policy: Path = _variable("TIERLINE_POLICY", Path("policies/retail.yaml"), "YAML file of the first start's policy")
    group: str = _variable("TIERLINE_NOTIFIER_GROUP", "notifier", "consumer group")
    host: str = _variable("TIERLINE_NOTIFIER_HOST", "127.0.0.1", "address to listen on")
    port: int = _variable("TIERLINE_NOTIFIER_PORT", 8082, "port of the API, /metrics and /docs", ge=0, le=65535)
    batch_records: int = _variable("TIERLINE_NOTIFIER_BATCH_RECORDS", 5_000, "most records of one transaction", ge=1)
    stream_keep: int = _variable("TIERLINE_NOTIFIER_STREAM_KEEP", 1_000_000, "transitions /v1/stream can go back", ge=1)


CATALOGUE: tuple[type[KafkaSettings], ...] = (IngestSettings, ScorerSettings, NotifierSettings)


def unusable(error: ValidationError) -> str:
    """What is wrong with settings, in one line: each variable, its value, what is allowed."""
    found = []
    for wrong in error.errors(include_url=False):
        variable = ".".join(str(part) for part in wrong["loc"])
        wanted = wrong["msg"].removeprefix("Input ").removeprefix("Value error, ")
        found.append(f"{variable}={wrong['input']!r} cannot be used: it {wanted}")
    return "; ".join(found)

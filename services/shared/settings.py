"""The catalogue of settings: every environment variable the services read, with its default and meaning.

README's tables are made from these classes. A value that cannot be used is one clear line and exit code 2
(`unusable`).
"""

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import AliasChoices, BeforeValidator, Field, SecretStr, ValidationError, model_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from services.shared import security


def _variable(name: str, default: Any, about: str, **limits: Any) -> Any:
    return Field(default, validation_alias=AliasChoices(name), description=about, **limits)


# An empty variable, as compose files and manifests leave behind, is one that is not set.
_unless_empty = BeforeValidator(lambda value: None if value == "" else value)
_File = Annotated[Path | None, _unless_empty]
_Secret = Annotated[SecretStr | None, _unless_empty]


class KafkaSettings(BaseSettings):
    """What every service needs to reach Kafka. Checked as a whole: services/shared/security.py."""

    # Values that cannot be used are not shown by default, since a password may be among them.
    model_config = SettingsConfigDict(extra="ignore", populate_by_name=True, hide_input_in_errors=True)

    kafka_bootstrap: str = _variable("KAFKA_BOOTSTRAP", "127.0.0.1:9092", "Kafka's bootstrap servers, host:port[,...]")
    security_protocol: Literal["PLAINTEXT", "SSL", "SASL_PLAINTEXT", "SASL_SSL"] = _variable(
        "KAFKA_SECURITY_PROTOCOL", "PLAINTEXT", "PLAINTEXT, SSL, SASL_PLAINTEXT or SASL_SSL (docs/security.md)"
    )
    ssl_ca_file: _File = _variable(
        "KAFKA_SSL_CA_FILE", None, "PEM file of the authorities Kafka's certificate may be of; none: the system's"
    )
    ssl_certificate_file: _File = _variable(
        "KAFKA_SSL_CERTIFICATE_FILE", None, "PEM file of our certificate, where Kafka asks for one (mutual TLS)"
    )
    ssl_key_file: _File = _variable("KAFKA_SSL_KEY_FILE", None, "PEM file of that certificate's private key")
    ssl_key_password: _Secret = _variable("KAFKA_SSL_KEY_PASSWORD", None, "password of that file, if it has one")
    ssl_key_password_file: _File = _variable("KAFKA_SSL_KEY_PASSWORD_FILE", None, "or the file it stands in")
    ssl_verify_hostname: bool = _variable(
        "KAFKA_SSL_VERIFY_HOSTNAME", True, "whether Kafka's certificate has to be for the host that was called"
    )
    sasl_mechanism: Literal["PLAIN", "SCRAM-SHA-256", "SCRAM-SHA-512"] = _variable(
        "KAFKA_SASL_MECHANISM", "SCRAM-SHA-512", "PLAIN, SCRAM-SHA-256 or SCRAM-SHA-512"
    )
    sasl_username: str = _variable("KAFKA_SASL_USERNAME", "", "the user Kafka knows us by")
    sasl_password: _Secret = _variable("KAFKA_SASL_PASSWORD", None, "its password")
    sasl_password_file: _File = _variable("KAFKA_SASL_PASSWORD_FILE", None, "or the file it stands in")
    topic_prefix: str = _variable("TIERLINE_TOPIC_PREFIX", "", "put before every topic, group and transactional id")
    partitions: int = _variable(
        "TIERLINE_PARTITIONS", 12, "partitions of every topic, fixed for ever at the first start", ge=1, le=1024
    )
    replication: int = _variable("TIERLINE_REPLICATION", 1, "replicas every topic has at least", ge=1, le=9)
    min_insync_replicas: Annotated[int | None, _unless_empty] = _variable(
        "TIERLINE_MIN_INSYNC_REPLICAS",
        None,
        "replicas that have a record before it counts as written; none: more than half of TIERLINE_REPLICATION",
        ge=1,
    )
    log_format: str = _variable("TIERLINE_LOG_FORMAT", "json", "json, or text for people", pattern="^(json|text)$")
    log_level: str = _variable(
        "TIERLINE_LOG_LEVEL", "info", "debug, info, warning or error", pattern="^(debug|info|warning|error)$"
    )

    def topic(self, name: str) -> str:
        """The topic's name in this installation."""
        return self.topic_prefix + name

    @property
    def in_sync(self) -> int:
        """`min.insync.replicas` of every topic."""
        return self.min_insync_replicas or self.replication // 2 + 1

    @model_validator(mode="after")
    def _fit_together(self) -> "KafkaSettings":
        if self.in_sync > self.replication:
            raise ValueError(
                f"TIERLINE_MIN_INSYNC_REPLICAS={self.in_sync} is more than TIERLINE_REPLICATION={self.replication}: "
                "nothing could be written"
            )
        self.ssl_key_password = security.secret(
            self.ssl_key_password, self.ssl_key_password_file, "KAFKA_SSL_KEY_PASSWORD"
        )
        self.sasl_password = security.secret(self.sasl_password, self.sasl_password_file, "KAFKA_SASL_PASSWORD")
        security.check(self)
        return self


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
    dead_letter_share: float = _variable(
        "TIERLINE_SCORER_DEAD_LETTER_SHARE",
        0.2,
        "share of customers whose events cannot be taken, beyond which a partition halts; 1: never",
        ge=0,
        le=1,
    )


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

    @model_validator(mode="after")
    def _one_driver(self) -> "NotifierSettings":
        self.database_url = _database(self.database_url or type(self).model_fields["database_url"].default)
        return self


class AuditSettings(KafkaSettings):
    """services/audit, where it audits again and again"""

    host: str = _variable("TIERLINE_AUDIT_HOST", "127.0.0.1", "address of /metrics and /livez, with --every")
    port: int = _variable("TIERLINE_AUDIT_PORT", 8083, "port of /metrics and /livez, with --every", ge=0, le=65535)


CATALOGUE: tuple[type[KafkaSettings], ...] = (IngestSettings, ScorerSettings, NotifierSettings, AuditSettings)


def _database(url: str) -> str:
    """The address with the driver there is, which may be left out; ValueError, without a password, for any other."""
    from sqlalchemy.engine import make_url  # noqa: PLC0415 - takes a while, and only some ask for it
    from sqlalchemy.exc import ArgumentError  # noqa: PLC0415

    wanted = "postgresql+asyncpg://user@host/name"
    try:
        read = make_url(url)
    except (ArgumentError, ValueError):
        raise ValueError(f"DATABASE_URL is not an SQLAlchemy URL, as {wanted}") from None
    if read.drivername not in ("postgresql+asyncpg", "postgresql", "postgres"):
        raise ValueError(f"DATABASE_URL asks for {read.drivername}, which is not at hand: write it as {wanted}")
    if "sslmode" in read.query:
        raise ValueError("DATABASE_URL: asyncpg does not know sslmode, write ssl=... with the same value")
    return "postgresql+asyncpg" + url[len(read.drivername) :]


def unusable(error: ValidationError) -> str:
    """What is wrong with settings, in one line: each variable, its value, what is allowed."""
    found = []
    for wrong in error.errors(include_url=False):
        variable = ".".join(str(part) for part in wrong["loc"])
        wanted = wrong["msg"].removeprefix("Input ").removeprefix("Value error, ")
        # Without a variable, it is several that do not fit together; the message names them.
        found.append(f"{variable}={wrong['input']!r} cannot be used: it {wanted}" if variable else wanted)
    return "; ".join(found)

"""How every client of ours reaches Kafka: the settings' address, TLS and login, in each library's words."""

import logging
from typing import Any

from services.shared.security import tls_context
from services.shared.settings import KafkaSettings

SILENT = logging.getLogger("librdkafka")
"""For librdkafka's own lines: what matters of them comes as a KafkaException."""
SILENT.addHandler(logging.NullHandler())
SILENT.propagate = False


def for_librdkafka(settings: KafkaSettings) -> dict[str, Any]:
    """For confluent-kafka's clients.

    Without a recovery strategy: librdkafka 2.16's default forgets a broker that was away for a moment yet keeps it as
    the coordinator, and a transaction under way then hangs for ever, past its time limit (librdkafka issue 5511;
    seen here after every restart of a single broker).
    """
    password, key_password = settings.sasl_password, settings.ssl_key_password
    given = {
        "ssl.ca.location": settings.ssl_ca_file,
        "ssl.certificate.location": settings.ssl_certificate_file,
        "ssl.key.location": settings.ssl_key_file,
        "ssl.key.password": key_password and key_password.get_secret_value(),
        "sasl.username": settings.sasl_username,
        "sasl.password": password and password.get_secret_value(),
        "sasl.mechanism": settings.sasl_mechanism if settings.sasl_username else None,
    }
    return {
        "bootstrap.servers": settings.kafka_bootstrap,
        "metadata.recovery.strategy": "none",
        "security.protocol": settings.security_protocol,
        "ssl.endpoint.identification.algorithm": "https" if settings.ssl_verify_hostname else "none",
        **{name: str(value) for name, value in given.items() if value},
    }


def for_aiokafka(settings: KafkaSettings) -> dict[str, Any]:
    """For aiokafka's clients, Faust's among them."""
    password = settings.sasl_password
    return {
        "bootstrap_servers": settings.kafka_bootstrap,
        "security_protocol": settings.security_protocol,
        "ssl_context": tls_context(settings),
        "sasl_mechanism": settings.sasl_mechanism,
        "sasl_plain_username": settings.sasl_username,
        "sasl_plain_password": password and password.get_secret_value(),
    }

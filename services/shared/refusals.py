"""Why a broker and we cannot come together, told apart from a broker that is only away.

librdkafka tries for ever and says the same of both; what it tells on the way is read here, and where that does not
say enough, the broker is asked once more by hand. Everything here blocks.
"""

import contextlib
import re
import socket
import ssl
from collections.abc import Iterable, Sequence

from confluent_kafka import KafkaError

from services.shared.security import tls_context
from services.shared.settings import KafkaSettings

_ASK_S = 2.0


def refusal(settings: KafkaSettings, heard: Iterable[KafkaError]) -> str | None:
    """What no waiting mends and which variable does, in words that follow the broker's address; None if it is away.

    heard: what librdkafka told of its connections so far
    """
    errors = list(heard)
    for error in errors:
        if error.code() == KafkaError._AUTHENTICATION:
            return (
                f"does not let user {settings.sasl_username!r} in ({words(error)}): look at KAFKA_SASL_USERNAME, "
                "KAFKA_SASL_PASSWORD and KAFKA_SASL_MECHANISM"
            )
        if " alert " in error.str():  # it is the broker that broke off
            return (
                f"wants a certificate of ours that it trusts ({words(error)}): look at KAFKA_SSL_CERTIFICATE_FILE and "
                "KAFKA_SSL_KEY_FILE"
            )
        if error.code() == KafkaError._SSL:
            return _untrusted(settings) or f"cannot be spoken to by TLS: {words(error)}"
    if not settings.security_protocol.endswith("SSL") and _reached(errors) and _speaks_tls(settings):
        wanted = "SASL_SSL" if settings.security_protocol == "SASL_PLAINTEXT" else "SSL or SASL_SSL"
        return f"speaks TLS, but KAFKA_SECURITY_PROTOCOL={settings.security_protocol}: set it to {wanted}"
    return None


def absence(settings: KafkaSettings, heard: Iterable[KafkaError]) -> str:
    """What was told of a broker that does not answer, in words that follow its address."""
    errors = list(heard)
    told = _told(errors)
    why = f": {words(told[-1])}" if told else ""
    hint = f"; look at KAFKA_SECURITY_PROTOCOL, which is {settings.security_protocol}" if _reached(errors) else ""
    return f"does not answer{why}{hint}"


def _told(errors: Sequence[KafkaError]) -> list[KafkaError]:
    """Without librdkafka's counting of brokers."""
    return [error for error in errors if error.code() != KafkaError._ALL_BROKERS_DOWN]


def _reached(errors: Sequence[KafkaError]) -> bool:
    """Whether the broker took the connection and hung up: in silence, unless the last that was told says otherwise."""
    told = _told(errors)
    return bool(errors) and not (told and "in state CONNECT" in told[-1].str())


def words(error: KafkaError) -> str:
    """The error without the address before it and the state of the connection behind it."""
    said = re.sub(r"^\S+://\S+?: |^\S+/(bootstrap|\d+): ", "", error.str())
    return re.sub(r" \(after \d+ms in state .*$", "", said)


def _untrusted(settings: KafkaSettings) -> str | None:
    """What is wrong with the broker's certificate; librdkafka does not say."""
    context = tls_context(settings)
    if context is None:
        return None
    for host, port in _servers(settings):
        try:
            _greet(host, port, context)
        except ssl.SSLCertVerificationError as error:
            why = error.verify_message.rstrip(".")
            remedy = (
                "name it in KAFKA_BOOTSTRAP as its certificate does, or set KAFKA_SSL_VERIFY_HOSTNAME=false"
                if "mismatch" in why
                else "KAFKA_SSL_CA_FILE has to hold the certificate of its authority"
            )
            return f"shows a certificate that is not to be trusted ({why}): {remedy}"
        except OSError:
            continue
    return None


def _speaks_tls(settings: KafkaSettings) -> bool:
    """Whether a broker of the list answers a TLS greeting, with whatever certificate."""
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
    context.check_hostname, context.verify_mode = False, ssl.CERT_NONE
    for host, port in _servers(settings):
        with contextlib.suppress(OSError):
            _greet(host, port, context)
            return True
    return False


def _greet(host: str, port: int, context: ssl.SSLContext) -> None:
    with socket.create_connection((host, port), _ASK_S) as plain, context.wrap_socket(plain, server_hostname=host):
        pass


def _servers(settings: KafkaSettings) -> list[tuple[str, int]]:
    servers = (server.strip().rpartition(":") for server in settings.kafka_bootstrap.split(","))
    return [(host.strip("[]"), int(port)) for host, _, port in servers if port.isdecimal()]

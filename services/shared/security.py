"""TLS and SASL to Kafka, as the settings ask for them: checked before anything is tried."""

import ssl
from pathlib import Path
from typing import TYPE_CHECKING

from pydantic import SecretStr

if TYPE_CHECKING:
    from services.shared.settings import KafkaSettings


def secret(value: SecretStr | None, file: Path | None, variable: str) -> SecretStr | None:
    """The secret of `variable`, or what the file of `variable`_FILE holds, without the line's end.

    ValueError in one line if both are given, or the file cannot be read or is empty.
    """
    if file is None:
        return value
    if value is not None:
        raise ValueError(f"{variable} and {variable}_FILE are both set: one is enough")
    held = _read(f"{variable}_FILE", file).rstrip("\r\n")
    if not held:
        raise ValueError(f"{variable}_FILE={file} is empty: it has to hold the password")
    return SecretStr(held)


def check(settings: "KafkaSettings") -> None:
    """ValueError in one line, naming variable and fix, if something is missing, unreadable or goes unused."""
    protocol = settings.security_protocol
    tls, sasl = protocol.endswith("SSL"), protocol.startswith("SASL")
    files = {
        "KAFKA_SSL_CA_FILE": settings.ssl_ca_file,
        "KAFKA_SSL_CERTIFICATE_FILE": settings.ssl_certificate_file,
        "KAFKA_SSL_KEY_FILE": settings.ssl_key_file,
    }
    login = {"KAFKA_SASL_USERNAME": settings.sasl_username, "KAFKA_SASL_PASSWORD": settings.sasl_password}
    for unused, given, wanted in ((not tls, files, "SSL or SASL_SSL"), (not sasl, login, "SASL_SSL")):
        for variable, value in given.items():
            if unused and value:
                raise ValueError(f"{variable} is set, but KAFKA_SECURITY_PROTOCOL={protocol}: set it to {wanted}")
    for variable, value in login.items():
        if sasl and not value:
            or_file = " or KAFKA_SASL_PASSWORD_FILE" if variable == "KAFKA_SASL_PASSWORD" else ""
            raise ValueError(f"KAFKA_SECURITY_PROTOCOL={protocol} asks for a login: set {variable}{or_file}")
    if tls:
        for variable, path in files.items():
            if path is not None:
                _read(variable, path)
        tls_context(settings)


def tls_context(settings: "KafkaSettings") -> ssl.SSLContext | None:
    """How Python's clients speak TLS; None if they are not to. ValueError in one line if a file is of no use."""
    if not settings.security_protocol.endswith("SSL"):
        return None
    try:
        context = ssl.create_default_context(cafile=settings.ssl_ca_file)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(
            f"KAFKA_SSL_CA_FILE={settings.ssl_ca_file} holds no certificate: it has to be a PEM file"
        ) from error
    context.check_hostname = settings.ssl_verify_hostname
    certificate, key = settings.ssl_certificate_file, settings.ssl_key_file
    if certificate is None and key is None:
        return context
    if certificate is None or key is None:
        given, missing = ("KEY", "CERTIFICATE") if certificate is None else ("CERTIFICATE", "KEY")
        raise ValueError(f"KAFKA_SSL_{given}_FILE is set without KAFKA_SSL_{missing}_FILE: set both")
    password = settings.ssl_key_password.get_secret_value() if settings.ssl_key_password else ""
    try:
        # Without a password OpenSSL would ask the terminal for one.
        context.load_cert_chain(certificate, key, password)
    except (ssl.SSLError, OSError) as error:
        raise ValueError(
            _useless(error, certificate, key, encrypted="ENCRYPTED" in key.read_text("latin-1"))
        ) from error
    return context


def _useless(error: OSError, certificate: Path, key: Path, *, encrypted: bool) -> str:
    """Why certificate and key cannot be used, and what to do."""
    if getattr(error, "reason", None) == "KEY_VALUES_MISMATCH":
        return f"KAFKA_SSL_KEY_FILE={key} is not the key of KAFKA_SSL_CERTIFICATE_FILE={certificate}"
    if encrypted:
        return f"KAFKA_SSL_KEY_FILE={key} cannot be decrypted: KAFKA_SSL_KEY_PASSWORD is missing or wrong"
    return f"KAFKA_SSL_CERTIFICATE_FILE={certificate} and KAFKA_SSL_KEY_FILE={key} have to be PEM files"


def _read(variable: str, path: Path) -> str:
    try:
        return path.read_text("utf-8", "surrogateescape")
    except OSError as error:
        raise ValueError(f"{variable}={path} cannot be read: {error.strerror}") from error

"""TLS and SASL in the settings: what cannot work is one line that names variable and fix, before anything is tried."""

import os
import ssl
from collections.abc import Callable
from pathlib import Path

import pytest
from pydantic import ValidationError

from services.shared.connection import for_aiokafka, for_librdkafka
from services.shared.settings import KafkaSettings, unusable
from tests.fixtures.certificates import Authority

LOGIN = {"KAFKA_SECURITY_PROTOCOL": "SASL_PLAINTEXT", "KAFKA_SASL_USERNAME": "tierline"}
SECRET = "hunter-2"

Read = Callable[..., KafkaSettings]


@pytest.fixture
def read(monkeypatch: pytest.MonkeyPatch) -> Read:
    """The settings of these variables alone."""

    def settings(given: dict[str, str] | None = None, **more: object) -> KafkaSettings:
        for name in [name for name in os.environ if name.startswith(("KAFKA_", "TIERLINE_"))]:
            monkeypatch.delenv(name)
        for name, value in {**(given or {}), **more}.items():
            monkeypatch.setenv(name, str(value))
        return KafkaSettings()

    return settings


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return Authority(tmp_path)


def refused(read: Read, *given: dict[str, str], **more: object) -> str:
    with pytest.raises(ValidationError) as error:
        read(*given, **more)
    line = unusable(error.value)
    assert "\n" not in line
    assert SECRET not in line + str(error.value)
    return line


def test_without_any_of_them_it_is_plain_as_ever(read: Read) -> None:
    settings = read()
    assert for_librdkafka(settings)["security.protocol"] == for_aiokafka(settings)["security_protocol"] == "PLAINTEXT"
    assert for_aiokafka(settings)["ssl_context"] is None


def test_an_empty_variable_is_one_that_is_not_set(read: Read) -> None:
    variables = ("KAFKA_SSL_CA_FILE", "KAFKA_SASL_PASSWORD", "KAFKA_SASL_PASSWORD_FILE", "TIERLINE_MIN_INSYNC_REPLICAS")
    assert read(dict.fromkeys(variables, "")) == read()


def test_a_password_is_shown_nowhere(read: Read, tmp_path: Path) -> None:
    (tmp_path / "password").write_text(f"{SECRET}\n")
    for given in ({"KAFKA_SASL_PASSWORD": SECRET}, {"KAFKA_SASL_PASSWORD_FILE": str(tmp_path / "password")}):
        settings = read(LOGIN, **given)
        assert for_librdkafka(settings)["sasl.password"] == for_aiokafka(settings)["sasl_plain_password"] == SECRET
        for shown in (repr(settings), str(settings), settings.model_dump_json(), str(settings.model_dump())):
            assert SECRET not in shown


@pytest.mark.parametrize(
    ("given", "line"),
    [
        ({"KAFKA_SECURITY_PROTOCOL": "TLS"}, "KAFKA_SECURITY_PROTOCOL='TLS' cannot be used: it should be 'PLAINTEXT',"),
        (
            {"KAFKA_SECURITY_PROTOCOL": "SASL_SSL"},
            "KAFKA_SECURITY_PROTOCOL=SASL_SSL asks for a login: set KAFKA_SASL_U",
        ),
        (
            LOGIN,
            "KAFKA_SECURITY_PROTOCOL=SASL_PLAINTEXT asks for a login: set KAFKA_SASL_PASSWORD or KAFKA_SASL_PASSWO",
        ),
        (
            LOGIN | {"KAFKA_SASL_PASSWORD": SECRET, "KAFKA_SASL_MECHANISM": "GSSAPI"},
            "it should be 'PLAIN', 'SCRAM-SHA-",
        ),
        ({"KAFKA_SASL_PASSWORD": SECRET}, "KAFKA_SASL_PASSWORD is set, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT: set it"),
        (
            {"KAFKA_SSL_CA_FILE": "x"},
            "KAFKA_SSL_CA_FILE is set, but KAFKA_SECURITY_PROTOCOL=PLAINTEXT: set it to SSL or",
        ),
        (LOGIN | {"KAFKA_SASL_PASSWORD_FILE": "/none"}, "KAFKA_SASL_PASSWORD_FILE=/none cannot be read: No such file"),
        (LOGIN | {"KAFKA_SASL_PASSWORD_FILE": "/dev/null"}, "KAFKA_SASL_PASSWORD_FILE=/dev/null is empty"),
        (
            LOGIN | {"KAFKA_SASL_PASSWORD": SECRET, "KAFKA_SASL_PASSWORD_FILE": "/none"},
            "KAFKA_SASL_PASSWORD and KAFKA_SASL_PASSWORD_FILE are both set",
        ),
        ({"TIERLINE_MIN_INSYNC_REPLICAS": "2"}, "TIERLINE_MIN_INSYNC_REPLICAS=2 is more than TIERLINE_REPLICATION=1"),
        (
            {"TIERLINE_MIN_INSYNC_REPLICAS": "0"},
            "TIERLINE_MIN_INSYNC_REPLICAS='0' cannot be used: it should be greater",
        ),
    ],
)
def test_what_does_not_fit_together_is_one_line(read: Read, given: dict[str, str], line: str) -> None:
    assert line in refused(read, given)


def test_files_that_are_of_no_use_are_one_line_each(read: Read, authority: Authority, tmp_path: Path) -> None:
    def wrong(**files: object) -> str:
        return refused(read, {"KAFKA_SECURITY_PROTOCOL": "SSL"}, **files)

    certificate, key = authority.certify("ours")
    _, locked = authority.certify("locked", password=SECRET)
    binary = tmp_path / "binary.der"
    binary.write_bytes(ssl.PEM_cert_to_DER_cert(certificate.read_text()))
    assert "KAFKA_SSL_CA_FILE=/none cannot be read: No such file" in wrong(KAFKA_SSL_CA_FILE="/none")
    assert f"KAFKA_SSL_CA_FILE={binary} holds no certificate" in wrong(KAFKA_SSL_CA_FILE=binary)
    assert f"KAFKA_SSL_CA_FILE={tmp_path} cannot be read: Is a dir" in wrong(KAFKA_SSL_CA_FILE=tmp_path)
    line = wrong(KAFKA_SSL_CERTIFICATE_FILE=certificate)
    assert "KAFKA_SSL_CERTIFICATE_FILE is set without KAFKA_SSL_KEY_FILE: set both" in line
    line = wrong(KAFKA_SSL_KEY_FILE=key)
    assert "KAFKA_SSL_KEY_FILE is set without KAFKA_SSL_CERTIFICATE_FILE: set both" in line
    line = wrong(KAFKA_SSL_CERTIFICATE_FILE=certificate, KAFKA_SSL_KEY_FILE=locked)
    assert f"KAFKA_SSL_KEY_FILE={locked} cannot be decrypted: KAFKA_SSL_KEY_PASSWORD is missing or wrong" in line
    line = wrong(
        KAFKA_SSL_CERTIFICATE_FILE=certificate, KAFKA_SSL_KEY_FILE=locked, KAFKA_SSL_KEY_PASSWORD=f"not {SECRET}"
    )
    assert f"KAFKA_SSL_KEY_FILE={locked} cannot be decrypted" in line
    line = wrong(KAFKA_SSL_CERTIFICATE_FILE=certificate, KAFKA_SSL_KEY_FILE=locked, KAFKA_SSL_KEY_PASSWORD=SECRET)
    assert f"KAFKA_SSL_KEY_FILE={locked} is not the key of KAFKA_SSL_CERTIFICATE_FILE={certificate}" in line
    line = wrong(KAFKA_SSL_CERTIFICATE_FILE=binary, KAFKA_SSL_KEY_FILE=key)
    assert f"KAFKA_SSL_CERTIFICATE_FILE={binary} and KAFKA_SSL_KEY_FILE={key} have to be PEM files" in line


def test_a_key_with_and_one_without_a_password_are_taken(read: Read, authority: Authority, tmp_path: Path) -> None:
    (tmp_path / "key-password").write_text(SECRET)
    for name, given in (
        ("open", {}),
        ("locked", {"KAFKA_SSL_KEY_PASSWORD": SECRET}),
        ("file", {"KAFKA_SSL_KEY_PASSWORD_FILE": str(tmp_path / "key-password")}),
    ):
        certificate, key = authority.certify(name, password=SECRET if given else "")
        files = {"KAFKA_SSL_CERTIFICATE_FILE": str(certificate), "KAFKA_SSL_KEY_FILE": str(key)}
        settings = read({"KAFKA_SECURITY_PROTOCOL": "SSL"}, **files, **given)
        for_them = for_librdkafka(settings)
        assert for_them["ssl.key.location"] == str(key)
        assert for_them.get("ssl.key.password") == (SECRET if given else None)


def test_the_host_is_verified_unless_that_is_turned_off(read: Read) -> None:
    for given, verified in (({}, True), ({"KAFKA_SSL_VERIFY_HOSTNAME": "false"}, False)):
        settings = read({"KAFKA_SECURITY_PROTOCOL": "SSL"}, **given)
        context = for_aiokafka(settings)["ssl_context"]
        assert (context.check_hostname, context.verify_mode) == (verified, ssl.CERT_REQUIRED)
        algorithm = for_librdkafka(settings)["ssl.endpoint.identification.algorithm"]
        assert algorithm == ("https" if verified else "none")


@pytest.mark.parametrize(("replication", "wanted"), [(1, 1), (2, 2), (3, 2), (4, 3), (5, 3)])
def test_more_than_half_of_the_replicas_have_a_record_before_it_counts(
    read: Read, replication: int, wanted: int
) -> None:
    assert read(TIERLINE_REPLICATION=replication).in_sync == wanted
    assert read(TIERLINE_REPLICATION=replication, TIERLINE_MIN_INSYNC_REPLICAS=1).in_sync == 1

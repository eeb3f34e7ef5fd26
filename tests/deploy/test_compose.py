"""docker-compose.yml against what it starts: no Docker engine is needed to see that the two fit."""

import re
from collections.abc import Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
import yaml
from click.testing import CliRunner

from services.cli.catalogues import variable
from services.cli.main import tierline
from services.shared.settings import AuditSettings, IngestSettings, KafkaSettings, NotifierSettings, ScorerSettings
from tests.deploy.compose import DOCUMENT, OURS, ROOT, SERVICES, TEXT, asked_of_the_operator, environment, ports

READS: dict[str, type[KafkaSettings]] = {
    "setup": NotifierSettings,
    "ingest": IngestSettings,
    "scorer": ScorerSettings,
    "notifier": NotifierSettings,
    "audit": AuditSettings,
}
"""Which settings each of our commands reads."""

IMAGES_READ = {
    "kafka": r"CLUSTER_ID|KAFKA_HEAP_OPTS|KAFKA_[A-Z_]+",
    "postgres": r"POSTGRES_(USER|DB|PASSWORD)",
    "grafana": r"GF_(SECURITY_ADMIN_PASSWORD|DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH|ANALYTICS_REPORTING_ENABLED)",
}
"""The variables other people's images know, as far as we use them."""


def default_port(service: str) -> int:
    fields = READS[service].model_fields
    return int((fields.get("port") or fields["metrics_port"]).default)


def checked_address(service: str) -> str:
    """The URL a service's health check asks."""
    (address,) = re.findall(r"http://[^'\"]+", " ".join(SERVICES[service]["healthcheck"]["test"]))
    return str(address)


def test_it_has_the_services_of_the_house() -> None:
    assert OURS.keys() == READS.keys()
    assert SERVICES.keys() - OURS.keys() == {"kafka", "postgres", "prometheus", "grafana"}


@pytest.mark.parametrize("service", OURS)
def test_every_command_is_one_the_cli_has(service: str) -> None:
    name, *arguments = OURS[service]["command"]
    assert name == service
    assert CliRunner().invoke(tierline, [name, *arguments, "--help"]).exit_code == 0


@pytest.mark.parametrize("service", OURS)
def test_every_variable_is_one_the_service_reads_and_its_value_is_taken(
    service: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    known = {variable(field): name for name, field in READS[service].model_fields.items()}
    given = environment(service)
    assert given.keys() <= known.keys()
    for name, value in given.items():
        monkeypatch.setenv(name, value)
    settings = READS[service]()
    assert {name: str(getattr(settings, known[name])) for name in given} == given


def test_other_images_get_only_variables_they_know() -> None:
    for service in SERVICES.keys() - OURS.keys():
        for name in environment(service):
            assert re.fullmatch(IMAGES_READ[service], name), f"{service}: {name}"


@pytest.mark.parametrize("service", ["ingest", "scorer", "notifier"])
def test_a_health_check_asks_the_port_the_service_listens_on_whether_it_is_ready(service: str) -> None:
    address = urlsplit(checked_address(service))
    assert (address.hostname, address.port, address.path) == ("127.0.0.1", default_port(service), "/readyz")
    test = SERVICES[service]["healthcheck"]["test"]
    assert test[:3] == ["CMD", "python", "-c"]
    compile(test[3], service, "exec")


def test_the_audit_is_there_only_if_asked_for_and_its_health_check_asks_whether_it_answers() -> None:
    assert [name for name, service in SERVICES.items() if "profiles" in service] == ["audit"]
    address = urlsplit(checked_address("audit"))
    assert (address.port, address.path) == (default_port("audit"), "/livez")
    assert environment("audit")["TIERLINE_AUDIT_HOST"] == "0.0.0.0"  # or Prometheus does not reach it
    compile(SERVICES["audit"]["healthcheck"]["test"][3], "audit", "exec")


@pytest.mark.parametrize("service", ["ingest", "notifier"])
def test_what_is_published_is_the_service_s_port_to_this_machine_alone(service: str) -> None:
    port = default_port(service)
    assert ports(service) == {port: f"127.0.0.1:{port}"}
    assert environment(service)[f"TIERLINE_{service.upper()}_HOST"] == "0.0.0.0"  # or nobody outside reaches it


def test_nothing_is_published_beyond_this_machine_and_a_scaled_scorer_not_at_all() -> None:
    published = {service: ports(service) for service in SERVICES}
    assert all(host.startswith("127.0.0.1:") for service in published.values() for host in service.values())
    assert published["scorer"] == published["kafka"] == published["postgres"] == {}


def test_the_services_meet_kafka_and_the_database_where_these_are() -> None:
    advertised = environment("kafka")["KAFKA_ADVERTISED_LISTENERS"].removeprefix("PLAINTEXT://")
    assert {environment(service)["KAFKA_BOOTSTRAP"] for service in OURS} == {advertised}
    for service in ("setup", "notifier"):
        address = urlsplit(environment(service)["DATABASE_URL"].replace(secret(), "password"))
        assert (address.hostname, address.port) == ("postgres", 5432)
        assert address.username == environment("postgres")["POSTGRES_USER"]
        assert address.path == f"/{environment('postgres')['POSTGRES_DB']}"


def secret() -> str:
    return environment("postgres")["POSTGRES_PASSWORD"]


def test_a_service_waits_for_setup_and_setup_for_kafka_and_the_database() -> None:
    assert waits("setup") == {"kafka": "service_healthy", "postgres": "service_healthy"}
    for service in ("ingest", "scorer", "notifier", "audit"):
        assert waits(service)["setup"] == "service_completed_successfully"
    for service in SERVICES:
        for other, condition in waits(service).items():
            assert ("healthcheck" in SERVICES[other]) == (condition == "service_healthy")


def waits(service: str) -> dict[str, str]:
    return {other: how["condition"] for other, how in SERVICES[service].get("depends_on", {}).items()}


def test_every_long_lived_service_has_a_health_check_and_comes_back() -> None:
    for name, service in SERVICES.items():
        if name == "setup":
            assert service["restart"] == "no"
        else:
            assert service["healthcheck"].keys() >= {"test", "interval", "timeout", "retries", "start_period"}
            assert service["restart"] == "unless-stopped"


def test_what_has_to_outlive_a_container_is_on_a_declared_volume_and_mounted_files_exist() -> None:
    mounts = [tuple(entry.split(":")[:2]) for service in SERVICES.values() for entry in service.get("volumes", [])]
    named = {source for source, _ in mounts if not source.startswith("./")}
    assert named == DOCUMENT["volumes"].keys() == {"kafka-data", "postgres-data", "prometheus-data", "grafana-data"}
    for source, _ in mounts:
        assert source in named or (ROOT / source).is_dir(), source
    assert environment("kafka")["KAFKA_LOG_DIRS"] == dict(mounts)["kafka-data"]


def test_images_are_pinned_by_version() -> None:
    for name, service in SERVICES.items():
        assert re.fullmatch(r"[a-z/]+:v?\d+\.\d+(\.\d+)?(-[a-z]+)?", service["image"]), name
    bases = re.findall(r"^FROM (\S+)", (ROOT / "Dockerfile").read_text(), re.MULTILINE)
    assert set(bases) == {"python:3.11.14-slim-bookworm"}


def test_no_secret_stands_in_the_file_and_the_example_names_each_that_is_asked_for() -> None:
    example = dict(line.split("=", 1) for line in (ROOT / ".env.example").read_text().splitlines() if "=" in line)
    assert example == dict.fromkeys(asked_of_the_operator(), "")
    for key, value in leaves(yaml.safe_load(TEXT)):
        if "password" in key.lower():
            assert re.fullmatch(r"\$\{[A-Z_]+:\?[^}]+\}", value), key


def leaves(node: Any, key: str = "") -> Iterator[tuple[str, str]]:
    if isinstance(node, dict):
        for name, value in node.items():
            yield from leaves(value, name)
    elif isinstance(node, list):
        for value in node:
            yield from leaves(value, key)
    else:
        yield key, str(node)


def test_kafka_makes_no_topic_by_itself_since_ours_have_settings() -> None:
    assert environment("kafka")["KAFKA_AUTO_CREATE_TOPICS_ENABLE"] == "false"

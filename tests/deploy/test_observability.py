"""Prometheus' configuration, the alert rules and the dashboard against the catalogue of metrics."""

import json
import re
import shutil
import subprocess
from collections.abc import Iterator
from typing import Any

import pytest
import yaml

from services.cli.catalogues import exposed
from services.shared.settings import KafkaSettings
from tests.deploy.compose import ROOT, SERVICES
from tests.deploy.promql import labels, metric_by_series, names
from tests.deploy.test_compose import default_port

PROMETHEUS = ROOT / "deploy/prometheus"
GRAFANA = ROOT / "deploy/grafana"
SCRAPED_BY_ITSELF = {"up", "job", "instance"}


def read(path: str) -> Any:
    return yaml.safe_load((ROOT / "deploy" / path).read_text("utf-8"))


RULES = [rule for group in read("prometheus/rules.yml")["groups"] for rule in group["rules"]]
DASHBOARD = json.loads((GRAFANA / "dashboards/tierline.json").read_text("utf-8"))
PANELS = [panel for panel in DASHBOARD["panels"] if panel["type"] != "row"]


def expressions() -> Iterator[tuple[str, str]]:
    for rule in RULES:
        yield rule["alert"], rule["expr"]
    for panel in PANELS:
        for target in panel["targets"]:
            yield panel["title"], target["expr"]


@pytest.mark.parametrize(
    ("expression", "expected"),
    [
        ('sum by (le, job) (rate(a_bucket{x=~"up|b"}[5m])) > 0.01', {"a_bucket"}),
        ("(sum(a) or vector(0)) / b unless c offset 15m", {"a", "b", "c"}),
        ("deriv(sum(max by (partition) (a))[10m:30s]) >= 5e9", {"a"}),
        ('count by (reason) (up{job="x"} == 0)', {"up"}),
    ],
)
def test_names_are_read_out_of_promql(expression: str, expected: set[str]) -> None:
    assert names(expression) == expected


@pytest.mark.parametrize(("where", "expression"), list(expressions()))
def test_every_name_is_in_the_catalogue_and_selected_by_labels_it_has(where: str, expression: str) -> None:
    known = metric_by_series()
    named = names(expression)
    assert named, where
    assert named - SCRAPED_BY_ITSELF <= known.keys()
    for name, label in labels(expression):
        if name in known:
            assert label in {*known[name]._labelnames, "le", "job", "instance"}


@pytest.mark.parametrize(
    ("where", "expression"),
    # TierlineDeadLetters also asks whether the counter was there before
    [(where, expression) for where, expression in expressions() if where != "TierlineDeadLetters"],
)
def test_counters_are_read_as_rates_and_gauges_are_not(where: str, expression: str) -> None:
    for name in names(expression) - SCRAPED_BY_ITSELF:
        grows = exposed(metric_by_series()[name])[1] != "gauge"
        assert bool(re.search(rf"(rate|increase)\({name}\b", expression)) == grows, f"{where}: {name}"


def test_the_dashboard_shows_every_metric_of_the_catalogue() -> None:
    shown = {metric_by_series()[n]._name for panel in PANELS for t in panel["targets"] for n in names(t["expr"])}
    assert {metric._name for metric in metric_by_series().values()} == shown


def test_the_dashboard_has_a_row_a_service_one_for_customers_and_one_for_the_audit_and_nothing_overlaps() -> None:
    assert [p["title"] for p in DASHBOARD["panels"] if p["type"] == "row"] == [
        "Ingest",
        "Scorer",
        "Notifier",
        "Customers",
        "Audit",
    ]
    taken: set[tuple[int, int]] = set()
    for panel in DASHBOARD["panels"]:
        at = panel["gridPos"]
        cells = {(at["x"] + x, at["y"] + y) for x in range(at["w"]) for y in range(at["h"])}
        assert not cells & taken, panel["title"]
        assert at["x"] + at["w"] <= 24
        taken |= cells
    assert len({panel["id"] for panel in DASHBOARD["panels"]}) == len(DASHBOARD["panels"])


def test_grafana_finds_its_data_and_the_dashboard() -> None:
    (source,) = read("grafana/provisioning/datasources/prometheus.yml")["datasources"]
    (provider,) = read("grafana/provisioning/dashboards/tierline.yml")["providers"]
    mounts = dict(entry.split(":")[:2] for entry in SERVICES["grafana"]["volumes"])
    assert source["url"] == "http://prometheus:9090"
    assert {t["datasource"]["uid"] for panel in PANELS for t in panel["targets"]} == {source["uid"]}
    assert mounts["./deploy/grafana/dashboards"] == provider["options"]["path"]
    home = SERVICES["grafana"]["environment"]["GF_DASHBOARDS_DEFAULT_HOME_DASHBOARD_PATH"]
    assert home == f"{provider['options']['path']}/tierline.json"


def test_prometheus_scrapes_every_service_at_the_port_it_has() -> None:
    scraped = set()
    for job in read("prometheus/prometheus.yml")["scrape_configs"]:
        for found in job.get("static_configs", []):
            scraped |= {(job["job_name"], target) for target in found["targets"]}
        for found in job.get("dns_sd_configs", []):
            scraped |= {(job["job_name"], f"{name}:{found['port']}") for name in found["names"]}
    assert scraped == {(name, f"{name}:{default_port(name)}") for name in ("ingest", "scorer", "notifier", "audit")}
    assert {name for name, _ in scraped} <= SERVICES.keys()


def test_every_alert_says_what_is_wrong_and_what_to_do() -> None:
    for rule in RULES:
        assert rule["labels"].keys() == {"severity"}
        assert rule["labels"]["severity"] in {"page", "ticket"}
        assert 30 < len(rule["annotations"]["summary"]) < 120, rule["alert"]
        assert len(rule["annotations"]["description"]) > 100, rule["alert"]
    assert len({rule["alert"] for rule in RULES}) == len(RULES)


def test_metrics_that_a_description_tells_the_operator_to_look_at_exist() -> None:
    known = {*metric_by_series(), *(exposed(metric)[0] for metric in metric_by_series().values())}
    for rule in RULES:
        for name in re.findall(r"tierline_\w+", rule["annotations"]["description"]):
            assert name in known, rule["alert"]


def test_the_number_of_partitions_that_need_a_scorer_is_the_settings_default() -> None:
    (rule,) = (rule for rule in RULES if rule["alert"] == "TierlinePartitionsWithoutScorer")
    assert rule["expr"].endswith(f"< {KafkaSettings.model_fields['partitions'].default}")


def test_every_alert_has_a_history_in_which_it_fires() -> None:
    histories = (PROMETHEUS / "rules_test.yml").read_text("utf-8")
    for rule in RULES:
        assert f'alertname="{rule["alert"]}"' in histories, rule["alert"]


@pytest.mark.parametrize(
    "arguments", [("check", "config", "prometheus.yml"), ("test", "rules", "rules_test.yml")], ids=" ".join
)
def test_promtool_accepts_configuration_and_rules(arguments: tuple[str, ...]) -> None:
    promtool = shutil.which("promtool")
    if promtool is None:
        pytest.skip("promtool is not on this machine; .ci/run has it")
    done = subprocess.run(
        [promtool, *arguments], cwd=PROMETHEUS, capture_output=True, text=True, timeout=60, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr

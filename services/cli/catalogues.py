"""The catalogues as tables for people: settings, metrics, topics, problems (Markdown, deterministic)."""

from collections.abc import Iterator, Sequence
from typing import get_args

from prometheus_client import CollectorRegistry
from prometheus_client.metrics import MetricWrapperBase
from pydantic import AliasChoices
from pydantic.fields import FieldInfo

from schemas import json_schema, problems, topics
from services.shared import metrics, settings

_MADE = "<!-- made by `make schemas`; edit {source} instead -->\n"


def settings_tables() -> str:
    """Every environment variable: first what all services read, then each service's own."""
    shared = settings.KafkaSettings.model_fields
    parts = ["**Every service**", _settings_table(shared)]
    for service in settings.CATALOGUE:
        own = {name: field for name, field in service.model_fields.items() if name not in shared}
        parts += [f"**{_service(service, 'Settings')}**", _settings_table(own)]
    return "\n\n".join(parts) + "\n"


def variable(field: FieldInfo) -> str:
    """The environment variable a setting is read from."""
    choices = field.validation_alias
    assert isinstance(choices, AliasChoices), f"a setting without a variable: {field}"
    return str(choices.choices[0])


def exposed(metric: MetricWrapperBase) -> tuple[str, str, tuple[str, ...]]:
    """A metric as Prometheus shows it: name (with `_total` on counters), type, names of all its series."""
    (family,) = metric.describe()
    if family.type == "counter":
        return f"{family.name}_total", "counter", (f"{family.name}_total",)
    if family.type == "histogram":
        return family.name, "histogram", tuple(f"{family.name}_{part}" for part in ("bucket", "sum", "count"))
    return family.name, family.type, (family.name,)


def metrics_of(service: type) -> Iterator[MetricWrapperBase]:
    """The metrics of one class of the catalogue, in the order they are written there."""
    return (m for m in vars(service(CollectorRegistry())).values() if isinstance(m, MetricWrapperBase))


def metrics_page() -> str:
    parts = [_MADE.format(source="services/shared/metrics.py") + "# Metrics"]
    for service in metrics.CATALOGUE:
        rows = []
        for metric in metrics_of(service):
            name, kind, _ = exposed(metric)
            (family,) = metric.describe()
            labels = ", ".join(f"`{label}`" for label in metric._labelnames)
            rows.append((f"`{name}`", kind, labels, family.documentation))
        parts += [f"## {_service(service, 'Metrics')}", _table(("metric", "type", "labels", "meaning"), rows)]
    return "\n\n".join(parts) + "\n"


def topics_page() -> str:
    rows = []
    for topic in topics.CATALOGUE:
        carried = get_args(topic.carries) or (topic.carries,)
        records = [f"[{(s := json_schema.slug(c))}](../schemas/published/json-schema/{s}.json)" for c in carried if c]
        kept = "newest per key" if topic.compacted else _days(topic.retention_ms)
        readers = ", ".join(topic.readers)
        rows.append(
            (f"`{topic.name}`", topic.about, topic.key, ", ".join(records) or "bytes", topic.writer, readers, kept)
        )
    head = ("topic", "what stands on it", "key", "records", "written by", "read by", "kept")
    alone = ", ".join(f"`{topic.name}`" for topic in topics.CATALOGUE if topic.partitions == 1)
    intro = (
        "Every topic about customers has the same number of partitions, fixed at the first start, and a customer's "
        f"records stand in the same partition number of all of them. Those with one: {alone}. "
        "Read with `isolation.level=read_committed`. "
        "`schemas/published/asyncapi.json` says the same for machines."
    )
    made = _MADE.format(source="schemas/topics.py")
    return "\n\n".join([f"{made}# Topics", intro, _table(head, rows)]) + "\n"


def problems_page() -> str:
    rows = [(f"`{p.slug}`", str(p.status), p.title, p.fix) for p in problems.CATALOGUE.values()]
    intro = (
        "Every refusal is `application/problem+json` (RFC 9457). `type` is `/problems/` and the name below; "
        "`field` and `detail` say what was found, `fix` what to do. A problem about one event of a batch "
        "stands in that event's result."
    )
    made = _MADE.format(source="schemas/problems.py")
    return "\n\n".join([f"{made}# Problems", intro, _table(("problem", "status", "title", "fix"), rows)]) + "\n"


def _settings_table(fields: dict[str, FieldInfo]) -> str:
    rows = [(f"`{variable(f)}`", _default(f.default), f.description or "") for f in fields.values()]
    return _table(("variable", "default", "meaning"), rows)


def _default(value: object) -> str:
    if value is None or value == "":
        return "(none)"
    return f"`{str(value).lower() if isinstance(value, bool) else value}`"


def _service(catalogue: type, suffix: str) -> str:
    return catalogue.__name__.removesuffix(suffix).lower()


def _days(retention_ms: int) -> str:
    return "for ever" if retention_ms == topics.FOR_EVER_MS else f"{retention_ms // topics.DAY_MS} days"


def _table(head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [head, ["---"] * len(head), *([cell.replace("|", "\\|") for cell in row] for row in rows)]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)

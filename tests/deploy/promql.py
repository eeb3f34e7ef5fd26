"""The names of time series in a PromQL expression, and the names our services expose."""

import re

from prometheus_client.metrics import MetricWrapperBase

from services.cli.catalogues import exposed, metrics_of
from services.shared import metrics

_NOT_NAMES = re.compile(r'"[^"]*"|\{[^}]*\}|\[[^\]]*\]|\b(?:by|without|on|ignoring|group_left|group_right) *\([^)]*\)')
_NAME = re.compile(r"(?<![\w.:$])[a-zA-Z_:][\w:]*(?! *\()\b")
_WORDS = {"and", "or", "unless", "offset", "bool"}


def names(expression: str) -> set[str]:
    """`sum by (job) (rate(x_total{a="b"}[5m])) > 1` -> {"x_total"}."""
    rest = _NOT_NAMES.sub(" ", expression)
    return {name for name in _NAME.findall(rest) if name not in _WORDS}


def labels(expression: str) -> set[tuple[str, str]]:
    """The labels each series is selected by: `x{a="b"}` -> {("x", "a")}."""
    selected = re.findall(r"([a-zA-Z_:][\w:]*)\{([^}]*)\}", expression)
    return {(name, label) for name, inner in selected for label in re.findall(r"(\w+)\s*[=!]", inner)}


def metric_by_series() -> dict[str, MetricWrapperBase]:
    """Every series our services expose -> its metric."""
    every = (metric for service in metrics.CATALOGUE for metric in metrics_of(service))
    return {series: metric for metric in every for series in exposed(metric)[2]}

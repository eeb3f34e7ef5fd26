"""docker-compose.yml as the tests read it: parsed, merged, and its variables named."""

import re
from pathlib import Path
from typing import Any

import yaml

ROOT = Path(__file__).parents[2]
TEXT = (ROOT / "docker-compose.yml").read_text("utf-8")
DOCUMENT: dict[str, Any] = yaml.safe_load(TEXT)
SERVICES: dict[str, dict[str, Any]] = DOCUMENT["services"]
OURS = {name: service for name, service in SERVICES.items() if "build" in service}
"""The services that run our image."""


def environment(service: str) -> dict[str, str]:
    given: dict[str, str] = SERVICES[service].get("environment", {})
    return given


def ports(service: str) -> dict[int, str]:
    """Container port -> the address on the host it is published at."""
    published = (entry.rpartition(":") for entry in SERVICES[service].get("ports", []))
    return {int(inside): outside for outside, _, inside in published}


def asked_of_the_operator() -> set[str]:
    """Variables the file takes from `.env` and refuses to start without."""
    return set(re.findall(r"\$\{([A-Z_]+):\?", TEXT))

"""Events as a caller would write them."""

import json
from datetime import UTC, datetime
from typing import Any

ACCEPTED_AT = datetime(2026, 3, 10, 12, 0, 0, 123_000, tzinfo=UTC)

_DATA: dict[str, dict[str, Any]] = {
    "purchase": {"amount": "600.00", "currency": "CNY", "order": "o-1", "channel": "web"},
    "refund": {"amount": "100.00", "currency": "CNY", "order": "o-1"},
    "click": {"page": "/offers", "channel": "app"},
    "interaction": {"channel": "call", "direction": "outbound"},
    "form": {"form": "newsletter", "channel": "web"},
    "feedback": {"kind": "rating", "score": "4.50", "channel": "mail"},
    "stage": {"opportunity": "deal-3", "stage": "offer"},
    "profile": {"attributes": {"region": "Beijing", "industry": None}},
    "override": {
        "dimension": "tier",
        "value": "gold",
        "owner": "li",
        "reason": "contract of 2026",
        "until": "2026-06-01T08:00:00+08:00",
    },
}
TYPES = tuple(_DATA)


class Leave:
    """Stands for a field that is to be left out."""


def attributes(kind: str) -> dict[str, Any]:
    return {"type": kind, "id": "e-1", "source": "shop", "subject": "c-1", "time": "2026-03-01T12:00:00Z"}


def shorthand(kind: str = "purchase", /, **changes: Any) -> dict[str, Any]:
    """An event in shorthand, with `changes` to its members."""
    return _changed({**attributes(kind), **_DATA[kind]}, changes)


def cloud_event(kind: str = "purchase", /, data: Any = None, **changes: Any) -> dict[str, Any]:
    """The same as a CloudEvent, with `changes` to its attributes and, if given, other data."""
    return _changed({"specversion": "1.0", **attributes(kind), "data": _DATA[kind] if data is None else data}, changes)


def text(item: Any) -> bytes:
    return json.dumps(item).encode()


def _changed(item: dict[str, Any], changes: dict[str, Any]) -> dict[str, Any]:
    return {name: value for name, value in {**item, **changes}.items() if value is not Leave}

"""The way back: an event as it stands on topic `events`, as it would be posted, so that ingest makes the same of it."""

import json
from typing import Any

from schemas import money


def posted(raw: bytes) -> dict[str, Any] | None:
    """The CloudEvent that these bytes of `events` come from, as JSON objects; None if they are no JSON object.

    What is not as ingest writes it is left as it is, so that it can be put right by hand.
    """
    try:
        found = json.loads(raw, parse_float=str, parse_constant=str)
    except (ValueError, RecursionError):
        return None
    if not isinstance(found, dict):
        return None
    found = {name: value for name, value in found.items() if name not in ("stamped", "receivedtime")}
    data = found.get("data")
    if isinstance(data, dict):
        found["data"] = {name: value for field in data.items() for name, value in [_field(*field, data)]}
    return found


def _field(name: str, value: Any, data: dict[str, Any]) -> tuple[str, Any]:
    if type(value) is not int or value < 0:
        return name, value
    decimals = money.DIGITS.get(str(data.get("currency")))
    if name == "amount_minor" and decimals is not None:
        return "amount", money.to_major(value, decimals)
    if name == "score_centi":
        return "score", money.to_major(value, 2)
    return name, value

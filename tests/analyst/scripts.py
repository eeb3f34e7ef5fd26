"""Scripts for the simulation: a policy whose every rule can be reached in days, and lines made from few words."""

import json
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from services.analyst import ndjson, script
from services.analyst.simulate import World
from services.scorer.domain.policy import parse

POLICY = """
policy: sandbox
currency: CNY
zone: UTC
rates: {USD: {2026-01-01: 7.00}}
attributes: [region]
features:
  spend_30d: {sum: purchase.amount, minus: refund.amount, window: 30d}
  orders:    {count: purchase}
  quiet:     {since_last: purchase}
ladders:
  tier:
    - {name: key, when: "spend_30d >= 1_000", stay: "spend_30d >= 800", grace: 5d}
    - {name: good, when: "spend_30d >= 500"}
    - {name: regular}
classes:
  stage:
    - {name: lapsed, when: "quiet >= 20d"}
    - {name: buying, when: "orders >= 1"}
    - {name: new}
segments:
  north: "region == 'north'"
churn:
  at_risk: "quiet >= 25d"
"""


def instant(day: str) -> str:
    """`3-1` is the first of March 2026, `3-1 12:00` its noon."""
    date, _, time = day.partition(" ")
    month, _, day_of_month = date.partition("-")
    return f"2026-{int(month):02}-{int(day_of_month):02}T{time or '00:00'}:00.000Z"


def line(day: str, **action: Any) -> dict[str, Any]:
    return {"at": instant(day), **action}


def bought(day: str, id_: str, amount: str, subject: str = "c", **more: Any) -> dict[str, Any]:
    event = {"id": id_, "source": "shop", "type": "purchase", "subject": subject, "amount": amount, "currency": "CNY"}
    return line(day, event=event | {"time": instant(day)} | more)


def asked(day: str, subject: str = "c") -> dict[str, Any]:
    return line(day, query={"subject": subject})


def write(folder: Path, *lines: dict[str, Any], name: str = "script.ndjson") -> Path:
    (file := folder / name).write_text("".join(json.dumps(one) + "\n" for one in lines))
    return file


def played(folder: Path, *lines: dict[str, Any], policy: str = POLICY) -> list[tuple[str, dict[str, Any]]]:
    """What comes out, as (kind of line, its content)."""
    return decoded(map(ndjson.line, World(parse(policy)).run(script.read(write(folder, *lines)))))


def decoded(lines: Iterable[bytes | str]) -> list[tuple[str, dict[str, Any]]]:
    return [next(iter(json.loads(text).items())) for text in lines]


def only(kind: str, happened: list[tuple[str, dict[str, Any]]], **wanted: Any) -> list[dict[str, Any]]:
    """Of this kind, where these fields have these values."""
    return [said for k, said in happened if k == kind and all(said[name] == value for name, value in wanted.items())]


def moves(happened: list[tuple[str, dict[str, Any]]], dimension: str = "tier") -> list[str]:
    """Transitions in short: `c regular>good 03-01 event`."""
    return [
        f"{t['subject']} {t['before']}>{t['after']} {t['effective_at'][5:10]} {t['cause']}"
        for t in only("transition", happened, dimension=dimension)
    ]

"""The demo's last word: the table of what became of the customers, and where to look next."""

from collections.abc import Mapping, Sequence
from shlex import quote

import msgspec
from rich.console import RenderableType
from rich.table import Table

from schemas.answers import Summary
from services.demo.cdnow import CURRENCY

CAUSES = {
    "event": "an event",
    "time": "time alone",
    "late_event": "a late event",
    "refund": "a refund",
    "policy": "a policy",
    "manual": "an override",
    "merge": "a merge",
    "rebuild": "a rebuild",
    "folding": "old events by the hour",
}


def table(accepted: int, tiers: Sequence[str], summary: Summary, seconds: Mapping[str, float]) -> RenderableType:
    """tiers: of the policy, best first.  accepted: events.  seconds: of each stage."""
    shown = Table(title="What became of the customers", title_justify="left", show_header=False, min_width=48)
    shown.add_column(style="bold")
    shown.add_column()
    shown.add_column(justify="right")
    shown.add_column(justify="right", style="dim")

    def section(name: str, rows: Sequence[tuple[str, int | float, str]]) -> None:
        for i, (what, number, share) in enumerate(rows):
            text = f"{number:.1f}" if isinstance(number, float) else f"{number:,}"
            shown.add_row(name if i == 0 else "", what, text, share, end_section=i == len(rows) - 1)

    def share(count: int) -> str:
        return f"{count / summary.customers:.1%}" if summary.customers else ""

    section("events", [("accepted", accepted, "")])
    section("customers", [("all", summary.customers, "")])
    section("tier", [(tier, summary.tiers.get(tier, 0), share(summary.tiers.get(tier, 0))) for tier in tiers])
    for dimension, classes in sorted(summary.classes.items()):
        section(dimension, [(name, n, share(n)) for name, n in sorted(classes.items(), key=lambda c: -c[1])])
    section("segment", [(name, n, share(n)) for name, n in sorted(summary.segments.items(), key=lambda s: -s[1])])
    section(
        "transitions by",
        [(CAUSES.get(cause, cause), n, "") for cause, n in sorted(summary.transitions_by_cause.items())],
    )
    section("open", [("follow-up tasks", summary.tasks_open, ""), ("churn alerts", summary.alerts_open, "")])
    section("seconds", [(stage, took, "") for stage, took in seconds.items()] + [("all", sum(seconds.values()), "")])
    return shown


def curl_lines(ingest: str, notifier: str, best_tier: str, customer: str) -> list[str]:
    """Three lines that work in a shell as they are: who is in the best tier, why one of them is, a purchase.

    The third is somebody new, so that the demo's own customers stay what the recomputation says.
    """
    event = {
        "id": "hello-1",
        "source": "shell",
        "type": "purchase",
        "subject": "newcomer-1",
        "amount": "1200.00",
        "currency": CURRENCY,
    }
    body = quote(msgspec.json.encode(event).decode())
    return [
        f"curl -s {quote(f'{notifier}/v1/customers?tier={best_tier}&limit=3')}",
        f"curl -s {quote(f'{notifier}/v1/customers/{customer}')}",
        f"curl -s {ingest}/v1/events -H 'content-type: application/json' -d {body}",
    ]


def where_next(ingest: str, notifier: str, curls: Sequence[str]) -> str:
    """Addresses and commands, for people."""
    return "\n".join(
        [
            "Where to look next:",
            f"  {ingest}/docs    post events",
            f"  {notifier}/docs    customers and why they are where they are, tasks, churn alerts, the live stream",
            "Or, in another terminal:",
            *(f"  {line}" for line in curls),
        ]
    )

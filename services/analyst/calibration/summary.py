"""A fit as a person reads it in the terminal, and as a program reads it (`--json`)."""

from datetime import date
from typing import Any

import msgspec
from rich.console import Console
from rich.table import Table

from schemas import money
from services.analyst.calibration.cuts import TOP_SHARE_PERCENT
from services.analyst.calibration.likelihood import Estimate
from services.analyst.calibration.tracking import MOST
from services.analyst.fit import Fit

_BAR = 34
_NOTABLE_CORRELATION = 0.3


def show(fit: Fit, console: Console) -> None:
    console.print(
        f"{len(fit.customers):,} customers from {fit.first} to {fit.until}, "
        f"{fit.repeats:,} repeat purchases (a calendar day's are one), money in {fit.currency}"
    )
    for line in remarks(fit):
        console.print(line)
    _models(fit, console)
    _frequencies(fit, console)
    _later(fit, console)
    _groups(fit, console)
    console.print(
        f"{fit.top_spend.customers:,} customers ({fit.top_spend.customers / len(fit.customers):.0%}) spent "
        f"{_money(fit, fit.top_spend.minor)} or more and bring {TOP_SHARE_PERCENT} % of revenue"
    )
    for flaw in fit.flaws:
        console.print(f"not to be used: {flaw}", style="bold red")


def remarks(fit: Fit) -> list[str]:
    """What the reader should know beside the figures."""
    lines = []
    if fit.absent:
        lines.append(f"{fit.absent:,} of the customers asked for have no purchase by {fit.until}")
    if fit.passed:
        lines.append(f"{fit.passed:,} events passed over: neither a purchase nor the refund of one")
    if abs(fit.correlation) > _NOTABLE_CORRELATION:
        lines.append(
            f"how often customers buy and for how much are correlated ({fit.correlation:.2f}); "
            "Gamma-Gamma takes them for independent, so mistrust its values"
        )
    return lines


def document(fit: Fit) -> dict[str, Any]:
    """The fit as JSON: money in major units as decimal strings, days as dates."""
    return {
        "customers": len(fit.customers),
        "repeat_purchases": fit.repeats,
        "first": fit.first,
        "until": fit.until,
        "last": fit.last,
        "currency": fit.currency,
        "absent_customers": fit.absent,
        "events_passed_over": fit.passed,
        "bg_nbd": fit.bg_nbd,
        "gamma_gamma": fit.gamma_gamma,
        "correlation": round(fit.correlation, 6),
        "frequencies": fit.frequencies,
        "weeks": [{"until": date.fromordinal(w.ends), "actual": w.actual, "expected": w.expected} for w in fit.weeks],
        "horizon_days": fit.horizon_days,
        "later": fit.later,
        "top_spend": {"spend": _money(fit, fit.top_spend.minor), "customers": fit.top_spend.customers},
        "groups": [
            msgspec.to_builtins(group) | {"spend": _money(fit, round(group.spend))} for group in fit.groups.groups
        ],
        "flaws": fit.flaws,
        "calibration": fit.calibration,
    }


def _models(fit: Fit, console: Console) -> None:
    table = Table("", "parameters (standard error)", "log-likelihood", "customers", "converged", box=None)
    for name, found in (("BG/NBD", fit.bg_nbd), ("Gamma-Gamma", fit.gamma_gamma)):
        if found:
            table.add_row(
                name,
                _parameters(found),
                f"{found.log_likelihood:,.1f}",
                f"{found.observations:,}",
                f"{'no' if found.flaws else 'yes'}, {found.agree} of {found.starts} starts",
            )
    if table.row_count:
        console.print(table)


def _parameters(found: Estimate) -> str:
    return "\n".join(
        f"{name} {value:.4g}" + (f" ({found.errors[name]:.2g})" if name in found.errors else "")
        for name, value in found.parameters.items()
    )


def _frequencies(fit: Fit, console: Console) -> None:
    """Bars, the actual one above the expected one."""
    if not fit.frequencies:
        return
    table = Table("repeat purchases", "customers", "expected", "█ actual  ░ expected", box=None, title_justify="left")
    longest = max(max(row.customers, row.expected) for row in fit.frequencies)
    for row in fit.frequencies:
        bars = [mark * round(_BAR * value / longest) for mark, value in (("█", row.customers), ("░", row.expected))]
        table.add_row(_repeats(row.repeats), f"{row.customers:,}", f"{row.expected:,.1f}", "\n".join(bars))
    console.print(table)


def _later(fit: Fit, console: Console) -> None:
    if not fit.later:
        return
    table = Table("repeat purchases", "customers", "expected", "actual", box=None, title_justify="left")
    table.title = f"Purchases a customer in the {fit.horizon_days} days after {fit.until}"
    for row in fit.later:
        actual = "" if row.actual is None else f"{row.actual:.2f}"
        table.add_row(_repeats(row.repeats), f"{row.customers:,}", f"{row.expected:.2f}", actual)
    console.print(table)


def _groups(fit: Fit, console: Console) -> None:
    table = Table("customers", "days since last", "orders", "spend", "of revenue", box=None, title_justify="left")
    table.title = "Groups of similar customers (k-means; medians)"
    for group in fit.groups.groups:
        table.add_row(
            f"{group.customers:,}",
            f"{group.recency_days:g}",
            f"{group.orders:g}",
            _money(fit, round(group.spend)),
            f"{group.revenue:.0%}",
        )
    console.print(table)


def _repeats(number: int) -> str:
    return f"{number}+" if number == MOST else str(number)


def _money(fit: Fit, minor: int) -> str:
    return money.to_major(minor, fit.digits)

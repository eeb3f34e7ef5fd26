"""The report of a fit: one HTML page that needs nothing else, plots included."""

from collections.abc import Iterable
from html import escape

from schemas import money
from services.analyst.calibration import plots
from services.analyst.calibration.cuts import TOP_SHARE_PERCENT
from services.analyst.calibration.summary import remarks
from services.analyst.fit import Fit

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h2 { margin-top: 2.5rem } table { border-collapse: collapse } svg { max-width: 100%; height: auto }
th, td { text-align: right; padding: .2rem .8rem; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
pre { background: #f4f4f2; padding: 1rem; overflow-x: auto } .flaw { color: #a00; font-weight: bold }
"""


def render(fit: Fit, section: str) -> str:
    """section: the calibration as a policy writes it."""
    parts = [
        "<h1>Calibration</h1>",
        _said(
            f"{len(fit.customers):,} customers, {fit.first} to {fit.until}, {fit.repeats:,} repeat purchases "
            f"(those of one calendar day are one), money in {fit.currency}."
        ),
        *(_said(line) for line in remarks(fit)),
        *(f'<p class="flaw">Not to be used: {escape(flaw)}</p>' for flaw in fit.flaws),
        f"<pre>{escape(section)}</pre>",
        *_models(fit),
        *_expected(fit),
        *_revenue(fit),
        *_groups(fit),
    ]
    body = "\n".join(parts)
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>Calibration, {fit.until}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n{body}\n</html>\n'
    )


def _models(fit: Fit) -> Iterable[str]:
    yield "<h2>Parameters</h2>"
    rows = [
        (
            name,
            parameter,
            f"{value:.5g}",
            f"{found.errors[parameter]:.2g}" if found.errors else "",
            f"{found.log_likelihood:,.2f}",
        )
        for name, found in (("BG/NBD", fit.bg_nbd), ("Gamma-Gamma", fit.gamma_gamma))
        if found
        for parameter, value in found.parameters.items()
    ]
    yield _table(("model", "parameter", "estimate", "standard error", "log-likelihood"), rows)
    yield _said(
        f"BG/NBD says when and whether customers buy, with time in {fit.unit}s; Gamma-Gamma for how much. The second "
        f"takes number and value of purchases for independent: their correlation is {fit.correlation:.2f}."
    )


def _expected(fit: Fit) -> Iterable[str]:
    if not fit.frequencies:
        return
    yield "<h2>Expected against actual repeat purchases</h2>"
    yield plots.frequencies(fit)
    yield plots.weeks(fit)
    if fit.last > fit.until:
        yield _said(f"The model has seen nothing after {fit.until}: right of the dotted line it foretells.")
    yield f"<h2>The {fit.horizon_days} days after {fit.until}</h2>"
    yield plots.later(fit)
    yield _said("Mean purchases of a customer, given how often and how lately they had bought.")


def _revenue(fit: Fit) -> Iterable[str]:
    yield "<h2>Who brings the revenue</h2>"
    yield plots.revenue(fit)
    yield _said(
        f"{fit.top_spend.customers:,} customers ({fit.top_spend.customers / len(fit.customers):.0%}) spent "
        f"{money.to_major(fit.top_spend.minor, fit.digits)} or more and bring {TOP_SHARE_PERCENT} % of revenue."
    )


def _groups(fit: Fit) -> Iterable[str]:
    yield "<h2>Groups of similar customers</h2>"
    yield plots.groups(fit)
    rows = [
        (
            str(place),
            f"{group.customers:,}",
            f"{group.recency_days:g}",
            f"{group.orders:g}",
            money.to_major(round(group.spend), fit.digits),
            f"{group.revenue:.0%}",
        )
        for place, group in enumerate(fit.groups.groups, start=1)
    ]
    yield _table(("group", "customers", "days since last order", "orders", "spend", "of revenue"), rows)
    yield _said("By k-means over the logarithms of the three; medians. To look at: no rule uses them.")


def _said(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["<table>", "<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])

"""The report of a back-test: one HTML page that needs nothing else, plots included."""

from collections.abc import Iterable, Iterator
from html import escape

from services.analyst import words
from services.analyst.backtest import plots
from services.analyst.backtest.report import Report
from services.analyst.backtest.summary import moved, number, share

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem; color: #222 }
h2 { margin-top: 2.5rem } table { border-collapse: collapse } svg { max-width: 100%; height: auto }
th, td { text-align: right; padding: .2rem .8rem; border-bottom: 1px solid #ddd }
th:first-child, td:first-child { text-align: left }
"""


def render(report: Report) -> str:
    title = f"Back-test of policy {report.new.policy}"
    body = "\n".join(
        [f"<h1>{escape(title)}</h1>", *_head(report), *_dimensions(report), *_segments(report), *_moves(report)]
    )
    body += "\n" + "\n".join([*_flaps(report), *_playbooks(report), *_shares(report)])
    return (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n<title>{escape(title)}</title>\n'
        f'<meta name="viewport" content="width=device-width">\n<style>{_STYLE}</style>\n{body}\n</html>\n'
    )


def _head(report: Report) -> Iterator[str]:
    first = "" if report.first is None else f"{words.instant(report.first)} to "
    counted = words.counted(report.customers, "customer"), words.counted(report.events, "event")
    yield _said(f"{', '.join(counted)}, {first}{words.instant(report.until)}.")
    if report.aside:
        yield _said(f"Not taken, or not as sent: {report.aside}.")
    yield from (_said(f"{sentence[0].upper()}{sentence[1:]}.") for sentence in report.without_rate)
    yield _said(f"New: {report.new.policy} ({report.new.digest}).")
    if report.old is not None:
        elsewhere = f"{words.counted(report.moved, 'customer')} ({share(report.moved, report.customers)})"
        yield _said(f"Old: {report.old.policy} ({report.old.digest}). Elsewhere: {elsewhere}.")


def _dimensions(report: Report) -> Iterator[str]:
    for view in report.dimensions:
        if view.kind not in ("ladder", "class"):
            continue
        yield f"<h2>{escape(view.name)}</h2>"
        if view.matrix:
            yield _said(f"Elsewhere: {words.counted(view.moved, 'customer')}.")
            yield plots.matrix(view)
            continue
        if report.old is not None and view.only is not None:
            where = f"Elsewhere than everyone begins: {words.counted(view.moved, 'customer')}."
            yield _said(f"Only the {view.only} policy knows it. {where}")
        yield plots.positions(view)


def _segments(report: Report) -> Iterator[str]:
    views = [view for view in report.dimensions if view.kind not in ("ladder", "class")]
    if not views:
        return
    yield "<h2>Segments and churn</h2>"
    rows = [(view.name, *map(number, (*view.inside, view.went(False, True), view.went(True, False)))) for view in views]
    yield _table(("", "old", "new", "enter", "leave"), rows)


def _moves(report: Report) -> Iterator[str]:
    if not report.moves.total:
        return
    yield "<h2>Who moves</h2>"
    yield _said("By dimension, then by customer. moves.csv names all; matrix.csv counts, of what both policies know.")
    yield _table(("customer", "dimension", "old", "new", "since"), map(moved, report.moves.first))
    if more := report.moves.total - len(report.moves.first):
        yield _said(f"And {more:,} more: moves.csv.")


def _flaps(report: Report) -> Iterator[str]:
    yield "<h2>Flaps</h2>"
    yield _said(
        "A flap is an announced move back to the value that was left less than 30 days before. The rate is flaps a "
        "month of 30 days and 1,000 customers. Where it is high, grace or dwell would calm it."
    )
    yield plots.flaps(report)
    rows = [
        (view.name, side, f"{view.announced[side]:,}", f"{view.flaps[side]:,}", f"{view.flap_rate[side]:,.3f}")
        for view in report.dimensions
        for side in view.announced
    ]
    yield _table(("", "policy", "moves", "flaps", "rate"), rows)


def _playbooks(report: Report) -> Iterator[str]:
    if not report.playbooks:
        return
    yield "<h2>Playbooks</h2>"
    rows = [
        (book.on, book.when or "", book.title or "", book.side, f"{book.times:,}", f"{book.a_week:,.2f}")
        for book in report.playbooks
    ]
    yield _table(("on", "when", "task", "policy", "times", "a week"), rows)
    for on in dict.fromkeys(book.on for book in report.playbooks if book.times):
        yield plots.triggered([book for book in report.playbooks if book.on == on and book.weekly], on)


def _shares(report: Report) -> Iterator[str]:
    if not report.shares:
        return
    yield "<h2>Resources</h2>"
    yield _said("Planned by the policy; customers in the end; interactions, each where its customer stood then.")
    rows = [
        (
            f"{one.dimension}.{one.name}",
            one.side,
            one.planned or "",
            f"{one.customers:.2f} %",
            "" if one.interactions is None else f"{one.interactions:.2f} %",
        )
        for one in report.shares
    ]
    yield _table(("class", "policy", "planned", "customers", "interactions"), rows)


def _said(text: str) -> str:
    return f"<p>{escape(text)}</p>"


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> str:
    lines = ["<table>", "<tr>" + "".join(f"<th>{escape(cell)}</th>" for cell in head) + "</tr>"]
    lines += ["<tr>" + "".join(f"<td>{escape(cell)}</td>" for cell in row) + "</tr>" for row in rows]
    return "\n".join([*lines, "</table>"])

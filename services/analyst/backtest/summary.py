"""A back-test at a terminal: tables a person can compare at a glance."""

from collections.abc import Sequence

from rich import box
from rich.console import Console
from rich.table import Table

from services.analyst import words
from services.analyst.backtest.report import DimensionView, MoveView, Report

_MOST_NAMED = 20


def show(report: Report, console: Console) -> None:
    first = "" if report.first is None else f"{words.instant(report.first)} to "
    console.print(
        f"{words.counted(report.customers, 'customer')}, {words.counted(report.events, 'event')}, "
        f"{first}{words.instant(report.until)}",
        soft_wrap=True,
    )
    if report.aside:
        console.print(f"not taken, or not as sent: {report.aside}")
    for sentence in report.without_rate:
        console.print(sentence, soft_wrap=True)
    if report.old is None:
        console.print(f"policy {report.new.policy} ({report.new.digest})")
    else:
        console.print(
            f"policy {report.old.policy} ({report.old.digest}) → {report.new.policy} ({report.new.digest}): "
            f"{words.counted(report.moved, 'customer')} elsewhere ({share(report.moved, report.customers)})",
            soft_wrap=True,
        )
    several = [view for view in report.dimensions if view.kind in ("ladder", "class")]
    for view in several:
        console.print()
        told = view.only is not None and report.old is not None
        title = f"{view.name} ({view.only} only), {view.moved:,} move" if told else view.name
        console.print(_matrix(view) if view.matrix else _positions(view, title))
    if segments := [view for view in report.dimensions if view.kind not in ("ladder", "class")]:
        console.print()
        console.print(_segments(segments))
    if report.moves.total:
        console.print()
        console.print(_moves(report))
        if report.moves.total > _MOST_NAMED:
            console.print(
                f"and {report.moves.total - _MOST_NAMED:,} more: moves.csv, which --out writes", soft_wrap=True
            )
    console.print()
    console.print(_flaps(report))
    console.print("old, new: announced moves. rate: flaps a month (30 days) and 1,000 customers", soft_wrap=True)
    if report.playbooks:
        console.print()
        console.print(_playbooks(report))
    if report.shares:
        console.print()
        console.print(_shares(report))


def moved(move: MoveView) -> tuple[str, str, str, str, str]:
    """Customer, dimension, old, new, since when; the last is `-` where everyone begins."""
    since = "-" if move.since is None else words.instant(move.since)
    return move.customer, move.dimension, words.position(move.before), words.position(move.after), since


def number(count: int | None) -> str:
    return "-" if count is None else f"{count:,}"


def share(part: int, whole: int) -> str:
    return f"{100 * part / whole:.2f} %" if whole else "0 %"


def _table(title: str, first: str, columns: Sequence[str]) -> Table:
    table = Table(title=title, title_justify="left", box=box.SIMPLE_HEAD, title_style="bold")
    table.add_column(first, overflow="fold")
    for column in columns:
        table.add_column(column, justify="right")
    return table


def _matrix(view: DimensionView) -> Table:
    names = [words.position(value) for value in view.values]
    table = _table(f"{view.name}: old to new, {view.moved:,} move", "old \\ new", [*names, "all"])
    count = {(cell.before, cell.after): cell.customers for cell in view.matrix}
    for name, before in zip(names, view.values, strict=True):
        row = [count.get((before, after), 0) for after in view.values]
        table.add_row(name, *(f"{n:,}" if n else "·" for n in row), f"{sum(row):,}")
    sums = [sum(count.get((before, after), 0) for before in view.values) for after in view.values]
    table.add_row("all", *(f"{n:,}" for n in sums), f"{sum(sums):,}", style="dim")
    return table


def _moves(report: Report) -> Table:
    table = _table("who moves, by dimension and customer", "customer", [])
    for column in ("dimension", "old", "new", "since"):
        table.add_column(column)
    for move in report.moves.first[:_MOST_NAMED]:
        table.add_row(*moved(move))
    return table


def _positions(view: DimensionView, title: str) -> Table:
    table = _table(title, "", ["customers"])
    for value, count in zip(view.values, view.new or view.old or [], strict=True):
        table.add_row(words.position(value), f"{count:,}")
    return table


def _segments(views: Sequence[DimensionView]) -> Table:
    table = _table("segments and churn", "", ["old", "new", "enter", "leave"])
    for view in views:
        table.add_row(view.name, *map(number, (*view.inside, view.went(False, True), view.went(True, False))))
    return table


def _flaps(report: Report) -> Table:
    table = _table(
        "flaps: moves back to the value left less than 30 days before",
        "",
        ["old", "flaps", "rate", "new", "flaps", "rate"],
    )
    for view in report.dimensions:
        cells = []
        for side in ("old", "new"):
            known = side in view.announced
            cells += [f"{view.announced[side]:,}", f"{view.flaps[side]:,}"] if known else ["-", "-"]
            cells.append(f"{view.flap_rate[side]:,.2f}" if known else "-")
        table.add_row(view.name, *cells)
    return table


def _playbooks(report: Report) -> Table:
    table = _table(
        "playbooks: how often they would have been triggered",
        "",
        ["old times", "old a week", "new times", "new a week"],
    )
    books = {(book.on, book.when, book.title, book.side): book for book in report.playbooks}
    for on, when, title in dict.fromkeys(key[:3] for key in books):
        cells = []
        for side in ("old", "new"):
            book = books.get((on, when, title, side))
            cells += ["-", "-"] if book is None else [f"{book.times:,}", f"{book.a_week:,.2f}"]
        table.add_row(on if when is None else f"{on}, when {when}", *cells)
    return table


def _shares(report: Report) -> Table:
    table = _table(
        "resources: planned, and where customers and interactions are",
        "",
        ["policy", "planned", "customers", "interactions"],
    )
    for one in report.shares:
        met = "-" if one.interactions is None else f"{one.interactions:.2f} %"
        table.add_row(f"{one.dimension}.{one.name}", one.side, one.planned or "-", f"{one.customers:.2f} %", met)
    return table

"""The plots of a back-test's report: SVG text to stand in a page. The same report gives the same text."""

import io
from collections.abc import Callable, Sequence
from datetime import date, timedelta

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.analyst import words
from services.analyst.backtest.report import DimensionView, PlaybookView, Report

_OLD, _NEW = "#2f5d8a", "#e0873d"


def matrix(view: DimensionView) -> str:
    """Customers from old to new; the colour by the logarithm, so that few beside many are seen."""

    def draw(axes: Axes) -> None:
        places = {value: place for place, value in enumerate(view.values)}
        counts = np.zeros((len(places), len(places)))
        for cell in view.matrix:
            counts[places[cell.before], places[cell.after]] = cell.customers
        axes.imshow(np.log1p(counts), cmap="Blues", aspect="auto")
        names = [words.position(value) for value in view.values]
        axes.set_xticks(range(len(names)), names)
        axes.set_yticks(range(len(names)), names)
        axes.set(xlabel="new", ylabel="old")
        dark = np.log1p(counts.max()) / 2
        for row, column in zip(*np.nonzero(counts), strict=True):
            colour = "white" if np.log1p(counts[row, column]) > dark else "black"
            axes.text(column, row, f"{int(counts[row, column]):,}", ha="center", va="center", color=colour)

    return _svg(draw, f"matrix-{view.name}")


def positions(view: DimensionView) -> str:
    """Customers by value, old beside new."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(view.values))
        sides = [(counts, colour, name) for counts, colour, name in _sides(view) if counts]
        width = 0.8 / max(1, len(sides))
        for number, (counts, colour, name) in enumerate(sides):
            axes.bar(places + (number - (len(sides) - 1) / 2) * width, counts, width, color=colour, label=name)
        axes.set_xticks(places, [words.position(value) for value in view.values])
        axes.set(ylabel="customers")
        axes.legend(frameon=False)

    return _svg(draw, f"positions-{view.name}")


def _sides(view: DimensionView) -> Sequence[tuple[list[int] | None, str, str]]:
    return ((view.old, _OLD, "old"), (view.new, _NEW, "new"))


def flaps(report: Report) -> str:
    """Flaps a month and 1,000 customers, old beside new."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(report.dimensions))
        for shift, side, colour in ((-0.2, "old", _OLD), (0.2, "new", _NEW)):
            rates = [view.flap_rate.get(side, 0.0) for view in report.dimensions]
            axes.barh(places + shift, rates, 0.4, color=colour, label=side)
        axes.set_yticks(places, [view.name for view in report.dimensions])
        axes.invert_yaxis()
        axes.set(xlabel="flaps a month and 1,000 customers")
        axes.legend(frameon=False)

    return _svg(draw, "flaps")


def triggered(books: Sequence[PlaybookView], title: str) -> str:
    """One playbook week by week, under each policy that has it."""

    def draw(axes: Axes) -> None:
        for book in books:
            weeks = _weeks([*book.weekly]) if book.weekly else []
            colour = _NEW if book.side == "new" else _OLD
            axes.plot(weeks, [book.weekly.get(w.isoformat(), 0) for w in weeks], color=colour, label=book.side)  # type: ignore[arg-type]
        axes.set(ylabel="times a week", ylim=(0, None), title=title)
        axes.legend(frameon=False)

    return _svg(draw, f"triggered-{title}")


def _weeks(mondays: Sequence[str]) -> list[date]:
    """Every Monday from the first to the last."""
    first, last = date.fromisoformat(min(mondays)), date.fromisoformat(max(mondays))
    return [first + timedelta(weeks=week) for week in range((last - first).days // 7 + 1)]


def _svg(draw: Callable[[Axes], None], salt: str) -> str:
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": salt, "font.size": 9}):
        figure = Figure(figsize=(6.4, 3.2), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return text.getvalue()[text.getvalue().index("<svg") :]

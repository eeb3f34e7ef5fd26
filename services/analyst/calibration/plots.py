"""The plots of a fit's report: SVG text to stand in a page. The same fit gives the same text."""

import io
from collections.abc import Callable

import matplotlib as mpl
import numpy as np
from matplotlib.axes import Axes
from matplotlib.figure import Figure

from services.analyst.calibration.cuts import TOP_SHARE_PERCENT
from services.analyst.calibration.tracking import MOST
from services.analyst.fit import Fit

_ACTUAL, _EXPECTED = "#2f5d8a", "#e0873d"
_MOST_POINTS = 3_000


def frequencies(fit: Fit) -> str:
    """Customers by number of repeat purchases, actual beside expected."""

    def draw(axes: Axes) -> None:
        places = np.arange(len(fit.frequencies))
        axes.bar(places - 0.2, [row.customers for row in fit.frequencies], 0.4, color=_ACTUAL, label="actual")
        axes.bar(places + 0.2, [row.expected for row in fit.frequencies], 0.4, color=_EXPECTED, label="expected")
        axes.set_xticks(
            places, [f"{row.repeats}+" if row.repeats == MOST else str(row.repeats) for row in fit.frequencies]
        )
        axes.set(xlabel="repeat purchases", ylabel="customers")
        axes.legend(frameon=False)

    return _svg(draw)


def weeks(fit: Fit) -> str:
    """Repeat purchases of all so far, week by week, and where the fit ends."""

    def draw(axes: Axes) -> None:
        begin = fit.first.toordinal()
        at = [(week.ends - begin + 1) / 7 for week in fit.weeks]
        axes.plot(at, [week.actual for week in fit.weeks], color=_ACTUAL, label="actual")
        axes.plot(at, [week.expected for week in fit.weeks], color=_EXPECTED, linestyle="--", label="expected")
        if fit.last > fit.until:
            axes.axvline(
                (fit.until.toordinal() - begin + 1) / 7, color="#999999", linestyle=":", label="end of the fit"
            )
        axes.set(xlabel="week", ylabel="repeat purchases so far", ylim=(0, None))
        axes.legend(frameon=False)

    return _svg(draw)


def later(fit: Fit) -> str:
    """Purchases a customer in the horizon, by repeat purchases before."""

    def draw(axes: Axes) -> None:
        names = [f"{row.repeats}+" if row.repeats == MOST else str(row.repeats) for row in fit.later]
        actual = [row.actual for row in fit.later if row.actual is not None]
        if actual:
            axes.plot(names, actual, "o-", color=_ACTUAL, label="actual")
        axes.plot(names, [row.expected for row in fit.later], "s--", color=_EXPECTED, label="expected")
        axes.set(
            xlabel=f"repeat purchases until {fit.until}", ylabel=f"purchases in {fit.horizon_days} days", ylim=(0, None)
        )
        axes.legend(frameon=False)

    return _svg(draw)


def revenue(fit: Fit) -> str:
    """The share of revenue that the best customers bring."""

    def draw(axes: Axes) -> None:
        spends = fit.spends
        brought = np.concatenate([[0.0], np.cumsum(spends)]) / max(float(spends.sum()), 1e-9) * 100
        share = np.linspace(0, 100, len(brought))
        points = np.unique(np.linspace(0, len(brought) - 1, 400).astype(int))
        axes.plot(share[points], brought[points], color=_ACTUAL)
        best = 100 * fit.top_spend.customers / len(spends)
        axes.plot([best, best, 0], [0, TOP_SHARE_PERCENT, TOP_SHARE_PERCENT], color=_EXPECTED, linestyle=":")
        axes.set(xlabel="% of customers, the best first", ylabel="% of revenue", xlim=(0, 100), ylim=(0, 100))

    return _svg(draw)


def groups(fit: Fit) -> str:
    """Customers by days since their last order and by spend, a colour each group; at most 3,000 of them."""

    def draw(axes: Axes) -> None:
        shown = np.unique(np.linspace(0, len(fit.customers) - 1, _MOST_POINTS).astype(int))
        recency = np.array([fit.until.toordinal() - customer.days[-1] for customer in fit.customers])
        spend = np.array([customer.spend for customer in fit.customers]) / 10**fit.digits
        for place in range(len(fit.groups.groups)):
            of_group = shown[fit.groups.of_customer[shown] == place]
            axes.scatter(recency[of_group], spend[of_group], 6, color=f"C{place}", alpha=0.5, label=str(place + 1))
        axes.set_yscale("symlog", linthresh=1)
        axes.set(xlabel="days since the last order", ylabel=f"spend, {fit.currency}", ylim=(0, None))
        axes.legend(frameon=False, title="group", markerscale=2)

    return _svg(draw)


def _svg(draw: Callable[[Axes], None]) -> str:
    with mpl.rc_context({"svg.fonttype": "none", "svg.hashsalt": draw.__qualname__, "font.size": 9}):
        figure = Figure(figsize=(6.4, 3.6), layout="constrained")
        axes = figure.add_subplot()
        axes.spines[["top", "right"]].set_visible(False)
        draw(axes)
        text = io.StringIO()
        figure.savefig(text, format="svg", transparent=True, metadata={"Date": None, "Creator": None})
    return text.getvalue()[text.getvalue().index("<svg") :]

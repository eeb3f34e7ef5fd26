"""The oracle's memory: how a customer moves on a ladder and among classes (rule 6), and into another policy (rule 9).

An *asking* answers whether a condition holds at the instant looked at.
"""

from collections.abc import Callable
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

from tests.scorer.domain.oracle_calendar import anniversary

Asking = Callable[[str], bool]
Rungs = list[dict[str, Any]]


class Standing(NamedTuple):
    """value: the tier or class.  since: when it was entered, None where everyone begins.
    failing: since when nothing has kept the customer there, None while something does."""

    value: str
    since: int | None = None
    failing: int | None = None


class Moved(NamedTuple):
    """later: an instant after the one looked at, at which this must be looked at again."""

    standing: Standing
    later: int | None = None


def beginning(rungs: Rungs) -> Standing:
    return Standing(rungs[-1]["name"])


def on_ladder(rungs: Rungs, standing: Standing, holds: Asking, s: int, zone: ZoneInfo) -> Moved:
    """Promotion before falling; falling at max(start of the false run + grace, entry + dwell)."""
    names = [rung["name"] for rung in rungs]
    here = names.index(standing.value)
    best = next(i for i, rung in enumerate(rungs) if "when" not in rung or holds(rung["when"]))
    if best < here:
        return Moved(Standing(names[best], s))
    if keeps(rungs[here], holds):
        return Moved(standing._replace(failing=None))
    failing = s if standing.failing is None else standing.failing
    falls = after(failing, rungs[here].get("grace"), zone)
    if standing.since is not None:
        falls = max(falls, after(standing.since, rungs[here].get("dwell"), zone))
    if falls > s:
        return Moved(standing._replace(failing=failing), falls)
    lower = next(rung["name"] for rung in rungs[here + 1 :] if keeps(rung, holds))
    return Moved(Standing(lower, s))


def keeps(rung: dict[str, Any], holds: Asking) -> bool:
    if "when" not in rung:
        return True
    return holds(rung["when"]) or ("stay" in rung and holds(rung["stay"]))


def among_classes(classes: Rungs, standing: Standing, holds: Asking, s: int, zone: ZoneInfo) -> Moved:
    """The first match, entered only from where it may be, and left only after its dwell.

    Moving goes on until nothing moves: who enters a class may, from there, enter another at once. Each move after the
    first is to an earlier class (the present one matches), so it ends; and looking again changes nothing.
    """
    target = match(classes, standing.value, holds)
    if target == standing.value:
        return Moved(standing)
    here = next(one for one in classes if one["name"] == standing.value)
    if standing.since is not None:
        free = after(standing.since, here.get("dwell"), zone)
        if s < free:
            return Moved(standing, free)
    return among_classes(classes, Standing(target, s), holds, s, zone)


def match(classes: Rungs, present: str, holds: Asking) -> str:
    for one in classes:
        if "when" in one and not holds(one["when"]):
            continue
        if one["name"] == present or "from" not in one or present in one["from"]:
            return str(one["name"])
    raise AssertionError("the last class has neither `when` nor `from`")


def carried_over(rungs: Rungs, standing: Standing, holds: Asking, s: int) -> Standing:
    """Into another policy: by name; one that has vanished is replaced by the best whose `when` holds, of those that
    take everyone in."""
    if standing.value in [rung["name"] for rung in rungs]:
        return standing
    fitting = (rung["name"] for rung in rungs if "from" not in rung and ("when" not in rung or holds(rung["when"])))
    return Standing(next(fitting), s)


def after(start: int, span: str | None, zone: ZoneInfo) -> int:
    return start if span is None else anniversary(start, span, zone)

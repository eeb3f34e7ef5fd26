"""A back-test from a history to its tally: read once, parted by customer, played on all cores."""

from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory

from services.analyst.backtest.evaluate import Document, evaluate, prepare
from services.analyst.backtest.spill import Spill
from services.analyst.backtest.tally import Tally
from services.shared.cores import Died, cores, spread

_EVENTS_A_PART = 25_000
_FEW = 2_000
_MOST_PARTS = 256  # files open at once
_BYTES_AN_EVENT = 200
Read = Callable[[Spill, Callable[[int], None]], None]
"""Puts a history into a spill, and tells how much more it has read."""


class Failed(Exception):
    """A process of the back-test has died; one line."""


class Watch:
    """Hears how far a back-test is; says nothing by itself."""

    def reading(self, more: int) -> None:
        """So much more has been read, in the history's own measure."""

    def playing(self, events: int, total: int) -> None:
        """So many events have been played of all."""


def run(
    new: Document,
    old: Document | None,
    read: Read,
    *,
    about_events: int,
    until_ms: int | None = None,
    workers: int | None = None,
    watch: Watch | None = None,
) -> tuple[Tally, int]:
    """The tally, and the instant time was played to: the newest arrival, if `until_ms` does not say.

    Moves are in the order in which they are told: by dimension as the new policy has them, behind those the ones that
    only the old one has; then by customer.

    The newest merge, unmerge or erasure counts among the arrivals.

    about_events: to choose the number of parts by.  workers: processes, by default one a core
    """
    watch, workers = watch or Watch(), workers or cores()
    parts = max(workers, min(_MOST_PARTS, about_events // _EVENTS_A_PART + 1))
    with TemporaryDirectory(prefix="tierline-backtest-") as folder:
        with Spill(Path(folder), parts) as history:
            read(history, watch.reading)
        if until_ms is None:
            until_ms = max(0, history.until_ms)
        tally = Tally()
        if history.events:
            for part in _played(new, old, until_ms, history, workers, watch):
                tally.add(part)
    known = [*new.policy().dimensions, *(old.policy().dimensions if old is not None else ())]
    places = {name: place for place, name in enumerate(dict.fromkeys(dimension.name for dimension in known))}
    tally.moves.sort(key=lambda move: (places[move.dimension], move.subject))
    return tally, until_ms


def events_in(size: int) -> int:
    """About how many events a file of so many bytes holds."""
    return size // _BYTES_AN_EVENT


def _played(
    new: Document, old: Document | None, until_ms: int, history: Spill, workers: int, watch: Watch
) -> list[Tally]:
    """Of every part, in the order of the parts, whichever was done first. A short history is not worth a process."""
    few = history.events < _FEW
    tallies: dict[int, Tally] = {}
    done = 0
    try:
        given = (new, old, until_ms, history.operations)
        for number, tally in spread(evaluate, history.parts, prepare, given, 1 if few else workers):
            tallies[number] = tally
            done += history.counts[number]
            watch.playing(done, history.events)
    except Died as error:
        raise Failed(f"the back-test: {error}") from error
    return [tallies[number] for number in sorted(tallies)]

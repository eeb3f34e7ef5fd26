"""Poison: events at which the core itself fails, a fault of ours. Found one by one, so that all others are decided.

The core changes nothing but what it returns, so a failed attempt leaves no trace and can be made again with less.
"""

import traceback
from collections.abc import Callable, Sequence
from contextlib import suppress
from pathlib import PurePath
from typing import NamedTuple

from services.scorer.domain.scoring import Arrival, Outcome

_LONGEST = 300  # characters of an error in a dead letter


class CoreFailed(Exception):
    """The core failed at a customer. str() is one line: the error, and where in the code; __cause__ has the rest."""

    def __init__(self, error: Exception) -> None:
        text = " ".join(f"{type(error).__name__}: {error}".split())[:_LONGEST]
        places = traceback.extract_tb(error.__traceback__)
        super().__init__(f"{text} ({PurePath(places[-1].filename).name}:{places[-1].lineno})" if places else text)


Attempt = Callable[[bytes | None, Sequence[Arrival], int], tuple[bytes, Outcome]]
"""Decide arrivals from a record on, with time played up to an instant (ms); CoreFailed."""


class Parted(NamedTuple):
    """taken: each outcome in order, with the record after it.  poison: what cannot be taken, and why"""

    taken: list[tuple[bytes, Outcome]]
    poison: list[tuple[Arrival, CoreFailed]]


def part(attempt: Attempt, before: bytes | None, arrivals: Sequence[Arrival], until_ms: int) -> Parted:
    """Of one customer's arrivals (in log order), at which the core fails together, those at which it fails alone.

    Each is tried from the record that those before it leave, at its append time, as if it had come in a batch of its
    own. The sound ones are then decided together, so that what comes out is what would have come out without the
    others; if that fails too, each keeps what it brought alone. If none fails alone it is time after them that the core
    fails at: that is left to their timer.
    """
    record, taken, sound = before, [], []
    poison: list[tuple[Arrival, CoreFailed]] = []
    for arrival in arrivals:
        try:
            record, outcome = attempt(record, [arrival], min(arrival.appended_ms, until_ms))
        except CoreFailed as failure:
            poison.append((arrival, failure))
        else:
            taken.append((record, outcome))
            sound.append(arrival)
    if sound and poison:
        with suppress(CoreFailed):
            taken = [attempt(before, sound, until_ms)]
    return Parted(taken, poison)

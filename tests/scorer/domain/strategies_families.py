"""Histories of several subjects who turn out to be one person, or not: merges, unmerges, erasures between events."""

from dataclasses import dataclass
from typing import NamedTuple

import msgspec
from hypothesis import strategies as st

from schemas.events import Event, Purchase
from tests.scorer.domain.oracle import ALWAYS, Era
from tests.scorer.domain.oracle_calendar import to_ms
from tests.scorer.domain.strategies import Logged, Telling, a_policy
from tests.scorer.domain.strategies_policies import TOY, Draw, Picks, Scale

SUBJECTS = ("b", "a", "c")
"""So that the customer who takes another in is not always the smaller origin."""


class Deed(NamedTuple):
    """merge or unmerge `one` into or from `other`, or erase `one`."""

    what: str
    one: str
    other: str


@dataclass(frozen=True)
class Family:
    """acts: (instant, what happens, how long time is played on afterwards), ascending by instant."""

    eras: list[Era]
    known: list[int]
    acts: list[tuple[int, Logged | Deed, int]]
    end_ms: int


def of_its_own(event: Event) -> Event:
    """Ahead of the clock nothing is drawn that also stands under another subject: which of the two counts until then is
    not said anywhere."""
    event = msgspec.structs.replace(event, id=f"{event.subject}-{event.id}")
    if isinstance(event, Purchase):
        return msgspec.structs.replace(event, data=msgspec.structs.replace(event.data, order=None))
    return event


def family(draw: Draw, scale: Scale = TOY, most: int = 4) -> Family:
    picks = Picks(draw)
    zone, currency = picks.of([*scale.anchors]), picks.of(["EUR", "JPY"])
    policy, setting = a_policy(draw, scale, zone, currency, True)
    anchor = picks.of(scale.anchors[zone])
    logs = {subject: Telling(draw, setting, anchor).log(most) for subject in SUBJECTS[: picks.of([2, 2, 3])]}
    acts: list[tuple[int, Logged | Deed]] = []
    for subject, log in logs.items():
        for logged in log:
            event = msgspec.structs.replace(logged.event, subject=subject)
            if logged.appended_ms < to_ms(event.time):
                event = of_its_own(event)
            acts.append((logged.appended_ms, Logged(event, logged.appended_ms)))
    instants = sorted(at for at, _ in acts)
    for _ in range(1 + picks.below(4)):
        one = picks.of([*logs])
        other = picks.of([subject for subject in logs if subject != one])
        what = picks.of(["merge", "merge", "merge", "unmerge", "unmerge", "erase"])
        acts.append((picks.of(instants) + picks.of([0, 1, *map(abs, scale.steps)]), Deed(what, one, other)))
    eras, known = [Era(policy)], [ALWAYS]
    if picks.one_in(3):
        at = to_ms(picks.of([act.event.time for _, act in acts if isinstance(act, Logged)])) + picks.of([0, 1])
        text, _ = a_policy(draw, scale, zone, currency, True)
        eras.append(Era(text, at))
        known.append(at)
    acts.sort(key=lambda act: act[0])
    return Family(eras, known, [(*act, picks.of(scale.pauses)) for act in acts], acts[-1][0] + picks.of(scale.ends))


families = st.composite(family)

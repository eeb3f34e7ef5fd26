"""Histories that look for trouble: ties, exits at event times, ends of months, odd clocks, policies that switch.

A history is a log (events with their append instants) cut into micro-batches; nothing here knows the core.
"""

from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import msgspec
from hypothesis import strategies as st

from schemas.events import Event, Interaction, Purchase, Refund
from tests.scorer.domain import timeline
from tests.scorer.domain.oracle import ALWAYS, Era
from tests.scorer.domain.oracle_calendar import anniversary, to_datetime, to_ms, window_exit
from tests.scorer.domain.strategies_policies import AHEAD, DAY, HOUR, REAL, TOY, Draw, Drawn, Picks, Scale

__all__ = ["AHEAD", "DAY", "HOUR", "REAL", "TOY", "Logged", "Script", "scripts", "scripts_together"]

AMOUNTS = [500, 100, 250, 0, 1, 1000]
KINDS = (
    ["buy"] * 6
    + ["refund"] * 4
    + ["click"] * 3
    + ["contact"] * 2
    + ["form", "feedback", "stage", "profile", "override"]
)


class Logged(NamedTuple):
    event: Event
    appended_ms: int


@dataclass(frozen=True)
class Script:
    """What is played.

    eras:   the policies, each from its instant on.  known: when each became known, the first always was
    batches: the log in micro-batches
    pauses: per batch, how long after its last append instant time is played to
    early:  the scorer knows all policies from the first moment on, as after a restart
    looks:  instants, as parts of the time between two batches, at which a timer is fired though nothing asked for it
    """

    eras: list[Era]
    known: list[int]
    batches: list[list[Logged]]
    pauses: list[int]
    eager: bool
    early: bool
    looks: list[list[float]]
    end_ms: int

    @property
    def log(self) -> list[Logged]:
        return [logged for batch in self.batches for logged in batch]


class Setting(NamedTuple):
    """What histories turn on."""

    scale: Scale
    zone: ZoneInfo
    spans: list[str]
    currency: str


class Telling:
    """A log in the making; every choice is a pick, so that a whole event costs one or two draws."""

    def __init__(self, draw: Draw, setting: Setting, anchor: str | None = None) -> None:
        self.draw, self.picks, self.setting = draw, Picks(draw), setting
        anchor = anchor or self.picks.of(setting.scale.anchors[str(setting.zone)])
        self.first = to_ms(datetime.fromisoformat(anchor).replace(tzinfo=UTC))
        self.times = [self.first]
        self.events: list[Event] = []

    def log(self, most: int) -> list[Logged]:
        """In the order the broker took it: each event about its time, or a backlog, in any order."""
        log: list[Logged] = []
        given = st.lists(st.binary(min_size=16, max_size=16), min_size=2, max_size=most)
        for number, given_bytes in enumerate(self.draw(given)):
            self.picks = Picks(self.draw, given_bytes)
            event = self.happening(number)
            self.events.append(event)
            self.times.append(to_ms(event.time))
            log.append(Logged(event, to_ms(event.time) + self.picks.of(self.setting.scale.lateness)))
        if self.picks.below(3):
            return sorted(log, key=lambda logged: logged.appended_ms)
        shuffled = [log.pop(self.picks.below(len(log))) for _ in range(len(log))]
        backlog, between = max(self.times), self.setting.scale.steps[0]
        return [Logged(logged.event, backlog + place * between) for place, logged in enumerate(shuffled)]

    def happening(self, number: int) -> Event:
        """One more event; once in a while an old one again, as it was or altered."""
        pick = self.picks.of
        again = pick(["no"] * 13 + ["same", "stamped", "altered"]) if self.events else "no"
        if again != "no":
            old = pick(self.events)
            if again == "same":
                return old
            if again == "stamped":
                later = to_datetime(to_ms(old.time) + pick([1, abs(self.setting.scale.steps[1])]))
                return msgspec.structs.replace(old, time=later, stamped=True)
            return self.altered(old, number)
        head = {"id": f"e{number}", "source": pick(["shop", "shop", "app"]), "stamped": self.picks.one_in(5)}
        return self.telling(pick(KINDS), self.instant(), head)

    def telling(self, kind: str, time: int, head: dict[str, Any]) -> Event:  # noqa: PLR0911 - a kind each
        pick, channel = self.picks.of, self.picks.of([None, "web", "shop"])
        rated = pick([("rating", 100), ("rating", 450), ("nps", 1000), ("nps", 300), ("complaint", None)])
        match kind:
            case "buy" | "refund":
                return self.trade(kind, time, head)
            case "click":
                return timeline.click(time, pick([None, "home"]), **head)
            case "contact":
                return timeline.contact(time, pick(["inbound", "inbound", "outbound"]), channel, **head)
            case "feedback":
                return timeline.feedback(time, *rated, **head)
            case "stage":
                return timeline.stage(time, pick(["new", "won", "lost"]), pick(["o1", "o1", "o2"]), **head)
            case "profile":
                return self.profile(time, head)
            case "override":
                return self.override(time, head)
        return timeline.form(time, pick([None, "contact"]), **head)

    def profile(self, time: int, head: dict[str, Any]) -> Event:
        said = {"region": self.picks.of(["north", "south", None, "x"])}
        if self.picks.one_in(3):
            said["kind_"] = self.picks.of(["a", "b", None])
        return msgspec.structs.replace(timeline.profile(time, **said), **head)

    def override(self, time: int, head: dict[str, Any]) -> Event:
        """Positions the policies have, and some they have not."""
        dimension, value = self.picks.of(
            [
                ("tier", "gold"),
                ("tier", "silver"),
                ("tier", "basic"),
                ("tier", "iron"),
                ("tier", None),
                ("type", "growth"),
                ("type", "plain"),
                ("worthy", "yes"),
                ("north", True),
                ("north", False),
                ("north", None),
                ("churn", True),
                ("churn", "yes"),
                ("nowhere", "gold"),
            ]
        )
        ends = time + self.picks.of([abs(step) for step in self.setting.scale.steps])
        return timeline.override(time, ends, dimension, value, **head)

    def trade(self, kind: str, time: int, head: dict[str, Any]) -> Event:
        """An order, or a refund: of an order by its key, of one by its id, of one that never comes, or of none."""
        pick, own = self.picks.of, self.setting.currency
        currency, amount = pick([own, own, own, "USD"]), pick(AMOUNTS)
        orders = [event for event in self.events if isinstance(event, Purchase)]
        if kind == "buy" or not orders or self.picks.one_in(4):
            order = pick([None, None, None, "A", "B", "C", "e0"])
            if kind == "buy":
                return timeline.buy(time, amount, order, currency, pick([None, "web", "shop"]), **head)
            return timeline.refund(time, amount, order, currency, **head)
        of = pick(orders)
        part = pick([None, amount, of.data.amount_minor, of.data.amount_minor // 2])
        named = pick([of.data.currency, of.data.currency, None, None, currency])
        return timeline.refund(time, part, of.data.order or of.id, named, **head)

    def altered(self, old: Event, number: int) -> Event:
        """The same id with another content, or the same order under another id, as it was or with another amount."""
        pick = self.picks.of
        if isinstance(old, Purchase | Refund):
            change = pick(["amount", "currency", "order", "id", "both"])
            data = old.data
            if change in ("amount", "both"):
                data = msgspec.structs.replace(data, amount_minor=pick(AMOUNTS))
            if change == "currency":
                data = msgspec.structs.replace(data, currency="USD")
            if change == "order":
                data = msgspec.structs.replace(data, order=pick(["A", "B"]))
            old = msgspec.structs.replace(old, data=data)
            return msgspec.structs.replace(old, id=f"e{number}") if change in ("id", "both") else old
        if isinstance(old, Interaction):
            return timeline.contact(to_ms(old.time), "outbound", id=old.id, source=old.source)
        if self.picks.one_in(2):
            return timeline.click(to_ms(old.time), id=old.id, source=old.source)
        return msgspec.structs.replace(old, time=to_datetime(to_ms(old.time) + 1))

    def instant(self) -> int:
        """Near what was before: some way on, at the same instant, or just where an entry leaves its window."""
        pick, (scale, zone, spans, _) = self.picks.of, self.setting
        base = pick(self.times[-4:])
        how = pick(["step", "step", "same", "exit", "anniversary"])
        if how == "step":
            base += pick(scale.steps)
        elif how == "exit":
            base = window_exit(base, pick(spans), zone)
        elif how == "anniversary":
            base = anniversary(base, pick(spans), zone)
        return base + pick([0, 0, 0, 0, -1, 1])


@st.composite
def policies(draw: Draw, scale: Scale) -> tuple[str, Setting]:
    """A policy's text, and what histories for it turn on."""
    picks = Picks(draw)
    return a_policy(draw, scale, picks.of([*scale.anchors]), picks.of(["EUR", "EUR", "JPY", "KWD"]))


def a_policy(draw: Draw, scale: Scale, zone: str, currency: str, among_others: bool = False) -> tuple[str, Setting]:
    drawn = Drawn(draw, scale, zone, currency)
    anchor = scale.anchors[zone][0]
    days = [str(datetime.fromisoformat(anchor).date().replace(day=1)), anchor[:10], "2026-03-01"]
    text = drawn.text(sorted(set(days)), among_others)
    return text, Setting(scale, ZoneInfo(zone), drawn.windows + drawn.thresholds, currency)


def several(draw: Draw, scale: Scale = TOY, most: int = 9, most_eras: int = 3, most_scripts: int = 1) -> list[Script]:
    """Histories under one sequence of policies, near one another in time."""
    picks = Picks(draw)
    zone, currency = picks.of([*scale.anchors]), picks.of(["EUR", "EUR", "JPY", "KWD"])
    more = min(picks.of([0, 0, 0, 1, 1, 2]), most_eras - 1)
    policy, setting = a_policy(draw, scale, zone, currency, more > 0)
    anchor = picks.of(scale.anchors[zone])
    logs = [Telling(draw, setting, anchor).log(most) for _ in range(most_scripts)]
    eras, known = [Era(policy)], [ALWAYS]
    for _ in range(more):
        zone, currency = picks.of([zone, zone, *scale.anchors]), picks.of([currency, currency, "EUR", "JPY"])
        text, _ = a_policy(draw, scale, zone, currency, True)
        effective = to_ms(picks.of(logs[0]).event.time) + picks.of([0, 0, 1, -1, *scale.steps])
        effective = max(effective, eras[-1].effective_at)
        eras.append(Era(text, effective))
        late = picks.of([0, 0, *(abs(late) for late in scale.lateness), *scale.steps])
        known.append(max(effective + late, known[-1]))
    return [played(picks, scale, eras, known, log) for log in logs]


def played(picks: Picks, scale: Scale, eras: list[Era], known: list[int], log: list[Logged]) -> Script:
    batches: list[list[Logged]] = [[]]
    for logged in log:
        if batches[-1] and picks.one_in(2):
            batches.append([])
        batches[-1].append(logged)
    parts = [0.0, 0.1, 0.5, 0.9, 1.0]
    last = max(logged.appended_ms for logged in log)
    first = min(to_ms(logged.event.time) for logged in log)
    return Script(
        eras=eras,
        known=known,
        batches=batches,
        pauses=[picks.of(scale.pauses) for _ in batches],
        eager=picks.one_in(2),
        early=picks.one_in(3),
        looks=[sorted(picks.of(parts) for _ in range(picks.below(3))) for _ in batches],
        end_ms=max(last, first) + picks.of(scale.ends),
    )


def script(draw: Draw, scale: Scale = TOY, most: int = 9, most_eras: int = 3) -> Script:
    return several(draw, scale, most, most_eras)[0]


scripts = st.composite(script)
scripts_together = st.composite(several)

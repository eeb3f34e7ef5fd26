"""Policies and histories that look for trouble: ties, exits at event times, ends of months, clocks that change.

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
from tests.scorer.domain.oracle_calendar import anniversary, to_datetime, to_ms, window_exit

HOUR, DAY, AHEAD = 3_600_000, 86_400_000, 300_000

ANCHORS = {
    "Europe/Berlin": ["2026-03-28T23:00", "2026-10-25T00:30", "2026-01-30T22:30", "2024-02-28T23:00"],
    "America/Sao_Paulo": ["2018-11-03T15:00", "2018-02-17T14:00", "2018-10-04T02:59", "2015-01-31T03:00"],
    "Asia/Shanghai": ["1986-05-03T17:30", "1991-09-14T16:30", "2026-01-31T15:59", "2024-02-29T04:00"],
    "UTC": ["2026-01-31T00:00", "2023-12-31T23:59", "2024-02-29T12:00"],
}
"""Instants (UTC) near which the zone's clock or calendar does something."""

SPANS = ["1h", "90min", "6h", "1d", "2d", "1w", "1mo", "2mo", "3mo", "1y"]
LATENESS = [-AHEAD, -1, 0, 0, 0, 1, HOUR, 6 * HOUR, DAY, DAY, 3 * DAY, 40 * DAY]
AMOUNTS = [0, 1, 100, 250, 500, 500, 1000]


class Logged(NamedTuple):
    event: Event
    appended_ms: int


@dataclass(frozen=True)
class Script:
    """What is played: the policy's text, the log in micro-batches, how late each is dealt with, and where it ends.

    pauses: per batch, how long after its last append instant time is played to
    looks:  instants, as parts of the time between two batches, at which a timer is fired though nothing asked for it
    """

    policy: str
    batches: list[list[Logged]]
    pauses: list[int]
    eager: bool
    looks: list[list[float]]
    end_ms: int

    @property
    def log(self) -> list[Logged]:
        return [logged for batch in self.batches for logged in batch]


class Setting(NamedTuple):
    """What a policy has that histories turn on: its zone, its windows, its currency."""

    zone: ZoneInfo
    spans: list[str]
    currency: str


# -- policies

Draw = Any


COUNTED = st.sampled_from(["purchase", "click", "interaction", "refund", "[click, interaction]", "[purchase, form]"])
SUMMED = st.sampled_from(["purchase.amount, minus: refund.amount", "purchase.amount", "refund.amount"])
RECENT = st.sampled_from(["purchase", "interaction", "click", "refund"])
SIGNS = st.sampled_from([">", ">=", "<", "<=", "==", "!="])
COMPARISONS = st.sampled_from(["sign", "sign", "sign", "between", "in", "not in"])
SHAPES = st.sampled_from(["{}", "{}", "{}", "{} and {}", "{} or {}", "not ({} and {})", "({} or {}) and not {}"])
OPERANDS = st.sampled_from(["orders", "touches", "spend", "net", "quiet", "silent", "tenure", "known_for"])
COUNTS = ["0", "1", "2", "3"]
MONEY = {
    "EUR": ["0", "1", "2.50", "5", "1_0", "10.00"],
    "JPY": ["0", "1", "250", "500", "1_000", "1000"],
    "KWD": ["0", "0.001", "0.25", "0.500", "1", "1.000"],
}
"""Amounts in the policy's major units, in order of size, that meet AMOUNTS in minor units."""
INDEX = st.integers(0, 11)
YES = st.booleans()


@st.composite
def policies(draw: Draw) -> tuple[str, Setting]:
    """A policy's text, and what histories for it turn on."""
    currency = draw(st.sampled_from(["EUR", "EUR", "JPY", "KWD"]))
    zone = draw(st.sampled_from(sorted(ANCHORS)))
    windows = [draw(st.sampled_from(SPANS)) for _ in range(draw(st.integers(1, 3)))]
    thresholds = sorted({*windows, draw(st.sampled_from(SPANS))}, key=SPANS.index)

    def window() -> str:
        at = draw(INDEX)
        return f", window: {windows[at % len(windows)]}" if at < 8 else ""

    def rule() -> str:
        shape = draw(SHAPES)
        return shape.format(*(comparison(draw, thresholds, MONEY[currency]) for _ in range(shape.count("{}"))))

    features = {
        "orders": f"count: purchase{window()}",
        "touches": f"count: {draw(COUNTED)}{window()}",
        "spend": f"sum: {draw(SUMMED)}{window()}",
        "net": f"sum: purchase.amount, minus: refund.amount{window()}",
        "quiet": "since_last: purchase",
        "silent": f"since_last: {draw(RECENT)}",
    }
    ladders = {"tier": [rule() for _ in range(draw(st.integers(1, 3)))]}
    if draw(YES):
        ladders["worth"] = [rule()]
    segments = {name: rule() for name in ("north", "south", "west")[: draw(st.integers(0, 3))]}
    lines = ["policy: small", f"currency: {currency}", f"zone: {zone}", "features:"]
    lines += [f"  {name}: {{{feature}}}" for name, feature in features.items()]
    lines.append("ladders:")
    for ladder, whens in ladders.items():
        lines.append(f"  {ladder}:")
        lines += [f'    - {{name: rung{i}, when: "{when}"}}' for i, when in enumerate(whens)]
        lines.append("    - {name: floor}")
    lines.append("segments:" + ("" if segments else " {}"))
    lines += [f'  {name}: "{when}"' for name, when in segments.items()]
    if draw(YES):
        lines += ["churn:", f'  at_risk: "{rule()}"']
    return "\n".join(lines) + "\n", Setting(ZoneInfo(zone), windows, currency)


def comparison(draw: Draw, spans: list[str], money: list[str]) -> str:
    """One comparison; literals are picked in order of size, since a range has its smaller end first."""
    operand, how = draw(OPERANDS), draw(COMPARISONS)
    literals = {"orders": COUNTS, "touches": COUNTS, "spend": money, "net": money}.get(operand, spans)
    low, high = sorted((draw(INDEX) % len(literals), draw(INDEX) % len(literals)))
    if how == "sign":
        return f"{operand} {draw(SIGNS)} {literals[low]}"
    if how == "between":
        return f"{operand} between {literals[low]} and {literals[high]}"
    return f"{operand} {how} [{literals[high]}, {literals[low]}]"


# -- histories


@st.composite
def histories(draw: Draw, setting: Setting, most: int = 9) -> list[Logged]:
    """A log, in the order the broker took it: each event about its time, or a backlog, in any order."""
    anchor = draw(st.sampled_from(ANCHORS[str(setting.zone)]))
    times = [to_ms(datetime.fromisoformat(anchor).replace(tzinfo=UTC))]
    events: list[Event] = []
    log: list[Logged] = []
    for number in range(draw(st.integers(2, most))):
        event = draw(happening(number, times, events, setting))
        events.append(event)
        times.append(to_ms(event.time))
        log.append(Logged(event, to_ms(event.time) + draw(st.sampled_from(LATENESS))))
    if draw(YES):
        return sorted(log, key=lambda logged: logged.appended_ms)
    backlog = max(times)
    return [Logged(logged.event, backlog + place * HOUR) for place, logged in enumerate(draw(st.permutations(log)))]


@st.composite
def happening(draw: Draw, number: int, times: list[int], before: list[Event], setting: Setting) -> Event:
    """One more event; once in a while an old one again, as it was or altered."""
    again = draw(st.sampled_from(["no"] * 13 + ["same", "stamped", "altered"])) if before else "no"
    if again != "no":
        old = draw(st.sampled_from(before))
        if again == "same":
            return old
        if again == "stamped":
            later = to_datetime(to_ms(old.time) + draw(st.sampled_from([1, HOUR])))
            return msgspec.structs.replace(old, time=later, stamped=True)
        return draw(altered(old, number))
    head = {"id": f"e{number}", "source": draw(st.sampled_from(["shop", "shop", "app"]))}
    time = draw(instants(times, setting.zone, setting.spans))
    head["stamped"] = draw(st.sampled_from([False, False, False, True]))
    kind = draw(st.sampled_from(["buy", "buy", "buy", "refund", "refund", "refund", "click", "contact", "form"]))
    if kind in ("buy", "refund"):
        return draw(trade(kind, time, before, setting.currency, head))
    if kind == "contact":
        return timeline.contact(time, draw(st.sampled_from(["inbound", "outbound"])), **head)
    return timeline.click(time, **head) if kind == "click" else timeline.form(time, **head)


@st.composite
def trade(draw: Draw, kind: str, time: int, before: list[Event], own: str, head: dict[str, Any]) -> Event:
    """An order, or a refund: of an order by its key, of one by its id, of one that never comes, or of none."""
    currency = draw(st.sampled_from([own, own, own, "USD"]))
    amount = draw(st.sampled_from(AMOUNTS))
    orders = [event for event in before if isinstance(event, Purchase)]
    if kind == "buy" or not orders or draw(INDEX) < 3:
        order = draw(st.sampled_from([None, None, None, "A", "B", "C", "e0"]))
        if kind == "buy":
            return timeline.buy(time, amount, order, currency, **head)
        return timeline.refund(time, amount, order, currency, **head)
    of = draw(st.sampled_from(orders))
    part = draw(st.sampled_from([None, amount, of.data.amount_minor, of.data.amount_minor // 2]))
    named = draw(st.sampled_from([of.data.currency, None, None, currency]))
    return timeline.refund(time, part, of.data.order or of.id, named, **head)


@st.composite
def altered(draw: Draw, old: Event, number: int) -> Event:
    """The same id with another content, or the same order under another id, as it was or with another amount."""
    if isinstance(old, Purchase | Refund):
        change = draw(st.sampled_from(["amount", "currency", "order", "id", "both"]))
        data = old.data
        if change in ("amount", "both"):
            data = msgspec.structs.replace(data, amount_minor=draw(st.sampled_from(AMOUNTS)))
        if change == "currency":
            data = msgspec.structs.replace(data, currency="USD")
        if change == "order":
            data = msgspec.structs.replace(data, order=draw(st.sampled_from(["A", "B"])))
        old = msgspec.structs.replace(old, data=data)
        return msgspec.structs.replace(old, id=f"e{number}") if change in ("id", "both") else old
    if isinstance(old, Interaction):
        return timeline.contact(to_ms(old.time), "outbound", id=old.id, source=old.source)
    if draw(YES):
        return timeline.click(to_ms(old.time), id=old.id, source=old.source)
    return msgspec.structs.replace(old, time=to_datetime(to_ms(old.time) + 1))


@st.composite
def instants(draw: Draw, times: list[int], zone: ZoneInfo, spans: list[str]) -> int:
    """Near what was before: at the same instant, some hours on, or just where an entry leaves its window."""
    base = draw(st.sampled_from(times))
    how = draw(st.sampled_from(["same", "step", "step", "exit", "anniversary"]))
    if how == "step":
        base += draw(st.sampled_from([-DAY, -HOUR, HOUR, 5 * HOUR, 12 * HOUR, DAY, 2 * DAY, 10 * DAY, 31 * DAY]))
    elif how == "exit":
        base = window_exit(base, draw(st.sampled_from(spans)), zone)
    elif how == "anniversary":
        base = anniversary(base, draw(st.sampled_from(spans)), zone)
    return base + draw(st.sampled_from([0, 0, 0, 0, -1, 1]))


@st.composite
def scripts(draw: Draw) -> Script:
    policy, setting = draw(policies())
    log = draw(histories(setting))
    batches: list[list[Logged]] = [[]]
    for logged in log:
        if batches[-1] and draw(st.booleans()):
            batches.append([])
        batches[-1].append(logged)
    pause = st.sampled_from([0, 0, 1, AHEAD, HOUR, 2 * DAY])
    looks = st.lists(st.sampled_from([0.0, 0.1, 0.5, 0.9, 1.0]), max_size=2)
    last = max(logged.appended_ms for logged in log)
    return Script(
        policy=policy,
        batches=batches,
        pauses=[draw(pause) for _ in batches],
        eager=draw(st.booleans()),
        looks=[sorted(draw(looks)) for _ in batches],
        end_ms=last + draw(st.sampled_from([0, AHEAD, DAY, 40 * DAY, 3 * 366 * DAY])),
    )

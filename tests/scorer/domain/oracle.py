"""The naive oracle: what DESIGN.md section 4 says of one customer, recomputed from nothing at every instant.

It shares no code with `services.scorer.domain` and knows no state, no timers, no arrival order beyond "the first in
the log stands". A path is the list of its steps `(instant_ms, value)`; before the first step the value is the initial
one (the last tier, False), which is no step. Slow on purpose: see `Oracle.instants` for the only idea in it.
"""

from collections.abc import Sequence
from dataclasses import dataclass
from decimal import Decimal
from functools import cached_property
from typing import Any, NamedTuple
from zoneinfo import ZoneInfo

import yaml

from schemas.decisions import Value
from schemas.events import Event, Interaction, Purchase, Refund
from tests.scorer.domain import oracle_rules
from tests.scorer.domain.oracle_calendar import anniversary, to_ms, window_exit
from tests.scorer.domain.oracle_rules import Elapsed, Number, Operand

MINOR_DIGITS = {"EUR": 2, "USD": 2, "BRL": 2, "CNY": 2, "JPY": 0, "KWD": 3}
BUILT_IN = ("tenure", "known_for")

Steps = list[tuple[int, Value]]


class Complaint(NamedTuple):
    """A report: `arrival` is the place in the log of the event that raised it."""

    reason: str
    arrival: int


@dataclass(frozen=True)
class Intake:
    """What became of a log: accepted events in log order, places of duplicates, and what was complained about."""

    accepted: list[Event]
    duplicates: list[int]
    complaints: set[Complaint]


class Oracle:
    def __init__(self, policy: str) -> None:
        self.policy: dict[str, Any] = yaml.safe_load(policy)
        self.zone = ZoneInfo(self.policy["zone"])
        self.digits = MINOR_DIGITS[self.policy["currency"]]
        self.features: dict[str, dict[str, Any]] = self.policy["features"]

    # -- rules 5 and 7: what is taken, and what is complained about

    def intake(self, log: Sequence[Event]) -> Intake:
        accepted: list[Event] = []
        duplicates: list[int] = []
        complaints: set[Complaint] = set()
        for place, event in enumerate(log):
            verdict = judge(event, accepted)
            if verdict == "duplicate":
                duplicates.append(place)
            elif verdict is not None:
                complaints.add(Complaint(verdict, place))
            else:
                later = [*accepted, event]
                before, after = Orders(accepted, accepted), Orders(later, later)
                accepted.append(event)
                if any(after.surplus(order) > before.surplus(order) for order in after.all):
                    complaints.add(Complaint("refund_exceeds_order", place))
                if after.mismatches - before.mismatches:
                    complaints.add(Complaint("refund_currency", place))
        return Intake(accepted, duplicates, complaints)

    # -- rules 1 to 3: the path

    def paths(self, accepted: Sequence[Event], now: int | None = None) -> dict[str, Steps]:
        """Every dimension's path up to and with `now`; with None, until nothing changes any more without an event."""
        steps: dict[str, Steps] = {name: [] for name in self.dimensions}
        held = dict(self.initial)
        for instant in self.instants(accepted):
            if now is not None and instant > now:
                break
            for name, value in self.positions(accepted, instant).items():
                if value != held[name]:
                    steps[name].append((instant, value))
                    held[name] = value
        return steps

    def instants(self, accepted: Sequence[Event]) -> list[int]:
        """Every instant at which anything can change, and some at which nothing does."""
        windows = {feature["window"] for feature in self.features.values() if "window" in feature}
        found: set[int] = set()
        for event in accepted:
            t = to_ms(event.time)
            found.add(t)
            found |= {window_exit(t, window, self.zone) for window in windows}
            for span in self.spans:
                threshold = anniversary(t, span, self.zone)
                found |= {threshold - 1, threshold, threshold + 1}
        first = min((to_ms(event.time) for event in accepted), default=0)
        return sorted(instant for instant in found if instant >= first)

    @cached_property
    def dimensions(self) -> list[str]:
        return list(self.initial)

    @cached_property
    def initial(self) -> dict[str, Value]:
        tiers: dict[str, Value] = {name: rungs[-1]["name"] for name, rungs in self.policy["ladders"].items()}
        segments: dict[str, Value] = dict.fromkeys(self.policy.get("segments", {}), False)
        return tiers | segments | ({"churn": False} if "churn" in self.policy else {})

    @cached_property
    def spans(self) -> set[str]:
        return {span for rule in self.rules.values() for span in oracle_rules.spans_in(rule)}

    @cached_property
    def rules(self) -> dict[str, str]:
        """Every condition of the policy by its name: `tier.gold`, a segment's name, `churn`."""
        rules = {
            f"{ladder}.{rung['name']}": rung["when"]
            for ladder, rungs in self.policy["ladders"].items()
            for rung in rungs[:-1]
        }
        rules |= self.policy.get("segments", {})
        return rules | ({"churn": self.policy["churn"]["at_risk"]} if "churn" in self.policy else {})

    def positions(self, accepted: Sequence[Event], instant: int) -> dict[str, Value]:
        """Where the customer stands at an instant; what was before it has no say in that (no hysteresis yet)."""
        if not any(to_ms(event.time) <= instant for event in accepted):
            return dict(self.initial)
        values = self.values(accepted, instant)
        positions: dict[str, Value] = {}
        for ladder, rungs in self.policy["ladders"].items():
            reached = [rung["name"] for rung in rungs[:-1] if oracle_rules.holds(rung["when"], values)]
            positions[ladder] = [*reached, rungs[-1]["name"]][0]
        for segment, rule in self.policy.get("segments", {}).items():
            positions[segment] = oracle_rules.holds(rule, values)
        if "churn" in self.policy:
            positions["churn"] = oracle_rules.holds(self.policy["churn"]["at_risk"], values)
        return positions

    # -- features

    def values(self, accepted: Sequence[Event], instant: int) -> dict[str, Operand]:
        known = [event for event in accepted if to_ms(event.time) <= instant]
        orders = Orders(known, accepted)
        standing = [event for event in known if orders.stands(event)]
        values: dict[str, Operand] = {
            name: self.value(feature, orders, standing, instant) for name, feature in self.features.items()
        }
        purchases = [to_ms(event.time) for event in standing if isinstance(event, Purchase)]
        values["tenure"] = Elapsed(min(purchases, default=None), instant, self.zone)
        values["known_for"] = Elapsed(min((to_ms(event.time) for event in known), default=None), instant, self.zone)
        return values

    def basis(self, name: str, accepted: Sequence[Event], instant: int) -> tuple[list[int], int]:
        """The times of the events a feature rests on, and how many of them count as 0 for want of a rate."""
        known = [event for event in accepted if to_ms(event.time) <= instant]
        orders = Orders(known, accepted)
        counted = self.contributing(
            self.features[name], orders, [event for event in known if orders.stands(event)], instant
        )
        money = "sum" in self.features[name]
        unpriced = [event for event in counted if money and not self.priced(orders.place_of(event))]
        return sorted(to_ms(event.time) for event in counted), len(unpriced)

    def value(self, feature: dict[str, Any], orders: "Orders", standing: list[Event], instant: int) -> Operand:
        counted = self.contributing(feature, orders, standing, instant)
        if "since_last" in feature:
            times = [max(to_ms(event.time), to_ms(orders.place_of(event).time)) for event in counted]
            return Elapsed(max(times, default=None), instant, self.zone)
        if "count" in feature:
            return Number(Decimal(len(counted)))
        priced = [event for event in counted if self.priced(orders.place_of(event))]
        bought = sum(event.data.amount_minor for event in priced if isinstance(event, Purchase))
        loose = sum(event.data.amount_minor or 0 for event in priced if event in orders.loose)
        paid_for = {id(orders.place_of(event)): orders.place_of(event) for event in priced if isinstance(event, Refund)}
        refunded = loose + sum(orders.refunded(order) for order in paid_for.values() if isinstance(order, Purchase))
        minor = refunded if feature["sum"] == "refund.amount" else bought - refunded
        return Number(Decimal(max(minor, 0)).scaleb(-self.digits))

    def contributing(
        self, feature: dict[str, Any], orders: "Orders", standing: list[Event], instant: int
    ) -> list[Event]:
        """The events a feature's value comes from; money of a refunded order still does, its refunds take it off."""
        window = feature.get("window")

        def within(event: Event) -> bool:
            anchor = to_ms(orders.place_of(event).time)
            return window is None or instant < window_exit(anchor, window, self.zone)

        if "sum" in feature:
            bought = orders.all if feature["sum"] == "purchase.amount" else []
            taken = feature["sum"] == "refund.amount" or "minus" in feature
            back = [event for event in standing if taken and isinstance(event, Refund)]
            return [event for event in [*bought, *back] if within(event)]
        types = feature.get("count") or feature["since_last"]
        return [e for e in standing if counts(e, types if isinstance(types, list) else [types]) and within(e)]

    def priced(self, event: Event) -> bool:
        return not isinstance(event, Purchase | Refund) or event.data.currency == self.policy["currency"]


class Orders:
    """The orders among the events of some instant, and what refunds have taken of them by then (rule 7).

    Which order a refund means is settled among all events accepted, whenever they happen.
    """

    def __init__(self, known: Sequence[Event], accepted: Sequence[Event]) -> None:
        self.ever = [event for event in accepted if isinstance(event, Purchase)]
        self.all = [event for event in known if isinstance(event, Purchase)]
        self.refunds = [event for event in known if isinstance(event, Refund)]
        self.loose = [refund for refund in self.refunds if refund.data.order is None]

    def order_of(self, refund: Refund) -> Purchase | None:
        """The order with that key, or else the purchase of that id and source that had no key of its own."""
        keyed = [p for p in self.ever if p.data.order is not None and p.data.order == refund.data.order]
        own = [p for p in self.ever if p.data.order is None and (p.source, p.id) == (refund.source, refund.data.order)]
        return next((p for p in [*keyed, *own][:1] if p in self.all), None)

    def refunds_of(self, order: Purchase) -> list[Refund]:
        """In order of time; of one instant those with an amount first, the one that takes what is left after them."""
        mine = [r for r in self.refunds if self.order_of(r) is order and same_currency(r, order)]
        return sorted(mine, key=lambda refund: (refund.time, refund.data.amount_minor is None))

    def settle(self, order: Purchase) -> tuple[int, int]:
        """What is left of the order, and by how much its refunds exceed it."""
        left, surplus = order.data.amount_minor, 0
        for refund in self.refunds_of(order):
            wanted = left if refund.data.amount_minor is None else refund.data.amount_minor
            taken = min(left, wanted)
            left, surplus = left - taken, surplus + wanted - taken
        return left, surplus

    def refunded(self, order: Purchase) -> int:
        return order.data.amount_minor - self.settle(order)[0]

    def surplus(self, order: Purchase) -> int:
        return self.settle(order)[1] if order in self.all else 0

    def stands(self, event: Event) -> bool:
        """Whether it counts: an order of which something is left, a refund in effect, anything else."""
        if isinstance(event, Purchase):
            return not self.refunds_of(event) or self.settle(event)[0] > 0
        if isinstance(event, Refund) and event.data.order is not None:
            order = self.order_of(event)
            return order is not None and same_currency(event, order)
        return True

    def place_of(self, event: Event) -> Event:
        """Whose time says when it leaves a window: a refund is where its order is."""
        order = self.order_of(event) if isinstance(event, Refund) and event.data.order is not None else None
        return event if order is None else order

    @property
    def mismatches(self) -> set[tuple[str, str]]:
        """Refunds that are in another currency than their order; one that changes its order is not told again."""
        pairs = [(refund, self.order_of(refund)) for refund in self.refunds]
        return {(r.source, r.id) for r, order in pairs if order is not None and not same_currency(r, order)}


def judge(event: Event, accepted: Sequence[Event]) -> str | None:
    """None if the event is taken; what is not taken leaves no trace, so it can be repaired and sent again."""
    for known in accepted:
        if (known.source, known.id) == (event.source, event.id):
            return "duplicate" if same_content(known, event) else "id_conflict"
    key = event.data.order if isinstance(event, Purchase) else None
    for known in accepted:
        if key is not None and isinstance(known, Purchase) and known.data.order == key:
            return "duplicate" if same_content(known, event) else "order_conflict"
    return None


def same_content(one: Event, other: Event) -> bool:
    """Kind (an outbound contact is another kind than an inbound one), time, amount, currency and order; the time of an
    event that came without one is no content."""
    if kind_of(one) != kind_of(other):
        return False
    if not (one.stamped or other.stamped) and one.time != other.time:
        return False
    fields = ("amount_minor", "currency", "order")
    return all(getattr(one.data, field, None) == getattr(other.data, field, None) for field in fields)


def same_currency(refund: Refund, order: Purchase) -> bool:
    return refund.data.currency is None or refund.data.currency == order.data.currency


def counts(event: Event, types: list[str]) -> bool:
    """Whether an event of a counted type counts: outbound interactions do not."""
    return kind_of(event) in types


def kind_of(event: Event) -> str:
    outbound = isinstance(event, Interaction) and event.data.direction == "outbound"
    return "outbound" if outbound else type(event).__name__.lower()

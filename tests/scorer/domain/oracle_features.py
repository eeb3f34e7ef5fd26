"""The oracle's features: every one recomputed from the list of events known at an instant (features.py's contracts)."""

from collections.abc import Iterator, Mapping, Sequence
from datetime import date
from fractions import Fraction
from functools import cached_property
from itertools import pairwise
from math import isqrt
from typing import Any, TypeVar
from zoneinfo import ZoneInfo

import yaml

from schemas.events import Event, Feedback, Profile, Purchase, Refund, Stage
from tests.scorer.domain import oracle_models, oracle_rules
from tests.scorer.domain.oracle_calendar import FIXED, anniversary, day_start, parts, to_ms, wall, window_exit
from tests.scorer.domain.oracle_operands import (
    UNKNOWN,
    Alive,
    Decayed,
    Duration,
    Elapsed,
    Money,
    Number,
    Operand,
    Real,
    RootRatio,
    Text,
)
from tests.scorer.domain.oracle_orders import Orders, fields_of, hash_of, kind_of, type_of

LOADER = getattr(yaml, "CBaseLoader", yaml.BaseLoader)
"""Reads every scalar as the text it is."""
MINOR_DIGITS = {"EUR": 2, "USD": 2, "BRL": 2, "CNY": 2, "JPY": 0, "KWD": 3}
DAY = FIXED["d"]

E = TypeVar("E", bound=Event)


class Book:
    """One policy's text, read; every scalar stays the text it is."""

    def __init__(self, text: str) -> None:
        self.doc: dict[str, Any] = yaml.load(text, Loader=LOADER)
        self.zone = ZoneInfo(self.doc["zone"])
        self.currency: str = self.doc["currency"]
        self.digits = MINOR_DIGITS[self.currency]
        self.features: dict[str, dict[str, Any]] = self.doc.get("features") or {}
        self.ladders: dict[str, list[dict[str, Any]]] = self.doc["ladders"]
        self.classes: dict[str, list[dict[str, Any]]] = self.doc.get("classes") or {}
        self.segments: dict[str, str] = dict(self.doc.get("segments") or {})
        if "churn" in self.doc:
            self.segments["churn"] = self.doc["churn"]["at_risk"]
        self.cards: dict[str, dict[str, dict[str, str]]] = self.doc.get("scorecards") or {}
        self.attributes: list[str] = self.doc.get("attributes") or []
        self.calibration: dict[str, Any] = self.doc.get("calibration") or {}

    def rule(self, text: str) -> str:
        """The condition with the calibration's number written in."""
        return text.replace("calibrated.top_spend", self.calibration.get("top_spend", ""))

    @cached_property
    def rules(self) -> dict[str, str]:
        """Every condition of the policy by its name: `tier.gold`, `tier.gold.stay`, a segment's name, `churn`."""
        rules: dict[str, str] = {}
        for name, rungs in [*self.ladders.items(), *self.classes.items()]:
            for rung in rungs:
                if "when" in rung:
                    rules[f"{name}.{rung['name']}"] = rung["when"]
                if "stay" in rung:
                    rules[f"{name}.{rung['name']}.stay"] = rung["stay"]
        return rules | self.segments

    @cached_property
    def rates(self) -> dict[str, list[tuple[int, Fraction]]]:
        """Per currency from when on (a local midnight) a minor unit is how many of the policy's."""
        rates: dict[str, list[tuple[int, Fraction]]] = {}
        for currency, days in (self.doc.get("rates") or {}).items():
            shift = Fraction(10) ** (self.digits - MINOR_DIGITS[currency])
            rates[currency] = [
                (day_start(date.fromisoformat(day), self.zone), plain(rate) * shift) for day, rate in days.items()
            ]
        return rates

    def price(self, amount: int, currency: str | None, at: int) -> int | None:
        """Rule 8: in the policy's minor units by the rate in force at `at`, half to even; None without one."""
        if currency == self.currency:
            return amount
        begun = [rate for rate in self.rates.get(currency or "", []) if rate[0] <= at]
        return round(amount * max(begun)[1]) if begun else None

    @cached_property
    def bg_nbd(self) -> oracle_models.BgNbd:
        given = self.calibration["bg_nbd"]
        unit = oracle_models.UNITS[given.get("unit", "week")]
        r, alpha, a, b = (Fraction(given[name]) for name in ("r", "alpha", "a", "b"))
        return oracle_models.BgNbd(r, alpha * unit, a, b)

    @cached_property
    def gamma_gamma(self) -> oracle_models.GammaGamma:
        given = self.calibration["gamma_gamma"]
        return oracle_models.GammaGamma(*(Fraction(given[name]) for name in ("p", "q", "v")))


class Values(Mapping[str, Operand]):
    """Every operand of a policy at one instant, computed when asked for."""

    def __init__(self, book: Book, orders: Orders, instant: int) -> None:
        self.book, self.orders, self.instant = book, orders, instant
        self._found: dict[str, Operand] = {}

    def __getitem__(self, name: str) -> Operand:
        if name not in self._found:
            self._found[name] = self._value(name)
        return self._found[name]

    def __iter__(self) -> Iterator[str]:
        return iter([*self.book.features, *self.book.cards, *self.book.attributes, "tenure", "known_for"])

    def __len__(self) -> int:
        return len([*self])

    def _value(self, operand: str) -> Operand:
        name, _, part = operand.partition(".")
        if name in self.book.features:
            feature = self.book.features[name]
            for kind, value in KINDS.items():
                if kind in feature:
                    return value(self, feature, part)
        if name in self.book.cards:
            return self.card(self.book.cards[name])
        if name in self.book.attributes:
            return self.attribute(name)
        if name == "tenure":
            return self.since(min((to_ms(order.time) for order in self.orders.bought), default=None))
        assert name == "known_for", name
        return self.since(min((to_ms(event.time) for event in self.orders.known), default=None))

    def since(self, since: int | None) -> Elapsed:
        return Elapsed(since, self.instant, self.book.zone)

    # -- which events

    def matching(self, feature: dict[str, Any], types: str | list[str]) -> list[Event]:
        """The events of these types that stand and meet the feature's condition, without regard to its window."""
        wanted = types if isinstance(types, list) else [types]
        where = feature.get("where")
        return [event for event in self.orders.standing if self.counts(event, wanted, where)]

    def counts(self, event: Event, types: list[str], where: str | None) -> bool:
        """Outbound interactions count only where the condition asks for the direction."""
        if type_of(event) not in types:
            return False
        if kind_of(event) == "outbound" and "direction" not in (oracle_rules.tokens(where) if where else ()):
            return False
        return where is None or asked(where, event)

    def within(self, event: Event, window: str | None) -> bool:
        anchor = to_ms(self.orders.place_of(event).time)
        return window is None or self.instant < window_exit(anchor, window, self.book.zone)

    def contributing(self, feature: dict[str, Any]) -> list[Event]:
        """The events a feature's value comes from; money of a refunded order still does, its refunds take it off."""
        window = feature.get("window")
        if "sum" in feature:
            where = feature.get("where")
            bought = self.orders.all if feature["sum"] == "purchase.amount" else []
            taken = feature["sum"] == "refund.amount" or "minus" in feature
            back = [event for event in self.orders.standing if taken and isinstance(event, Refund)]
            places = [(event, self.orders.place_of(event)) for event in [*bought, *back]]
            found = [e for e, at in places if where is None or (isinstance(at, Purchase) and asked(where, at))]
        elif "mean" in feature:
            found = [e for e in self.matching(feature, "feedback") if "score" in fields_of(e)]
        elif "feedback" in feature:
            found = [e for e in self.matching(feature, "feedback") if kind_of(e) in feature["feedback"]]
        else:
            found = self.matching(feature, feature.get("count") or feature["since_last"])
        return [event for event in found if self.within(event, window)]

    # -- the kinds

    def count(self, feature: dict[str, Any], _: str) -> Operand:
        return Number(len(self.contributing(feature)))

    def sum(self, feature: dict[str, Any], _: str) -> Operand:
        counted = self.contributing(feature)
        bought = sum(self.worth(event, event.data.amount_minor) for event in counted if isinstance(event, Purchase))
        refunds = [event for event in counted if isinstance(event, Refund)]
        loose = sum(self.worth(event, event.data.amount_minor or 0) for event in refunds if event in self.orders.loose)
        paid_for = {id(self.orders.place_of(event)): self.orders.place_of(event) for event in refunds}
        refunded = loose + sum(
            self.worth(order, self.orders.refunded(order)) for order in paid_for.values() if isinstance(order, Purchase)
        )
        minor = refunded if feature["sum"] == "refund.amount" else bought - refunded
        return Money(max(minor, 0) * Fraction(10) ** -self.book.digits)

    def worth(self, event: Event, amount: int) -> int:
        """That much of an order, or of a refund of its own, in the policy's minor units; 0 without a rate."""
        return self.book.price(amount, event.data.currency, to_ms(event.time)) or 0

    def net(self, order: Event) -> int:
        """What an order brings at this instant: its refunds are taken at its own rate (rule 8)."""
        return self.worth(order, order.data.amount_minor) - self.worth(order, self.orders.refunded(order))

    def mean(self, feature: dict[str, Any], _: str) -> Operand:
        scores = [Fraction(event.data.score_centi, 100) for event in self.contributing(feature)]
        return Number(sum(scores) / len(scores)) if scores else UNKNOWN

    def feedback(self, feature: dict[str, Any], _: str) -> Operand:
        rated = [(Fraction(feature["feedback"][kind_of(e)]), percent(e)) for e in self.contributing(feature)]
        weight = sum(weight for weight, _ in rated)
        return Number(sum(weight * points for weight, points in rated) / weight) if weight else UNKNOWN

    def ratio(self, feature: dict[str, Any], _: str) -> Operand:
        top, bottom = (self[name] for name in feature["ratio"])
        assert isinstance(top, Number)
        assert isinstance(bottom, Number)
        if not bottom.value:
            return UNKNOWN
        average = isinstance(top, Money) and not isinstance(bottom, Money)
        return (Money if average else Number)(Fraction(top.value) / bottom.value)

    def since_last(self, feature: dict[str, Any], _: str) -> Operand:
        return self.since(max((self.orders.start_of(event) for event in self.contributing(feature)), default=None))

    def gaps(self) -> list[int]:
        times = sorted(to_ms(order.time) for order in self.orders.bought)
        return [later - earlier for earlier, later in pairwise(times)]

    def regularity(self, _: dict[str, Any], part: str) -> Operand:
        gaps = self.gaps()
        if len(gaps) < 2:
            return UNKNOWN
        n, total, squares = len(gaps), sum(gaps), sum(gap * gap for gap in gaps)
        if part == "mean":
            return Duration(total // n)
        if part == "spread":
            return Duration(isqrt(n * squares - total * total) // n)
        return RootRatio(n * squares - total * total, total) if total else UNKNOWN

    def next_order(self) -> int | None:
        """When the next order is expected: the last one and the mean gap."""
        gaps = self.gaps()
        if len(gaps) < 2:
            return None
        return max(to_ms(order.time) for order in self.orders.bought) + sum(gaps) // len(gaps)

    def overdue(self, _: dict[str, Any], __: str) -> Operand:
        return self.since(self.next_order())

    def trend(self, feature: dict[str, Any], part: str) -> Operand:
        recent, base = fixed(feature["recent"]), fixed(feature["base"])
        now = fresh = before = 0
        for event in self.matching(feature, feature["trend"]):
            now = self.instant - to_ms(self.orders.place_of(event).time)
            fresh += now < recent
            before += recent <= now < recent + base
        if not before:
            return UNKNOWN
        expected = Fraction(before * recent, base)
        if part == "fewer":
            return Real(oracle_models.poisson_at_most(fresh, expected))
        if part == "more":
            return Real(1 - oracle_models.poisson_at_most(fresh - 1, expected))
        return Number(fresh / expected)

    def score(self, feature: dict[str, Any], _: str) -> Operand:
        entries = [
            (Fraction(feature["score"][type_of(event)]), self.instant - self.orders.start_of(event))
            for event in self.matching(feature, [*feature["score"]])
        ]
        return Decayed(tuple(entries), fixed(feature["half_life"]))

    def transactions(self) -> list[list[Event]]:
        """The orders that stand, by calendar day."""
        days: dict[date, list[Event]] = {}
        for order in sorted(self.orders.bought, key=lambda event: event.time):
            days.setdefault(wall(to_ms(order.time), self.book.zone).date(), []).append(order)
        return list(days.values())

    def recency(self) -> tuple[int, int, int] | None:
        """x, tx and age, of the model."""
        firsts = [to_ms(day[0].time) for day in self.transactions()]
        return (len(firsts) - 1, firsts[-1] - firsts[0], self.instant - firsts[0]) if firsts else None

    def p_alive(self, _: dict[str, Any], __: str) -> Operand:
        seen = self.recency()
        return UNKNOWN if seen is None else Alive(oracle_models.alive(self.book.bg_nbd, *seen))

    def expected(self, feature: dict[str, Any], _: str) -> Operand:
        seen = self.recency()
        if seen is None:
            return UNKNOWN
        x, tx, age = seen
        stepped = max(age // DAY * DAY, tx)
        return Real(oracle_models.expected(self.book.bg_nbd, x, tx, stepped, fixed(feature["horizon"])))

    def value(self, _: dict[str, Any], __: str) -> Operand:
        days = self.transactions()
        if not days:
            return UNKNOWN
        nets = [sum(self.net(order) for order in day) for day in days[1:]]
        total = sum(nets) * Fraction(10) ** -self.book.digits
        counted = sum(net > 0 for net in nets)
        return Money(oracle_models.value_of_a_purchase(self.book.gamma_gamma, counted, total), modelled=True)

    def rfm(self, _: dict[str, Any], part: str) -> Operand:
        if not self.orders.bought:
            return UNKNOWN
        cuts = self.book.calibration["rfm"]
        if part == "r":
            last = max(to_ms(order.time) for order in self.orders.bought)
            return Number(5 - sum(anniversary(last, cut, self.book.zone) <= self.instant for cut in cuts["recency"]))
        if part == "f":
            return Number(1 + sum(len(self.orders.bought) >= plain(cut) for cut in cuts["frequency"]))
        spend = self.sum({"sum": "purchase.amount", "minus": "refund.amount"}, "")
        assert isinstance(spend, Number)
        return Number(1 + sum(spend.value >= plain(cut) for cut in cuts["monetary"]))

    def stage(self, _: dict[str, Any], part: str) -> Operand:
        stages = newest_last([event for event in self.orders.known if isinstance(event, Stage)])
        if not stages:
            return UNKNOWN
        if part == "":
            return Text(stages[-1].data.stage)
        run = stages[-1]
        for event in reversed(stages):
            if event.data != stages[-1].data:
                break
            run = event
        return self.since(to_ms(run.time))

    def attribute(self, name: str) -> Operand:
        profiles = newest_last([event for event in self.orders.known if isinstance(event, Profile)])
        said = [event.data.attributes[name] for event in profiles if name in event.data.attributes]
        return Text(said[-1]) if said and said[-1] is not None else UNKNOWN

    def card(self, card: dict[str, dict[str, str]]) -> Operand:
        points = Fraction(0)
        for name, part in card.items():
            operand = self[name]
            if operand.known:
                assert isinstance(operand, Number)
                share = min(max(Fraction(operand.value) / plain(part["full"]), Fraction(0)), Fraction(1))
                points += plain(part["weight"]) * share
        return Number(points)


KINDS = {
    "count": Values.count,
    "sum": Values.sum,
    "mean": Values.mean,
    "ratio": Values.ratio,
    "since_last": Values.since_last,
    "regularity": Values.regularity,
    "overdue": Values.overdue,
    "trend": Values.trend,
    "score": Values.score,
    "p_alive": Values.p_alive,
    "expected": Values.expected,
    "value": Values.value,
    "rfm": Values.rfm,
    "stage": Values.stage,
    "feedback": Values.feedback,
}
"""By the key that says what kind of feature it is."""


def asked(where: str, event: Event) -> bool:
    """Whether the event's fields meet the condition; a field that is not there is unknown."""
    fields = fields_of(event)
    named = {token for token in oracle_rules.tokens(where) if token[0].isalpha()}
    operands: dict[str, Operand] = {}
    for name in named:
        value = fields.get(name)
        operands[name] = UNKNOWN if value is None else Text(value) if isinstance(value, str) else Number(value)
    return oracle_rules.holds(where, operands)


def percent(event: Event) -> Fraction:
    """Feedback from 0 (worst) to 100."""
    assert isinstance(event, Feedback)
    score = Fraction(event.data.score_centi or 0, 100)
    return {"rating": (score - 1) * 25, "nps": score * 10, "complaint": Fraction(0)}[event.data.kind]


def newest_last(events: Sequence[E]) -> list[E]:
    """By time; of one millisecond the larger hash comes last."""
    return sorted(events, key=lambda event: (event.time, hash_of(event.source, event.id)))


def fixed(span: str) -> int:
    count, unit = parts(span)
    return count * FIXED[unit]


def plain(number: str) -> Fraction:
    return Fraction(number.replace("_", ""))

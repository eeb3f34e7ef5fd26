"""The oracle's orders: what a log's events are to one another (rules 5 and 7), before any feature is asked."""

from collections.abc import Mapping, Sequence
from fractions import Fraction
from functools import cached_property, lru_cache
from hashlib import blake2b

from schemas.events import Event, Feedback, Interaction, Override, Profile, Purchase, Refund, Stage
from tests.scorer.domain.oracle_calendar import to_ms


class Orders:
    """The orders among the events of some instant, and what refunds have taken of them by then (rule 7).

    known:    the events up to the instant
    accepted: all events; which order a refund means is settled among them, whenever they happen
    """

    def __init__(self, known: Sequence[Event], accepted: Sequence[Event]) -> None:
        self.known = known
        self.ever = [event for event in accepted if isinstance(event, Purchase)]
        self.all = [event for event in known if isinstance(event, Purchase)]
        self.refunds = [event for event in known if isinstance(event, Refund)]
        self.loose = [refund for refund in self.refunds if refund.data.order is None]
        self._meant = {id(refund): self._order_of(refund) for refund in self.refunds}
        self._left = {id(order): self.settle(order) for order in self.all}

    @cached_property
    def standing(self) -> list[Event]:
        """The events that count, in order of time."""
        return [event for event in self.known if self.stands(event)]

    @cached_property
    def bought(self) -> list[Event]:
        """The orders that stand, in order of time."""
        return [event for event in self.standing if isinstance(event, Purchase)]

    def order_of(self, refund: Refund) -> Purchase | None:
        return self._meant[id(refund)]

    def _order_of(self, refund: Refund) -> Purchase | None:
        """The order with that key, or else the purchase of that id and source that had no key of its own."""
        keyed = [p for p in self.ever if p.data.order is not None and p.data.order == refund.data.order]
        own = [p for p in self.ever if p.data.order is None and (p.source, p.id) == (refund.source, refund.data.order)]
        return next((p for p in [*keyed, *own][:1] if any(p is known for known in self.all)), None)

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

    def left(self, order: Purchase) -> int:
        return self._left[id(order)][0]

    def refunded(self, order: Purchase) -> int:
        return order.data.amount_minor - self.left(order)

    def surplus(self, order: Purchase) -> int:
        return self._left[id(order)][1] if id(order) in self._left else 0

    def stands(self, event: Event) -> bool:
        """Whether it counts: an order of which something is left, a refund in effect, anything else."""
        if isinstance(event, Purchase):
            return not self.refunds_of(event) or self.left(event) > 0
        if isinstance(event, Refund) and event.data.order is not None:
            order = self.order_of(event)
            return order is not None and same_currency(event, order)
        return True

    def place_of(self, event: Event) -> Event:
        """Whose time says when it leaves a window: a refund is where its order is."""
        order = self.order_of(event) if isinstance(event, Refund) and event.data.order is not None else None
        return event if order is None else order

    def start_of(self, event: Event) -> int:
        """From when it counts: a refund never before its order."""
        return max(to_ms(event.time), to_ms(self.place_of(event).time))

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


CONTENT = ("amount_minor", "currency", "order", "score_centi")


def same_content(one: Event, other: Event) -> bool:
    """Kind (an outbound contact is another kind than an inbound one, a complaint another than a rating), time, amount
    (of feedback the score), currency and order; of a stage, profile or override all it says. The time of an event that
    came without one is no content."""
    if kind_of(one) != kind_of(other):
        return False
    if not (one.stamped or other.stamped) and one.time != other.time:
        return False
    if isinstance(one, Stage | Profile | Override):
        return one.data == other.data
    return all(getattr(one.data, field, None) == getattr(other.data, field, None) for field in CONTENT)


def same_currency(refund: Refund, order: Purchase) -> bool:
    return refund.data.currency is None or refund.data.currency == order.data.currency


def kind_of(event: Event) -> str:
    if isinstance(event, Feedback):
        return event.data.kind
    outbound = isinstance(event, Interaction) and event.data.direction == "outbound"
    return "outbound" if outbound else type_of(event)


def type_of(event: Event) -> str:
    return type(event).__name__.lower()


def fields_of(event: Event) -> Mapping[str, str | Fraction]:
    """The fields a `where` may ask for, as far as the event has them."""
    fields: dict[str, str | Fraction] = {}
    for name in ("channel", "page", "form", "direction", "kind", "opportunity", "stage"):
        value = getattr(event.data, name, None)
        if value is not None:
            fields[name] = value
    if isinstance(event, Feedback) and event.data.score_centi is not None:
        fields["score"] = Fraction(event.data.score_centi, 100)
    return fields


@lru_cache(maxsize=50_000)
def hash_of(source: str, id_: str) -> int:
    """What orders events of one millisecond."""
    digest = blake2b(f"{source}\x00{id_}".encode(), digest_size=7).digest()
    return int.from_bytes(digest, "big")


def sorted_by_time(events: Sequence[Event]) -> list[Event]:
    return sorted(events, key=lambda event: (to_ms(event.time), hash_of(event.source, event.id)))

"""Orders and their refunds: which refund belongs to which order, and how much of it takes effect when (rule 7).

A refund names its order by the order's key, or else by the id of a keyless order of the same source; an order with
that very key goes first, whenever it arrives. A refund of an order takes effect at its own time, never before the
order's, and is in the windows its order is in, counted as an event as well as in money. Before its order is known, or
in another currency than its order's, it has no effect at all.
"""

from collections.abc import Iterable, Sequence

import msgspec

from services.scorer.domain.entries import PURCHASE, REFUND, REST, Entry


class Take(msgspec.Struct, frozen=True):
    """A refund in effect: `amount` is off from `start_ms` until the window leaves `order` (None: the refund itself).

    taken: what its order's refunds take up to and with this one
    """

    refund: Entry
    order: Entry | None
    start_ms: int
    amount: int
    taken: int


class Settlement(msgspec.Struct, frozen=True):
    """Every refund settled against the orders known.

    takes:       refunds in effect
    of_order:    the takes of each order, by its id, in the order of their effect
    voided_ms:   per order id the instant from which nothing of it is left
    surplus:     per order id what its refunds ask for beyond its amount, minor units
    foreign:     ids of refunds in another currency than their order's: no effect
    """

    takes: list[Take]
    of_order: dict[int, list[Take]]
    voided_ms: dict[int, int]
    surplus: dict[int, int]
    foreign: set[int]


NOTHING = Settlement([], {}, {}, {}, set())


def settle(entries: Sequence[Entry]) -> Settlement:
    """Settle all refunds of a ledger; an order not known yet leaves its refunds without effect."""
    refunds = [e for e in entries if e.kind == REFUND]
    if not refunds:
        return NOTHING
    by_key = {e.order: e for e in entries if e.order and e.kind == PURCHASE}
    by_id = {e.id: e for e in entries if not e.order and e.kind == PURCHASE}
    settlement = Settlement([], {}, {}, {}, set())
    refunds_of: dict[int, list[Entry]] = {}
    for refund in refunds:
        if not refund.order:
            amount = max(refund.amount, 0)
            settlement.takes.append(Take(refund, None, refund.time_ms, amount, amount))
            continue
        order = by_key.get(refund.order) or by_id.get(refund.named_id)
        if order is None:
            continue
        if refund.currency and refund.currency != order.currency:
            settlement.foreign.add(refund.id)
            continue
        refunds_of.setdefault(order.id, []).append(refund)
    for order in (*by_key.values(), *by_id.values()):
        if order.id in refunds_of:
            _settle_order(settlement, order, refunds_of[order.id])
    return settlement


def _settle_order(settlement: Settlement, order: Entry, refunds: Iterable[Entry]) -> None:
    """Refunds take from what is left in the order of their effect, then of their own time; of one time those with an
    amount go first."""
    left = order.amount
    takes = settlement.of_order[order.id] = []
    for refund in sorted(refunds, key=lambda e: (max(e.time_ms, order.time_ms), e.time_ms, e.amount == REST, e.id)):
        start_ms = max(refund.time_ms, order.time_ms)
        amount = left if refund.amount == REST else min(refund.amount, left)
        if refund.amount > amount:
            settlement.surplus[order.id] = settlement.surplus.get(order.id, 0) + refund.amount - amount
        left -= amount
        takes.append(Take(refund, order, start_ms, amount, order.amount - left))
        if left == 0:
            settlement.voided_ms.setdefault(order.id, start_ms)
    settlement.takes.extend(takes)

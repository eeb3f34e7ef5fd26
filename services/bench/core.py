"""What one event costs in the deciding core, and what one customer weighs: `make bench-core`.

An event takes a customer from record to record (`scoring.score`): bytes are decoded, decided and encoded again, as the
scorer does it.
Figures are the best of several repeats, in CPU time; those of one run may be compared with each other.
"""

import argparse
import gc
import platform
import random
import sys
import time
from collections.abc import Callable, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Literal, NamedTuple

import psutil

from schemas import events
from services.scorer.domain import life
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import due_ms, encode
from services.scorer.domain.policy import parse
from services.scorer.domain.scoring import Arrival, decide, score
from services.scorer.domain.state import Customer
from services.scorer.domain.timers import TimerQueue

BEGIN = datetime(2026, 1, 1, tzinfo=UTC)
LONGEST_GAP_MS = 8 * 86_400_000
LATEST_MS = 30 * 86_400_000
LATE = (0.01, 0.1, 0.5, 1.0)
SUBJECT = "c"
POLICIES = [Path("policies/bench.yaml"), Path("policies/retail.yaml")]

Kind = Literal["plain", "keyed", "refund"]


class Case(NamedTuple):
    """A customer's record, and the event that comes next."""

    record: bytes
    arrival: Arrival
    now_ms: int


def event(rng: random.Random, number: int, at: datetime, kind: Kind = "plain") -> events.Event:
    """Half purchases of 1 to 200 units, half interactions.

    kind: as said; or every order has a key; or the second event is an order, which the fifth sends back
    """
    identity = f"e{number}"
    if kind == "refund" and number == 4:
        return events.Refund(id=identity, source="shop", subject=SUBJECT, time=at, data=events.RefundData(order="e1"))
    if rng.random() < 0.5 or (kind == "refund" and number == 1):
        order = f"order-{number}" if kind == "keyed" else None
        data = events.PurchaseData(rng.randrange(100, 20_000), "USD", order)
        return events.Purchase(id=identity, source="shop", subject=SUBJECT, time=at, data=data)
    return events.Interaction(id=identity, source="shop", subject=SUBJECT, time=at)


def cases(
    policies: Policies, customers: int, entries: int, late: float, kind: Kind = "plain", seed: int = 1
) -> list[Case]:
    """Customers with so many entries, up to 8 days apart; the next event in order, or late by up to 30 days."""
    rng = random.Random(seed)
    made = []
    for _ in range(customers):
        customer, at = Customer.new(policies), BEGIN
        for number in range(entries):
            at += timedelta(milliseconds=rng.randrange(1_000, LONGEST_GAP_MS))
            arrival = Arrival(event(rng, number, at, kind), to_ms(at), number, b"")
            decide(customer, policies, [arrival], to_ms(at), SUBJECT)
        if rng.random() < late:
            now, then = at, at - timedelta(milliseconds=rng.randrange(1_000, LATEST_MS))
        else:
            now = then = at + timedelta(milliseconds=rng.randrange(1_000, 86_400_000))
        arrival = Arrival(event(rng, entries, then, kind), to_ms(now), entries, b"")
        made.append(Case(encode(customer), arrival, to_ms(now)))
    return made


def best(work: Callable[[], None], repeats: int) -> float:
    """Seconds of CPU time of the best repeat."""
    figures = []
    gc.collect()
    gc.disable()
    for _ in range(repeats):
        begun = time.process_time()
        work()
        figures.append(time.process_time() - begun)
    gc.enable()
    return min(figures)


def cost(policies: Policies, made: Sequence[Case], repeats: int) -> float:
    """Microseconds an event."""

    def work() -> None:
        for record, arrival, now_ms in made:
            score(record, policies, (arrival,), now_ms, SUBJECT)

    return best(work, repeats) / len(made) * 1e6


def changes(policies: Policies, made: Sequence[Case]) -> float:
    """Decision records an event."""
    found = 0
    for record, arrival, now_ms in made:
        found += len(score(record, policies, (arrival,), now_ms, SUBJECT)[1].changes)
    return found / len(made)


def ruler(repeats: int) -> float:
    """Microseconds for a fixed piece of plain Python, to compare machines and loads by."""

    def work() -> None:
        total, known = 0, {}
        for i in range(10_000):
            known[i & 63] = total
            total += known[i & 63] & 7

    return best(work, repeats) * 1e6 / 10_000


def weigh(policies: Policies, made: Sequence[Case], customers: int) -> tuple[float, float]:
    """Bytes a customer in memory with timers, and bytes of a record, for a million customers in a dict."""
    process = psutil.Process()
    gc.collect()
    before = process.memory_info().rss
    records: dict[bytes, bytes] = {}
    timers = TimerQueue(lambda key: due_ms(records[key]))
    for i in range(customers):
        key, record = f"customer-{i:07}".encode(), bytes(bytearray(made[i % len(made)].record))
        records[key] = record
        due = due_ms(record)
        if due is not None:
            timers.schedule(key, due)
    weight = (process.memory_info().rss - before) / customers
    return weight, sum(len(case.record) for case in made) / len(made)


def main() -> int:
    options = argparse.ArgumentParser(description=__doc__)
    options.add_argument("--customers", type=int, default=2_000, help="in each figure")
    options.add_argument("--repeats", type=int, default=15)
    options.add_argument("--million", type=int, default=1_000_000, help="customers held in memory; 0 leaves it out")
    options.add_argument(
        "policies", nargs="*", type=Path, default=[Path("policies/bench.yaml"), Path("policies/retail.yaml")]
    )
    given = options.parse_args()
    native = not (life.__file__ or "").endswith(".py")
    print(f"{platform.processor() or platform.machine()}, Python {platform.python_version()}, ", end="")
    print(f"core {'compiled' if native else 'in Python'}, ruler {ruler(given.repeats):.3f} microseconds")
    for path in given.policies:
        policies = Policies.only(parse(path.read_text("utf-8"), str(path)))
        print(f"\n{path}: microseconds an event, state decoded and encoded")
        print("  entries   in order   late 1 %  late 10 %  late 50 %   all late   times   changes/event   bytes")
        for entries in (10, 50):
            ordered = cases(policies, given.customers, entries, 0.0)
            plain = cost(policies, ordered, given.repeats)
            late = [cost(policies, cases(policies, given.customers, entries, s), given.repeats) for s in LATE]
            size = sum(len(case.record) for case in ordered) / len(ordered)
            print(f"  {entries:7}  {plain:9.1f}  {'  '.join(f'{figure:9.1f}' for figure in late)}", end="")
            print(f"  {late[-1] / plain:6.1f}  {changes(policies, ordered):14.2f}  {size:6.0f}")
            keyed = cost(policies, cases(policies, given.customers, entries, 0.0, "keyed"), given.repeats)
            back = cost(policies, cases(policies, given.customers, entries, 0.0, "refund"), given.repeats)
            print(f"           {keyed:9.1f}  where orders have keys; {back:.1f} of who has sent one back")
        if given.million:
            weight, size = weigh(policies, cases(policies, given.customers, 10, 0.0), given.million)
            print(
                f"  {given.million:,} customers of 10 entries with timers: {weight:.0f} bytes each, records {size:.0f}"
            )
    return 0


if __name__ == "__main__":
    sys.exit(main())

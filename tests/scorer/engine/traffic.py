"""Traffic whose outcome is known, and the check that readers of committed records see it as if nothing had happened."""

import asyncio
from collections.abc import Sequence
from datetime import timedelta

from schemas.decisions import Decision
from schemas.events import Event
from services.scorer.domain.instants import to_ms
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.state import Customer
from tests.scorer.engine.installation import Installation, ago, interaction, purchase
from tests.waiting import until

Told = tuple[str, str, int, object, object, object, str]


def told(subject: str, decision: Decision) -> Told:
    """What a decision says, without when it was decided."""
    return (
        subject,
        decision.dimension,
        decision.revision,
        decision.before,
        decision.after,
        decision.effective_at,
        decision.cause,
    )


def traffic(count: int, customers: int) -> list[Event]:
    """Orders and calls of some customers, in the order of their times, the last of them just now."""
    began = ago(count / 1000 + 1)
    return [
        make(f"c{n * 7 % customers}", at=began + timedelta(milliseconds=n))
        for n in range(count)
        for make in [purchase if n % 3 else interaction]
    ]


def expected(installation: Installation, events: Sequence[Event]) -> set[Told]:
    """What the pure core says of the same events, one at a time."""
    customers: dict[str, Customer] = {}
    said: set[Told] = set()
    for event in events:
        customer = customers.setdefault(event.subject, Customer.new(installation.policies))
        at = to_ms(event.time)
        for change in decide(customer, installation.policies, [Arrival(event, at, 0, b"")], at).changes:
            effective = event.time + timedelta(milliseconds=change.effective_ms - at)
            said.add(
                (
                    event.subject,
                    change.dimension.name,
                    change.revision,
                    change.before,
                    change.after,
                    effective,
                    change.cause,
                )
            )
    return said


async def feed(installation: Installation, events: Sequence[Event]) -> None:
    """Send in small portions until all is sent."""
    for start in range(0, len(events), 20):
        await asyncio.to_thread(installation.send, events[start : start + 20])


async def everything_taken(installation: Installation) -> None:
    ends = await asyncio.to_thread(installation.ends)

    async def all_taken() -> bool:
        _, positions = await asyncio.to_thread(installation.state)
        return {p: position.events_offset for p, position in positions.items()} == ends

    await until(all_taken, within=40, what=f"positions {ends}")


def check(installation: Installation, events: Sequence[Event]) -> None:
    """Every event is in the state once, every decision on its topic once, in sequences without gaps."""
    customers, positions = installation.state()
    for subject in {event.subject for event in events}:
        sent = sum(event.subject == subject for event in events)
        assert len(customers[subject].ledger) == sent, subject
    stored = installation.read("decisions")
    records = installation.decision_records()
    for partition, position in positions.items():
        sequences = [r.sequence for s, r in zip(stored, records, strict=True) if s.partition == partition]
        assert sequences == list(range(1, position.sequence + 1))
    decisions = [record for record in records if isinstance(record, Decision)]
    assert {told(d.subject, d) for d in decisions} == expected(installation, events)
    announced = sum(d.before != d.after for d in decisions if d.dimension == "tier")
    assert len(installation.read("tier-changes")) == announced

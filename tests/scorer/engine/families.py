"""Customers merged, parted and erased, as ingest has it done; and whose entries stand where then."""

import asyncio
from collections.abc import Iterable

from services.shared.identities import Sequencer
from tests.scorer.engine.installation import Installation, now
from tests.waiting import until


def merge(of: Installation, pairs: Iterable[tuple[str, str]]) -> None:
    sequencer = Sequencer(of.settings)
    for other, into in pairs:
        sequencer.append(lambda known, o=other, i=into: known.merge(o, i, now()))  # type: ignore[misc]
    sequencer.close()


def part(of: Installation, pairs: Iterable[tuple[str, str]]) -> None:
    sequencer = Sequencer(of.settings)
    for other, into in pairs:
        sequencer.append(lambda known, o=other, i=into: known.unmerge(o, i, now()))  # type: ignore[misc]
    sequencer.close()


def erase(of: Installation, subjects: Iterable[str]) -> None:
    sequencer = Sequencer(of.settings)
    for subject in subjects:
        sequencer.append(lambda known, s=subject: known.erase(s, now()))  # type: ignore[misc]
    sequencer.close()


def entries(of: Installation) -> dict[str, int]:
    """By customer how many entries, those that waited for their time in the record written last included."""
    held = {name: len(customer.ledger) + len(customer.waiting) for name, customer in of.state()[0].items()}
    return {name: count for name, count in held.items() if count}


async def has(of: Installation, wanted: dict[str, int]) -> None:
    await until(lambda: asyncio.to_thread(lambda: entries(of) == wanted), within=60, what="the ledgers wanted")

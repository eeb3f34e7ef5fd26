"""Delivers what a scribe has written straight to a database, and tells what stands there."""

from typing import Any

from sqlalchemy import text

from services.notifier.apply import Applied, Applier
from services.notifier.deciding import Deciding
from services.notifier.store import offsets
from services.notifier.store.database import Database
from services.scorer.domain.policy import Policy
from tests.notifier.scribe import Scribe

EVERYTHING = {
    "customers": "SELECT * FROM customers ORDER BY subject",
    "decisions": "SELECT subject, dimension, revision, sequence, position IS NULL, record FROM decisions "
    "ORDER BY 1, 2, 3",
    "tallies": "SELECT * FROM tallies ORDER BY 1, 2, 3, 4",
    "tasks": "SELECT subject, playbook, title, revision, opened_at, due_at, state, reason, finished_at FROM tasks "
    "ORDER BY 1, 2, 4",
    "alerts": "SELECT subject, revision, since, ending, closed_revision FROM alerts ORDER BY 1, 2",
    "held": "SELECT * FROM held",
    "progress": "SELECT * FROM progress ORDER BY partition",
    "consumed": "SELECT * FROM consumed ORDER BY topic, partition",
}


async def contents(desk: "Desk", *, without: str = "") -> dict[str, list[tuple[Any, ...]]]:
    """Every row of every table, but those columns that may differ between two ways to the same end."""
    return {name: await desk.rows(query) for name, query in EVERYTHING.items() if name != without}


class Desk:
    """Delivers a scribe's logs to a database through the applier, from the offsets the database holds."""

    def __init__(self, database: Database, policy: Policy, scribe: Scribe) -> None:
        self.database = database
        self.scribe = scribe
        self.deciding = Deciding(policy, "corner_shop.yaml", lambda: scribe.activations)
        self.applier = Applier(self.deciding)

    async def places(self) -> dict[tuple[str, int], int]:
        """The offsets the database holds of the scribe's logs."""
        async with self.database.transaction() as connection:
            return await offsets.load(connection, list(self.scribe.logs))

    async def deliver(self, most: int = 1_000_000) -> Applied:
        """One transaction with at most `most` records of each partition."""
        batch = self.scribe.batch(await self.places(), most)
        await self.deciding.know(batch)
        async with self.database.transaction() as connection:
            return await self.applier.apply(connection, batch)

    async def deliver_singly(self) -> None:
        """A transaction for each record of each partition."""
        for _ in range(max(len(log) for log in self.scribe.logs.values())):
            await self.deliver(1)

    async def rows(self, query: str) -> list[tuple[object, ...]]:
        async with self.database.transaction() as connection:
            return [tuple(row) for row in await connection.execute(text(query))]

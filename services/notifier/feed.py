"""Wakes whoever waits for the feed to go on, whichever instance brought it on.

PostgreSQL notifies at each commit that took positions; we listen on a connection of our own. While that connection is
gone, waiters look for themselves every second.
"""

import asyncio
import contextlib

import asyncpg
import structlog

from services.notifier.store.database import Database, DatabaseAway, passing_errors
from services.notifier.store.feed import CHANNEL

log = structlog.get_logger(__name__)

RETRY_S = 1.0


class Feed:
    """Run `listen` in a task. `turn` counts the notifications: take it before reading, give it to `changed`."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._listening = False
        self._changed = asyncio.Event()
        self.turn = 0
        self.closed = False

    async def listen(self) -> None:
        """Until cancelled."""
        while True:
            try:
                with passing_errors():
                    await self._listen_once()
            except DatabaseAway as error:
                log.warning("not listening to the database, looking every second", error=str(error))
            self._wake()
            await asyncio.sleep(RETRY_S)

    async def changed(self, turn: int, within_s: float) -> None:
        """Returns once something was notified since `turn` was taken, or the feed is closed, or after `within_s`."""
        if self.turn == turn and not self.closed:
            within_s = within_s if self._listening else min(within_s, RETRY_S)
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(within_s):
                    await self._changed.wait()

    def close(self) -> None:
        """The service ends: every stream is to end."""
        self.closed = True
        self._wake()

    async def _listen_once(self) -> None:
        connection = await asyncpg.connect(self._database.dsn, timeout=5)
        gone = asyncio.Event()
        connection.add_termination_listener(lambda _: gone.set())
        try:
            await connection.add_listener(CHANNEL, lambda *_: self._wake())
            self._listening = True
            await gone.wait()
            raise DatabaseAway("the listening connection is gone")
        finally:
            self._listening = False
            with contextlib.suppress(OSError, asyncpg.InterfaceError, TimeoutError):
                await connection.close(timeout=2)

    def _wake(self) -> None:
        self.turn += 1
        woken, self._changed = self._changed, asyncio.Event()
        woken.set()

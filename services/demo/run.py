"""The demo from its first purchase to the table: the composition root of `tierline up --demo`."""

import asyncio
from datetime import UTC, datetime
from pathlib import Path

import httpx
import msgspec
import yaml
from rich.console import Console

from services.demo import summary
from services.demo.arrival import ACCEPTED, DECIDED, STORED, arrival
from services.demo.bookmark import Bookmark, open_bookmark
from services.demo.cdnow import Purchase, purchases, shift_to
from services.demo.naive_rules import NotKnownHere
from services.demo.notifier import Notifier
from services.demo.recompute import begins, recompute
from services.demo.replay import replay
from services.demo.tracks import Tracks
from services.demo.verify import disagreements
from services.local.errors import CannotStart
from services.local.stages import Stages

NAMED = 10
_TIMEOUT_S = 30.0


class Demo(msgspec.Struct, frozen=True, kw_only=True):
    """ingest, scorer, notifier: their addresses.  folder: where the bookmark is.  policy: its YAML.
    sample: every how many-th customer.  log: gets the progress.  out: gets the table."""

    ingest: str
    scorer: str
    notifier: str
    folder: Path
    policy: str
    sample: int
    stages: Stages
    log: Console
    out: Console

    async def run(self, *, verify: bool) -> bool:
        """Replay, wait until all is in the database, verify if asked to, show the table; whether all agrees.

        CannotStart if it can't be brought to its end.
        """
        bought = await asyncio.to_thread(purchases, self.sample)
        bookmark = open_bookmark(self.folder, shift_days=shift_to(datetime.now(UTC).date()), sample=self.sample)
        self._say(bookmark, bought)
        async with _client(self.ingest) as ingest, _client(self.scorer) as scorer, _client(self.notifier) as client:
            notifier = Notifier(client)
            with Tracks(self.log, [ACCEPTED, DECIDED, STORED], len(bought)) as tracks:
                await self._bring_in(ingest, scorer, notifier, bought, bookmark, tracks)
            at = datetime.now(UTC).replace(microsecond=0)
            wrong = await self._verify(notifier, bought, bookmark, at) if verify else []
            await self._show(notifier, bookmark)
            if not verify:
                await self._show_where_next(notifier)
        if verify:
            self._judge(wrong, len({purchase.customer for purchase in bought}), at)
        return not wrong

    def _say(self, bookmark: Bookmark, bought: list[Purchase]) -> None:
        customers = len({purchase.customer for purchase in bought})
        whose = f"{len(bought):,} purchases of {customers:,} customers of CDNOW"
        if bookmark.done:
            text = f"{whose} have been replayed before on this data; --fresh starts anew"
        elif bookmark.acknowledged:
            text = f"the replay of {whose} goes on behind the first {bookmark.acknowledged:,}"
        else:
            text = f"replaying {whose}, moved so that the last day is yesterday"
        self.log.print(text, highlight=False, soft_wrap=True)

    async def _bring_in(
        self,
        ingest: httpx.AsyncClient,
        scorer: httpx.AsyncClient,
        notifier: Notifier,
        bought: list[Purchase],
        bookmark: Bookmark,
        tracks: Tracks,
    ) -> None:
        """Returns when all purchases are in the database, whatever was decided of them too."""

        def kept() -> None:
            bookmark.save(self.folder)
            tracks.at(ACCEPTED, bookmark.acknowledged)

        async def post() -> None:
            with self.stages.stage("replay"):
                await replay(ingest, bought, bookmark, kept)

        try:
            async with asyncio.TaskGroup() as group:
                posting = group.create_task(post())
                arriving = group.create_task(arrival(notifier, scorer, bookmark, tracks))
                await posting
                with self.stages.stage("until the rest is in the database"):
                    await arriving
        except ExceptionGroup as errors:
            raise errors.exceptions[0] from errors

    async def _verify(self, notifier: Notifier, bought: list[Purchase], bookmark: Bookmark, at: datetime) -> list[str]:
        with self.stages.stage("verification"):
            try:
                expected = await asyncio.to_thread(recompute, self.policy, bought, bookmark.shift_days, at)
            except NotKnownHere as error:
                raise CannotStart(f"the recomputation does not know what the policy says: {error}") from error
            return await disagreements(notifier, expected, at, begins=begins(self.policy))

    async def _show(self, notifier: Notifier, bookmark: Bookmark) -> None:
        numbers = await notifier.summary()
        self.out.print(summary.table(bookmark.acknowledged, self._tiers(), numbers, self.stages.seconds))

    async def _show_where_next(self, notifier: Notifier) -> None:
        best = self._tiers()[0]
        first = [row.subject async for row in notifier.customers(tier=best)][:1] or ["cdnow-00001"]
        curls = summary.curl_lines(self.ingest, self.notifier, best, first[0])
        self.out.print(summary.where_next(self.ingest, self.notifier, curls), highlight=False, soft_wrap=True)

    def _judge(self, wrong: list[str], customers: int, at: datetime) -> None:
        if not wrong:
            text = f"All {customers:,} customers are where the recomputation from the file says, as of {at:%F %T} UTC."
        else:
            more = [f"and {len(wrong) - NAMED:,} more"] if len(wrong) > NAMED else []
            lines = [
                f"{len(wrong):,} of {customers:,} customers are not where the recomputation says, as of {at:%F %T} UTC:"
            ]
            text = "\n  ".join([*lines, *wrong[:NAMED], *more])
        self.out.print(text, highlight=False, soft_wrap=True)

    def _tiers(self) -> list[str]:
        """Of the policy, best first."""
        ladder = yaml.load(self.policy, Loader=yaml.BaseLoader)["ladders"]["tier"]
        return [rung["name"] for rung in ladder]


def _client(address: str) -> httpx.AsyncClient:
    return httpx.AsyncClient(base_url=address, timeout=_TIMEOUT_S, trust_env=False)

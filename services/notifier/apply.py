"""One batch into the database: everything that follows from it, and its offsets, in one transaction."""

from collections import defaultdict
from collections.abc import Iterable, Sequence
from typing import NamedTuple

from sqlalchemy.ext.asyncio import AsyncConnection

from services.notifier.deciding import Deciding
from services.notifier.domain import alerts as episodes
from services.notifier.domain.alerts import Alert
from services.notifier.domain.playbooks import Playbooks
from services.notifier.domain.tasks import Task
from services.notifier.domain.turns import Turn
from services.notifier.intake import Batch, Kept, Unreadable
from services.notifier.projection import Projection
from services.notifier.store import alerts, customers, decisions, held, offsets, progress, tasks
from services.scorer.domain.explain import applies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import StateError, alias_of, decode
from services.scorer.domain.policy import Playbook
from services.scorer.domain.state import Customer

RELEASED_AT_ONCE = 5_000


class Applied(NamedTuple):
    """turns: the decisions not seen before.  more: whether `release` has more to do."""

    turns: list[Turn]
    more: bool


class Applier:
    """Applies batches. Holds no state of its own: the database is all there is."""

    def __init__(self, deciding: Deciding) -> None:
        self._deciding = deciding

    async def apply(self, connection: AsyncConnection, batch: Batch) -> Applied:
        """Write what the batch says; its policies are known. OffsetConflict, Unreadable: nothing of it may be kept."""
        await offsets.move(connection, batch.moves)
        await self._project(connection, batch)
        await progress.move(connection, batch)
        fresh = await decisions.unseen(connection, batch.decisions)
        await decisions.add(connection, fresh)
        await self._follow_churn(connection, [kept.turn for kept in fresh if kept.turn.kind == "churn"])
        watched = [k for k in fresh if k.turn.announced and k.turn.dimension in self._playbooks(k.turn).watched]
        await held.hold(connection, [kept for kept in watched if self._waits(kept)])
        released = await held.release(connection, batch.partitions, RELEASED_AT_ONCE)
        at_once = [(kept.partition, kept.turn) for kept in watched if not self._waits(kept)]
        await self._run_playbooks(connection, [*released.turns, *at_once])
        return Applied([kept.turn for kept in fresh], released.more)

    async def release(self, connection: AsyncConnection, partitions: Sequence[int]) -> bool:
        """Run more of the playbooks that need wait no longer; whether there are still more."""
        released = await held.release(connection, partitions, RELEASED_AT_ONCE)
        await self._run_playbooks(connection, released.turns)
        return released.more

    def _playbooks(self, turn: Turn) -> Playbooks:
        return self._deciding.playbooks(turn)

    def _waits(self, kept: Kept) -> bool:
        return kept.turn.catching_up or kept.turn.dimension in self._playbooks(kept.turn).deferring

    async def _project(self, connection: AsyncConnection, batch: Batch) -> None:
        rows, gone, projection = [], [], Projection(self._deciding.policies)
        aliases: dict[str, str] = {}
        for subject, (partition, record) in batch.states.items():
            into = None if record is None else alias_of(record)
            if record is None or into is not None:
                gone.append(subject)
                if into is not None:
                    aliases[subject] = into
                continue
            try:
                row = projection.row(subject, partition, record)
            except StateError as error:
                raise Unreadable(f"the state of {subject!r} in partition {partition}: {error}") from error
            if row is None:
                gone.append(subject)
            else:
                rows.append(row)
        await customers.put(connection, rows)
        await customers.remove(connection, gone)
        await customers.put_aliases(connection, aliases, batch.states.keys() - aliases.keys())

    async def _follow_churn(self, connection: AsyncConnection, turns: Sequence[Turn]) -> None:
        rewritten = {turn.subject for turn in turns if turn.cause not in ("event", "time")}
        known = await alerts.of(connection, {turn.subject for turn in turns}, rewritten)
        of_customer: dict[str, list[Alert]] = defaultdict(list)
        for alert in known:
            of_customer[alert.subject].append(alert)
        raised: list[Alert] = []
        altered: dict[int, Alert] = {}
        for turn in turns:
            new, changed = episodes.follow(turn, of_customer[turn.subject])
            of_customer[turn.subject] += new
            raised += new
            altered |= {alert.id: alert for alert in changed if alert.id is not None}
        await alerts.alter(connection, list(altered.values()))
        await alerts.add(connection, raised)

    async def _run_playbooks(self, connection: AsyncConnection, turns: Iterable[tuple[int, Turn]]) -> None:
        ordered = [turn for _, turn in sorted(turns, key=lambda pair: (pair[0], pair[1].sequence))]
        subjects = {turn.subject for turn in ordered}
        asking = {turn.subject for turn in ordered if self._playbooks(turn).asks(turn)}
        states = await customers.states(connection, asking)
        known = {subject: decode(record, self._deciding.policies) for subject, record in states.items()}
        of_customer: dict[str, list[Task]] = defaultdict(list)
        for task in await tasks.unfinished(connection, subjects):
            of_customer[task.subject].append(task)
        opened: list[Task] = []
        altered: dict[int, Task] = {}
        for turn in ordered:
            customer = known.get(turn.subject)
            new, changed = self._playbooks(turn).follow(
                turn,
                of_customer[turn.subject],
                lambda p, t=turn, c=customer: self._applies(p, t, c),  # type: ignore[misc]
            )
            of_customer[turn.subject] += new
            opened += new
            altered |= {task.id: task for task in changed if task.id is not None}
        await tasks.alter(connection, list(altered.values()))
        await tasks.add(connection, opened)

    def _applies(self, playbook: Playbook, turn: Turn, customer: Customer | None) -> bool:
        """A customer whose state is gone meanwhile (a tombstone) gets no tasks that ask for it."""
        if self._deciding.is_quiet(turn):
            return False
        if playbook.when is None:
            return True
        return customer is not None and applies(playbook, customer, self._deciding.policies, to_ms(turn.decided_at))

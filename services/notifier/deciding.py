"""The policies the scorer decides by, as far as they are known here.

Topic `control` is read when it has grown, and when a record names a policy that is not known: that may come first.
"""

import asyncio
import contextlib
from collections.abc import Callable, Iterable, Iterator, Sequence

from schemas.control import Activation
from services.notifier.domain.playbooks import Playbooks
from services.notifier.domain.turns import Turn
from services.notifier.intake import Batch
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import StateError, mark
from services.scorer.domain.policy import Policy, PolicyError
from services.scorer.sequence import Book

Read = Callable[[], Sequence[Activation]]


class OtherPolicy(Exception):
    """The scorer's state was made under a policy we cannot know; str() is one line with the remedy."""


class Deciding:
    """policies: those known.

    first:  that of the settings, which holds as long as topic `control` has not been needed; `source` names it
    read:   the whole of topic `control`; blocks, raises KafkaUnavailable
    """

    def __init__(self, first: Policy, source: str, read: Read) -> None:
        self._first, self._source, self._read = first, source, read
        self._book = Book()
        self._playbooks: dict[int, Playbooks] = {}
        self._digests = {first.digest}
        self._learning = asyncio.Lock()
        self.policies = Policies.only(first)

    async def know(self, batch: Batch) -> None:
        """See to it that every policy the batch names is known. OtherPolicy, KafkaUnavailable."""
        named = {position.policy_digest: position.policy for position in batch.positions.values()}
        named |= {kept.turn.policy_digest: kept.turn.policy for kept in batch.decisions}
        await self.know_digests(named)
        await self.know_marks(_marks(batch))

    async def know_digests(self, named: dict[str, str]) -> None:
        """Digests, each with its policy's name. OtherPolicy, KafkaUnavailable."""
        if not named.keys() - self._digests - {""}:
            return
        await self.learn()
        for digest in sorted(named.keys() - self._digests - {""}):
            raise OtherPolicy(
                f"the scorer's state was made under policy {named[digest]} ({digest}), which is not on topic control "
                f"and is not {self._source} ({self._first.digest}): topic and database are not of one installation"
            )

    async def know_marks(self, marks: Iterable[bytes]) -> None:
        """OtherPolicy, KafkaUnavailable."""
        wanted = set(marks)
        if wanted <= self.policies.known.keys():
            return
        await self.learn()
        if not wanted <= self.policies.known.keys():
            raise OtherPolicy(
                "a customer's state was made under a sequence of policies that is not the one on topic control: "
                "topic and database are not of one installation"
            )

    def playbooks(self, turn: Turn) -> Playbooks:
        """Those of the policy that decided."""
        place = self._place(turn)
        if place not in self._playbooks:
            self._playbooks[place] = Playbooks(self.policies.eras[place].policy)
        return self._playbooks[place]

    def is_quiet(self, turn: Turn) -> bool:
        """Whether the switch of policies brought it and was to trigger no playbooks."""
        activations = self._book.activations
        return turn.cause == "policy" and bool(activations) and not activations[self._place(turn)].playbooks

    def _place(self, turn: Turn) -> int:
        """The policy that decided, in the sequence; of those that decide alike the one activated last by then."""
        decided_ms = to_ms(turn.decided_at)
        alike = [i for i, era in enumerate(self.policies.eras) if era.policy.digest == turn.policy_digest]
        return next((i for i in reversed(alike) if self.policies.eras[i].activated_ms <= decided_ms), (alike or [0])[0])

    async def learn(self) -> None:
        """Know what topic `control` holds by now, also policies that are still to take effect. OtherPolicy,
        KafkaUnavailable."""
        async with self._learning:
            try:
                known = await asyncio.to_thread(self._read)
                if known:
                    self.policies = self._book.learned(known)
                    self._playbooks.clear()
                    self._digests = {one.digest for one in known}
            except PolicyError as error:
                raise OtherPolicy(str(error)) from error


def _marks(batch: Batch) -> Iterator[bytes]:
    """Of all records that can be read; of one that cannot, `apply` says which it is."""
    for _, record in batch.states.values():
        if record is not None:
            with contextlib.suppress(StateError):
                yield mark(record)

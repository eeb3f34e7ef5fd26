"""What a partition has to do with the others: to take what has come from them over topic `transfers`, and to begin its
merges, unmerges and erasures between its events. `relations.py` does either to the customers; here is when, and what
waits for what.
"""

import time
from collections.abc import Sequence
from typing import Final, NamedTuple

from services.scorer.engine import poison, relations
from services.scorer.engine.batches import Record
from services.scorer.engine.kinship import Kinship, Operation
from services.scorer.engine.rounds import Rounds
from services.scorer.engine.shard import Shard
from services.scorer.engine.transfers import Moved, Returned, TransferInbox
from services.scorer.engine.turn import Turn

_RELATED_S: Final = 0.02  # of CPU a turn, for other than events


class RelationFailed(Exception):
    """A merge, unmerge or erasure at which the core fails; nothing may go past it. str() is one line."""


class Worked(NamedTuple):
    """What a turn has come to.

    events:   how many of its batch were taken.  begun: the newest operation begun
    short_ms: when the next operation takes effect, if nothing but time was lacking to begin it; time is not to be
              played past it
    spent_s:  of CPU, for other than events
    """

    events: int
    begun: int
    short_ms: int | None
    spent_s: float


class Relating:
    """number: of the partition.  kinship: the merges, unmerges and erasures to do"""

    def __init__(self, number: int, kinship: Kinship) -> None:
        self._number, self._kinship = number, kinship
        self._inbox, self._rounds = TransferInbox(), Rounds()
        self._spent_s = 0.0

    def begin(self, position: int) -> None:
        """A takeover: what stands on `transfers` from the offset on comes again."""
        self._inbox.begin(position)
        self._rounds.begin_anew()

    def put(self, offset: int, value: bytes) -> None:
        """A record of `transfers`, in order. One of UNREADABLE if it is none of ours."""
        self._rounds.came(self._inbox.put(offset, value))

    @property
    def has_room(self) -> bool:
        """Whether more of `transfers` may come."""
        return self._inbox.has_room

    @property
    def waiting(self) -> int:
        """How many records of `transfers` are here and not taken."""
        return len(self._inbox)

    @property
    def position(self) -> int:
        """The next offset of `transfers` to take."""
        return self._inbox.position

    @property
    def rest_s(self) -> float:
        """How long what has come is let rest, at least; 0 if it is not."""
        return max(0.0, self._rounds.until_s - time.monotonic())

    def due_ms(self, done: int) -> int | None:
        """When the operation behind the one of this number takes effect; None if none is known."""
        operation = self._kinship.next(self._number, done)
        return None if operation is None else operation.at_ms

    def knows(self, sequence: int) -> bool:
        """Whether all operations up to this one are known here."""
        return self._kinship.knows(sequence)

    def work(self, shard: Shard, turn: Turn, batch: Sequence[Record], until_ms: int, begun: int) -> Worked:
        """Take events and what has come from other partitions, and begin the operations that come between and behind
        them, by the instant. Events do not wait for an operation that has to wait, but for one that can be begun in
        the next turn. RelationFailed: then the turn and the shard are not to be used.

        begun: the number of the newest operation begun before
        """
        self._spent_s, first = 0.0, 0
        while (due_ms := self.due_ms(begun)) is not None and due_ms <= until_ms:
            behind = next((n for n in range(first, len(batch)) if batch[n].timestamp > due_ms), len(batch))
            if behind > first:
                shard.take(turn, batch[first:behind], due_ms, self._kinship.next_life(self._number, begun))
                first = behind
            before, begun = begun, self._relate(shard, turn, due_ms, begun)
            if begun == before:
                break
        if first < len(batch) and self._short_ms(shard, until_ms, begun) is None:
            shard.take(turn, batch[first:], until_ms, self._kinship.next_life(self._number, begun))
            first = len(batch)
        begun = self._relate(shard, turn, until_ms, begun)
        return Worked(first, begun, self._short_ms(shard, until_ms, begun), self._spent_s)

    def _short_ms(self, shard: Shard, until_ms: int, begun: int) -> int | None:
        operation = self._kinship.next(self._number, begun)
        if self._spent_s < _RELATED_S or operation is None or operation.at_ms > until_ms:
            return None
        return operation.at_ms if relations.can_begin(shard, operation) else None

    def _relate(self, shard: Shard, turn: Turn, until_ms: int, begun: int) -> int:
        """Take and begin what can be by the instant, while the turn has time for it; the newest operation begun."""
        began_s = time.thread_time()
        try:
            return self._take_and_begin(shard, turn, until_ms, begun)
        except MemoryError:
            raise  # nobody's fault
        except Exception as error:
            raise RelationFailed(f"a merge, unmerge or erasure fails: {poison.CoreFailed(error)}") from error
        finally:
            self._spent_s += time.thread_time() - began_s

    def _take_and_begin(self, shard: Shard, turn: Turn, until_ms: int, done: int) -> int:
        until_s, waits = time.thread_time() + _RELATED_S - self._spent_s, False
        while time.thread_time() < until_s:
            operation = self._kinship.next(self._number, done)
            if operation is not None and operation.at_ms > until_ms:
                operation = None
            # What came after an operation is taken after it, unless that waits for what is still to come.
            if operation is not None and not waits and self._is_later(operation):
                if relations.begin(shard, turn, operation):
                    done = self._begun(operation)
                    continue
                waits = True
            joins = isinstance(self._inbox.head(), Moved | Returned)
            if self._receive(shard, turn, until_ms, done):
                waits = waits and not joins
            elif operation is not None and relations.begin(shard, turn, operation):
                done, waits = self._begun(operation), False
            else:
                break
        return done

    def _begun(self, operation: Operation) -> int:
        self._rounds.begin_anew()
        return operation.sequence

    def _is_later(self, operation: Operation) -> bool:
        """Whether the next of what has come is of after the operation, as an event for another name may be."""
        transfer = self._inbox.head()
        return transfer is not None and transfer.at_ms > operation.at_ms

    def _receive(self, shard: Shard, turn: Turn, until_ms: int, done: int) -> bool:
        """Take the next of what has come from other partitions; False if there is none, or its time has not come."""
        transfer, sent = self._inbox.head(), len(turn.transfers)
        if transfer is None or transfer.at_ms > until_ms or self._rounds.rests(transfer, time.monotonic()):
            return False
        if not relations.take(shard, turn, transfer, until_ms, self._kinship, done, self._inbox.more):
            return False
        if len(turn.transfers) > sent:
            self._rounds.passed_on(transfer)
        elif isinstance(transfer, Moved | Returned):
            self._rounds.begin_anew()
        self._inbox.take()
        return True

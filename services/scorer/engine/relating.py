"""What a partition has to do with the others: to take what has come from them over topic `transfers`, and to begin its
merges, unmerges and erasures. `relations.py` does either to the customers; here is when, and what waits for what.
"""

import time
from typing import Final

from services.scorer.engine import poison, relations
from services.scorer.engine.kinship import Kinship, NextLife, Operation
from services.scorer.engine.shard import Shard
from services.scorer.engine.transfers import Moved, Returned, Transfer, TransferInbox, name_of
from services.scorer.engine.turn import Turn

_RELATED_S: Final = 0.02  # of CPU a turn
_FIRST_REST_S, _LONGEST_REST_S = 0.1, 10.0
_SHORT_REST_S, _REST_EACH_S = 0.1, 0.001  # as long as nothing is begun, 1,000 are sent again a second at most
_MOST_PASSED: Final = 100_000  # names, some 15 MB


class RelationFailed(Exception):
    """A merge, unmerge or erasure at which the core fails; nothing may go past it. str() is one line."""


class Relating:
    """number: of the partition.  kinship: the merges, unmerges and erasures to do

    spent_s: of CPU in this turn
    """

    def __init__(self, number: int, kinship: Kinship) -> None:
        self._number, self._kinship = number, kinship
        self._inbox, self._rounds = TransferInbox(), Rounds()
        self.spent_s = 0.0

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

    def next_life(self, done: int) -> NextLife | None:
        """Which events wait for erasures, where the operations up to this one are begun; None if none has to."""
        return self._kinship.next_life(self._number, done)

    def begin_turn(self) -> None:
        """There is time again."""
        self.spent_s = 0.0

    def short_ms(self, shard: Shard, until_ms: int, done: int) -> int | None:
        """When the next operation takes effect, if by `until_ms` and if it is not begun for want of time alone."""
        operation = self._kinship.next(self._number, done)
        if self.spent_s < _RELATED_S or operation is None or operation.at_ms > until_ms:
            return None
        return operation.at_ms if relations.can_begin(shard, operation) else None

    def work(self, shard: Shard, turn: Turn, until_ms: int, done: int) -> int:
        """Take and begin what can be by the instant, while the turn has time for it; `done` is the number of the newest
        operation begun, before and, as what comes back, after. RelationFailed: then the turn and the shard are not to
        be used."""
        began_s = time.thread_time()
        try:
            return self._work(shard, turn, until_ms, done)
        except MemoryError:
            raise  # nobody's fault
        except Exception as error:
            raise RelationFailed(f"a merge, unmerge or erasure fails: {poison.CoreFailed(error)}") from error
        finally:
            self.spent_s += time.thread_time() - began_s

    def _work(self, shard: Shard, turn: Turn, until_ms: int, done: int) -> int:
        until_s, waits = time.thread_time() + _RELATED_S - self.spent_s, False
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


class Rounds:
    """What waits lets others pass by being sent again, to the end of the topic. If it comes round and nothing that it
    may wait for has happened, all of it rests, ever longer: else it would fill the topic for as long as it waits. The
    rest is short if something has come that was not in the round, which may have nothing to wait for.

    until_s: all rests until then, of a clock that only goes forward; 0 if it does not
    """

    def __init__(self) -> None:
        self._passed: set[str] = set()
        self._comes_round = self._others = False
        self._rest_s = self._short_s = self._longest_s = 0.0

    @property
    def until_s(self) -> float:
        return self._short_s if self._others else self._longest_s

    def came(self, name: str) -> None:
        """Something has come; what comes before the round does will be looked at in it."""
        if name in self._passed:
            self._comes_round = True
        elif self._comes_round:
            self._others = True

    def rests(self, transfer: Transfer, now_s: float) -> bool:
        """now_s: of a clock that only goes forward"""
        if now_s < self.until_s:
            return True
        if self._longest_s:
            self._begin_round()
        if name_of(transfer) not in self._passed and len(self._passed) < _MOST_PASSED:
            return False
        short_s = min(_LONGEST_REST_S, max(_SHORT_REST_S, _REST_EACH_S * len(self._passed)))
        self._rest_s = min(_LONGEST_REST_S, max(_FIRST_REST_S, short_s, 2 * self._rest_s))
        self._short_s, self._longest_s = now_s + short_s, now_s + self._rest_s
        return True

    def passed_on(self, transfer: Transfer) -> None:
        """It was not taken, but sent again."""
        self._passed.add(name_of(transfer))

    def begin_anew(self) -> None:
        """Something has happened for which others may have waited."""
        self._begin_round()
        self._rest_s = 0.0

    def _begin_round(self) -> None:
        self._passed.clear()
        self._comes_round = self._others = False
        self._short_s = self._longest_s = 0.0

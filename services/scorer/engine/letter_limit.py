"""The limit of dead letters: where a share of a partition's customers cannot be decided, the partition halts.

A few bad events go to the dead letters and the rest goes on. Where a release of ours fails at everybody, or somebody
floods topic `events` with something else, that would make dead letters of everything: then a person has to look first.

What is counted is customers, not events, so that one busy customer at whom the core fails does not stop the others.
"""

from collections import Counter, deque
from collections.abc import Sequence

from services.scorer.engine.batches import Record
from services.scorer.engine.turn import Turn

COUNTED = frozenset({"unreadable", "wrong_partition", "poison", "id_conflict", "order_conflict"})
"""The reasons that say something is wrong with senders or with us.

Not the two `refund_` ones: the refund was taken. Not `too_old` and `ledger_full`: so rule 4 wants it of one customer.
"""

WINDOW = 1_000  # of the partition's newest events
LEAST = 50  # events of them that were not taken; below it nothing halts
_STEP = 100  # events between two looks


class TooManyDeadLetters(Exception):
    """A turn goes beyond the limit and must not be committed. str() is one line with the figures."""


class LetterLimit:
    """share: of the customers of the last WINDOW events, how many may have had events not taken; 1 never halts.

    An event without a readable customer counts as one of its own. One customer alone is never too many. What came for
    another name counts where it is decided, after the events of the partition itself.
    """

    def __init__(self, share: float) -> None:
        self._share = share
        self._last: deque[tuple[bytes | int | None, str | None]] = deque(maxlen=WINDOW)  # who, and why not

    def check(self, batch: Sequence[Record], turn: Turn) -> None:
        """Before a turn with this batch is committed: TooManyDeadLetters if it goes beyond the limit at any event.

        If the turn is not committed after all, another limit has to begin: this one has counted it.
        """
        refused = {place: reason for place, reason in turn.refused.items() if reason in COUNTED}
        if not refused:
            self._last.extend((record.key, None) for record in batch[-WINDOW:])
            self._last.extend((key, None) for key, _ in turn.came_over[-WINDOW:])
            return
        events = [*((record.key, (record.partition, record.offset)) for record in batch), *turn.came_over]
        for start in range(0, len(events), _STEP):
            for key, place in events[start : start + _STEP]:
                reason = refused.get(place)
                self._last.append((place[1] if reason == "unreadable" else key, reason))
            self._look()

    def _look(self) -> None:
        refused = [(who, reason) for who, reason in self._last if reason is not None]
        if len(refused) < LEAST:
            return
        failing, customers = len({who for who, _ in refused}), len({who for who, _ in self._last})
        if failing > 1 and failing > self._share * customers:
            reasons = ", ".join(f"{reason} {n}" for reason, n in Counter(r for _, r in refused).most_common())
            raise TooManyDeadLetters(
                f"{len(refused)} of the last {len(self._last)} events cannot be taken ({reasons}), those of {failing} "
                f"of {customers} customers; the limit is {self._share:.0%} of them (TIERLINE_SCORER_DEAD_LETTER_SHARE)"
            )

"""A new generation of a partition's customers, made from its events alone while the old one serves (rule 4).

Each name lives on the events that came for it, as if nobody had ever been merged; then, name by name, what became of
them takes the place of what is kept of them, wherever the name's customer lives.
"""

from collections.abc import Callable, Iterable, Mapping, Sequence
from functools import partial

import msgspec
import structlog

from schemas.events import Event
from schemas.subjects import nobodys
from schemas.unreadable import UNREADABLE
from services.scorer.domain.merging import erase
from services.scorer.domain.packing import decode, encode
from services.scorer.domain.scoring import Arrival, Outcome, score
from services.scorer.domain.state import Customer, Rare
from services.scorer.engine import poison, relations
from services.scorer.engine.replay import Past
from services.scorer.engine.shard import Shard
from services.scorer.engine.turn import Turn
from services.shared.partitioner import partition_of

log = structlog.get_logger()

_read_event: Callable[[bytes], Event] = msgspec.json.Decoder(Event).decode


class Generation:
    """The names of a partition's `shard`.

    erased:   by name the instant up to which its events are forgotten; more may be added at any time
    replayed: the next offset of `events` to take
    renewed:  how many names were put in the place of something else
    """

    def __init__(self, shard: Shard, partitions: int, erased: Mapping[str, int]) -> None:
        self._shard, self._partitions, self._erased = shard, partitions, erased
        self._records: dict[bytes, bytes] = {}
        self._left: dict[bytes, bytes | None] | None = None
        self._held: dict[bytes, list[Arrival]] = {}  # of a life that begins with an erasure still to be done here
        self._full: set[bytes] = set()  # of whom not all that came could be kept: they stay as they are
        self.replayed = self.renewed = 0

    @property
    def left(self) -> int:
        """How many names are still to be put in their place, as far as is known."""
        return len(self._records) if self._left is None else len(self._left)

    @property
    def switching(self) -> bool:
        """Whether the new generation has begun to take the old one's place."""
        return self._left is not None

    def take(self, past: Iterable[Past]) -> None:
        """Events that follow those taken; what was taken already is passed over."""
        arrivals: dict[bytes, list[Arrival]] = {}
        until_ms = 0
        for record in past:
            if record.offset < self.replayed:
                continue
            self.replayed, until_ms = record.offset + 1, max(until_ms, record.timestamp)
            event = self._event(record)
            if event is not None:
                key, raw = event.subject.encode(), record.value or b""
                arrivals.setdefault(key, []).append(Arrival(event, record.timestamp, record.offset, raw))
        for key, of_name in arrivals.items():
            if self._left is None:
                after = self._decided(key, self._records.get(key), of_name, until_ms)
                if after is not None:
                    self._records[key] = after
            elif key in self._left:  # all others have been put in their place, and take their events there
                self._left[key] = self._decided(key, self._left[key], of_name, until_ms)

    def switch(self, turn: Turn, until_ms: int, limit: int) -> int:
        """Put at most `limit` names in their place, once all events have been taken that the shard has; how many."""
        if self._left is None:
            self._left = {**dict.fromkeys([*self._shard.records, *self._held]), **self._records}
            self._records = {}
        looked_at = 0
        while self._left and looked_at < limit:
            key, record = self._left.popitem()
            if key in self._held:
                record = self._decided(key, record, [], until_ms)
            # Of who is not erased by now the shard may have what is held, taken before it had heard of the erasure.
            whole = key not in self._held
            if key in self._full:
                log.warning(
                    "a rebuild leaves a customer as they are: with what is to be kept their record would be too long",
                    partition=self._shard.number,
                    subject=key.decode(),
                    remedy="part what is not theirs, or ask for fewer fields, and rebuild again",
                )
            else:
                took = relations.take_anew(self._shard, turn, key, record, self.replayed, until_ms, whole=whole)
                self.renewed += took
            looked_at += 1
        return looked_at

    def _decided(self, key: bytes, before: bytes | None, arrivals: list[Arrival], until_ms: int) -> bytes | None:
        """The name's next record; what the core fails at is left out, as the shard leaves it out."""
        subject = key.decode()
        if subject in self._erased:
            done_ms = self._done_ms(key)
            before, arrivals = self._forgotten(subject, before, done_ms), self._of_this_life(key, arrivals, done_ms)
            if not arrivals:
                return before
        attempt = partial(self._attempt, subject)
        try:
            taken = [attempt(before, arrivals, until_ms)]
        except poison.CoreFailed:
            taken = poison.part(attempt, before, arrivals, until_ms).taken
        if any(report.reason == "ledger_full" for _, outcome in taken for report in outcome.reports):
            self._full.add(key)
        return taken[-1][0] if taken else before

    def _attempt(
        self, subject: str, record: bytes | None, arrivals: Sequence[Arrival], until_ms: int
    ) -> tuple[bytes, Outcome]:
        try:
            return score(record, self._shard.policies, arrivals, until_ms, subject, reasons=False)
        except MemoryError:
            raise  # no event's fault
        except Exception as error:
            raise poison.CoreFailed(error) from error

    def _forgotten(self, subject: str, before: bytes | None, done_ms: int | None) -> bytes | None:
        """The name's record once its erasure has been done to it, which may have come while this was being made.

        An erasure that is known may still be to come for a customer here; then it will find what there is to forget.
        """
        policies = self._shard.policies
        if done_ms is None:
            return before
        if before is not None:
            customer = decode(before, policies)
            known_ms = _erased_ms(customer)
            if known_ms is not None and known_ms >= done_ms:
                return before
            try:
                erase(customer, policies, subject=subject, at_ms=done_ms)
                return encode(customer)
            except MemoryError:
                raise  # no customer's fault
            except Exception as error:  # whatever it is, it is told
                log.error(
                    "an erasure fails in a rebuild", partition=self._shard.number, subject=subject, exc_info=error
                )
        customer = Customer.new(policies)
        customer.rare = Rare(erased={"": done_ms})
        return encode(customer)

    def _of_this_life(self, key: bytes, arrivals: list[Arrival], done_ms: int | None) -> list[Arrival]:
        """Those to take now. What the shard lets wait for an erasure waits here too, and comes with the next ones."""
        erased_ms, held = self._erased[key.decode()], self._held.pop(key, [])
        if done_ms is not None and done_ms >= erased_ms:
            return held + arrivals
        held += [arrival for arrival in arrivals if arrival.appended_ms > erased_ms]
        if held:
            self._held[key] = held
        return [arrival for arrival in arrivals if arrival.appended_ms <= erased_ms]

    def _done_ms(self, key: bytes) -> int | None:
        """Up to when the name's events are forgotten where its customer lives; of other names all that is known is."""
        record = self._shard.records.get(key)
        return self._erased[key.decode()] if record is None else _erased_ms(decode(record, self._shard.policies))

    def _event(self, record: Past) -> Event | None:
        """None for what the shard has put to the dead letters too."""
        try:
            event = _read_event(record.value or b"")
        except UNREADABLE:
            return None
        key = event.subject.encode()
        if key != record.key or nobodys(key) or partition_of(key, self._partitions) != self._shard.number:
            return None
        return event


def _erased_ms(customer: Customer) -> int | None:
    return customer.rare.erased.get("") if customer.rare else None

"""A partition's customers in memory: takes batches, fires timers, knows no Kafka.

Records stay encoded (a decoded customer is ten times as large); each goes through the core once a batch. The state
runs ahead of Kafka by the one turn that is not committed yet: if its transaction fails, the whole shard is thrown away
and restored.
"""

from collections.abc import Callable, Sequence
from functools import partial
from typing import Final, cast

import msgspec
import structlog

from schemas.decisions import DeadLetterReason
from schemas.events import Event
from schemas.subjects import nobodys
from schemas.unreadable import UNREADABLE
from services.scorer.domain.eras import Policies
from services.scorer.domain.flaps import Flaps
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.packing import due_ms, encode_alias
from services.scorer.domain.scoring import Arrival, Change, Outcome, score
from services.scorer.domain.timers import TimerQueue
from services.scorer.engine import poison
from services.scorer.engine.batches import Record
from services.scorer.engine.dead_letters import letter, shown
from services.scorer.engine.kinship import NextLife
from services.scorer.engine.sweep import Sweep
from services.scorer.engine.transfers import Forwarded, Transfer, pieces
from services.scorer.engine.turn import Told, Turn
from services.shared.partitioner import partition_of

log = structlog.get_logger()

_MOVES_REMEMBERED: Final = 20_000  # to know a flap by; about 6 MB
_read_event: Final[Callable[[bytes], Event]] = msgspec.json.Decoder(Event).decode


def _due_ms(record: bytes | None) -> int:
    due = None if record is None else due_ms(record)
    return NEVER if due is None else due


class Shard:
    """The customers of partition `number` of `partitions`, and what time still has to bring them.

    records: subject as bytes -> state record.  bytes: their size.  timed: how many have a due instant
    aliases: subject as bytes -> whom it stands for
    aside:   at whom the core has failed without an event: not tried again before their next one, a policy, a takeover
    """

    def __init__(
        self,
        policies: Policies,
        *,
        number: int,
        partitions: int,
        topic: str,
        records: dict[bytes, bytes] | None = None,
        aliases: dict[bytes, str] | None = None,
    ) -> None:
        self._policies, self.number, self._partitions, self._topic = policies, number, partitions, topic
        self.records = records if records is not None else {}
        self.aliases = aliases if aliases is not None else {}
        self.timers = TimerQueue(self._due_of)
        self.bytes = self.timed = 0
        self.aside: set[bytes] = set()
        self._flaps = Flaps(_MOVES_REMEMBERED)
        self.sweep = Sweep(policies, self.records)
        for key, record in self.records.items():
            self.bytes += len(record)
            due = due_ms(record)
            if due is not None:
                self.timed += 1
                self.timers.schedule(key, due)

    @property
    def policies(self) -> Policies:
        return self._policies

    def follow(self, policies: Policies) -> None:
        """Decide by these policies from now on: the same, with more behind them. Whom no event brings up is swept."""
        self._policies = policies
        self.sweep = Sweep(policies, self.records)

    def look_again(self, turn: Turn, until_ms: int, limit: int) -> int:
        """Decide a slice of those not yet decided under all policies that hold; how many were looked at."""
        keys = self.sweep.slice(limit)
        self.look_at(turn, keys, until_ms)
        return len(keys)

    def look_at(self, turn: Turn, keys: Sequence[bytes], until_ms: int) -> None:
        """Decide these customers under all policies that hold.

        Each is written, whether anything has changed or not: what policies it knows is the progress of the sweep.
        """
        failures: dict[bytes, poison.CoreFailed] = {}
        for key in keys:
            before = self.records[key]
            try:
                after, outcome = self._decide(turn, key, before, (), until_ms)
            except poison.CoreFailed as failure:
                failures[key] = failure
                continue
            self._keep(turn, key, before, after, outcome.due_before_ms, outcome.due_ms)
            if outcome.due_ms < NEVER:
                self.timers.schedule(key, outcome.due_ms)
            self.aside.discard(key)
        if failures:
            self._set_aside(failures)

    def take(self, turn: Turn, batch: Sequence[Record], until_ms: int, next_life: NextLife | None = None) -> None:
        """Decide a micro-batch, a customer at a time, with time played up to `until_ms`; but for events of somebody's
        `next_life`, which go over `transfers` and come again."""
        turn.events += len(batch)
        of_key: dict[bytes | None, list[Record]] = {}
        for record in batch:
            same = of_key.get(record.key)
            if same is None:
                of_key[record.key] = [record]
            else:
                same.append(record)
        failing: dict[bytes, list[Arrival]] = {}
        for key, records in of_key.items():
            # Read one by one: what is read and let go at once stays near the processor.
            before = None if key is None else self.records.get(key)
            arrivals = self._arrivals(turn, key, records, before is not None, next_life)
            if not arrivals:
                continue
            key = cast(bytes, key)  # without one nothing arrives
            try:
                self._arrive(turn, key, before, arrivals, until_ms)
            except poison.CoreFailed:
                failing[key] = arrivals
        if failing:
            self._take_apart(turn, failing, until_ms, self.number)

    def _arrivals(
        self, turn: Turn, key: bytes | None, records: list[Record], known: bool, next_life: NextLife | None
    ) -> list[Arrival]:
        """What these records of one key bring to a customer who lives here; what they do not is seen to."""
        into, home = None if key is None else self.aliases.get(key), self.number
        if key is not None and not known and into is None:
            home = partition_of(key, self._partitions)
        arrivals = []
        for record in records:
            event = self._read(turn, record, home)
            if event is None:
                continue
            value = cast(bytes, record.value)  # _read has seen to it that there is one
            if into is None and (next_life is None or not next_life(event.subject, record.timestamp)):
                arrivals.append(Arrival(event, record.timestamp, record.offset, value))
            else:
                self.forward(turn, self._forwarded(into or event.subject, value, record))
                turn.forwarded += 1
        return arrivals

    def take_forwarded(self, turn: Turn, forwarded: Forwarded, until_ms: int) -> None:
        """Decide an event that came over `transfers`, as for another name of one who lives here."""
        event = _read_event(forwarded.event)
        arrival = Arrival(event, forwarded.at_ms, forwarded.offset, forwarded.event)
        key = forwarded.subject.encode()
        turn.came_over.append((key, (forwarded.partition, forwarded.offset)))
        try:
            self._arrive(turn, key, self.records.get(key), [arrival], until_ms, forwarded.partition)
        except poison.CoreFailed:
            self._take_apart(turn, {key: [arrival]}, until_ms, forwarded.partition)

    @staticmethod
    def subject_of(forwarded: Forwarded) -> str:
        """The name the event came for."""
        return _read_event(forwarded.event).subject

    def _forwarded(self, into: str, event: bytes, record: Record) -> Forwarded:
        return Forwarded(into, event, record.timestamp, self.number, record.offset, self._policies.rebuild)

    def forward(self, turn: Turn, transfer: Transfer) -> None:
        """Send something to where its subject lives."""
        key = transfer.subject.encode()
        home = partition_of(key, self._partitions)
        turn.transfers += [(home, key, piece) for piece in pieces(transfer)]

    def put(self, turn: Turn, subject: str, record: bytes) -> None:
        """A customer's record, come about by other means than an event or time."""
        key = subject.encode()
        self.aliases.pop(key, None)
        self.aside.discard(key)
        before, due_ms = self.records.get(key), _due_ms(record)
        self._keep(turn, key, before, record, _due_ms(before), due_ms)
        if due_ms < NEVER:
            self.timers.schedule(key, due_ms)

    def become_alias(self, turn: Turn, subject: str, into: str) -> None:
        """The subject is none of its own any more."""
        key = subject.encode()
        before = self.records.pop(key, None)
        if before is not None:
            self.bytes -= len(before)
            self.timed -= _due_ms(before) < NEVER
        self.aside.discard(key)
        self.aliases[key] = into
        turn.customers[key] = encode_alias(into)

    def _arrive(
        self,
        turn: Turn,
        key: bytes,
        before: bytes | None,
        arrivals: list[Arrival],
        until_ms: int,
        partition: int | None = None,
    ) -> None:
        """partition: on which they stood, if not on ours. CoreFailed: then the turn and the shard are as they were."""
        after, outcome = self._decide(turn, key, before, arrivals, until_ms, partition)
        self._took(turn, key, before, after, outcome)

    def _took(self, turn: Turn, key: bytes, before: bytes | None, after: bytes, outcome: Outcome) -> None:
        due_before_ms, due_ms = outcome.due_before_ms, outcome.due_ms
        if outcome.altered or due_ms != due_before_ms:
            self._keep(turn if outcome.altered else None, key, before, after, due_before_ms, due_ms)
            if due_ms < due_before_ms:
                self.timers.schedule(key, due_ms)
        if key in self.aside:
            self.aside.remove(key)
            if (due := self._due_of(key)) is not None:
                self.timers.schedule(key, due)

    def fire(self, turn: Turn, until_ms: int, limit: int) -> int:
        """Play at most `limit` customers whose timers are due up to `until_ms`; how many there were."""
        keys = self.timers.due(until_ms, limit)
        failures: dict[bytes, poison.CoreFailed] = {}
        for key in keys:
            before = self.records[key]
            try:
                after, outcome = self._decide(turn, key, before, (), until_ms)
            except poison.CoreFailed as failure:
                failures[key] = failure
                continue
            # A look that changed nothing is not written, but the next one has moved on: that is kept in memory.
            due_before_ms, due_ms = outcome.due_before_ms, outcome.due_ms
            self._keep(turn if outcome.altered else None, key, before, after, due_before_ms, due_ms)
            if outcome.altered:
                turn.fired_due_ms.append(due_before_ms)
            if due_ms < NEVER:
                self.timers.schedule(key, due_ms)
        if failures:
            self._set_aside(failures)
        return len(keys)

    def _decide(
        self,
        turn: Turn,
        key: bytes,
        before: bytes | None,
        arrivals: list[Arrival] | tuple[()],
        until_ms: int,
        partition: int | None = None,
    ) -> tuple[bytes, Outcome]:
        """The customer's next record. CoreFailed: then the turn and the shard are as they were."""
        after, outcome, told = self._attempt(turn, key, before, arrivals, until_ms)
        self._tell(turn, key, outcome, told, self.number if partition is None else partition)
        return after, outcome

    def _attempt(
        self, turn: Turn, key: bytes, record: bytes | None, arrivals: Sequence[Arrival], until_ms: int
    ) -> tuple[bytes, Outcome, list[Told]]:
        """The record that follows, what comes out, and how its changes will be written. CoreFailed."""
        subject = key.decode()
        try:
            after, outcome = score(record, self._policies, arrivals, until_ms, subject)
            return after, outcome, turn.told(outcome.changes, subject) if outcome.changes else []
        except MemoryError:
            raise  # no event's fault
        except Exception as error:
            raise poison.CoreFailed(error) from error

    def _tell(self, turn: Turn, key: bytes, outcome: Outcome, told: list[Told], partition: int) -> None:
        """Into the turn with it."""
        turn.taken += outcome.taken
        turn.duplicates += outcome.duplicates
        turn.unpriced += outcome.unpriced
        if told:
            turn.tell(told, key)
            for change in outcome.changes:
                if self._flapped(key, change):
                    turn.flaps[change.dimension.name] = turn.flaps.get(change.dimension.name, 0) + 1
        for report in outcome.reports:
            arrival = report.arrival
            place = (partition, arrival.offset)
            self._refuse(turn, key, report.reason, report.detail, place, arrival.raw, arrival.event)

    def _take_apart(self, turn: Turn, failing: dict[bytes, list[Arrival]], until_ms: int, partition: int) -> None:
        """The core fails at a customer's arrivals together: those at which it fails alone become dead letters."""
        found: list[tuple[Arrival, poison.CoreFailed]] = []
        for key, arrivals in failing.items():
            parted = poison.part(partial(self._tried, turn, key), self.records.get(key), arrivals, until_ms)
            for after, outcome in parted.taken:
                self._tell(turn, key, outcome, turn.told(outcome.changes, key.decode()), partition)
                self._took(turn, key, self.records.get(key), after, outcome)
            for arrival, failure in parted.poison:
                place = (partition, arrival.offset)
                self._refuse(turn, key, "poison", str(failure), place, arrival.raw, arrival.event)
            found += parted.poison
        if found:
            first, failure = found[0]
            log.error(
                "the core fails at events: they go to the dead letters",
                partition=partition,
                events=len(found),
                first_offset=first.offset,
                subject=first.event.subject,
                exc_info=failure.__cause__,
            )

    def _tried(
        self, turn: Turn, key: bytes, record: bytes | None, arrivals: Sequence[Arrival], until_ms: int
    ) -> tuple[bytes, Outcome]:
        after, outcome, _ = self._attempt(turn, key, record, arrivals, until_ms)
        return after, outcome

    def _set_aside(self, failures: dict[bytes, poison.CoreFailed]) -> None:
        """The core fails at these customers, whose time has come or who are put to a new policy."""
        self.aside |= failures.keys()
        key, failure = next(iter(failures.items()))
        log.error(
            "the core fails at customers: set aside until their next event, or a restart",
            partition=self.number,
            customers=len(failures),
            subject=key.decode(),
            exc_info=failure.__cause__,
        )

    def _flapped(self, key: bytes, change: Change) -> bool:
        """Of ladders only: segments have no hysteresis that could calm them."""
        name, before, after = change.dimension.name, change.before, change.after
        if before == after or change.dimension.kind != "ladder":
            return False
        return self._flaps.moved((key, name), before, after, change.effective_ms)

    def _keep(
        self, turn: Turn | None, key: bytes, before: bytes | None, after: bytes, due_before_ms: int, due_ms: int
    ) -> None:
        """Put the customer's new record in its place; `turn` if it is to be written too."""
        self.records[key] = after
        if turn is not None:
            turn.customers[key] = after
        self.bytes += len(after) - (0 if before is None else len(before))
        self.timed += (due_ms < NEVER) - (due_before_ms < NEVER)

    def _due_of(self, key: bytes) -> int | None:
        record = self.records.get(key)
        return None if record is None or key in self.aside else due_ms(record)

    def _read(self, turn: Turn, record: Record, home: int) -> Event | None:
        """The event of a record whose key lives in partition `home`; None if it went to the dead letters."""
        key, raw, event = record.key, record.value or b"", None
        reason: DeadLetterReason = "unreadable"
        try:
            event = _read_event(raw)
        except UNREADABLE as error:
            detail = str(error) or "nested too deeply"
        else:
            if key is None or key != event.subject.encode():
                detail = f"the record's key {shown(key)} is not the subject {shown(event.subject)}"
            elif why := nobodys(key):
                detail = f"no customer's: the record's key {why}"
            elif home == self.number:
                return event
            else:
                reason = "wrong_partition"
                detail = f"the key belongs to partition {home}: written without the Java client's partitioner"
        place = (self.number, record.offset)
        self._refuse(turn, key, reason, detail, place, raw, event)
        return None

    def _refuse(
        self,
        turn: Turn,
        key: bytes | None,
        reason: DeadLetterReason,
        detail: str,
        place: tuple[int, int],
        raw: bytes,
        event: Event | None,
    ) -> None:
        """To the dead letters. place: partition and offset"""
        topic, decided_ms = self._topic, turn.decided_ms
        turn.dead_letter(key, letter(reason, detail, raw, event, topic=topic, place=place, decided_ms=decided_ms))

"""An audit from the topics to its tally: the live state read first, then what led to it, then both compared.

While it reads, the scorer goes on. A partition's records and its position fit together, since they are written in one
transaction, so a customer is recomputed from the events up to the position. A family over several partitions is left
out while anything of it is between two of them: a merge, unmerge or erasure not begun, or begun since; a record of
topic `transfers` not taken; an event that came after the position was read.
"""

import time
from collections.abc import Sequence
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import NamedTuple

from confluent_kafka import KafkaException

from schemas import topics
from schemas.control import Activation
from schemas.identities import Identity
from services.analyst.backtest.spill import Spill
from services.audit import dossier
from services.audit.auditor import audit_part, prepare
from services.audit.dossier import Came, Done, Held, Moving, Paper, Poison, Slip
from services.audit.pace import Pace
from services.audit.scope import Scope
from services.audit.source import Source
from services.audit.tally import Tally
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import StateError
from services.scorer.domain.state import Position
from services.scorer.engine.changelog import Restored
from services.scorer.engine.kinship import Kinship
from services.scorer.sequence import Book
from services.shared.cores import Died, cores, spread
from services.shared.families import Families, subjects
from services.shared.kafka import KafkaUnavailable, verify_topics
from services.shared.partitioner import partition_of
from services.shared.settings import KafkaSettings

_RECORDS_A_PART = 25_000
_FEW = 5_000
_MOST_PARTS = 256  # files open at once
_READ = [topics.EVENTS, topics.SCORER_STATE, topics.IDENTITIES, topics.TRANSFERS, topics.DEAD_LETTERS]
_NOTHING = Position(events_offset=0, sequence=0, policy="", policy_digest="")


class Refused(Exception):
    """It cannot be audited; str() says why and what to do, in one line."""


class Failed(Exception):
    """It went wrong; one line."""


class Watch:
    """Hears how far an audit is; says nothing by itself."""

    def reading(self, what: str, records: int, total: int) -> None:
        """So many records of all of this kind have been read; the total is an estimate."""

    def playing(self, records: int, total: int) -> None:
        """So many have been recomputed of all."""


class Audited(NamedTuple):
    """until_ms: the instant both sides were played to.  policies: how many there are in the sequence"""

    tally: Tally
    scope: Scope
    until_ms: int
    policies: int


def audit(
    settings: KafkaSettings,
    scope: Scope,
    *,
    workers: int | None = None,
    pace: Pace | None = None,
    watch: Watch | None = None,
) -> Audited:
    """Refused, Failed, what `verify_topics`, `Control` and `Book` raise; Stopped if `pace` says so. Blocks.

    workers: processes, by default one a core
    """
    pace, watch, workers = pace or Pace(), watch or Watch(), workers or cores()
    verify_topics(settings, _READ)
    source = Source(settings, pace)
    try:
        with TemporaryDirectory(prefix="tierline-audit-") as folder:
            reading = _Reading(settings, source, scope, watch)
            with Spill(Path(folder), reading.parts(workers)) as spill:
                activations, until_ms = reading.into(spill)
            tally = Tally()
            if activations:
                Book(activations)  # what this version can't read is told here, not by each process
                _play(spill, activations, settings.partitions, until_ms, workers, pace, watch, tally)
            return Audited(tally, scope, until_ms, len(activations))
    except KafkaException as error:
        raise KafkaUnavailable(f"Kafka at {settings.kafka_bootstrap}: {error.args[0].str()}") from error
    finally:
        source.close()


def _play(
    spill: Spill,
    activations: Sequence[Activation],
    partitions: int,
    until_ms: int,
    workers: int,
    pace: Pace,
    watch: Watch,
    tally: Tally,
) -> None:
    played, given = 0, (activations, partitions, until_ms)
    try:
        for number, part in spread(audit_part, spill.parts, prepare, given, 1 if spill.events < _FEW else workers):
            tally.add(part)
            played += spill.counts[number]
            watch.playing(played, spill.events)
            pace.go_on()
    except Died as error:
        raise Failed(f"the audit: {error}") from error


class _Reading:
    """Reads everything in the one order in which it can be trusted; see above."""

    def __init__(self, settings: KafkaSettings, source: Source, scope: Scope, watch: Watch) -> None:
        self._settings, self._source, self._scope, self._watch = settings, source, scope, watch
        self._operations: list[Identity] = source.identities()
        self._families = Families(self._operations)
        self._partitions = self._concerned()
        self._bounds = {number: source.bounds(topics.EVENTS, number) for number in self._partitions}
        self._positions: dict[int, Position] = {}
        self._moving: set[bytes] = set()

    def parts(self, workers: int) -> int:
        """Into how many to part what will be read."""
        records = sum(high - low for low, high in self._bounds.values()) // self._scope.slices
        return max(workers, min(_MOST_PARTS, records // _RECORDS_A_PART + 1))

    def into(self, spill: Spill) -> tuple[list[Activation], int]:
        """The policies, and the instant to play to."""
        self._spill = spill
        self._refuse_what_was_cut_off()
        self._state()
        activations, now_ms = self._source.activations(), int(time.time() * 1000)
        ends = {number: self._source.bounds(topics.EVENTS, number)[1] for number in self._partitions}
        self._look_for_operations_under_way()
        self._look_for_transfers_under_way()
        self._events(ends)
        for number in self._partitions:
            for key, place in self._source.poison(number):
                self._put(key, 0, Poison(*place))
        for operation in self._operations:
            self._put(next(subjects(operation)), to_ms(operation.at), Done(operation))
        for head in self._moving:
            self._put(head, 0, Moving())
        return activations, max([now_ms, *(to_ms(one.activated_at) for one in activations)])

    def _concerned(self) -> list[int]:
        count = self._settings.partitions
        if self._scope.customer is None:
            return list(range(count))
        family = self._families.members(self._scope.customer.encode())
        return sorted({partition_of(member, count) for member in family})

    def _refuse_what_was_cut_off(self) -> None:
        name = self._settings.topic(topics.EVENTS.name)
        for number, (first, _) in self._bounds.items():
            if first > 0:
                raise Refused(
                    f"{name}-{number} begins at offset {first}: events before it are gone, so its customers can't be "
                    f"recomputed; {name} has to be kept for ever (retention.ms=-1, retention.bytes=-1)"
                )

    def _put(self, key: bytes, at_ms: int, paper: Paper) -> None:
        head = self._families.head(key)
        if self._scope.takes(head, self._families):
            self._spill.put(head, at_ms, dossier.encode(Slip(head, paper)))

    def _state(self) -> None:
        total = sum(high - low for low, high in (self._source.bounds(topics.SCORER_STATE, n) for n in self._partitions))
        read = 0

        def progress(more: int, _: int) -> None:
            nonlocal read
            read += more
            self._watch.reading("the state", read, total)

        for number in self._partitions:
            try:
                restored = self._source.state(number, progress)
            except StateError as error:
                raise Refused(f"{self._settings.topic(topics.SCORER_STATE.name)}-{number}: {error}") from error
            position = self._positions[number] = self._position(number, restored)
            told_ms = position.appended_ms if position.caught_up else 0
            for key, record in restored.records.items():
                self._put(key, 0, Held(key.decode(), record, None, told_ms))
            for key, into in restored.aliases.items():
                self._put(key, 0, Held(key.decode(), b"", into))

    def _position(self, number: int, restored: Restored) -> Position:
        """Where the partition stands; at the beginning if no scorer has had it yet."""
        state, events = (self._settings.topic(t.name) for t in (topics.SCORER_STATE, topics.EVENTS))
        position = restored.position
        if position is None:
            if restored.records or restored.aliases:
                raise Refused(
                    f"{state}-{number} holds customers but no position: its state was lost. Restore the topic"
                )
            return _NOTHING
        end = self._source.bounds(topics.EVENTS, number)[1]
        if position.events_offset > end:
            raise Refused(
                f"{state}-{number} stands at offset {position.events_offset}, but {events}-{number} ends at {end}: the "
                "topic was made anew, and what led to the state is gone"
            )
        return position

    def _look_for_operations_under_way(self) -> None:
        kinship = Kinship(self._settings.partitions)
        for operation in self._operations:
            kinship.learn(operation)
        for number, position in self._positions.items():
            begun = position.identities
            while (following := kinship.next(number, begun)) is not None:
                self._moving.add(self._families.head(following.subject.encode()))
                begun = following.sequence
        for operation in self._source.identities()[len(self._operations) :]:
            self._moving.update(map(self._families.head, subjects(operation)))

    def _look_for_transfers_under_way(self) -> None:
        for number, position in self._positions.items():
            self._moving.update(map(self._families.head, self._source.on_transfers(number, position.transfers)))

    def _events(self, ends: dict[int, int]) -> None:
        total, read = sum(ends.values()), 0
        for number, end in ends.items():
            taken, ordered_ms = self._positions[number].events_offset, 0
            for portion in self._source.records(topics.EVENTS, number, 0, end if self._families else taken):
                for message in portion:
                    key, offset, appended_ms = message.key() or b"", message.offset() or 0, message.timestamp()[1]
                    ordered_ms = max(ordered_ms, appended_ms)  # a broker's clock may be set back
                    if offset < taken:
                        came = Came(number, offset, ordered_ms, appended_ms, key, message.value() or b"")
                        self._put(key, ordered_ms, came)
                    elif self._families.has_relatives(key):
                        self._moving.add(self._families.head(key))
                read += len(portion)
                self._watch.reading("the events", read, total)

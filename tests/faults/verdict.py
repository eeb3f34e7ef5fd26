"""Holds what is committed against what should be, and counts what is lost and what is there twice. Blocks."""

import random
from collections import Counter, defaultdict
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass, field

import msgspec

from schemas.decisions import Announcement, DeadLetter, Decision, DecisionRecord
from schemas.subjects import POSITION_KEY
from services.scorer.domain.packing import alias_of, decode, decode_position
from services.scorer.domain.state import Customer, Position
from tests.faults.expectation import Expectation, announced_on, expect, naive, naive_oracle
from tests.faults.reading import Record, ends, extra, read, wait_for_markers
from tests.scorer.domain.oracle import Oracle
from tests.scorer.domain.reader import Reader
from tests.scorer.engine.installation import Installation

_read_decision = msgspec.json.Decoder(DecisionRecord).decode
_read_announcement = msgspec.json.Decoder(Announcement).decode
_read_letter = msgspec.json.Decoder(DeadLetter).decode

NOBODY: Mapping[str, str] = {}
_TOLD = 12  # complaints of one kind would fill the screen


@dataclass
class Verdict:
    """records: on topic `events`.  lost, doubled: of events, decisions, announcements and dead letters together
    extra:   records that only a reader of uncommitted ones sees.  decided: records of topic `decisions`
    checked: customers held against the naive oracle.  wrong: what else is not as it should be
    """

    records: int = 0
    decided: int = 0
    lost: int = 0
    doubled: int = 0
    extra: int = 0
    checked: int = 0
    wrong: list[str] = field(default_factory=list)

    @property
    def exact(self) -> bool:
        return not (self.lost or self.doubled or self.wrong)

    def complain(self, line: str) -> None:
        if len(self.wrong) < _TOLD:
            self.wrong.append(line)

    def hold(self, what: str, found: int, wanted: int) -> None:
        """One thing found so often that should be there so often."""
        if found != wanted:
            self.lost += max(0, wanted - found)
            self.doubled += max(0, found - wanted)
            self.complain(f"{what}: {found} instead of {wanted}")


@dataclass
class Outputs:
    """Everything committed. state: the newest record of each customer."""

    state: dict[str, Customer]
    positions: dict[int, Position]
    decisions: list[tuple[Record, Decision | None]]
    announcements: list[tuple[str, Announcement]]
    letters: list[DeadLetter]


def judge(
    installation: Installation,
    acknowledged: Sequence[tuple[int, int]],
    *,
    seed: int,
    survivors: Mapping[str, str] = NOBODY,
    sample: int = 12,
) -> Verdict:
    """Nobody writes any more, and all timers have fired.

    acknowledged: partitions and offsets the upstream was told of
    survivors: of everybody who ever was merged or merged into, who answers for them now; the core's own replay, which
    knows of no merge, has nothing to say of these, the naive oracle has
    sample: how many customers are held against the naive oracle, and of the survivors as many
    """
    wait_for_markers(installation)
    log = read(installation, "events")
    verdict = Verdict(records=len(log))
    _acknowledged(verdict, log, acknowledged)
    expectation, outputs = expect(installation, log, survivors), _outputs(installation)
    verdict.decided = len(outputs.decisions)
    _positions(verdict, outputs, ends(installation, "events"))
    _ledgers(verdict, expectation, outputs)
    readers = _revisions(verdict, outputs)
    _paths(verdict, expectation, readers, outputs)
    _announcements(verdict, outputs)
    _letters(verdict, expectation, outputs)
    oracle, choose = naive_oracle(installation), random.Random(seed)
    for subject in _some(choose, expectation.events.keys() - survivors.keys(), sample):
        _against_naive(verdict, oracle, expectation, subject, outputs, readers[subject])
    for subject in _some(choose, set(survivors.values()), sample):
        _against_naive(verdict, oracle, expectation, subject, outputs, readers[subject])
    for subject in (one for one, survivor in survivors.items() if one != survivor):
        if any(kept.path for kept in readers[subject].kept.values()):
            verdict.complain(f"{subject} still has a path, though {survivors[subject]} answers for them")
    verdict.extra = extra(installation)
    return verdict


def _some(choose: random.Random, subjects: Collection[str], count: int) -> list[str]:
    return choose.sample(sorted(subjects), min(count, len(subjects)))


def _outputs(installation: Installation) -> Outputs:
    newest: dict[bytes, bytes] = {}
    positions: dict[int, Position] = {}
    for record in read(installation, "scorer-state"):
        if record.key == POSITION_KEY:
            positions[record.partition] = decode_position(record.value)
        else:
            newest[record.key] = record.value
    newest = {key: value for key, value in newest.items() if alias_of(value) is None}
    decisions = [(record, _read_decision(record.value)) for record in read(installation, "decisions")]
    return Outputs(
        {key.decode(): decode(value, installation.policies) for key, value in newest.items()},
        positions,
        [(record, said if isinstance(said, Decision) else None) for record, said in decisions],
        [
            (topic, _read_announcement(record.value))
            for topic in ("tier-changes", "segment-changes", "churn-alerts")
            for record in read(installation, topic)
        ],
        [_read_letter(record.value) for record in read(installation, "dead-letters")],
    )


def _acknowledged(verdict: Verdict, log: Iterable[Record], acknowledged: Sequence[tuple[int, int]]) -> None:
    """The broker kept what it said it has: else the oracle would not know of what is missing."""
    there = {(record.partition, record.offset) for record in log}
    missing = [place for place in acknowledged if place not in there]
    if missing or len(set(acknowledged)) < len(acknowledged):
        verdict.lost += len(missing)
        verdict.complain(f"{len(missing)} acknowledged records are not on the log")


def _positions(verdict: Verdict, outputs: Outputs, wanted: dict[int, int]) -> None:
    """Every event is behind the position, and every sequence is there once."""
    told = defaultdict(list)
    for record, _ in outputs.decisions:
        told[record.partition].append(msgspec.json.decode(record.value)["sequence"])
    for partition, end in wanted.items():
        position = outputs.positions.get(partition)
        if position is None:
            verdict.complain(f"partition {partition} has no position")
            continue
        if position.events_offset != end:
            verdict.complain(f"partition {partition} stands at {position.events_offset}, its events end at {end}")
        sequences = Counter(told[partition])
        for sequence in range(1, max([position.sequence, *sequences]) + 1):
            verdict.hold(f"sequence {sequence} of partition {partition}", sequences[sequence], 1)
        if told[partition] != sorted(told[partition]):
            verdict.complain(f"sequences of partition {partition} are not in order")


def _ledgers(verdict: Verdict, expectation: Expectation, outputs: Outputs) -> None:
    """Each event counts once, and as what it is."""
    for subject, wanted in expectation.counted.items():
        found = outputs.state.get(subject)
        if found is None:
            verdict.hold(f"events of {subject}", 0, wanted)
            continue
        verdict.hold(f"events of {subject}", len(found.ledger), wanted)
        core = expectation.customers.get(subject)
        if core is not None and list(found.ledger.entries) != list(core.ledger.entries):
            verdict.complain(f"ledger of {subject} holds other entries than the core's")
        if found.waiting:
            verdict.complain(f"{subject} has events that wait")
    for subject in outputs.state.keys() - expectation.counted.keys():
        verdict.complain(f"there is state of {subject}, who has no event")


def _revisions(verdict: Verdict, outputs: Outputs) -> dict[str, Reader]:
    """Each revision once, without gaps up to the state's; by subject what a reader has made of them."""
    said: dict[tuple[str, str], list[Decision]] = defaultdict(list)
    for _, one in outputs.decisions:
        if one is not None:
            said[one.subject, one.dimension].append(one)
    stands = {
        (subject, mover.dimension.name): standing.revision
        for subject, customer in outputs.state.items()
        for mover, standing in customer.life.placed()
    }
    for subject, dimension in sorted(stands.keys() | said.keys()):
        revisions = Counter(one.revision for one in said[subject, dimension])
        newest = stands.get((subject, dimension), 0)
        for revision in range(1, max([newest, *revisions]) + 1):
            verdict.hold(f"revision {revision} of {subject} {dimension}", revisions[revision], 1)
        if subject in outputs.state and newest < max(revisions, default=0):
            verdict.complain(f"the state of {subject} does not know revision {max(revisions)} of {dimension}")
    readers: dict[str, Reader] = defaultdict(Reader)
    for (subject, dimension), decisions in said.items():
        try:
            for one in decisions:
                readers[subject].take(one)
        except AssertionError as error:
            verdict.complain(f"decisions on {subject} {dimension}: {error}")
    return readers


def _paths(verdict: Verdict, expectation: Expectation, readers: dict[str, Reader], outputs: Outputs) -> None:
    """What a reader of the decisions holds is what the core says, and so is the state."""
    for subject, core in expectation.readers.items():
        for dimension in core.kept.keys() | readers[subject].kept.keys():
            wanted, found = core.path(dimension), readers[subject].path(dimension)
            if found != wanted:
                verdict.lost += len(set(wanted) - set(found))
                verdict.complain(f"path of {subject} {dimension}: {found[-4:]}, the core has {wanted[-4:]}")
        customer = outputs.state.get(subject)
        if customer is not None and customer.shown() != expectation.customers[subject].shown():
            verdict.complain(f"{subject} stands at {customer.shown()}, not {expectation.customers[subject].shown()}")


def _announcements(verdict: Verdict, outputs: Outputs) -> None:
    wanted = Counter(
        (announced_on(one), one.subject, one.dimension, one.revision, one.after, one.effective_at)
        for _, one in outputs.decisions
        if one is not None and one.before != one.after
    )
    found = Counter(
        (topic, one.subject, one.dimension, one.revision, one.after, one.effective_at)
        for topic, one in outputs.announcements
    )
    for one in wanted.keys() | found.keys():
        verdict.hold(f"announcement {one[:4]}", found[one], wanted[one])


def _letters(verdict: Verdict, expectation: Expectation, outputs: Outputs) -> None:
    found = Counter((letter.partition, letter.offset, str(letter.reason)) for letter in outputs.letters)
    for letter in expectation.letters.keys() | found.keys():
        verdict.hold(f"dead letter {letter}", found[letter], expectation.letters[letter])


def _against_naive(
    verdict: Verdict,
    oracle: Oracle,
    expectation: Expectation,
    subject: str,
    outputs: Outputs,
    reader: Reader,
) -> None:
    """The core must not only be compared with itself."""
    paths, positions = naive(oracle, expectation, subject)
    for dimension, wanted in paths.items():
        found = reader.path(dimension)
        if found != wanted:
            verdict.complain(f"path of {subject} {dimension}: {found[-4:]}, the naive oracle has {wanted[-4:]}")
    customer = outputs.state.get(subject)
    shown = {} if customer is None else {name: value for name, (_, value, _) in customer.shown().items()}
    if shown != positions:
        verdict.complain(f"{subject} stands at {shown}, the naive oracle says {positions}")
    verdict.checked += 1

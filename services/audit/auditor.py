"""One part of an audit: its families recomputed and held against the live state. Runs in a process of its own."""

from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path

from schemas.control import Activation
from services.analyst import words
from services.analyst.backtest import spill
from services.audit import dossier
from services.audit.comparison import Difference, aliased, compared, is_blank, is_full, unknown
from services.audit.dossier import Came, Done, Held, Moving, Paper, Poison
from services.audit.replay import Replay
from services.audit.tally import IN_MOTION, INEXACT, Tally
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.packing import StateError, decode
from services.scorer.domain.scoring import decide
from services.scorer.domain.state import Customer
from services.scorer.sequence import Book

OVERDUE_MS = 3_600_000
"""A step in time may be so late before it is called missing; a scorer that works is late by less than a second."""


class Auditor:
    """until_ms: both sides are played to this instant, or to what the live state has been played to if that is later"""

    def __init__(self, policies: Policies, partitions: int, until_ms: int) -> None:
        self._policies, self._partitions, self._until_ms = policies, partitions, until_ms

    def part(self, file: Path) -> Tally:
        families: dict[bytes, list[Paper]] = defaultdict(list)
        for record in spill.read(file):
            slip = dossier.decode(record.raw)
            families[slip.head].append(slip.paper)
        tally = Tally()
        for head in sorted(families):
            self.family(families.pop(head), tally)
        return tally

    def family(self, papers: Sequence[Paper], tally: Tally) -> None:
        held = [paper for paper in papers if isinstance(paper, Held)]
        if any(isinstance(paper, Moving) for paper in papers):
            tally.customers[IN_MOTION] += max(1, sum(paper.into is None for paper in held))
            return
        poison = {(paper.partition, paper.offset) for paper in papers if isinstance(paper, Poison)}
        came = [p for p in papers if isinstance(p, Came) and (p.partition, p.offset) not in poison]
        replay = Replay(self._policies, self._partitions)
        try:
            replay.play(came, (paper.operation for paper in papers if isinstance(paper, Done)))
        except Exception as error:  # noqa: BLE001 - a fault of ours at one family is told, and the others looked at
            subject = min(one.subject for one in held) if held else came[0].key.decode()
            detail = f"the core fails where it recomputes this one or a relative: {type(error).__name__}: {error}"
            tally.found(subject, [Difference("record", detail)], exact=True)
            return
        tally.events += replay.events
        _Comparison(self._policies, self._until_ms, held, replay).tell(tally)


class _Comparison:
    """A family's live records against what was recomputed."""

    def __init__(self, policies: Policies, until_ms: int, held: Sequence[Held], replay: Replay) -> None:
        self._policies, self._until_ms, self._replay = policies, until_ms, replay
        self._aliases = {one.subject: one.into for one in held if one.into is not None}
        self._live: dict[str, Customer] = {}
        self._found: dict[str, list[Difference]] = defaultdict(list)
        for one in held:
            if one.into is None:
                self._read(one)

    def tell(self, tally: Tally) -> None:
        live, again, found = self._live, self._replay.customers, self._found
        until_ms = max(self._until_ms, *(c.life.played_ms for c in live.values())) if live else self._until_ms
        for subject, customer in list(live.items()):
            self._play(subject, customer, until_ms)
        for subject, customer in again.items():
            decide(customer, self._policies, (), until_ms, subject, reasons=False)
        every = [*live.values(), *again.values()]
        folded = any(customer.frozen is not None for customer in every)
        if any(map(is_full, every)):
            tally.customers[INEXACT] += len({*live, *again})
            return
        exact = not (folded and (self._replay.deep or self._replay.joined))
        for subject in sorted({*live, *again, *self._aliases, *self._replay.aliases, *found}):
            self._compare(subject, exact=exact)
            if subject in live or found[subject] or not _is_nobody(again.get(subject)):
                tally.found(subject, found[subject], exact=exact)

    def _read(self, held: Held) -> None:
        try:
            customer = decode(held.record, self._policies)
            if customer.due_ms <= held.told_ms - OVERDUE_MS:
                self._catch_up(held.subject, customer, held.told_ms - OVERDUE_MS)
        except Exception as error:  # noqa: BLE001 - a record that is damaged may fail anywhere, and that is a finding
            self._unreadable(held.subject, error)
        else:
            self._live[held.subject] = customer

    def _catch_up(self, subject: str, customer: Customer, until_ms: int) -> None:
        """Steps that the scorer should have taken long ago."""
        for change in decide(customer, self._policies, (), until_ms, subject, reasons=False).changes:
            if change.before != change.after:
                name = change.dimension.name
                at = words.instant(to_datetime(change.effective_ms))
                detail = (
                    f"{name}: {words.position(change.after)} was due at {at}; the live state has not taken that step"
                )
                self._found[subject].append(Difference("overdue", detail, name, change.before, change.after))

    def _play(self, subject: str, customer: Customer, until_ms: int) -> None:
        try:
            decide(customer, self._policies, (), until_ms, subject, reasons=False)
        except Exception as error:  # noqa: BLE001 - as above
            self._unreadable(subject, error)
            del self._live[subject]

    def _unreadable(self, subject: str, error: Exception) -> None:
        told = str(error) if isinstance(error, StateError) else f"{type(error).__name__}: {error}"
        self._found[subject].append(Difference("record", f"the live record cannot be used: {told}"))

    def _compare(self, subject: str, *, exact: bool) -> None:
        found = self._found[subject]
        if any(difference.what == "record" for difference in found):
            return
        mine, its = self._aliases.get(subject), self._replay.aliases.get(subject)
        if mine != its:
            found.append(aliased(mine, its))
            return
        live, again = self._live.get(subject), self._replay.customers.get(subject)
        if live is not None and again is not None:
            found += compared(live, again, exact=exact)
        elif not (_is_nobody(live) and _is_nobody(again)):
            found.append(unknown(live, again))


def _is_nobody(customer: Customer | None) -> bool:
    return customer is None or is_blank(customer)


_auditors: list[Auditor] = []


def prepare(activations: Sequence[Activation], partitions: int, until_ms: int) -> None:
    """What a process does once, before the parts it is given."""
    _auditors[:] = [Auditor(Book(activations).policies, partitions, until_ms)]


def audit_part(file: Path) -> Tally:
    return _auditors[0].part(file)

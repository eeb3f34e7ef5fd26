"""Subjects who are, or were at some time, one customer: played together under one policy, with merges, unmerges and
erasures at the instants at which they were done (rules 11 and 12). Most families are one subject alone."""

from collections import deque
from collections.abc import Iterable, Iterator, Sequence

from schemas.identities import Identity, Merge, Unmerge
from services.analyst.backtest.lives import Decided, Life, announced
from services.scorer.domain import merging
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.scoring import Arrival, Change
from services.scorer.domain.state import Customer
from services.shared.identities import Directory

Told = tuple[Life, Decided]
_Changes = list[tuple[Life, Iterable[Change]]]


class Family:
    """lives: by subject; those of one who has become another name for somebody stand still"""

    def __init__(self, policies: Policies) -> None:
        self.lives: dict[str, Life] = {}
        self._policies, self._directory = policies, Directory()

    def survivor(self, subject: str) -> str:
        """Who answers for the subject now."""
        return self._directory.survivor(subject)

    @property
    def customers(self) -> dict[str, Customer]:
        """Those who stand for themselves now, by subject."""
        return {subject: life.customer for subject, life in self.lives.items() if self.survivor(subject) == subject}

    def play(self, arrivals: Sequence[Arrival], operations: Iterable[Identity], until_ms: int) -> Iterator[Told]:
        """Every announced change and whose it is, while all stand as they stood then.

        arrivals, operations: in the order of their topics; of one millisecond the arrivals go first, as in an audit
        """
        to_do = deque(operations)
        for arrival in arrivals:
            while to_do and to_ms(to_do[0].at) < arrival.appended_ms:
                yield from self._operate(to_do.popleft())
            life = self._life(self.survivor(arrival.event.subject))
            for decided in life.take(arrival):
                yield life, decided
        for operation in to_do:
            yield from self._operate(operation)
        for subject in self.customers:
            yield from self._rest(self.lives[subject], until_ms)

    def _life(self, subject: str) -> Life:
        if subject not in self.lives:
            self.lives[subject] = Life(self._policies, subject)
        return self.lives[subject]

    def _rest(self, life: Life, until_ms: int) -> Iterator[Told]:
        for decided in life.rest(until_ms):
            yield life, decided

    def _operate(self, operation: Identity) -> Iterator[Told]:
        at_ms = to_ms(operation.at)
        match operation:
            case Merge(from_=other, into=into):
                pair = self._life(into), self._life(other)
                for life in pair:
                    yield from self._rest(life, at_ms - 1)
                told = self._merge(*pair, at_ms)
            case Unmerge(from_=other, into=into):
                yield from self._rest(self._life(into), at_ms - 1)
                told = self._part(self._life(into), self._life(other), at_ms)
            case _:
                life = self._life(operation.subject)
                yield from self._rest(life, at_ms - 1)
                told = self._erase(life, at_ms)
        self._directory.take(operation)
        for life, changes in told:
            for change in announced(changes):
                yield life, Decided(change, at_ms)

    def _merge(self, life: Life, other: Life, at_ms: int) -> _Changes:
        names = {"subject": life.subject, "other_subject": other.subject}
        merged = merging.merge(life.customer, other.customer, self._policies, **names, at_ms=at_ms)
        return [(other, merged.of_alias), (life, merged.changes)]

    def _part(self, life: Life, other: Life, at_ms: int) -> _Changes:
        names = {"subject": life.subject, "other_subject": other.subject}
        parted = merging.unmerge(life.customer, self._policies, **names, at_ms=at_ms)
        life.customer, other.customer = parted.customer, parted.other
        return [(life, parted.changes), (other, parted.of_other)]

    def _erase(self, life: Life, at_ms: int) -> _Changes:
        erased = merging.erase(life.customer, self._policies, subject=life.subject, at_ms=at_ms)
        told: _Changes = [(life, erased.changes)]
        for alias, freed in erased.freed.items():
            other = self._life(alias)
            other.customer = freed.customer
            told.append((other, freed.changes))
        return told

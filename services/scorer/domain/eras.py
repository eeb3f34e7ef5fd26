"""Eras: which policy holds when, in event time (rule 9). One sequence, only ever added to."""

from collections.abc import Iterable
from hashlib import blake2b
from typing import NamedTuple

from services.scorer.domain.entries import OVERRIDE, PURCHASE, letter
from services.scorer.domain.features import wheres_of
from services.scorer.domain.ledger import NEVER
from services.scorer.domain.machine import Machine
from services.scorer.domain.rules import Policy


class Era(NamedTuple):
    """The policy holds from `effective_ms` on, that instant included, until the next era's.

    activated_ms: when that became known; later than `effective_ms` if the past is decided anew
    mark:         8 bytes that name the sequence up to and with this era
    """

    effective_ms: int
    activated_ms: int
    machine: Machine
    mark: bytes

    @property
    def policy(self) -> Policy:
        return self.machine.policy


class Policies:
    """eras: the first holds from the beginning; `effective_ms` and `activated_ms` never decrease. `count` of them,
    `newest` is the last one's policy; `machines` and `marks` are theirs, by index

    fields:  what entries must keep: for their rules, and as asked for by rebuilds
    texts:   those that some rule compares a field of an event with
    rebuild: the number of the newest rebuild asked for, 0 without any
    known:  how many eras the sequence had up to and with that of a mark
    priced: profiles of which nothing is kept: without a currency, and of an order in the newest policy's
    """

    def __init__(self, eras: tuple[Era, ...], asked: frozenset[str] = frozenset(), rebuild: int = 0) -> None:
        self._asked, self.rebuild = asked, rebuild
        self.eras, self.count = eras, len(eras)
        self.machines, self.marks = [era.machine for era in eras], [era.mark for era in eras]
        self.newest = eras[-1].policy
        self.fields = asked.union(*(kept_for(era.policy) for era in eras))
        wheres = [where for era in eras for where in wheres_of(era.policy.features)]
        self.texts = frozenset[str]().union(*(where.texts for where in wheres))
        self.known = {era.mark: i + 1 for i, era in enumerate(eras)}
        self.priced = frozenset((letter(PURCHASE) + self.newest.currency, *map(letter, range(OVERRIDE + 1))))

    @classmethod
    def only(cls, policy: Policy) -> "Policies":
        """One policy for all time."""
        return cls((Era(-NEVER, -NEVER, Machine(policy), _mark(b"", policy, -NEVER)),))

    def then(self, policy: Policy, effective_ms: int, activated_ms: int) -> "Policies":
        """The same with one more era; ValueError if it would begin, or become known, before the last one."""
        last = self.eras[-1]
        if effective_ms < last.effective_ms or activated_ms < last.activated_ms:
            raise ValueError("a policy cannot take effect before the one activated last")
        era = Era(effective_ms, activated_ms, Machine(policy), _mark(last.mark, policy, effective_ms))
        return Policies((*self.eras, era), self._asked, self.rebuild)

    def keeping(self, fields: Iterable[str], rebuild: int) -> "Policies":
        """The same, with these fields kept too from now on; a rebuild of this number is to find them in what was."""
        return Policies(self.eras, self._asked.union(fields), rebuild)

    def known_by(self, at_ms: int) -> int:
        """How many eras count at the instant: those activated by then, and those that will be before they begin."""
        for place, era in enumerate(self.eras):
            if era.activated_ms > max(at_ms, era.effective_ms):
                return place
        return len(self.eras)

    def at(self, at_ms: int, known: int) -> int:
        """The era in force at the instant, of the first `known` ones."""
        place = known - 1
        while place > 0 and self.eras[place].effective_ms > at_ms:
            place -= 1
        return place

    def in_force(self, first: int, last: int, after_ms: int = -NEVER) -> list[Machine]:
        """Of eras `first` to `last`, by index, those that hold at some instant after `after_ms`; the last one does."""
        return [
            self.machines[i]
            for i in range(first, last + 1)
            if i == last or self.eras[i + 1].effective_ms > max(after_ms, self.eras[i].effective_ms)
        ]


def _mark(before: bytes, policy: Policy, effective_ms: int) -> bytes:
    text = f"{policy.digest}{effective_ms}".encode()
    return blake2b(before + text, digest_size=8).digest()


def kept_for(policy: Policy) -> frozenset[str]:
    """The fields of events and the attributes that the policy's rules ask for."""
    return policy.fields | frozenset(policy.document.attributes)

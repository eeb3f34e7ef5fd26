"""What an audit finds, added up over its parts."""

from collections import Counter
from dataclasses import dataclass, field
from typing import Literal

import msgspec

from services.audit.comparison import Difference

AGREES, DIFFERS, IN_MOTION, INEXACT = "agrees", "differs", "in_motion", "inexact"
OUTCOMES = (AGREES, DIFFERS, IN_MOTION, INEXACT)
Outcome = Literal["agrees", "differs", "in_motion", "inexact"]
_MOST_FINDINGS = 1_000


class Finding(msgspec.Struct, frozen=True):
    """Somebody who differs."""

    customer: str
    differences: list[Difference]


@dataclass(slots=True)
class Tally:
    """customers: by outcome

    in_motion: a part of the family was on its way between partitions
    inexact:   their ledger was folded, and something came so late, or was merged, that what it counts for depends on
               when that was: of those only money, forms and the like were compared; or the record is full
    findings:  of the first thousand who differ, by name.  events: how many were recomputed
    """

    customers: Counter[str] = field(default_factory=Counter)
    findings: list[Finding] = field(default_factory=list)
    events: int = 0

    def add(self, other: "Tally") -> None:
        self.customers += other.customers
        self.findings += other.findings
        self.findings.sort(key=lambda finding: finding.customer)
        del self.findings[_MOST_FINDINGS:]
        self.events += other.events

    def found(self, subject: str, differences: list[Difference], *, exact: bool) -> None:
        """The outcome of one customer."""
        if not differences:
            self.customers[AGREES if exact else INEXACT] += 1
            return
        self.customers[DIFFERS] += 1
        if len(self.findings) < _MOST_FINDINGS:
            self.findings.append(Finding(subject, differences))

    @property
    def looked_at(self) -> int:
        return self.customers.total()

    @property
    def differing(self) -> int:
        return self.customers[DIFFERS]

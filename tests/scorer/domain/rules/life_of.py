"""One customer's life in a few lines: events come, time passes, and what was decided can be asked.

    life = LifeOf(policy("features: ..."))
    life.sees(buy("2026-03-01T12:00Z", 100_00))          # appended at its own time
    life.sees(buy("2026-03-02T12:00Z", 5_00), at="2026-03-09T12:00Z")   # a week late
    life.until("2026-04-01T00:00Z")                      # every timer fires when it is due
    assert life.path("tier") == [("2026-03-01T12:00Z", "gold"), ("2026-03-31T12:00Z", "basic")]

The state goes through its bytes between any two turns, as in the engine. Paths are those that a reader of the decisions
keeps: cut at `from`, appended.
"""

from collections.abc import Sequence
from typing import Any

from schemas.decisions import Value
from schemas.events import Event
from schemas.explanations import Explanation, FeatureValue, RuleView
from services.scorer.domain import merging
from services.scorer.domain import policy as policies
from services.scorer.domain.entries import PURCHASE
from services.scorer.domain.eras import Policies
from services.scorer.domain.explain import explain
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.packing import decode, due_ms, encode
from services.scorer.domain.rules import Policy
from services.scorer.domain.scoring import Arrival, Change, Outcome, Report, score
from services.scorer.domain.state import Customer
from tests.scorer.domain.timeline import SUBJECT, Time, ms

Steps = list[tuple[str, Value]]

S, MIN, H, DAY = 1_000, 60_000, 3_600_000, 86_400_000

ANY_LADDER = """
ladders:
  tier: [{name: top, when: "known_for >= 90y"}, {name: floor}]
"""


def policy(body: str, *, zone: str = "UTC", currency: str = "EUR", name: str = "p") -> Policy:
    """A policy of this body; without ladders it gets one on which nothing happens."""
    ladder = "" if "ladders:" in body else ANY_LADDER
    return policies.parse(f"policy: {name}\ncurrency: {currency}\nzone: {zone}\n{body}{ladder}")


def told(at_ms: int) -> str:
    """An instant as tests write it: `2026-03-01T12:00Z`, with seconds and ms where there are any."""
    at = to_datetime(at_ms)
    spec = "minutes" if at_ms % MIN == 0 else "seconds" if at_ms % S == 0 else "milliseconds"
    return at.replace(tzinfo=None).isoformat(timespec=spec) + "Z"


class LifeOf:
    """changes, reports: all that came out so far.  now: the newest append time or instant played to, ms."""

    def __init__(self, *given: Policy | Policies, subject: str = SUBJECT) -> None:
        [first] = given
        self.policies = first if isinstance(first, Policies) else Policies.only(first)
        self.subject = subject
        self.record = encode(Customer.new(self.policies))
        self.changes: list[Change] = []
        self.reports: list[Report] = []
        self.now = 0
        self._offset = 0
        self._paths: dict[str, list[tuple[int, Value]]] = {}

    # -- what happens

    def sees(self, *events: Event, at: Time | None = None) -> list[Change]:
        """The events come as one batch, each at its own time or all at `at`; timers due before have fired."""
        times = [ms(at) if at is not None else ms_of(event) for event in events]
        if not times:
            return []
        self.until(times[0] - 1)
        arrivals = []
        for event, appended_ms in zip(events, times, strict=True):
            arrivals.append(Arrival(event, appended_ms, self._offset, b""))
            self._offset += 1
        return self.turn(*arrivals, until_ms=max(times)).changes

    def until(self, time: Time) -> list[Change]:
        """Time passes; every timer fires at the instant it is due. What came of it."""
        before = len(self.changes)
        while (due := due_ms(self.record)) is not None and due <= ms(time):
            was = self.record
            self.turn(until_ms=max(due, self.now))
            assert self.record != was, f"due at {told(due)}, and nothing came of it"
        self.now = max(self.now, ms(time))
        return self.changes[before:]

    def learns(self, policy: Policy, effective: Time, at: Time | None = None) -> list[Change]:
        """A policy becomes known at `at` (by default when it takes effect) and is played up to then."""
        at_ms = ms(effective if at is None else at)
        self.until(at_ms - 1)
        customer = self.customer
        self.policies = self.policies.then(policy, ms(effective), at_ms)
        self.record = encode(customer)
        return self.turn(until_ms=at_ms).changes

    def turn(self, *arrivals: Arrival, until_ms: int) -> Outcome:
        """One turn as it is, without any timer before it."""
        self.record, outcome = score(self.record, self.policies, arrivals, until_ms, self.subject)
        self.now = max(self.now, until_ms)
        self.reports += outcome.reports
        self._read(outcome.changes)
        return outcome

    def _read(self, changes: Sequence[Change]) -> None:
        """As a reader of the decisions does: cut the path at `from`, append."""
        self.changes += changes
        for change in changes:
            kept = [step for step in self._paths.get(change.dimension.name, []) if step[0] < change.from_ms]
            self._paths[change.dimension.name] = kept + change.path

    # -- identities

    def takes_in(self, other: "LifeOf", at: Time) -> list[Change]:
        """`other` is merged into this one; what came of it for this one."""
        self.until(ms(at) - 1)
        other.until(ms(at) - 1)
        customer, alias = self.customer, other.customer
        merged = merging.merge(
            customer, alias, self.policies, subject=self.subject, other_subject=other.subject, at_ms=ms(at)
        )
        self._settle(customer, merged.changes, at)
        other._settle(alias, merged.of_alias, at)
        return merged.changes

    def gives_back(self, other: "LifeOf", at: Time) -> list[Change]:
        """`other` is parted from this one again; what came of it for this one."""
        self.until(ms(at) - 1)
        parted = merging.unmerge(
            self.customer, self.policies, subject=self.subject, other_subject=other.subject, at_ms=ms(at)
        )
        self._settle(parted.customer, parted.changes, at)
        other._settle(parted.other, parted.of_other, at)
        return parted.changes

    def is_erased(self, at: Time, *others: "LifeOf") -> list[str]:
        """The subjects that stand for themselves again; of those among `others` the lives go on."""
        self.until(ms(at) - 1)
        customer = self.customer
        changes, freed = merging.erase(customer, self.policies, subject=self.subject, at_ms=ms(at))
        self._settle(customer, changes, at)
        for other in others:
            other._settle(*freed[other.subject], at)
        return list(freed)

    def is_renewed(self, anew: "LifeOf", at: Time) -> None:
        """Rebuilt from its own events, which `anew` has lived on alone."""
        customer = self.customer
        given = {"subject": self.subject, "origin": "", "at_ms": ms(at), "whole": True}
        self._settle(customer, merging.renew(customer, anew.customer, self.policies, **given) or [], at)

    def _settle(self, customer: Customer, changes: Sequence[Change], at: Time) -> None:
        self.record = encode(customer)
        self.now = max(self.now, ms(at))
        self._read(changes)

    # -- what can be asked

    @property
    def customer(self) -> Customer:
        return decode(self.record, self.policies)

    def path(self, dimension: str = "tier") -> Steps:
        return [(told(at_ms), value) for at_ms, value in self._paths.get(dimension, [])]

    def of(self, dimension: str = "tier") -> list[Change]:
        return [change for change in self.changes if change.dimension.name == dimension]

    def said(self, dimension: str = "tier") -> list[tuple[Value, Value, str, str]]:
        """What was decided, in order: (before, after, effective_at, cause)."""
        return [(c.before, c.after, told(c.effective_ms), c.cause) for c in self.of(dimension)]

    def value(self, dimension: str = "tier") -> Value:
        return self.customer.shown()[dimension][1]

    def due(self) -> str | None:
        due = due_ms(self.record)
        return None if due is None else told(due)

    def explained(self, at: Time | None = None) -> Explanation:
        return explain(self.customer, self.policies, self.now if at is None else ms(at))

    def feature(self, name: str, at: Time | None = None) -> FeatureValue:
        return self.explained(at).features[name]

    def figure(self, name: str, at: Time | None = None) -> Any:
        return self.feature(name, at).value

    def rule(self, name: str, at: Time | None = None) -> RuleView:
        return next(rule for rule in self.explained(at).rules if rule.rule == name)

    def next(self, dimension: str = "tier", at: Time | None = None) -> tuple[str, Value] | None:
        """What happens next without any event."""
        coming = (n for n in self.explained(at).next if n.dimension == dimension)
        return next(((told(ms(n.at.isoformat())), n.after) for n in coming), None)

    def amounts(self) -> list[int]:
        """Of the orders kept, in minor units."""
        return [entry.amount for entry in self.customer.ledger.entries if entry.kind == PURCHASE]


def ms_of(event: Event) -> int:
    return ms(event.time.isoformat())

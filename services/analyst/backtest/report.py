"""What a back-test comes to, as it is told: the document of `report.json`, the same for the same input."""

from collections import Counter
from collections.abc import Iterator
from datetime import date

import msgspec

from schemas.decisions import Kind, Value
from schemas.instants import Instant
from services.analyst import words
from services.analyst.backtest.tally import Move, Side, Tally
from services.scorer.domain.flaps import FLAP_MS
from services.scorer.domain.instants import to_datetime
from services.scorer.domain.rules import Classes, Policy

MONTH_MS = FLAP_MS
MOST_NAMED = 100
"""Of the moves, so many are in the report; `moves.csv` has all."""
_WEEK_MS = 604_800_000


class PolicyView(msgspec.Struct, frozen=True):
    policy: str
    digest: str


class Cell(msgspec.Struct, frozen=True):
    """So many customers stand at `before` under the old policy and at `after` under the new one."""

    before: Value
    after: Value
    customers: int


class DimensionView(msgspec.Struct, frozen=True, kw_only=True):
    """One ladder, list of classes, segment or churn, in the end.

    values:     as the new policy orders them, the old one's that are no more behind them
    new, old:   customers by value, in the order of `values`; None where the policy doesn't know the dimension
    matrix:     from old to new; empty where there is nothing to compare
    moved:      customers who stand elsewhere; of what only one of the policies knows, elsewhere than everyone begins
    announced:  moves that would have been announced.  flaps: of them, those that went back to the value left less than
                30 days before
    flap_rate:  flaps a month of 30 days and 1,000 customers
    """

    name: str
    kind: Kind
    values: list[Value]
    new: list[int] | None
    old: list[int] | None
    matrix: list[Cell]
    moved: int
    announced: dict[str, int]
    flaps: dict[str, int]
    flap_rate: dict[str, float]

    @property
    def only(self) -> str | None:
        """Which of two policies knows the dimension, where it is one of them."""
        if (self.new is None) == (self.old is None):
            return None
        return "old" if self.new is None else "new"

    @property
    def inside(self) -> tuple[int | None, int | None]:
        """Of a segment or churn: customers inside under the old policy and the new one."""
        place = self.values.index(True)
        return (self.old[place] if self.old else None, self.new[place] if self.new else None)

    def went(self, before: Value, after: Value) -> int | None:
        """Customers who move so; None where there is nothing to compare."""
        if not self.matrix:
            return None
        return sum(cell.customers for cell in self.matrix if (cell.before, cell.after) == (before, after))


class PlaybookView(msgspec.Struct, frozen=True, kw_only=True):
    """side: new or old.  times: it would have been triggered, a_week on average

    weekly: by the week's Monday; weeks without are left out
    """

    side: str
    on: str
    when: str | None
    title: str | None
    times: int
    a_week: float
    weekly: dict[str, int]


class ShareView(msgspec.Struct, frozen=True, kw_only=True):
    """A class's share in percent: of the effort planned, of customers in the end, and of the interactions there were,
    each counted where the customer stood. None where nothing is planned, or there were none."""

    side: str
    dimension: str
    name: str
    planned: str | None
    customers: float
    interactions: float | None


class MoveView(msgspec.Struct, frozen=True, kw_only=True):
    """A customer who stands elsewhere under the new policy.  since: None if that is where everyone begins"""

    customer: str
    dimension: str
    before: Value
    after: Value
    since: Instant | None


class MovesView(msgspec.Struct, frozen=True, kw_only=True):
    """total: how many moves there are, one a customer and dimension

    first: the first of them, by dimension in the new policy's order, the old one's that are no more last, then by
           customer
    """

    total: int
    first: list[MoveView]


class Report(msgspec.Struct, frozen=True, kw_only=True):
    """first, until: the first event, and the instant played to.  dead: events not taken or not as sent, by reason

    unpriced: by side and currency, the orders for which the policy has no rate: they count as 0
    moved: customers who stand elsewhere in at least one dimension; moves says who
    """

    new: PolicyView
    old: PolicyView | None
    first: Instant | None
    until: Instant
    customers: int
    events: int
    duplicates: int
    dead: dict[str, int]
    unpriced: dict[str, dict[str, int]]
    moved: int
    moves: MovesView
    dimensions: list[DimensionView]
    playbooks: list[PlaybookView]
    shares: list[ShareView]

    @property
    def aside(self) -> str:
        """What was not taken, or not as sent; empty if nothing."""
        dead = [f"{count:,} {reason}" for reason, count in self.dead.items() if count]
        return ", ".join([words.counted(self.duplicates, "duplicate")] * (self.duplicates > 0) + dead)

    @property
    def without_rate(self) -> list[str]:
        """What is to be said of money that a policy cannot price, a sentence a policy."""
        return [
            f"counting as 0, as the {side} policy has no rate for them: "
            + ", ".join(f"{words.counted(count, 'order')} in {currency}" for currency, count in missing.items())
            for side, missing in self.unpriced.items()
            if missing
        ]


def report(tally: Tally, until_ms: int, new: Policy, old: Policy | None) -> Report:
    sides = [("new", new, tally.new)] + ([("old", old, tally.old)] if old is not None else [])
    return Report(
        new=PolicyView(new.name, new.digest),
        old=None if old is None else PolicyView(old.name, old.digest),
        first=None if tally.first_ms is None else to_datetime(tally.first_ms),
        until=to_datetime(until_ms),
        customers=tally.customers,
        events=tally.events,
        duplicates=tally.duplicates,
        dead=dict(sorted(tally.dead.items())),
        unpriced={name: dict(sorted(side.unpriced.items())) for name, _, side in sides},
        moved=tally.movers,
        moves=MovesView(total=len(tally.moves), first=[_move(move) for move in tally.moves[:MOST_NAMED]]),
        dimensions=list(_dimensions(tally, new, old)),
        playbooks=[view for side in sides for view in _playbooks(*side, tally, until_ms)],
        shares=[view for side in sides for view in _shares(*side, tally.customers)],
    )


def _move(move: Move) -> MoveView:
    return MoveView(
        customer=move.subject,
        dimension=move.dimension,
        before=move.before,
        after=move.after,
        since=None if move.since_ms is None else to_datetime(move.since_ms),
    )


def _dimensions(tally: Tally, new: Policy, old: Policy | None) -> Iterator[DimensionView]:
    known = {d.name: d for d in new.dimensions}
    before = {d.name: d for d in old.dimensions} if old is not None else {}
    months = tally.lived_ms / MONTH_MS / 1_000
    moved = Counter(move.dimension for move in tally.moves)
    for name in dict.fromkeys([*known, *before]):
        dimension = known.get(name) or before[name]
        both = name in known and name in before and known[name].kind == before[name].kind
        values = list(dict.fromkeys([*dimension.values, *(before[name].values if both else ())]))
        sides = [("new", tally.new)] * (name in known) + [("old", tally.old)] * (name in before)
        yield DimensionView(
            name=name,
            kind=dimension.kind,
            values=values,
            new=_positions(tally.new, name, values) if name in known else None,
            old=_positions(tally.old, name, values) if name in before else None,
            matrix=[
                Cell(was, now, count)
                for was in values
                for now in values
                if (count := _count(tally.matrix, name, was, now))
            ],
            moved=moved[name],
            announced={side: counted.announced[name] for side, counted in sides},
            flaps={side: counted.flaps[name] for side, counted in sides},
            flap_rate={side: round(counted.flaps[name] / months, 3) if months else 0.0 for side, counted in sides},
        )


def _positions(side: Side, name: str, values: list[Value]) -> list[int]:
    return [side.positions[name, value] for value in values]


def _count(matrix: Counter[tuple[str, Value, Value]], name: str, was: Value, now: Value) -> int:
    return matrix[name, was, now]


def _playbooks(name: str, policy: Policy, side: Side, tally: Tally, until_ms: int) -> Iterator[PlaybookView]:
    weeks = max(1.0, (until_ms - tally.first_ms) / _WEEK_MS) if tally.first_ms is not None else 1.0
    for number, playbook in enumerate(policy.playbooks):
        weekly = {monday: count for (n, monday), count in sorted(side.triggered.items()) if n == number}
        times = sum(weekly.values())
        yield PlaybookView(
            side=name,
            on=playbook.on,
            when=None if playbook.when is None else playbook.when.text,
            title=None if playbook.task is None else playbook.task.title,
            times=times,
            a_week=round(times / weeks, 2),
            weekly={date.fromordinal(monday).isoformat(): count for monday, count in weekly.items()},
        )


def _shares(name: str, policy: Policy, side: Side, customers: int) -> Iterator[ShareView]:
    for dimension in policy.dimensions:
        if not isinstance(dimension, Classes):
            continue
        contacts = sum(side.contacts[dimension.name, c.name] for c in dimension.classes)
        for one in dimension.classes:
            met = side.contacts[dimension.name, one.name]
            yield ShareView(
                side=name,
                dimension=dimension.name,
                name=one.name,
                planned=one.resources,
                customers=_percent(side.positions[dimension.name, one.name], customers),
                interactions=_percent(met, contacts) if contacts else None,
            )


def _percent(part: int, whole: int) -> float:
    return round(100 * part / whole, 2) if whole else 0.0

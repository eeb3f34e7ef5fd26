"""The naive oracle: what the rules (docs/semantics.md) say of one customer, recomputed from nothing at every instant.

It shares no code with `services.scorer.domain` and knows no state, no timers, no arrival order beyond "the first in
the log stands". A path is the list of its steps `(instant_ms, value)`; before the first step the value is the initial
one (the last tier or class, False), which is no step. Slow on purpose: see `instants` for the only idea in it.
"""

from bisect import bisect_right
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from functools import cache, cached_property, lru_cache
from heapq import heapify, heappop, heappush
from typing import NamedTuple

from schemas.decisions import Value
from schemas.events import Event, Override
from tests.scorer.domain import oracle_moves, oracle_rules
from tests.scorer.domain.oracle_calendar import anniversary, to_ms, window_exit
from tests.scorer.domain.oracle_features import Book, Values, fixed
from tests.scorer.domain.oracle_identities import Complaint, Intake, Life
from tests.scorer.domain.oracle_moves import Standing
from tests.scorer.domain.oracle_operands import UNKNOWN, Operand
from tests.scorer.domain.oracle_orders import Orders, hash_of, sorted_by_time

__all__ = ["Complaint", "Era", "Intake", "Life", "Oracle", "Steps"]

Steps = list[tuple[int, Value]]
ALWAYS = -(2**62 - 1)
FAR = 366 * 86_400_000 * 10
BISECTED = ("score", "p_alive", "expected")


class Era(NamedTuple):
    """A policy's text, and from when on it decides; the first holds from the beginning whatever it says."""

    policy: str
    effective_at: int = ALWAYS


@dataclass
class Course:
    """What was played up to `now`: every dimension's path, and where each stands at the end, overrides aside.

    gone: where everyone was put in dimensions that were no more
    """

    now: int
    paths: dict[str, Steps] = field(default_factory=dict)
    initial: dict[str, Value] = field(default_factory=dict)
    computed: dict[str, Value] = field(default_factory=dict)
    output: dict[str, Value] = field(default_factory=dict)
    standings: dict[str, Standing] = field(default_factory=dict)
    gone: dict[str, Value] = field(default_factory=dict)


class Oracle:
    def __init__(self, *eras: Era | str) -> None:
        self.eras = [era if isinstance(era, Era) else Era(era) for era in eras]
        self.books = [book_of(era.policy) for era in self.eras]

    def intake(self, log: Sequence[Event]) -> Intake:
        """Rules 5 and 7 of one customer who is merged with nobody."""
        life = Life()
        for place, event in enumerate(log):
            life.take(event, "c", place)
        return life.intake

    # -- rule 9: which policy

    def era_at(self, instant: int) -> int:
        """The last of the sequence whose effective_at has come."""
        begun = [i for i, era in enumerate(self.eras) if i == 0 or era.effective_at <= instant]
        return begun[-1]

    @property
    def book(self) -> Book:
        return self.books[0]

    @cached_property
    def dimensions(self) -> list[str]:
        """Of any of the policies."""
        return list(dict.fromkeys(name for book in self.books for name in initial(book)))

    # -- the path

    def paths(self, accepted: Sequence[Event], now: int | None = None, every_ms: bool = False) -> dict[str, Steps]:
        """Every dimension's path up to and with `now`; with None, for ten years after the last event and era."""
        return self.course(accepted, now, every_ms).paths

    def course(self, accepted: Sequence[Event], now: int | None = None, every_ms: bool = False) -> Course:
        told = [to_ms(event.time) for event in accepted]
        if now is None:
            now = max([*told, *(era.effective_at for era in self.eras[1:])], default=0) + FAR
        ledger = Ledger(accepted)
        course = Course(now, {name: [] for name in self.dimensions})
        ahead = list(range(min(told, default=now), now + 1)) if every_ms else self.instants(ledger, now)
        heapify(ahead)
        done, era = ALWAYS, -1
        while ahead:
            s = heappop(ahead)
            if s > now or s == done or s < min(told, default=s + 1):
                continue
            done = s
            for later in self.play(course, ledger, s, era):
                heappush(ahead, later)
            era = self.era_at(s)
        if era == -1:
            course.initial = course.computed = course.output = initial(self.books[self.era_at(now)])
        return course

    def play(self, course: Course, ledger: "Ledger", s: int, era: int) -> Iterator[int]:
        """One instant: what the policy then in force makes of everything known by then. `era`: the one before."""
        book = self.books[self.era_at(s)]
        values = Values(book, ledger.at(s), s)

        @cache
        def holds(rule: str) -> bool:
            return oracle_rules.holds(book.rule(rule), values)

        begins = initial(book)
        if era == -1:
            course.initial = dict(begins)
        switched = era not in (-1, self.era_at(s))
        if switched:
            self.leave(course, self.books[era], book, s)
        for kinds, move in ((book.ladders, oracle_moves.on_ladder), (book.classes, oracle_moves.among_classes)):
            for name, rungs in kinds.items():
                standing = course.standings.get(name) or oracle_moves.beginning(rungs)
                if switched:
                    standing = oracle_moves.carried_over(rungs, standing, holds, s)
                moved = move(rungs, standing, holds, s, book.zone)
                course.standings[name] = moved.standing
                course.computed[name] = moved.standing.value
                if moved.later is not None:
                    yield moved.later
        for name, rule in book.segments.items():
            course.computed[name] = holds(rule)
        for name, first in begins.items():
            self.put(course, name, masked(ledger, s, name, positions_of(book, name), course.computed[name]), first, s)

    def leave(self, course: Course, before: Book, book: Book, s: int) -> None:
        """Dimensions that the policy no longer has: each goes back to where everyone began. One that is of another kind
        by now goes on from what was shown, without memory."""
        for name, first in initial(before).items():
            if (name in before.ladders, name in before.classes) != (name in book.ladders, name in book.classes):
                course.standings.pop(name, None)
            if name not in initial(book):
                self.put(course, name, first, first, s)
                course.gone[name] = first
                del course.computed[name], course.output[name]

    def put(self, course: Course, name: str, value: Value, first: Value, s: int) -> None:
        """`first`: where everyone begins."""
        if value != course.output.get(name, course.gone.get(name, first)):
            course.paths[name].append((s, value))
        course.output[name] = value

    # -- at one instant

    def values(self, accepted: Sequence[Event], instant: int) -> Values:
        """Under the policy in force at the instant."""
        return Values(self.books[self.era_at(instant)], Ledger(accepted).at(instant), instant)

    def positions(self, accepted: Sequence[Event], instant: int) -> dict[str, Value]:
        """The output: overrides included."""
        return self.course(accepted, instant).output

    def basis(self, name: str, accepted: Sequence[Event], instant: int) -> tuple[list[int], int]:
        """The times of the events a count, sum, mean or feedback rests on, and how many of them count as 0 for want
        of a rate."""
        values = self.values(accepted, instant)
        counted = values.contributing(values.book.features[name])
        places = [values.orders.place_of(event) for event in counted] if "sum" in values.book.features[name] else []
        unpriced = [p for p in places if values.book.price(1, p.data.currency, to_ms(p.time)) is None]
        return sorted(to_ms(event.time) for event in counted), len(unpriced)

    # -- the one idea in it: that only some instants matter

    def instants(self, ledger: "Ledger", until: int) -> list[int]:
        """Every instant at which anything can change, but for those a position's own grace and dwell bring about, and
        some at which nothing does."""
        found: set[int] = {era.effective_at for era in self.eras[1:]}
        for event in ledger.events:
            found.add(to_ms(event.time))
            if isinstance(event, Override):
                found.add(to_ms(event.data.until))
        for book in self.books:
            found |= self.of_book(book, ledger, until)
        return [instant for instant in found if instant <= until]

    def of_book(self, book: Book, ledger: "Ledger", until: int) -> set[int]:
        found: set[int] = set()
        starts = {to_ms(event.time) for event in ledger.events}
        windows = {f["window"] for f in book.features.values() if "window" in f}
        spans = {span for rule in book.rules.values() for span in oracle_rules.spans_in(rule)}
        spans |= set(book.calibration.get("rfm", {}).get("recency", ()))
        trends = [(fixed(f["recent"]), fixed(f["base"])) for f in book.features.values() if "trend" in f]
        expected = {Values(book, ledger.at(t), t).next_order() for t in starts} if overdue_in(book) else set()
        for t in starts:
            found |= {window_exit(t, window, book.zone) for window in windows}
            found |= {t + recent for recent, _ in trends} | {t + recent + base for recent, base in trends}
        for t in starts | {t for t in expected if t is not None}:
            reached = {t} | {anniversary(t, span, book.zone) for span in spans}
            found |= {instant + by for instant in reached for by in (-1, 0, 1)}
        return found | self.crossings(book, ledger, until)

    def crossings(self, book: Book, ledger: "Ledger", until: int) -> set[int]:
        """Where a real number that only falls, or only grows, between two events passes a literal: by bisection."""
        found: set[int] = set()
        starts = sorted({to_ms(event.time) for event in ledger.events})
        asked = {
            (compared.operand, literal)
            for rule in book.rules.values()
            for compared in oracle_rules.comparisons_in(book.rule(rule))
            for literal in compared.literals
            if any(kind in book.features.get(compared.operand, ()) for kind in BISECTED)
        }
        for operand, literal in asked:
            for start, end in zip(starts, [*(t - 1 for t in starts[1:]), until], strict=bool(starts)):
                for sign in (">", ">="):
                    found |= flip(book, ledger, operand, sign, literal, start, end)
        return found


class Ledger:
    """A customer's events, and what was known of them at each instant."""

    def __init__(self, accepted: Sequence[Event]) -> None:
        self.events = sorted_by_time(accepted)
        self.times = [to_ms(event.time) for event in self.events]
        self._orders: dict[int, Orders] = {}

    def at(self, instant: int) -> Orders:
        known = bisect_right(self.times, instant)
        if known not in self._orders:
            self._orders[known] = Orders(self.events[:known], self.events)
        return self._orders[known]


def flip(book: Book, ledger: Ledger, operand: str, sign: str, literal: str, start: int, end: int) -> set[int]:
    """The first instant after `start` and up to `end` at which the comparison is another, if there is one."""

    def answer(s: int) -> bool:
        value: Operand = Values(book, ledger.at(s), s)[operand]
        return value.known and value.compare(sign, literal)

    if end <= start or ledger.at(start) is not ledger.at(end) or answer(start) == answer(end):
        return set()
    before, found = start, end
    while found - before > 1:
        look = (before + found) // 2
        if answer(look) == answer(start):
            before = look
        else:
            found = look
    return {found}


@lru_cache(maxsize=300)
def book_of(policy: str) -> Book:
    return Book(policy)


def overdue_in(book: Book) -> bool:
    return any("overdue" in feature for feature in book.features.values())


def initial(book: Book) -> dict[str, Value]:
    """Where everyone begins."""
    begins: dict[str, Value] = {
        name: rungs[-1]["name"] for name, rungs in [*book.ladders.items(), *book.classes.items()]
    }
    return begins | dict.fromkeys(book.segments, False)


def positions_of(book: Book, name: str) -> list[Value]:
    rungs = book.ladders.get(name) or book.classes.get(name)
    return [True, False] if rungs is None else [rung["name"] for rung in rungs]


def masked(ledger: Ledger, s: int, name: str, positions: list[Value], computed: Value) -> Value:
    """The output of a dimension: what the newest override in force says, if that is a position it has."""
    active = [
        event
        for event in ledger.events
        if isinstance(event, Override)
        and event.data.dimension == name
        and to_ms(event.time) <= s < to_ms(event.data.until)
    ]
    if not active:
        return computed
    said = max(active, key=lambda event: (event.time, hash_of(event.source, event.id))).data.value
    return said if any(said == p and type(said) is type(p) for p in positions) else computed


def unknown(operand: Operand) -> bool:
    return operand is UNKNOWN or not operand.known

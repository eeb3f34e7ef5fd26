"""A rebuild in memory: while customers are merged, parted and erased, and whoever crashes, it leaves everybody as they
would be had everything been kept from the beginning."""

from datetime import timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from msgspec.structs import replace
from structlog import get_logger
from structlog.testing import capture_logs

from schemas.decisions import DecisionRecord
from schemas.events import Click, ClickData, Event, Interaction, InteractionData, Purchase, PurchaseData
from schemas.identities import Erasure, Merge, Unmerge
from schemas.topics import SCORER_STATE
from services.scorer.domain.entries import Entry, read_profile
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.outcomes import Outcome
from services.scorer.domain.packing import alias_of, decode
from services.scorer.domain.policy import parse
from services.scorer.domain.scoring import score
from services.scorer.engine import generation as generation_module
from services.scorer.engine import relations
from services.scorer.engine import shard as shard_module
from services.scorer.engine.generation import Generation
from services.scorer.engine.replay import Past
from services.scorer.engine.shard import Shard
from services.scorer.engine.turn import Turn
from services.shared.partitioner import partition_of
from tests.scorer.engine.poisoned import POISON, failing_score
from tests.scorer.engine.records import Fetched
from tests.scorer.engine.test_relations import (
    BEGIN,
    DRAWS,
    END_MS,
    PARTITIONS,
    POLICIES,
    TEXT,
    Draws,
    Partitioned,
    Step,
    history,
    of_many_lives,
)

KEEPING = POLICIES.keeping({"channel"}, 1)
BY_CHANNEL = parse(
    TEXT.replace("window: 10d}", "window: 10d, where: \"channel == 'phone'\"}").replace("recent >= 2", "recent >= 1")
)
CHANNELS = ("phone", "mail", None)


def spoken(steps: list[Step], lateness: list[int]) -> list[Step]:
    """With a channel in each call, and some of them late or a little ahead of the clock."""
    told: list[Step] = []
    for n, step in enumerate(steps):
        if isinstance(step, Interaction):
            late = lateness[n % len(lateness)]
            time = step.time - timedelta(days=late) if late >= 0 else step.time + timedelta(minutes=2)
            step = msgspec.structs.replace(step, time=time, data=InteractionData(channel=CHANNELS[n % 3]))  # noqa: PLW2901
        told.append(step)
    return told


class Installation(Partitioned):
    """policies: those that are known by now, each partition hears of them in its own time."""

    def __init__(self, steps: list[Step], policies: Policies) -> None:
        self.policies = policies
        self.known = [policies] * PARTITIONS
        self.generations: list[Generation | None] = [None] * PARTITIONS
        self.rebuilt = [0] * PARTITIONS
        super().__init__(steps)

    def _restored(self, p: int) -> Shard:
        super()._restored(p)
        aliases = {key: into for key, record in self.state[p].items() if (into := alias_of(record)) is not None}
        records = {key: record for key, record in self.state[p].items() if key not in aliases}
        return Shard(self.known[p], number=p, partitions=PARTITIONS, topic="events", records=records, aliases=aliases)

    def move(self, p: int, what: str) -> bool:
        generation = self.generations[p]
        match what:
            case "hear":
                heard = self.known[p] is not self.policies
                self.known[p] = self.policies
                if heard:
                    self.shards[p].follow(self.policies)
                return heard
            case "rebuild":
                return self._rebuild(p)
            case "crash":
                self.generations[p] = None
                return super().move(p, what)
            case "event":
                taken = self.done[p][0]
                in_step = generation is not None and generation.replayed == taken
                moved = super().move(p, what)
                if moved and in_step:
                    assert generation is not None
                    generation.take(self._past(p, taken, taken + 1))
                return moved
            case _:
                return super().move(p, what)

    def _past(self, p: int, first: int, end: int) -> list[Past]:
        return [Past(r.offset, r.timestamp, r.key, r.value) for r in self.events[p][first:end]]

    def _rebuild(self, p: int) -> bool:
        """A slice, as a partition does it."""
        shard, taken = self.shards[p], self.done[p][0]
        if self.rebuilt[p] >= shard.policies.rebuild:
            return False
        generation = self.generations[p]
        if generation is None:
            generation = self.generations[p] = Generation(shard, PARTITIONS, self.kinship.erased())
        if generation.replayed < taken:
            generation.take(self._past(p, generation.replayed, min(taken, generation.replayed + 3)))
            return True
        turn = Turn(0, END_MS, False)
        at_ms = max((r.timestamp for r in self.events[p][:taken]), default=0)
        generation.switch(turn, at_ms, 1)
        if not generation.left:
            self.rebuilt[p], self.generations[p] = shard.policies.rebuild, None
        self.commit(p, turn)
        return True

    def run(self, random: Random, ask_after: int = -1) -> None:
        """Until nothing is left to do, in any order of turns; a rebuild is asked for after so many."""
        idle = turns = 0
        kinds = ("event", "transfer", "operation", "crash", "hear", "rebuild", "rebuild")
        while idle < len(kinds) * PARTITIONS or ask_after >= turns or self.known != [self.policies] * PARTITIONS:
            moves = [(p, what) for p in range(PARTITIONS) for what in kinds]
            random.shuffle(moves)
            idle = 0
            for p, what in moves:
                turns += 1
                if turns == ask_after:
                    self.policies = KEEPING
                if what in ("crash", "hear") and random.random() < 0.8:  # some hear of it late, most get through
                    idle += 1
                    continue
                idle += not self.move(p, what)
        for p in range(PARTITIONS):
            assert self.kinship.next(p, self.done[p][1]) is None
            assert self.inboxes[p].head() is None
            self.move(p, "time")

    def entries(self) -> dict[str, list[Entry]]:
        """Of everybody who has any: those that count and those that do not."""
        found = {}
        for name, customer in self.customers().items():
            shadowed = customer.rare.shadowed if customer.rare else []
            entries = [*customer.ledger.entries, *shadowed, *(w.entry for w in customer.waiting)]
            if entries:
                found[name] = sorted(entries, key=lambda e: (e.time_ms, e.id, e.profile))
        return found

    def shown_by(self, policies: Policies) -> dict[str, Any]:
        found = {}
        for shard in self.shards:
            for key, record in shard.records.items():
                customer = decode(score(record, policies, (), END_MS, key.decode())[0], policies)
                if len(customer.ledger):
                    found[key.decode()] = {name: value for name, (_, value, _) in customer.shown().items()}
        return found


def assert_rebuilt(draws: Draws, lateness: list[int], ask_after: int, seed: int) -> None:
    steps = spoken(history(draws), lateness)
    rebuilt, kept = Installation(steps, POLICIES), Installation(steps, KEEPING)
    rebuilt.run(Random(seed), ask_after)
    kept.rebuilt = [1] * PARTITIONS
    kept.run(Random(seed + 1))
    assert rebuilt.rebuilt == [1] * PARTITIONS
    assert rebuilt.entries() == kept.entries()
    later = KEEPING.then(BY_CHANNEL, END_MS - 1, END_MS - 1)
    assert rebuilt.shown_by(later) == kept.shown_by(later)
    told, wanted = rebuilt.paths(), kept.paths()  # no revision is missing and none is there twice
    for key in {*told, *wanted}:
        if key[0] in kept.entries():
            assert told[key] == wanted[key], key
    # What is on its way over `transfers` may be overtaken by the rebuild, which then tells it.
    sent = {name for step in steps if isinstance(step, Merge | Unmerge) for name in (step.from_, step.into)}
    sent |= {step.subject for step in steps if isinstance(step, Erasure)}
    for p in range(PARTITIONS):
        by_rebuild = [d for d in rebuilt.decisions[p] if d.cause == "rebuild" and d.subject not in sent]
        assert not by_rebuild, "the policy in force does not look at it"


@settings(max_examples=150, deadline=None)
@given(DRAWS, st.lists(st.integers(-1, 3), min_size=1, max_size=5), st.integers(1, 300), st.integers(0, 1 << 30))
def test_rule_04_a_rebuild_leaves_everybody_as_if_everything_had_been_kept_from_the_beginning(
    draws: Draws, lateness: list[int], ask_after: int, seed: int
) -> None:
    assert_rebuilt(draws, lateness, ask_after, seed)


@settings(max_examples=150, deadline=None)
@given(st.integers(1, 300), st.integers(0, 1 << 30))
def test_rule_12_a_rebuild_holds_no_event_against_those_before_an_erasure(ask_after: int, seed: int) -> None:
    assert_rebuilt(of_many_lives(Random(seed)), [0], ask_after, seed)


PAGES = """
policy: pages
currency: EUR
zone: UTC
features:
  spend: {sum: purchase.amount, window: 1d}
  seen:  {count: click, window: 30d}
ladders:
  tier: [{name: gold, when: "spend >= 100 and seen >= 5"}, {name: basic}]
segments:
  busy: "seen >= 300"
"""
LONG = Policies.only(parse(PAGES))
OF_PRICES = parse(PAGES.replace("window: 30d}", "window: 30d, where: \"page == '/price'\"}"))


def browsing(count: int) -> list[Past]:
    """One who looks at a page every ten minutes, buys now and then, and sends every 20th a day late."""
    found = []
    for n in range(count):
        at = BEGIN + timedelta(minutes=10 * n)
        late = at - timedelta(days=1) if n % 20 == 7 else at
        event: Event = Click(id=f"e{n}", source="web", subject="a", time=late, receivedtime=at, data=PAGE[n % 3 == 0])
        if n % 100 == 50:
            data = PurchaseData(amount_minor=60_00, currency="EUR")
            event = Purchase(id=f"e{n}", source="web", subject="a", time=at, receivedtime=at, data=data)
        found.append(Past(n, to_ms(at), b"a", msgspec.json.encode(event)))
    return found


PAGE = (ClickData(page="/home"), ClickData(page="/price"))


def lived(policies: Policies, past: list[Past]) -> Shard:
    shard = Shard(policies, number=0, partitions=1, topic="events")
    for first in range(0, len(past), 50):
        batch = [Fetched(*record) for record in past[first : first + 50]]
        shard.take(Turn(0, 0, False), batch, batch[-1].timestamp)
    return shard


def test_rule_04_of_a_long_ledger_what_was_folded_is_found_again_by_what_is_kept_now() -> None:
    #  clicks    ●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●
    #  kept      by the hour ─────────────┤512 newest ─┤          rebuild: 512 newest of each page
    past = browsing(2_000)
    shard, wanted = lived(LONG, past), lived(LONG.keeping({"page"}, 1), past)
    shard.follow(LONG.keeping({"page"}, 1))
    before = decode(shard.records[b"a"], shard.policies)
    generation, turn = Generation(shard, 1, {}), Turn(0, 0, False)
    for first in range(0, len(past), 50):
        generation.take(past[first : first + 50])
    assert generation.switch(turn, past[-1].timestamp, 10) == 1
    assert turn.decisions == [], "the policy in force does not look at it"
    after, whole = (decode(one.records[b"a"], shard.policies) for one in (shard, wanted))
    assert before.frozen is not None
    assert after.frozen not in (None, before.frozen)
    assert (after.ledger.entries, after.frozen) == (whole.ledger.entries, whole.frozen)
    later = shard.policies.then(OF_PRICES, past[-1].timestamp + 1, past[-1].timestamp + 1)
    shown = [decode(score(c, later, (), later.eras[1].effective_ms, "a")[0], later).shown() for c in
             (shard.records[b"a"], wanted.records[b"a"])]  # fmt: skip
    assert shown[0] == shown[1]


def test_a_rebuild_writes_nothing_where_it_finds_no_difference() -> None:
    past = browsing(300)
    shard = lived(LONG.keeping({"page"}, 1), past)
    generation, turn = Generation(shard, 1, {}), Turn(0, 0, False)
    generation.take(past)
    assert (generation.left, generation.switch(turn, past[-1].timestamp, 10)) == (1, 1)
    assert (generation.left, generation.renewed, turn.writes) == (0, 0, False)


def test_a_customer_of_whom_the_topic_knows_nothing_is_nobody_any_more() -> None:
    past = browsing(300)
    shard = lived(LONG, past)
    generation, turn = Generation(shard, 1, {}), Turn(0, 0, False)
    generation.switch(turn, past[-1].timestamp, 10)
    assert len(decode(shard.records[b"a"], LONG).ledger) == 0
    causes = [msgspec.json.decode(value, type=DecisionRecord) for _, value in turn.decisions]
    assert {getattr(d, "cause", "") for d in causes} == {"rebuild"}


def failing(*args: Any, reasons: bool = True) -> tuple[bytes, Outcome]:
    return failing_score(*args)


def test_what_the_core_failed_at_is_left_out_of_the_new_generation_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shard_module, "score", failing)
    monkeypatch.setattr(generation_module, "score", failing)
    past = [msgspec.structs.replace(event, id=f"{POISON}{n}" if n % 4 == 1 else f"e{n}") for n, event in
            enumerate(msgspec.json.decode(one.value or b"", type=Event) for one in browsing(100))]  # fmt: skip
    records = [Past(n, to_ms(e.receivedtime or e.time), b"a", msgspec.json.encode(e)) for n, e in enumerate(past)]
    shard = lived(LONG, records)
    shard.follow(LONG.keeping({"page"}, 1))
    generation = Generation(shard, 1, {})
    generation.take(records)
    generation.switch(Turn(0, 0, False), records[-1].timestamp, 10)
    entries = decode(shard.records[b"a"], LONG).ledger.entries
    assert len(entries) == 75
    assert {dict(read_profile(e.profile).fields).get("page") for e in entries} == {"/home", "/price", None}


def test_where_the_core_fails_at_the_switch_a_customer_stays_as_they_are(monkeypatch: pytest.MonkeyPatch) -> None:
    def broken(*_: Any, subject: str, **__: Any) -> None:
        raise ZeroDivisionError(subject)

    past = browsing(100)
    shard = lived(LONG, past)
    before = dict(shard.records)
    generation, turn = Generation(shard, 1, {}), Turn(0, 0, False)
    generation.take(past)
    monkeypatch.setattr(relations, "renew", broken)
    assert generation.switch(turn, past[-1].timestamp, 10) == 1
    assert (generation.left, generation.renewed, turn.writes, shard.records) == (0, 0, False, before)


def ordering(count: int, subject: str = "a", *, first: int = 0) -> list[Past]:
    """Orders, each through a long channel of its own."""
    found = []
    for n in range(first, first + count):
        at, data = BEGIN + timedelta(minutes=n), PurchaseData(amount_minor=1_00, currency="EUR", channel=f"{n:0400}")
        order = Purchase(id=f"{subject}{n}", source="shop", subject=subject, time=at, receivedtime=at, data=data)
        found.append(Past(n, to_ms(at), subject.encode(), msgspec.json.encode(order)))
    return found


def test_rule_04_a_rebuild_loses_no_order_of_one_whose_record_would_be_too_long(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(generation_module, "log", get_logger())  # one used before goes by what was configured then
    past = [*ordering(2_600), *ordering(3, "b", first=2_600)]
    shard = lived(LONG, past)
    before = shard.records[b"a"]
    shard.follow(LONG.keeping({"channel"}, 1))
    generation, turn = Generation(shard, 1, {}), Turn(0, 0, False)
    for first in range(0, len(past), 500):
        generation.take(past[first : first + 500])
    with capture_logs() as said:
        assert generation.switch(turn, past[-1].timestamp, 10) == 2
    assert (generation.left, generation.renewed) == (0, 1)
    assert shard.records[b"a"] == before
    assert [(line["subject"], line["log_level"]) for line in said] == [("a", "warning")]
    kept = decode(shard.records[b"b"], shard.policies).ledger.entries
    assert [read_profile(entry.profile).fields for entry in kept] == [
        (("channel", f"{n:0400}"),) for n in range(2_600, 2_603)
    ]


def test_where_a_record_would_be_too_long_for_its_topic_a_customer_stays_as_they_are(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    past = ordering(100)
    shard = lived(LONG, past)
    before = dict(shard.records)
    shard.follow(LONG.keeping({"channel"}, 1))
    generation, turn = Generation(shard, 1, {}), Turn(0, 0, False)
    generation.take(past)
    monkeypatch.setattr(relations, "SCORER_STATE", replace(SCORER_STATE, longest_bytes=40_000))
    assert generation.switch(turn, past[-1].timestamp, 10) == 1
    assert (generation.renewed, turn.writes, shard.records) == (0, False, before)


def test_an_event_for_another_name_waits_until_the_rebuild_that_was_known_where_it_came_is_known_here() -> None:
    #  b's partition   ─● 60 ──▮ merge b into a ──▮ rebuild 1 ──● call ─▶      a's partition   ── waits ──▮ rebuild 1 ─▶
    drawn = [("order", "b", "", 20), ("merge", "b", "a", 1), ("call", "b", "", 5)]
    steps = history(drawn)
    called = msgspec.structs.replace(steps[2], data=InteractionData(channel="phone"))  # type: ignore[call-arg]
    many = Installation([*steps[:2], called], POLICIES)
    home, there = partition_of(b"b", PARTITIONS), partition_of(b"a", PARTITIONS)
    assert home != there
    many.policies = KEEPING
    assert many.move(home, "event")
    assert many.move(home, "operation")
    assert many.move(there, "transfer")
    assert many.move(home, "hear")
    assert many.move(home, "event")
    assert not many.move(there, "transfer"), "its channel would be lost"
    assert many.move(there, "hear")
    assert many.move(there, "transfer")
    fields = [dict(read_profile(e.profile).fields) for e in many.entries()["a"]]
    assert fields == [{}, {"channel": "phone"}]

"""A policy and what is on its way from one partition to another overtake each other: everybody ends as if all had heard
of it at once (rules 4, 9 and 11)."""

from datetime import timedelta
from random import Random
from typing import Any

from hypothesis import given, settings
from hypothesis import strategies as st

from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import decode
from services.scorer.domain.policy import parse
from services.scorer.domain.state import Customer
from services.scorer.engine.turn import Turn
from services.shared.partitioner import partition_of
from tests.scorer.engine.test_generation import BY_CHANNEL, KEEPING, Installation, spoken
from tests.scorer.engine.test_relations import (
    BEGIN,
    END_MS,
    NAMES,
    PARTITIONS,
    POLICIES,
    TEXT,
    Step,
    history,
)

GENEROUS = parse(TEXT.replace("spend >= 100", "spend >= 50"))
A = NAMES[0]
B = next(name for name in NAMES if partition_of(name.encode(), PARTITIONS) != partition_of(A.encode(), PARTITIONS))
HOME, THERE = partition_of(B.encode(), PARTITIONS), partition_of(A.encode(), PARTITIONS)


class Hearing(Installation):
    """Partitions that hear of policies one by one, each at its own time, and sweep."""

    def move(self, p: int, what: str) -> bool:
        if what != "sweep":
            return super().move(p, what)
        shard, turn = self.shards[p], Turn(0, END_MS, False)
        if not shard.sweep.left:
            return False
        shard.look_again(turn, self.played_ms(p), 2)
        self.commit(p, turn)
        return True

    def played_ms(self, p: int) -> int:
        return max((record.timestamp for record in self.events[p][: self.done[p][0]]), default=0)

    def hears(self, p: int, policies: Policies) -> None:
        self.policies = policies
        assert self.move(p, "hear")

    def all_hear(self, random: Random, policies: dict[int, Policies]) -> None:
        """policies: those activated, by the number of the move before which they are"""
        kinds = ("event", "transfer", "operation", "crash", "hear", "rebuild", "rebuild", "sweep")
        idle = moves = 0
        last = max(policies, default=0)
        while idle < len(kinds) * PARTITIONS or moves <= last or self.known != [self.policies] * PARTITIONS:
            idle = 0
            for p, what in random.sample([(p, what) for p in range(PARTITIONS) for what in kinds], len(kinds) * 3):
                moves += 1
                self.policies = policies.get(moves, self.policies)
                seldom = what in ("crash", "hear") and random.random() < 0.8
                idle += seldom or not self.move(p, what)
        for p in range(PARTITIONS):
            self.move(p, "time")
            while self.move(p, "sweep"):
                pass

    def customers(self) -> dict[str, Customer]:
        return {
            key.decode(): decode(record, shard.policies)
            for shard in self.shards
            for key, record in shard.records.items()
        }

    def tier(self, name: str) -> object:
        return self.customers()[name].shown()["tier"][1]

    def shown(self) -> dict[str, Any]:
        """But for revisions: who hears earlier may have said more."""
        return {
            name: {dimension: of[1:] for dimension, of in customer.shown().items()}
            for name, customer in self.customers().items()
            if len(customer.ledger)
        }


def test_rule_04_what_a_rebuild_made_waits_where_its_policy_is_not_yet_known() -> None:
    #  b's partition   ─● 60 ──▮ merged into a ──▮ rebuild 1 ──▮ a policy ── b renewed ─▶
    #  a's partition   ──────────────────────────▮ rebuild 1 ── · · · waits · · · ──▮ the policy ── a renewed ─▶
    many = Hearing(history([("order", B, "", 6), ("merge", B, A, 1)]), POLICIES)
    assert many.move(HOME, "event")
    assert many.move(HOME, "operation")
    assert many.move(THERE, "transfer")
    many.hears(THERE, KEEPING)
    many.hears(HOME, KEEPING.then(GENEROUS, END_MS - 1, END_MS - 1))
    while many.move(HOME, "rebuild"):
        pass
    assert not many.move(THERE, "transfer"), "it cannot be read"
    assert many.move(THERE, "hear")
    assert many.move(THERE, "transfer")


def test_rule_09_who_returns_under_an_older_policy_is_decided_under_the_one_followed_meanwhile() -> None:
    #  a's partition   ─▮ merged ──▮ parted: b returns ─────────────────────────────────▶
    #  b's partition   ─────────────────────────────▮ a policy ── swept: nobody ── b is here, silver ─▶
    many = Hearing(history([("order", B, "", 6), ("merge", B, A, 1), ("unmerge", B, A, 1)]), POLICIES)
    assert many.move(HOME, "event")
    assert many.move(HOME, "operation")
    assert many.move(THERE, "transfer")
    assert many.move(THERE, "operation")
    at_ms = to_ms(BEGIN + timedelta(days=1))
    many.hears(HOME, POLICIES.then(GENEROUS, at_ms, at_ms))
    while many.move(HOME, "sweep"):
        pass
    assert many.move(HOME, "transfer")
    assert many.move(HOME, "time")
    assert many.tier(B) == "silver"


KINDS = ("order", "order", "again", "call", "call", "call", "merge", "merge", "unmerge", "erase")


def eventful(random: Random) -> list[Step]:
    """A history in which much happens at few people."""
    draws = [
        (random.choice(KINDS), random.choice(NAMES), random.choice(NAMES), random.randint(1, 25))
        for _ in range(random.randint(5, 40))
    ]
    return spoken(history(draws), [random.randint(-1, 3) for _ in range(3)])


@settings(max_examples=200, deadline=None)
@given(st.integers(0, 1 << 30), st.integers(0, 40), st.integers(1, 250), st.integers(1, 150))
def test_rule_09_whenever_each_partition_hears_of_a_policy_everybody_ends_as_if_it_had_been_known_before(
    seed: int, day: int, rebuild_after: int, policy_after: int
) -> None:
    random = Random(seed)
    steps, at_ms = eventful(random), to_ms(BEGIN + timedelta(days=day))
    newest = KEEPING.then(BY_CHANNEL, at_ms, at_ms)
    later, before = Hearing(steps, POLICIES), Hearing(steps, newest)
    later.all_hear(random, {rebuild_after: KEEPING, rebuild_after + policy_after: newest})
    before.rebuilt = [1] * PARTITIONS
    before.all_hear(random, {})
    assert later.entries() == before.entries()
    assert later.shown() == before.shown()

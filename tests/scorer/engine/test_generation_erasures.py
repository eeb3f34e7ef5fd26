"""A rebuild and erasures: what is forgotten, what waits for it, and what begins a new life."""

from datetime import timedelta

import msgspec
import pytest

from schemas.events import Purchase, PurchaseData
from schemas.identities import Erasure
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import decode
from services.scorer.engine import relations
from services.scorer.engine.generation import Generation
from services.scorer.engine.kinship import Kinship
from services.scorer.engine.replay import Past
from services.scorer.engine.transfers import Renewed, TransferInbox
from services.scorer.engine.turn import Turn
from tests.scorer.engine.records import Fetched
from tests.scorer.engine.test_generation import BEGIN, LONG, lived, ordering


@pytest.mark.parametrize("when", ["before the rebuild", "before it is replayed", "before it is switched"])
def test_rule_12_what_comes_after_an_erasure_begins_a_new_life_though_a_rebuild_has_begun_before_it(when: str) -> None:
    #  orders   ──●──────────▮ erased ──●─────▶
    #             o1                    o1, again
    def order(n: int, day: int) -> Past:
        at, data = BEGIN + timedelta(days=day), PurchaseData(amount_minor=60_00 + n, currency="EUR", order="o1")
        event = Purchase(id=f"e{n}", source="web", subject="a", time=at, receivedtime=at, data=data)
        return Past(n, to_ms(at), b"a", msgspec.json.encode(event))

    first, again, erased_at = order(0, 1), order(1, 3), BEGIN + timedelta(days=2)
    kinship, shard = Kinship(1), lived(LONG, [first])

    def erase() -> None:
        kinship.learn(Erasure(sequence=1, at=erased_at, subject="a"))
        operation = kinship.next(0, 0)
        assert operation is not None
        assert relations.begin(shard, Turn(0, 0, False), operation)

    if when == "before the rebuild":
        erase()
    shard.follow(LONG.keeping({"page"}, 1))
    generation = Generation(shard, 1, kinship.erased())
    if when == "before it is replayed":
        erase()
    generation.take([first])
    if when == "before it is switched":
        erase()
    shard.take(Turn(0, 0, False), [Fetched(*again)], again.timestamp)
    generation.take([again])
    generation.switch(Turn(0, 0, False), again.timestamp, 10)
    entries = decode(shard.records[b"a"], shard.policies).ledger.entries
    assert [entry.time_ms for entry in entries] == [again.timestamp]


@pytest.mark.parametrize("switched_after", ["the erasure", "the event", "neither"])
def test_rule_12_what_waits_for_an_erasure_waits_in_a_rebuild_too(switched_after: str) -> None:
    #  events     ──● o1 of 5 ──▮ erasure, waits ──● o1 of 7                      ▮ done ──● o1 of 7 comes again
    #  rebuild                                       replayed ── switched here, or ──┴─ here, or ──┴─ here
    def order(offset: int, day: int, euros: int) -> Past:
        at, data = BEGIN + timedelta(days=day), PurchaseData(amount_minor=euros * 100, currency="EUR", order="o1")
        event = Purchase(id="again", source="web", subject="a", time=at, receivedtime=at, data=data)
        return Past(offset, to_ms(at), b"a", msgspec.json.encode(event))

    past = [order(0, 1, 5), order(1, 3, 7)]
    until_ms, kinship, shard = past[-1].timestamp, Kinship(1), lived(LONG, [past[0]])
    kinship.learn(Erasure(sequence=1, at=BEGIN + timedelta(days=2), subject="a"))
    shard.follow(LONG.keeping({"page"}, 1))
    turn = Turn(0, 0, False)
    shard.take(turn, [Fetched(*past[1])], until_ms, kinship.next_life(0, 0))
    (_, _, sent), operation = turn.transfers[0], kinship.next(0, 0)
    assert operation is not None
    generation = Generation(shard, 1, kinship.erased())

    def switch() -> None:
        if not generation.switching:
            assert generation.switch(turn, until_ms, 10) == 1

    generation.take(past)
    if switched_after == "neither":
        switch()
    assert relations.begin(shard, turn, operation)
    if switched_after == "the erasure":
        switch()
    inbox = TransferInbox()
    inbox.begin(0)
    inbox.put(0, sent)
    forwarded = inbox.head()
    assert forwarded is not None
    assert relations.take(shard, turn, forwarded, until_ms, kinship, 1, more=False)
    past.append(order(2, 4, 9))
    shard.take(turn, [Fetched(*past[2])], past[2].timestamp)
    generation.take(past[2:])
    switch()
    assert [entry.amount for entry in decode(shard.records[b"a"], shard.policies).ledger.entries] == [7_00]
    assert len(turn.dead_letters) == 1, "the last of them"


def test_rule_12_what_was_taken_before_an_erasure_was_heard_of_stays_though_a_rebuild_lets_it_wait() -> None:
    #  order 5 ──▮ erasure ── order 7, taken ── the erasure is heard of, and waits ── rebuild ── ▮ done
    past = [*ordering(1), *ordering(1, "a", first=5_000)]
    kinship, shard = Kinship(1), lived(LONG, past)
    kinship.learn(Erasure(sequence=1, at=BEGIN + timedelta(days=2), subject="a"))
    shard.follow(LONG.keeping({"page"}, 1))
    generation, turn, operation = Generation(shard, 1, kinship.erased()), Turn(0, 0, False), kinship.next(0, 0)
    generation.take(past)
    generation.switch(turn, past[-1].timestamp, 10)
    assert operation is not None
    assert relations.begin(shard, turn, operation)
    entries = decode(shard.records[b"a"], shard.policies).ledger.entries
    assert [entry.time_ms for entry in entries] == [past[1].timestamp]


def test_rule_12_what_is_held_goes_on_with_who_has_become_another_name_meanwhile() -> None:
    past = [*ordering(1), *ordering(1, "a", first=5_000)]
    kinship, shard, turn = Kinship(1), lived(LONG, past[:1]), Turn(0, 0, False)
    kinship.learn(Erasure(sequence=1, at=BEGIN + timedelta(days=2), subject="a"))
    generation = Generation(shard, 1, kinship.erased())
    generation.take(past[1:])
    shard.become_alias(turn, "a", "b")
    assert generation.switch(turn, past[-1].timestamp, 10) == 1
    inbox = TransferInbox()
    inbox.begin(0)
    inbox.put(0, turn.transfers[0][2])
    sent = inbox.head()
    assert isinstance(sent, Renewed)
    assert (sent.subject, sent.name) == ("b", "a")
    assert [entry.time_ms for entry in decode(sent.record, LONG).ledger.entries] == [past[1].timestamp]

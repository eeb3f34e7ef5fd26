"""What a very long ledger can no longer take comes back as a dead letter that says why."""

import os
from datetime import UTC, datetime, timedelta

import msgspec
import pytest

from schemas.decisions import DeadLetter
from services.scorer.domain import admission, short
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.packing import decode
from services.scorer.engine.shard import Shard
from services.scorer.engine.turn import Turn
from tests.scorer.engine.installation import interaction, policy, purchase
from tests.scorer.engine.records import Fetched, fetched

POLICIES = Policies.only(policy(window="30d"))
BEGAN = datetime(2026, 3, 1, 12, tzinfo=UTC)


def take(of: Shard, batch: list[Fetched]) -> Turn:
    turn = Turn(0, to_ms(BEGAN), catching_up=False)
    of.take(turn, batch, batch[-1].timestamp)
    return turn


def letters(turn: Turn) -> list[DeadLetter]:
    return [msgspec.json.decode(value, type=DeadLetter) for _, value in turn.dead_letters]


def minute(number: float) -> datetime:
    return BEGAN + timedelta(minutes=number)


@pytest.fixture
def of() -> Shard:
    return Shard(POLICIES, number=0, partitions=1, topic="events")


def test_a_call_of_an_hour_that_was_folded_is_too_old_and_an_order_of_it_is_not(of: Shard) -> None:
    #  1,024 calls, a minute apart; all but the newest 512 are kept by the hour
    # ─▪▪▪▪▪▪▪▪▪●●●●●●●●●┼●●●●●●●▶
    #  0      ╳ call     floor
    #         ● order
    for first in range(0, 1024, 256):
        take(of, fetched([interaction("a", at=minute(first + n)) for n in range(256)], first=first))
    customer = decode(of.records[b"a"], POLICIES)
    assert customer.frozen is not None
    assert len(customer.ledger) < 550
    late = fetched([interaction("a", at=minute(100.5))], first=1024, appended_ms=to_ms(minute(1024)))
    turn = take(of, late)
    [letter] = letters(turn)
    assert (letter.reason, letter.subject, letter.offset, letter.event) == ("too_old", "a", 1024, late[0].value)
    assert "by the hour" in letter.detail
    assert (turn.taken, turn.customers, turn.reasons) == (0, {}, {"too_old": 1})
    order = take(of, fetched([purchase("a", 200, at=minute(100.5))], first=1025, appended_ms=to_ms(minute(1024))))
    assert (order.taken, order.dead_letters) == (1, [])
    assert order.transitions == {("tier", "silver", "late_event"): 1}


@pytest.mark.skipif(os.environ.get("CORE") == "compiled", reason="compiled code has the limit written into it")
def test_a_full_record_takes_nothing_more_and_says_so(of: Shard, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(admission, "FULL", 200)  # three first orders, each of which may need a profile of its own
    monkeypatch.setattr(short, "_CAP_BYTES", 0)  # the long way, as every event of a record goes that is really full
    batch = fetched([purchase("a", 20, at=minute(n)) for n in range(5)])
    turn = take(of, batch)
    assert [(letter.reason, letter.offset) for letter in letters(turn)] == [("ledger_full", 3), ("ledger_full", 4)]
    assert "200 bytes" in letters(turn)[0].detail
    assert (turn.taken, turn.reasons) == (3, {"ledger_full": 2})
    assert len(decode(of.records[b"a"], POLICIES).ledger) == 3
    monkeypatch.setattr(admission, "FULL", len(of.records[b"a"]))
    again = take(of, fetched([purchase("a", 20, at=minute(n)) for n in (5, 6, 7, 8)], first=5))
    assert [letter.reason for letter in letters(again)] == ["ledger_full"] * 4
    assert take(of, batch[:3]).duplicates == 3  # what it knows it knows

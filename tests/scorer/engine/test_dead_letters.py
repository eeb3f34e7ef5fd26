"""A dead letter fits into a record, whatever came, and says what of it was cut."""

import json
from datetime import UTC, datetime

import msgspec
import pytest

from schemas import topics
from schemas.decisions import LETTER_BYTES, DeadLetter
from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.engine.dead_letters import LONGEST_TEXT
from services.scorer.engine.shard import Shard
from services.scorer.engine.turn import Turn
from tests.scorer.engine.installation import policy, purchase
from tests.scorer.engine.records import raw

POLICIES = Policies.only(policy(window="10s", quiet="1h"))
T0 = datetime(2026, 3, 1, 12, tzinfo=UTC)
SOUND = msgspec.json.encode(purchase("a", 60, at=T0))


def written(key: bytes | None, value: bytes) -> tuple[bytes | None, bytes]:
    """The record on `dead-letters` that becomes of one on `events`."""
    shard, turn = Shard(POLICIES, number=0, partitions=1, topic="events"), Turn(0, to_ms(T0), catching_up=False)
    shard.take(turn, [raw(value, key, timestamp=to_ms(T0))], to_ms(T0))
    [record] = turn.dead_letters
    return record


def having(**fields: str) -> bytes:
    return json.dumps({**json.loads(SOUND), **fields}).encode()


MOST = 1024 * 1024  # about what ends up on `events` at the longest


@pytest.mark.parametrize(
    ("key", "value"),
    [
        (b"a", b"\xff" * MOST),
        (b"a", having(subject="\x1f" * (MOST // 7))),
        (b"a", having(subject="y" * (MOST - 500))),
        (b"a", having(id="y" * (MOST - 500), subject="b")),
        (b"a", having(id="y" * (MOST // 2), subject="z" * (MOST // 2 - 500))),
        (b"\x00" * MOST, SOUND),
        (b"k" * (MOST // 2), b"\xff" * (MOST // 2)),
        (b"k" * 200_000, b"\xff" * 850_000),
        (None, having(subject="\x1f" * (MOST // 7))),
    ],
    ids=["junk", "subject of controls", "subject", "id", "both", "key", "key and junk", "both cut", "no key"],
)
def test_it_fits_into_a_record_whatever_came(key: bytes | None, value: bytes) -> None:
    letter_key, letter = written(key, value)
    assert len(letter_key or b"") + len(letter) < topics.DEAD_LETTERS.longest_bytes
    assert msgspec.json.decode(letter, type=DeadLetter).event == value[:LETTER_BYTES]


def test_what_was_cut_is_named_at_the_end() -> None:
    _, value = written(b"k" * 500_000, having(subject="s" * 400_000, id="i" * 400_000))
    letter = msgspec.json.decode(value, type=DeadLetter)
    assert (letter.subject, letter.id) == ("s" * LONGEST_TEXT, "i" * LONGEST_TEXT)
    size = len(having(subject="s" * 400_000, id="i" * 400_000))
    assert letter.detail == (
        f"the record's key {b'k' * 100!r}... is not the subject {'s' * 100!r}...; "
        "its subject, 400000 characters, cut to 1000; its id, 400000 characters, cut to 1000; "
        f"{size} bytes cut to 700000, the whole stands at the offset named"
    )


def test_of_what_is_as_long_as_ingest_makes_it_nothing_is_cut() -> None:
    subject, id_ = "ä" * 128, "\u20ac" * 128
    key, value = written(b"another", msgspec.json.encode(purchase(subject, 60, at=T0, id=id_)))
    letter = msgspec.json.decode(value, type=DeadLetter)
    assert (key, letter.subject, letter.id) == (b"another", subject, id_)
    assert "cut" not in letter.detail

"""What stands on the topic, as it would be posted: ingest makes the same of it."""

from typing import Any

import msgspec
import pytest
from hypothesis import given
from hypothesis import strategies as st

from schemas import events, money
from services.ingest.denormalise import posted
from tests.ingest.normalising import accepted
from tests.ingest.posting import TYPES, cloud_event, shorthand, text


def again(event: events.Event) -> events.Event:
    """What ingest makes of what would be posted for it."""
    document = posted(msgspec.json.encode(event))
    assert document is not None
    return accepted(text(document))


@pytest.mark.parametrize("kind", TYPES)
@pytest.mark.parametrize("make", [shorthand, cloud_event])
def test_every_type_of_event_comes_out_as_it_was(kind: str, make: Any) -> None:
    event = accepted(text(make(kind)))
    assert again(event) == event


@pytest.mark.parametrize(
    "fields",
    [
        {"type": "click", "page": None, "channel": None},
        {"type": "refund", "order": "o-1"},
        {"type": "feedback", "kind": "complaint"},
        {"type": "override", "dimension": "tier", "value": None, "owner": "li", "reason": "over"}
        | {"until": "2027-01-01T00:00:00Z"},
    ],
    ids=lambda fields: fields["type"],
)
def test_fields_that_were_left_out_stay_so(fields: dict[str, Any]) -> None:
    event = accepted(text({"id": "e-1", "source": "shop", "subject": "c", "time": "2026-03-01T12:00:00Z", **fields}))
    assert again(event) == event


@given(st.integers(0, events.MAX_AMOUNT_MINOR), st.sampled_from(sorted(money.DIGITS)))
def test_money_is_the_same_to_the_last_minor_unit(minor: int, currency: str) -> None:
    event = accepted(text(shorthand("purchase", amount="1", currency=currency)))
    event = msgspec.structs.replace(event, data=events.PurchaseData(minor, currency, "o-1"))
    assert again(event).data == event.data


def test_a_time_that_ingest_gave_is_sent_as_it_was_given() -> None:
    document = shorthand("purchase")
    del document["time"]
    event = accepted(text(document))
    assert again(event) == msgspec.structs.replace(event, stamped=False)
    sent = posted(msgspec.json.encode(event))
    assert sent is not None
    assert not {"stamped", "receivedtime"} & sent.keys()  # ingest's own, not the sender's


def test_what_somebody_else_wrote_is_left_to_be_put_right_by_hand() -> None:
    written = b'{"type": "order", "amount": 12.30, "data": {"amount_minor": 5, "currency": "ABC", "score_centi": "x"}}'
    assert posted(written) == {
        "type": "order",
        "amount": "12.30",
        "data": {"amount_minor": 5, "currency": "ABC", "score_centi": "x"},
    }


@pytest.mark.parametrize("raw", [b"", b"no json", b"[1]", b'"text"', b"\xff\xfe", b"[" * 100_000, b'{"a": 1'])
def test_what_is_no_json_object_cannot_be_posted(raw: bytes) -> None:
    assert posted(raw) is None

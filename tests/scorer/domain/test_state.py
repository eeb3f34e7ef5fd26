"""A customer's bytes: what goes in comes out, and the header can be read alone."""

import pytest

from services.scorer.domain import policy as policies
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.state import (
    Customer,
    Position,
    StateError,
    decode,
    decode_position,
    due_ms,
    encode,
    encode_position,
    policy_digest,
)
from tests.scorer.domain.timeline import buy, ms, refund

POLICY = policies.parse(
    "{policy: p, currency: EUR, zone: UTC, features: {spend: {sum: purchase.amount, window: 30d}}, "
    "ladders: {tier: [{name: gold, when: 'spend > 10'}, {name: basic}]}}"
)


def test_a_customer_survives_its_bytes():
    customer = Customer()
    events = [
        buy("2026-03-01T00:00Z", 50_00, order="A"),
        refund("2026-03-02T00:00Z", order="A"),
        buy("2026-03-09T00:04Z", 1),
    ]
    decide(customer, POLICY, [Arrival(e, ms("2026-03-09T00:00Z"), 0, b"") for e in events], ms("2026-03-09T00:00Z"))
    assert customer.waiting
    assert decode(encode(customer, POLICY)) == customer


def test_the_header_alone_tells_the_due_instant_and_the_policy():
    customer = Customer()
    assert due_ms(encode(customer, POLICY)) is None
    decide(customer, POLICY, [Arrival(buy("2026-03-01T00:00Z", 50_00), ms("2026-03-01T00:00Z"), 0, b"")], 0)
    assert due_ms(encode(customer, POLICY)) == ms("2026-03-31T00:00Z")
    assert policy_digest(encode(customer, POLICY)) == POLICY.digest


def test_a_position_survives_its_bytes():
    position = Position(events_offset=7, sequence=3, policy="p", policy_digest=POLICY.digest, appended_ms=5)
    assert decode_position(encode_position(position)) == position


@pytest.mark.parametrize(
    "record", [b"", b"\x09" * 40, encode(Customer(), POLICY)[:-1], encode(Customer(), POLICY)[:17] + b"\xc1"]
)
def test_bytes_of_another_version_or_cut_short_are_refused(record):
    with pytest.raises(StateError):
        decode(record)

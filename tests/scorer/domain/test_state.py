"""A customer's bytes: what goes in comes out, and the header can be read alone."""

import pytest

from services.scorer.domain import policy as policies
from services.scorer.domain.eras import Policies
from services.scorer.domain.explain import explain
from services.scorer.domain.packing import (
    VERSION,
    StateError,
    decode,
    decode_position,
    due_ms,
    encode,
    encode_position,
    mark,
)
from services.scorer.domain.scoring import Arrival, decide
from services.scorer.domain.state import Customer, Position
from tests.scorer.domain.playing import said_in
from tests.scorer.domain.timeline import buy, click, ms, override, profile, refund, stage

BODY = """
policy: p
currency: EUR
zone: Europe/Berlin
attributes: [region]
features:
  spend: {sum: purchase.amount, minus: refund.amount, window: 30d}
  seen: {count: click, window: 7d, where: "page == '/price'"}
  pace: {regularity: purchase}
  deal: {stage: opportunity}
  heat: {score: {click: 1, purchase: 10}, half_life: 10d}
ladders:
  tier: [{name: gold, when: "spend > 10", grace: 3d}, {name: basic}]
segments: {north: "region == 'north'", hot: "heat > 5", steady: "pace.variation < 0.5", open: "deal == 'offer'"}
"""
ONE = Policies.only(policies.parse(BODY))
OTHER = policies.parse(BODY.replace("spend > 10", "spend > 20"))
NOW = ms("2026-03-20T00:00Z")
EVENTS = [
    buy("2026-03-01T00:00Z", 50_00, order="A"),
    profile("2026-03-01T01:00Z", region="north"),
    refund("2026-03-02T00:00Z", order="A"),
    click("2026-03-03T00:00Z", "/price"),
    stage("2026-03-04T00:00Z", "offer"),
    buy("2026-03-05T00:00Z", 2**53 - 1),
    override("2026-03-06T00:00Z", "2026-04-06T00:00Z", "tier", "basic"),
    buy("2026-03-07T00:00Z", 1_00, currency="USD", channel="web"),
    buy("2026-03-20T00:04Z", 1),
]


def lived(until: int = NOW) -> Customer:
    customer = Customer.new(ONE)
    decide(customer, ONE, [Arrival(e, min(ms(e.time.isoformat()), NOW), 0, b"") for e in EVENTS], until)
    return customer


def test_a_customer_survives_its_bytes():
    customer = lived()
    again = decode(
        encode(
            customer,
        ),
        ONE,
    )
    assert again.waiting == customer.waiting != []
    assert again.ledger.entries == customer.ledger.entries
    assert (again.changed_ms, again.due_ms, again.shown()) == (customer.changed_ms, customer.due_ms, customer.shown())
    for at in (NOW, NOW + 40 * 86_400_000):
        assert explain(again, ONE, at) == explain(customer, ONE, at)


def test_what_has_been_read_is_written_as_it_was():
    record = encode(lived())
    assert encode(decode(record, ONE)) == record


def test_it_goes_on_from_its_bytes_as_it_would_have():
    one, other = lived(), decode(encode(lived()), ONE)
    later = [Arrival(buy("2026-05-01T00:00Z", 20_00, id="x"), ms("2026-05-01T00:00Z"), 9, b"")]
    until = ms("2026-09-01T00:00Z")
    assert said_in(decide(one, ONE, later, until)) == said_in(decide(other, ONE, later, until))
    assert encode(one) == encode(other)


def test_an_event_from_before_1970_keeps_its_time():
    customer, before = Customer.new(ONE), ms("1969-12-31T23:59Z")
    decide(customer, ONE, [Arrival(buy(before, 1_00), NOW, 0, b"")], NOW)
    kept = decode(encode(customer), ONE).ledger
    assert kept.last_ms == kept.time(0) == kept.entries[0].time_ms == before < 0


def test_a_customer_of_whom_nothing_is_known_survives_too():
    again = decode(encode(Customer.new(ONE)), ONE)
    assert (len(again.ledger), again.shown()) == (0, Customer.new(ONE).shown())


def test_the_header_alone_tells_the_due_instant_and_the_policies():
    assert due_ms(encode(Customer.new(ONE))) is None
    customer = Customer.new(ONE)
    decide(customer, ONE, [Arrival(buy("2026-03-01T00:00Z", 50_00), ms("2026-03-01T00:00Z"), 0, b"")], 0)
    assert due_ms(encode(customer)) == customer.due_ms <= ms("2026-03-31T00:00Z")
    assert mark(encode(customer)) == ONE.eras[0].mark


def test_a_record_decided_under_policies_that_are_not_known_is_refused():
    with pytest.raises(StateError, match="policy"):
        decode(encode(lived()), Policies.only(OTHER))


def test_a_record_is_read_under_a_sequence_that_has_gone_on():
    customer = decode(encode(lived()), ONE.then(OTHER, NOW, NOW))
    assert customer.life.known == 1
    assert customer.due_ms <= NOW


def test_a_position_survives_its_bytes():
    digest = ONE.newest.digest
    position = Position(events_offset=7, sequence=3, policy="p", policy_digest=digest, appended_ms=5)
    assert decode_position(encode_position(position)) == position


RECORD = encode(lived())


@pytest.mark.parametrize(
    "record",
    [
        b"",
        RECORD[:5],
        bytes([VERSION - 1]) + RECORD[1:],
        bytes([VERSION + 1]) + RECORD[1:],
        RECORD[:-1],
        RECORD[:17] + b"\xc1",
        RECORD[:17] + b"\x80",
    ],
)
def test_bytes_of_another_version_or_cut_short_are_refused_and_never_misread(record):
    with pytest.raises(StateError):
        decode(record, ONE)

"""Rule 5: an event is `(source, id)` within its customer: the same again changes nothing, the first one stands."""

import pytest

from schemas.events import Event
from services.scorer.domain.scoring import Arrival, Outcome
from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import buy, click, contact, feedback, form, ms, override, profile, refund, stage

PLAIN = policy("""
attributes: [region]
features:
  spend: {sum: purchase.amount, minus: refund.amount}
  orders: {count: purchase}
  seen: {count: click}
  phoned: {count: interaction, where: "channel == 'phone'"}
  deal: {stage: opportunity}
segments: {x: "phoned > 0 or region == 'north' or deal == 'won'"}
""")
AT = "2026-03-01T00:00Z"


def sent(life: LifeOf, *events: Event) -> Outcome:
    arrivals = [Arrival(e, ms("2026-03-05T00:00Z"), i, b"") for i, e in enumerate(events)]
    return life.turn(*arrivals, until_ms=ms("2026-03-05T00:00Z"))


@pytest.mark.parametrize(
    "event",
    [
        buy(AT, 60_00, id="e1", order="A"),
        refund(AT, 10_00, "A", id="e1"),
        click(AT, id="e1"),
        contact(AT, channel="phone", id="e1"),
        form(AT, id="e1"),
        feedback(AT, "nps", 900, id="e1"),
        stage(AT, "won", id="e1"),
        override(AT, "2027-01-01T00:00Z", "x", True, id="e1"),
    ],
    ids=lambda e: type(e).__name__,
)
def test_rule_05_the_same_event_again_changes_nothing(event):
    life = LifeOf(PLAIN)
    sent(life, event)
    was = life.record
    again = sent(life, event, event)
    assert (again.duplicates, again.taken, again.altered, again.reports) == (2, 0, False, [])
    assert life.record == was


@pytest.mark.parametrize(
    ("first", "other"),
    [
        (buy(AT, 60_00, id="e1"), buy(AT, 60_01, id="e1")),
        (buy(AT, 60_00, id="e1"), buy("2026-03-01T00:00:00.001Z", 60_00, id="e1")),
        (buy(AT, 60_00, id="e1"), buy(AT, 60_00, currency="USD", id="e1")),
        (buy(AT, 60_00, id="e1"), buy(AT, 60_00, order="A", id="e1")),
        (buy(AT, 60_00, id="e1"), click(AT, id="e1")),
        (refund(AT, 60_00, id="e1"), refund(AT, None, id="e1", order="A")),
        (contact(AT, id="e1"), contact(AT, direction="outbound", id="e1")),
        (feedback(AT, "nps", 900, id="e1"), feedback(AT, "nps", 800, id="e1")),
        (stage(AT, "won", id="e1"), stage(AT, "lost", id="e1")),
        (override(AT, "2027-01-01T00:00Z", "x", True, id="e1"), override(AT, "2028-01-01T00:00Z", "x", True, id="e1")),
        (override(AT, "2027-01-01T00:00Z", "x", True, id="e1"), override(AT, "2027-01-01T00:00Z", "x", False, id="e1")),
    ],
)
def test_rule_05_the_same_id_with_another_content_is_a_conflict_and_the_first_stands(first, other):
    life = LifeOf(PLAIN)
    outcome = sent(life, first, other)
    assert [(r.reason, r.arrival.offset) for r in outcome.reports] == [("id_conflict", 1)]
    assert outcome.taken == 1
    alone = LifeOf(PLAIN)
    sent(alone, first)
    assert life.customer.ledger.entries == alone.customer.ledger.entries


def test_rule_05_the_first_in_the_log_stands_even_if_the_other_was_earlier():
    life = LifeOf(PLAIN)
    outcome = sent(life, buy("2026-03-02T00:00Z", 60_00, id="e1"), buy("2026-03-01T00:00Z", 61_00, id="e1"))
    assert [r.arrival.offset for r in outcome.reports] == [1]
    assert life.amounts() == [60_00]


def test_rule_05_the_same_id_of_another_source_is_another_event():
    life = LifeOf(PLAIN)
    assert sent(life, click(AT, id="e1"), click(AT, id="e1", source="app")).taken == 2
    assert life.figure("seen") == 2


def test_rule_05_two_purchases_of_one_instant_and_amount_are_two_events():
    life = LifeOf(PLAIN)
    sent(life, buy(AT, 60_00), buy(AT, 60_00))
    assert (life.figure("orders"), life.figure("spend")) == (2, "120.00")


def test_rule_05_a_stamped_event_s_retry_is_a_duplicate_whatever_its_stamp():
    life = LifeOf(PLAIN)
    outcome = sent(
        life,
        click("2026-03-01T00:00Z", id="e1", stamped=True),
        click("2026-03-01T00:00:07Z", id="e1", stamped=True),
    )
    assert (outcome.taken, outcome.duplicates) == (1, 1)


def test_rule_05_a_retry_without_the_time_that_the_first_had_is_a_duplicate_too():
    life = LifeOf(PLAIN)
    outcome = sent(life, click("2026-03-01T00:00Z", id="e1"), click("2026-03-01T00:00:07Z", id="e1", stamped=True))
    assert (outcome.taken, outcome.duplicates, outcome.reports) == (1, 1, [])


def test_rule_05_what_no_rule_asks_for_is_no_content():
    """`channel` of a click is asked for by no rule here, so it is not kept and cannot conflict."""
    life = LifeOf(PLAIN)
    assert sent(life, click(AT, page="/a", id="e1"), click(AT, page="/b", id="e1")).duplicates == 1


def test_rule_05_profiles_with_the_same_attributes_are_the_same():
    life = LifeOf(PLAIN)
    one = profile(AT, region="north")
    assert sent(life, one, one).duplicates == 1

"""What a turn writes of a change: a decision always, an announcement where the position is another one."""

import msgspec
import pytest

from schemas.decisions import Announcement, DecisionRecord, Value
from services.scorer.domain.policy import parse
from services.scorer.domain.scoring import Change
from services.scorer.engine.turn import Turn

POLICY = parse("""
policy: shop
currency: USD
zone: UTC
features: {orders: {count: purchase}}
ladders:
  tier: [{name: gold, when: "orders > 2"}, {name: basic}]
  size: [{name: large, when: "orders > 5"}, {name: small}]
classes:
  type: [{name: growth, when: "orders > 1"}, {name: potential}]
segments: {active: "orders > 0"}
churn: {at_risk: "orders > 9"}
""")


def change(dimension: str, before: Value, after: Value) -> Change:
    return Change(
        dimension=POLICY.dimension(dimension), policy=POLICY, revision=1, from_ms=5, path=[(5, after)], before=before,
        after=after, effective_ms=5, cause="event", trigger=None, conditions=[], next=None, retracts=[],
    )  # fmt: skip


def turn_of(*changes: Change) -> Turn:
    turn = Turn(0, 10, catching_up=False)
    for one in changes:
        turn.change(one, b"c1", "c1")
    return turn


@pytest.mark.parametrize(
    ("dimension", "before", "after", "topic"),
    [
        ("tier", "basic", "gold", "tier-changes"),
        ("type", "potential", "growth", "segment-changes"),
        ("active", False, True, "segment-changes"),
        ("churn", False, True, "churn-alerts"),
    ],
)
def test_each_kind_of_dimension_is_announced_on_its_topic(
    dimension: str, before: Value, after: Value, topic: str
) -> None:
    ((where, key, value),) = turn_of(change(dimension, before, after)).announcements
    told = msgspec.json.decode(value, type=Announcement)
    assert (where, key) == (topic, b"c1")
    assert (told.subject, told.dimension, told.before, told.after) == ("c1", dimension, before, after)


def test_other_ladders_and_what_moved_nobody_stand_on_decisions_only() -> None:
    turn = turn_of(change("size", "small", "large"), change("type", "growth", "growth"))
    assert turn.announcements == []
    assert len(turn.decisions) == 2
    assert turn.transitions == {("size", "large", "event"): 1}


def test_changes_of_one_customer_are_counted_on_and_asking_how_they_are_told_changes_nothing() -> None:
    turn = Turn(41, 10, catching_up=False)
    changes = [change("tier", "basic", "gold"), change("active", False, True)]
    told = turn.told(changes, "c1")
    assert (turn.sequence, turn.writes) == (41, False)
    turn.tell(told, b"c1")
    decisions = [msgspec.json.decode(value, type=DecisionRecord) for _, value in turn.decisions]
    assert [getattr(decision, "sequence", 0) for decision in decisions] == [42, 43]
    assert turn.sequence == 43

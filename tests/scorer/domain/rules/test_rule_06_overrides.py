"""Rule 6, overrides: somebody sets a position by hand; the computed path goes on underneath."""

from tests.scorer.domain.rules.life_of import LifeOf, policy
from tests.scorer.domain.timeline import buy, click, override

PLAIN = policy("""
features:
  spend: {sum: purchase.amount, window: 30d}
  seen: {count: click, window: 10d}
ladders:
  tier:
    - {name: gold, when: "spend >= 100", grace: 5d}
    - {name: silver, when: "spend >= 50"}
    - {name: basic}
classes:
  type: [{name: keen, when: "seen >= 2"}, {name: calm}]
segments: {looks: "seen >= 1"}
churn: {at_risk: "seen >= 3"}
""")


def test_rule_06_an_override_shows_its_value_from_its_time_until_its_end():
    #        li says gold             until
    # ───────◆════════════════════════▼──────
    #        Mar 1                    Apr 1
    life = LifeOf(PLAIN)
    life.sees(override("2026-03-01T00:00Z", "2026-04-01T00:00Z", "tier", "gold"))
    life.until("2026-05-01T00:00Z")
    assert life.said() == [
        ("basic", "gold", "2026-03-01T00:00Z", "manual"),
        ("gold", "basic", "2026-04-01T00:00Z", "time"),
    ]


def test_rule_06_of_one_instant_each_move_names_the_event_that_is_its_own():
    #        click (looks)  and  li says gold, in one millisecond
    # ───────◆──────
    #        Mar 1
    life = LifeOf(PLAIN)
    now = "2026-03-01T00:00Z"
    life.sees(click(now, id="click"), override(now, "2026-04-01T00:00Z", "tier", "gold", id="word"), at=now)
    told = {c.dimension.name: (c.cause, c.trigger.id if c.trigger else None) for c in life.changes}
    assert told == {"tier": ("manual", "word"), "looks": ("event", "click")}


def test_rule_06_of_several_overrides_of_one_instant_each_move_names_the_one_of_its_dimension():
    life = LifeOf(PLAIN)
    now, until = "2026-03-01T00:00Z", "2026-04-01T00:00Z"
    words = [
        override(now, until, dimension, value, id=f"{dimension}-{n}")
        for n, (dimension, value) in enumerate([("looks", True), ("tier", "gold"), ("type", "keen"), ("churn", True)])
    ]
    life.sees(buy("2026-02-28T00:00Z", 1_00))
    life.sees(*words, at="2026-02-28T12:00Z")  # they wait for their time
    life.until(now)
    told = {c.dimension.name: (c.cause, c.trigger.id if c.trigger else None) for c in life.changes}
    assert told == {name: ("manual", f"{name}-{n}") for n, name in enumerate(("looks", "tier", "type", "churn"))}


def test_rule_06_the_computed_path_goes_on_underneath():
    #        li says basic     buys 100 (gold underneath)    until: gold is shown
    # ───────◆═════════════════●═════════════════════════════▼──────
    #        Mar 1             Mar 5                         Mar 20
    life = LifeOf(PLAIN)
    life.sees(buy("2026-02-28T00:00Z", 50_00), override("2026-03-01T00:00Z", "2026-03-20T00:00Z", "tier", "basic"))
    assert life.sees(buy("2026-03-05T00:00Z", 100_00)) == []
    held = life.explained("2026-03-06T00:00Z").standing["tier"]
    assert (held.value, held.computed) == ("basic", "gold")
    assert held.override is not None
    assert (held.override.owner, held.override.reason) == ("li", "by hand")
    life.until("2026-03-25T00:00Z")
    assert life.path()[-2:] == [("2026-03-01T00:00Z", "basic"), ("2026-03-20T00:00Z", "gold")]


def test_rule_06_grace_runs_on_underneath_an_override():
    #        100       li says gold                fails      grace over, unseen    until
    # ───────●─────────◆═══════════════════════════╳══════════┊═════════════════════▼──
    #        Mar 1     Mar 2                       Mar 31     Apr 5                 May 1
    life = LifeOf(PLAIN)
    life.sees(buy("2026-03-01T00:00Z", 100_00), override("2026-03-02T00:00Z", "2026-05-01T00:00Z", "tier", "gold"))
    life.until("2026-06-01T00:00Z")
    assert life.path() == [("2026-03-01T00:00Z", "gold"), ("2026-05-01T00:00Z", "basic")]
    assert life.explained("2026-04-06T00:00Z").standing["tier"].computed == "basic"


def test_rule_06_of_several_overrides_the_newest_holds():
    life = LifeOf(PLAIN)
    life.sees(
        override("2026-03-01T00:00Z", "2026-04-01T00:00Z", "tier", "gold"),
        override("2026-03-10T00:00Z", "2026-03-20T00:00Z", "tier", "silver"),
    )
    life.until("2026-05-01T00:00Z")
    assert life.path() == [
        ("2026-03-01T00:00Z", "gold"),
        ("2026-03-10T00:00Z", "silver"),
        ("2026-03-20T00:00Z", "gold"),
        ("2026-04-01T00:00Z", "basic"),
    ]


def test_rule_06_an_override_without_a_value_ends_what_was_set_before():
    life = LifeOf(PLAIN)
    life.sees(
        override("2026-03-01T00:00Z", "2026-04-01T00:00Z", "tier", "gold"),
        override("2026-03-10T00:00Z", "2026-04-01T00:00Z", "tier", None),
    )
    life.until("2026-05-01T00:00Z")
    assert life.said()[-1] == ("gold", "basic", "2026-03-10T00:00Z", "manual")
    assert len(life.path()) == 2


def test_rule_06_classes_segments_and_churn_can_be_set_by_hand_too():
    life = LifeOf(PLAIN)
    until = "2026-04-01T00:00Z"
    life.sees(
        override("2026-03-01T00:00Z", until, "type", "keen"),
        override("2026-03-02T00:00Z", until, "looks", True),
        override("2026-03-03T00:00Z", until, "churn", True),
    )
    told = life.explained()
    assert (told.classes["type"], told.segments, told.churn) == ("keen", ["looks"], True)
    life.until(until)
    told = life.explained()
    assert (told.classes["type"], told.segments, told.churn) == ("calm", [], False)


def test_rule_06_a_segment_can_be_held_shut_by_hand():
    life = LifeOf(PLAIN)
    life.sees(override("2026-03-01T00:00Z", "2026-03-05T00:00Z", "looks", False), click("2026-03-02T00:00Z"))
    life.until("2026-04-01T00:00Z")
    assert life.path("looks") == [("2026-03-05T00:00Z", True), ("2026-03-12T00:00Z", False)]


def test_rule_06_an_override_of_what_the_policy_does_not_know_masks_nothing():
    life = LifeOf(PLAIN)
    life.sees(
        override("2026-03-01T00:00Z", "2026-04-01T00:00Z", "tier", "platinum"),
        override("2026-03-01T00:00Z", "2026-04-01T00:00Z", "level", "gold"),
        override("2026-03-01T00:00Z", "2026-04-01T00:00Z", "looks", "gold"),
    )
    assert life.changes == []


def test_rule_06_an_override_that_has_ended_before_it_began_masks_nothing():
    life = LifeOf(PLAIN)
    life.sees(override("2026-03-01T00:00Z", "2026-03-01T00:00Z", "tier", "gold"))
    assert life.changes == []


def test_rule_06_a_late_override_is_put_in_its_place():
    #        100          li says silver (late)     leaves    grace over      now
    # ───────●────────────◇══════════════▼──────────╳─────────▼───────────────┬──
    #        Mar 1        Mar 10         Mar 20     Mar 31    Apr 5           Apr 10
    life = LifeOf(PLAIN)
    life.sees(buy("2026-03-01T00:00Z", 100_00))
    life.until("2026-04-10T00:00Z")
    [change] = life.sees(override("2026-03-10T00:00Z", "2026-03-20T00:00Z", "tier", "silver"), at="2026-04-10T00:00Z")
    assert (change.before, change.after, change.cause) == ("basic", "basic", "manual")
    assert life.path() == [
        ("2026-03-01T00:00Z", "gold"),
        ("2026-03-10T00:00Z", "silver"),
        ("2026-03-20T00:00Z", "gold"),
        ("2026-04-05T00:00Z", "basic"),
    ]


def test_rule_06_what_the_rules_change_at_the_instant_of_an_override_is_not_by_hand():
    life = LifeOf(PLAIN)
    life.sees(
        click("2026-03-01T00:00Z"),
        override("2026-03-01T00:00Z", "2026-04-01T00:00Z", "tier", "gold"),
        at="2026-03-01T00:00Z",
    )
    assert [c.cause for c in life.of("tier")] == ["manual"]
    assert [c.cause for c in life.of("looks")] == ["event"]

"""The simulation: events, time, activations, overrides and identities, told in the order they happen."""

import random

from services.analyst import script
from services.analyst.simulate import Course, World
from services.scorer.domain.eras import Policies
from services.scorer.domain.playing import relive_customer
from services.scorer.domain.policy import parse
from tests.analyst.scripts import POLICY, asked, bought, instant, line, moves, only, played, write


def test_timers_of_everybody_fire_when_they_are_due_in_the_order_of_time(tmp_path):
    #   b buys   c buys            b's falls  c's falls     asked
    # ──●────────●──── 30 d ───────▼──────────▼─────────────?
    #   Mar 1    Mar 2             Mar 31     Apr 1         May 1
    happened = played(tmp_path, bought("3-1", "1", "600", "b"), bought("3-2", "1", "600", "c"), asked("5-1"))
    assert moves(happened) == [
        "b regular>good 03-01 event",
        "c regular>good 03-02 event",
        "b good>regular 03-31 time",
        "c good>regular 04-01 time",
    ]
    decided = [t["decided_at"] for t in only("transition", happened)]
    assert decided == sorted(decided)
    assert [kind for kind, _ in happened].index("answer") > len(decided) - 1


def test_nothing_is_played_beyond_the_last_line(tmp_path):
    happened = played(tmp_path, bought("3-1", "1", "600"), asked("3-30 23:59"))
    assert moves(happened) == ["c regular>good 03-01 event"]
    happened = played(tmp_path, bought("3-1", "1", "600"), bought("3-31", "1", "1", "somebody_else"))
    assert moves(happened)[-1] == "c good>regular 03-31 time"  # the clock shows that very instant


def test_an_event_in_the_very_instant_a_window_ends_is_one_evaluation_with_it(tmp_path):
    happened = played(tmp_path, bought("3-1", "1", "600"), bought("3-31", "2", "600"))
    assert moves(happened) == ["c regular>good 03-01 event"]


def test_a_late_event_corrects_net_and_names_what_it_retracts(tmp_path):
    late = bought("4-3", "0", "500", time=instant("3-20"))
    happened = played(tmp_path, bought("3-1", "1", "600"), asked("4-2"), late)
    (correction,) = only("transition", happened, cause="late_event", dimension="tier")
    assert correction == {
        "subject": "c",
        "dimension": "tier",
        "before": "regular",
        "after": "key",
        "effective_at": instant("3-20"),
        "decided_at": instant("4-3"),
        "cause": "late_event",
        "retracts": [[instant("3-31"), "regular"]],
    }
    (path,) = only("path", happened, dimension="tier")
    assert path["steps"] == [[instant("3-1"), "good"], [instant("3-20"), "key"]]


def test_an_event_without_a_time_happens_when_it_is_accepted(tmp_path):
    happened = played(tmp_path, bought("3-1", "1", "600", time=None))
    assert only("transition", happened, dimension="tier")[0]["effective_at"] == instant("3-1")


def test_an_event_up_to_five_minutes_ahead_waits_for_its_time(tmp_path):
    ahead = bought("3-1 12:00", "1", "600", time=instant("3-1 12:05"))
    assert only("transition", played(tmp_path, ahead)) == []
    assert only("answer", played(tmp_path, ahead, asked("3-1 12:04")))[0]["features"] is None
    tier = only("transition", played(tmp_path, ahead, asked("3-1 12:05")), dimension="tier")[0]
    assert (tier["effective_at"], tier["decided_at"]) == (instant("3-1 12:05"), instant("3-1 12:05"))


def test_what_is_refused_is_a_dead_letter_and_the_run_goes_on(tmp_path):
    happened = played(
        tmp_path,
        bought("3-1", "1", "600", time=instant("3-1 00:06")),
        bought("3-1", "2", "-1"),
        bought("3-1", "3", "1", subject="someone@example.com"),
        line("3-1", event=7),
        bought("3-1", "4", "600"),
        bought("3-2", "4", "601", time=instant("3-1")),
        line("3-3", event={"id": "5", "source": "shop", "type": "refund", "subject": "c", "order": "4", "amount": "700",
                           "currency": "CNY"}),
    )  # fmt: skip
    assert [(d["id"], d["reason"]) for d in only("dead_letter", happened)] == [
        ("1", "time-in-future"),
        ("2", "negative-amount"),
        ("3", "personal-subject"),
        (None, "not-an-event"),
        ("4", "id_conflict"),
        ("5", "refund_exceeds_order"),
    ]
    assert moves(happened) == ["c regular>good 03-01 event", "c good>regular 03-03 refund"]


def test_the_same_event_again_says_nothing(tmp_path):
    once = bought("3-1", "1", "600")
    assert played(tmp_path, once, once) == played(tmp_path, once)


def test_a_query_is_answered_with_features_positions_and_what_comes_next(tmp_path):
    north = {"id": "p", "source": "crm", "type": "profile", "subject": "c", "attributes": {"region": "north"}}
    happened = played(tmp_path, bought("3-1", "1", "600.50"), line("3-1", event=north), asked("3-11"))
    assert only("answer", happened) == [
        {
            "subject": "c",
            "at": instant("3-11"),
            "features": {"spend_30d": "600.50", "orders": 1, "quiet": 864_000_000, "region": "north"},
            "tiers": {"tier": "good"},
            "classes": {"stage": "buying"},
            "segments": ["north"],
            "next": {"at": instant("3-21"), "dimension": "stage", "after": "lapsed"},
        }
    ]


def test_averages_are_money_in_major_units_as_sums_are(tmp_path):
    ratio = POLICY.replace("features:", "features:\n  aov: {ratio: [spend_30d, orders]}")
    bought_three = [bought(f"3-{day}", f"{day}", amount) for day, amount in enumerate(("360", "350", "350"), 1)]
    (answer,) = only("answer", played(tmp_path, *bought_three, asked("3-4"), policy=ratio))
    assert (answer["features"]["aov"], answer["features"]["spend_30d"]) == ("353.33", "1060.00")


def test_an_unknown_customer_has_no_features(tmp_path):
    answer = played(tmp_path, asked("3-1"))
    nothing = {"features": None, "tiers": {}, "classes": {}, "segments": [], "next": None}
    assert answer == [("answer", {"subject": "c", "at": instant("3-1")} | nothing)]


STRICT = POLICY.replace("sandbox", "strict").replace(">= 500", ">= 700")


def test_another_policy_decides_from_its_instant_on(tmp_path):
    (tmp_path / "strict.yaml").write_text(STRICT)
    first = bought("3-1", "1", "600")
    now = played(tmp_path, first, line("3-10", activate="strict.yaml"), asked("3-11"))
    assert moves(now) == ["c regular>good 03-01 event", "c good>regular 03-10 policy"]
    later = line("3-10", activate="strict.yaml", effective_at=instant("3-20"))
    assert moves(played(tmp_path, first, later, asked("3-19")))[1:] == []
    assert moves(played(tmp_path, first, later, asked("3-21")))[1:] == ["c good>regular 03-20 policy"]


def test_what_a_later_policy_asks_for_is_kept_from_the_first_line_on(tmp_path):
    phoned = "features: {phoned: {count: interaction, where: \"channel == 'phone'\"}}"
    (tmp_path / "phone.yaml").write_text(
        f"policy: phone\ncurrency: CNY\nzone: UTC\nattributes: [size]\n{phoned}\n"
        "ladders: {tier: [{name: good, when: phoned >= 2}, {name: regular}]}\n"
        "segments: {callers: phoned >= 1, large: \"size == 'l'\"}\n"
    )
    base = {"source": "shop", "subject": "c", "time": instant("3-1")}
    call = {"id": "i", "type": "interaction", "channel": "phone", "direction": "inbound"} | base
    known = {"id": "p", "type": "profile", "attributes": {"size": "l"}} | base
    activated = line("3-2", activate="phone.yaml")
    before = played(tmp_path, line("3-1", event=call), line("3-1", event=known), activated, asked("3-4"))
    after = played(tmp_path, activated, line("3-3", event=call), line("3-3", event=known), asked("3-4"))
    for happened in (before, after):
        (answer,) = only("answer", happened)
        assert answer["segments"] == ["callers", "large"]
        assert answer["features"] == {"phoned": 1, "size": "l"}


def test_a_policy_activated_after_its_instant_is_told_net_when_it_becomes_known(tmp_path):
    (tmp_path / "strict.yaml").write_text(STRICT)
    past = line("3-10", activate="strict.yaml", effective_at=instant("3-5"))
    change = only("transition", played(tmp_path, bought("3-1", "1", "600"), past), cause="policy")[0]
    assert (change["effective_at"], change["decided_at"]) == (instant("3-5"), instant("3-10"))


def test_an_override_masks_until_its_end(tmp_path):
    said = {"subject": "c", "dimension": "tier", "value": "key", "owner": "li", "reason": "contract"}
    happened = played(
        tmp_path,
        bought("3-1", "1", "600"),
        line("3-3", override=said | {"until": instant("3-10")}),
        line("3-4", override=said | {"until": instant("3-1")}),
        asked("3-20"),
    )
    assert moves(happened)[1:] == ["c good>key 03-03 manual", "c key>good 03-10 time"]
    assert only("dead_letter", happened) == [{"id": "line-3", "reason": "invalid-until"}]


MERGE, PART = {"merge": {"from": "b", "into": "a"}}, {"unmerge": {"from": "b", "into": "a"}}


def test_a_merge_adds_up_and_events_and_questions_go_to_the_survivor(tmp_path):
    happened = played(
        tmp_path,
        bought("3-1", "1", "600", "a"),
        bought("3-2", "2", "300", "b"),
        line("3-3", **MERGE),
        asked("3-3", "b"),
        bought("3-4", "3", "200", "b"),
        asked("3-5", "b"),
    )
    before, after = only("answer", happened)
    assert (before["subject"], before["features"]["spend_30d"]) == ("a", "900.00")
    assert (after["features"]["spend_30d"], after["tiers"]) == ("1100.00", {"tier": "key"})
    assert moves(happened)[-1] == "a good>key 03-04 event"
    assert {p["subject"] for p in only("path", happened)} == {"a"}


def test_an_unmerge_parts_what_came_in(tmp_path):
    happened = played(
        tmp_path,
        bought("3-1", "1", "600", "a"),
        bought("3-2", "2", "600", "b"),
        line("3-3", **MERGE),
        line("3-4", **PART),
        asked("3-5", "a"),
        asked("3-5", "b"),
    )
    assert [a["features"]["spend_30d"] for a in only("answer", happened)] == ["600.00", "600.00"]
    assert only("path", happened, dimension="tier") == [
        {"subject": "a", "dimension": "tier", "steps": [[instant("3-1"), "good"]]},
        {"subject": "b", "dimension": "tier", "steps": [[instant("3-2"), "good"]]},
    ]


def test_a_merge_that_makes_no_sense_is_a_dead_letter(tmp_path):
    happened = played(
        tmp_path,
        bought("3-1", "1", "600", "a"),
        line("3-2", **PART),
        line("3-3", **MERGE),
        line("3-3", **MERGE),
        line("3-4", merge={"from": "a", "into": "b"}),
        line("3-5", merge={"from": "b", "into": "z"}),
    )
    assert [(d["id"], d["reason"]) for d in only("dead_letter", happened)] == [
        ("line-2", "not-merged"),
        ("line-5", "merge-cycle"),
        ("line-6", "merged-elsewhere"),
    ]


def test_whoever_is_merged_into_themselves_is_a_dead_letter_and_the_run_goes_on(tmp_path):
    into_itself, nobody = line("3-1", merge={"from": "a", "into": "a"}), {"from": "x", "into": "y"}
    later = into_itself | {"at": instant("3-3")}
    happened = played(tmp_path, into_itself, bought("3-2", "1", "600", "a"), later, line("3-4", unmerge=nobody))
    assert only("dead_letter", happened) == [
        {"id": "line-1", "reason": "merge-cycle"},
        {"id": "line-3", "reason": "merge-cycle"},
        {"id": "line-4", "reason": "not-merged"},
    ]
    assert {p["subject"] for p in only("path", happened)} == {"a"}, "nobody comes to be by being refused"
    assert moves(happened) == ["a regular>good 03-02 event"]


def test_an_id_that_nobody_can_have_is_a_dead_letter_as_at_ingest(tmp_path):
    happened = played(
        tmp_path,
        line("3-1", merge={"from": "", "into": "a"}),
        line("3-1", unmerge={"from": "b", "into": " a"}),
        line("3-1", erase={"subject": "someone@example.com"}),
    )
    assert happened == [
        ("dead_letter", {"id": "line-1", "reason": "invalid-subject"}),
        ("dead_letter", {"id": "line-2", "reason": "invalid-subject"}),
        ("dead_letter", {"id": "line-3", "reason": "personal-subject"}),
    ]


def test_of_an_id_that_nobody_can_have_nothing_is_known(tmp_path):
    happened = played(tmp_path, asked("3-1", ""), bought("3-2", "1", "600"))
    assert [(a["subject"], a["features"]) for a in only("answer", happened)] == [("", None)]
    assert moves(happened) == ["c regular>good 03-02 event"]


def test_after_an_erasure_there_is_nothing_and_then_a_new_life(tmp_path):
    happened = played(
        tmp_path,
        bought("3-1", "1", "600", "a"),
        bought("3-1", "2", "600", "b"),
        line("3-2", **MERGE),
        line("3-3", erase={"subject": "b"}),
        asked("3-3", "a"),
        bought("3-4", "1", "600", "a", time=instant("3-1")),
        bought("3-4", "2", "600", "b", time=instant("3-1")),
        asked("3-4", "b"),
        bought("3-5", "9", "500", "b"),
    )
    assert [a["features"] for a in only("answer", happened)] == [None, None]
    assert only("dead_letter", happened) == []
    assert [p["subject"] for p in only("path", happened) if p["steps"] and p["dimension"] == "tier"] == ["b"]
    assert only("path", happened, subject="b", dimension="tier")[0]["steps"] == [[instant("3-5"), "good"]]


def test_the_paths_told_are_those_of_the_core_whatever_the_order(tmp_path):
    draw = random.Random(7)
    days = sorted(draw.randint(1, 27) for _ in range(60))
    lines = []
    for i, day in enumerate(days):
        happened = instant(f"3-{draw.randint(1, day)}")
        lines.append(bought(f"3-{day}", f"e{i}", f"{draw.randint(1, 500)}", draw.choice("abc"), time=happened))
    world = World(policy := parse(POLICY))
    told = [h for h in world.run(script.read(write(tmp_path, *lines, asked("4-20")))) if isinstance(h, Course)]
    until_ms = script.read(write(tmp_path, asked("4-20")))[0].at_ms
    assert len(told) == 3 * len(policy.dimensions)
    for course in told:
        _, paths, _ = relive_customer(world._customers[course.subject], Policies.only(policy), until_ms)
        assert course.steps == paths.steps.get(course.dimension, [])

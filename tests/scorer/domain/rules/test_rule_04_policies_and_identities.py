"""Rules 4, 9, 11, 12 together: ledgers are folded while policies come and go, two are one for a while, one is erased.

No oracle knows what a folded ledger has forgotten. What must hold all the same is what a reader of the decisions lives
by: nothing moves in silence, and what is told adds up to where a customer stands.
"""

from contextlib import nullcontext
from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from services.scorer.domain.instants import to_datetime
from services.scorer.domain.paths import relive
from services.scorer.domain.rules import Policy
from tests.scorer.domain.rules.early import folded_early
from tests.scorer.domain.rules.life_of import DAY, MIN, H, LifeOf, policy, told
from tests.scorer.domain.timeline import SUBJECT, buy, click, ms, override

FIRST = ms("2026-01-01T00:00Z")

LADDERS = (
    "{name: hot, when: 'heat >= 6', stay: 'heat >= 4', grace: 1d}, {name: warm, when: 'heat >= 3'}, {name: cold}",
    "{name: hot, when: 'heat >= 6', stay: 'heat >= 4', grace: 1d}, {name: mid, when: 'heat >= 3'}, {name: cold}",
    "{name: hot, when: 'heat >= 5'}, {name: cold, when: 'heat >= 1'}, {name: ice}",
)
SIDES = (
    "",
    "classes: {side: [{name: up, when: 'seen_2h >= 3'}, {name: down}]}",
    "classes: {side: [{name: up, when: 'seen_2h >= 2', dwell: 3h}, {name: flat}]}",
)
SEGMENTS = ("  known: 'known_for >= 150min'", "  busy: 'seen_2h >= 9'", "  up: 'pace > 1'")

kinds = st.tuples(st.integers(0, 2), st.integers(0, 2), st.integers(0, 7))
"""Which tiers, which side, and which segments as bits."""


@lru_cache(maxsize=100)
def of(kind: tuple[int, int, int]) -> Policy:
    tiers, side, segments = kind
    lines = [segment for i, segment in enumerate(SEGMENTS) if segments >> i & 1]
    return policy(
        f"""
features:
  seen_2h: {{count: click, window: 2h}}
  heat: {{score: {{click: 1}}, half_life: 1h}}
  pace: {{trend: [click], recent: 1h, base: 6h}}
  spend: {{sum: purchase.amount, window: 3h}}
ladders: {{tier: [{LADDERS[tiers]}]}}
{SIDES[side]}
segments:
  rich: 'spend >= 100'
"""
        + "\n".join(lines)
    )


happenings = st.one_of(
    st.just("click"),
    st.just("click"),
    st.just("click"),
    st.sampled_from(["order", "override", "join", "join", "erase"]),
    kinds,
)
steps_of_both = st.lists(
    st.tuples(st.integers(1, 40), st.sampled_from([0, 0, 0, 0, 5, 30, 90, 400]), happenings, st.sampled_from("ab")),
    min_size=12,
    max_size=50,
)


@settings(max_examples=100, deadline=None)
@given(kinds, steps_of_both)
def test_rule_04_what_is_announced_adds_up_whatever_policies_and_identities_come_and_go(first, steps):
    #   a  ●●●●●●●●║●●●●●●┬─parted───●●●●  policies also from past instants on; each is folded again and again
    #   b  ●●●●●●●●║●●merged        ●●●●●
    with folded_early():
        lives = {name: LifeOf(of(first), subject=name) for name in "ab"}
        at, effective, joined = FIRST, 0, False
        for i, (minutes, late, what, name) in enumerate(steps):
            at += minutes * MIN
            time, head = at - late * MIN, {"id": str(i), "subject": name}
            into = lives["a" if joined else name]
            match what:
                case "click":
                    into.sees(click(time, **head), at=at)
                case "order":
                    into.sees(buy(time, 60_00, **head), at=at)
                case "override":
                    held = [("tier", "hot"), ("side", "up"), ("rich", True)][minutes % 3]
                    into.sees(override(time, at + 2 * H, *held, **head), at=at)
                case "join":
                    (lives["a"].gives_back if joined else lives["a"].takes_in)(lives["b"], at)
                    joined = not joined
                case "erase":
                    into.is_erased(at, *([lives["b"]] if joined else []))
                    joined = False
                case _:
                    effective = max(effective, time)
                    for life in lives.values():
                        life.learns(of(what), effective, at)
            adds_up(lives["a"])
            adds_up(lives["b"], away=joined)
        for life in lives.values():
            life.until(at + 30 * DAY)
        adds_up(lives["a"])
        adds_up(lives["b"], away=joined)


def adds_up(life: LifeOf, away: bool = False) -> None:
    """Of each dimension every change starts where the last one ended, and what a reader holds is where the customer
    stands and what the ledger gives; nothing is held of one who is somebody else."""
    customer = life.customer
    shown = customer.shown() if customer.life.era >= 0 else {}
    _, paths = relive(life.policies, customer.ledger, life.now, customer.life.known, customer.frozen)
    for name in dict.fromkeys([*shown, *(change.dimension.name for change in life.changes)]):
        changes, path = life.of(name), life.path(name)
        assert [c.revision for c in changes] == [*range(1, len(changes) + 1)], name
        assert all(one.after == then.before for one, then in pairwise(changes)), name
        if away:
            assert path == [], name
            continue
        if name in shown:
            value = shown[name][1]
            assert changes == [] or changes[-1].after == value, name
            assert path == [] or path[-1][1] == value, name
        again = [(told(at_ms), value) for at_ms, value in paths.steps.get(name, [])]
        assert path[len(path) - len(again) :] == again, name


# -- by hand

SEEN = "features: {seen: {count: click}, seen_3h: {count: click, window: 3h}}\n"
TIERS = "ladders: {tier: [{name: hot, when: 'seen >= 6'}, {name: warm, when: 'seen >= 3'}, {name: cold}]}\n"

SEGMENT = "segments: {y: 'seen_3h >= 3'}"
CLASSES = "classes: {y: [{name: up, when: 'seen_3h >= 3'}, {name: down}]}"


def folded_of(rules: str, subject: str = SUBJECT) -> LifeOf:
    """16 clicks ten minutes apart, folded early."""
    life = LifeOf(policy(SEEN + rules), subject=subject)
    for i in range(16):
        life.sees(click(FIRST + i * 10 * MIN, id=f"{subject}{i}", subject=subject))
    assert life.customer.frozen is not None
    return life


def test_rule_04_a_place_kept_over_a_switch_of_policies_is_no_move_when_the_ledger_is_folded():
    """Of the second policy everyone begins in bronze; who stood in basic stays there, and no step says so."""
    with folded_early():
        life = LifeOf(policy(SEEN + "ladders: {tier: [{name: gold, when: 'seen >= 90'}, {name: basic}]}"))
        life.sees(click(FIRST, id="first"))
        kept = "{name: basic, when: 'seen >= 80', stay: 'seen >= 1'}, {name: bronze}"
        life.learns(policy(SEEN + f"ladders: {{tier: [{{name: gold, when: 'seen >= 90'}}, {kept}]}}"), FIRST + 5 * MIN)
        for i in range(1, 16):
            life.sees(click(FIRST + i * 10 * MIN, id=f"c{i}"))
        assert life.customer.frozen is not None
        assert (life.said(), life.value()) == ([], "basic")


def test_rule_04_a_retroactive_policy_that_names_the_tier_at_the_floor_otherwise_is_told_from_the_floor_on():
    with folded_early():
        life = folded_of(TIERS.replace("6", "60"))
        renamed = policy(SEEN + TIERS.replace("6", "60").replace("warm", "mid"))
        life.learns(renamed, FIRST + 5 * MIN, FIRST + 5 * H)
        assert [value for _, value in life.path()] == ["warm", "mid"]
        assert (life.of()[-1].before, life.of()[-1].after, life.value()) == ("warm", "mid", "mid")


def test_rule_04_a_step_at_the_very_floor_is_replaced_by_what_a_retroactive_policy_names_it():
    with folded_early():
        rules = TIERS.replace("6", "60").replace("3", "8")
        life = LifeOf(policy(SEEN + rules))
        for i in range(12):
            life.sees(click(FIRST + i * 10 * MIN, id=f"c{i}"))
        floor = told(life.customer.frozen.floor_ms)
        assert life.path() == [(floor, "warm")]
        life.learns(policy(SEEN + rules.replace("warm", "mid")), FIRST + 5 * MIN, FIRST + 3 * H)
        assert life.path() == [(floor, "mid")]
        customer = life.customer
        _, paths = relive(life.policies, customer.ledger, life.now, customer.life.known, customer.frozen)
        assert paths.steps["tier"] == [(ms(floor), "mid")]


@pytest.mark.timeout(20)
def test_rule_04_an_instant_before_the_floor_is_explained_as_of_the_floor():
    rules = "ladders: {tier: [{name: hot, when: 'seen_3h >= 3'}, {name: cold}]}\nsegments: {still: 'quiet >= 2h'}"
    with folded_early():
        life = LifeOf(policy(SEEN.replace("}}", "}, quiet: {since_last: click}}") + rules))
        for i in range(16):
            life.sees(click(FIRST + i * 50 * MIN, id=f"c{i}"))
        at_floor = life.explained(told(life.customer.frozen.floor_ms))
        before = life.explained(FIRST + 30 * MIN)
        assert (before.at, before) == (to_datetime(life.customer.frozen.floor_ms), at_floor), "whole, and says so"
        assert before.features["quiet"].value == 0, "the floor is a click's instant"


def test_rule_04_what_late_money_from_before_the_floor_changes_comes_next_a_millisecond_after_it():
    #        100 (late, for 3 hours)    16 clicks, the floor: not rich as told, then rich     leaves
    # ───────◇━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━┃━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━━╳──
    with folded_early():
        life = LifeOf(of((0, 1, 0)))
        for i in range(16):
            life.sees(click(FIRST + i * 10 * MIN, id=f"c{i}"))
        life.sees(buy(FIRST + MIN, 100_00), at=life.now)
        assert life.path("rich") == [(told(life.customer.frozen.floor_ms + 1), True)]
        assert life.next("rich", at=FIRST) == (told(life.customer.frozen.floor_ms + 1), True)
        life.until(FIRST + 4 * H)
        assert life.next("rich", at=FIRST) == life.path("rich")[0]
        assert life.path("rich")[1] == (told(FIRST + MIN + 3 * H), False)


def test_rule_04_an_override_at_the_floor_to_a_tier_that_a_retroactive_policy_does_not_know_ends_there():
    with folded_early():
        rules = "ladders: {tier: [{name: star, when: 'seen >= 99'}, {name: warm, when: 'seen >= 2'}, {name: cold}]}"
        life = LifeOf(policy(SEEN + rules))
        for i in range(4):
            life.sees(click(FIRST + i * 10 * MIN, id=f"c{i}"))
        life.sees(override(FIRST + 35 * MIN, FIRST + 40 * H, "tier", "star", id="o"))
        for i in range(4, 20):
            life.sees(click(FIRST + i * 10 * MIN, id=f"c{i}"))
        life.learns(policy(SEEN + rules.replace("star", "top")), FIRST + 25 * MIN, FIRST + 5 * H)
        assert life.said()[-1][:2] == ("star", "warm")
        assert (life.path()[-1], life.value()) == ((told(life.customer.frozen.floor_ms), "warm"), "warm")


def test_rule_04_a_segment_that_is_new_to_the_time_before_the_floor_is_told():
    with folded_early():
        life = folded_of(TIERS + "segments: {x: 'seen_3h >= 1000'}")
        more = policy(SEEN + TIERS + "segments: {x: 'seen_3h >= 1000', y: 'seen_3h >= 3'}")
        life.learns(more, FIRST + 5 * MIN, FIRST + 4 * H)
        assert [(c.before, c.after, c.cause) for c in life.of("y")] == [(False, True, "policy")]


@pytest.mark.parametrize(("more", "there"), [(SEGMENT, True), (CLASSES, "up")])
def test_rule_04_what_a_retroactive_policy_leaves_out_from_before_the_floor_on_is_told(more, there):
    with folded_early():
        life = folded_of(TIERS + more)
        life.learns(policy(SEEN + TIERS), FIRST + 5 * MIN, FIRST + 4 * H)
        [first, gone] = life.of("y")
        assert (first.after, gone.before, gone.after, gone.cause) == (there, there, first.before, "policy")
        assert life.path("y")[-1] == (told(life.customer.frozen.floor_ms), first.before)


def test_rule_04_what_a_policy_put_right_leaves_out_from_before_the_floor_on_is_told():
    """The policy that knew the segment held at no instant, as turns out when its steps are known by the floor only."""
    with folded_early():
        life = LifeOf(policy(SEEN + TIERS))
        life.sees(click(FIRST, id="first"))
        life.learns(policy(SEEN + TIERS + SEGMENT), FIRST + 5 * MIN)
        for i in range(1, 16):
            life.sees(click(FIRST + i * 10 * MIN, id=f"c{i}"))
        life.learns(policy(SEEN + TIERS), FIRST + 5 * MIN, FIRST + 4 * H)
        assert [(c.before, c.after, c.cause) for c in life.of("y")][1:] == [(True, False, "policy")]
        assert life.path("y")[-1] == (told(life.customer.frozen.floor_ms), False)


def test_rule_04_what_a_policy_put_right_leaves_out_again_ends_where_everyone_was_put_before():
    """`flat` was the last class of a policy that held at no instant; `down` that of the one before."""
    with folded_early():
        life = LifeOf(policy(SEEN + TIERS + CLASSES))
        life.sees(click(FIRST, id="first"))
        life.learns(policy(SEEN + TIERS + CLASSES.replace("down", "flat")), FIRST + 5 * MIN)
        for i in range(1, 16):
            life.sees(click(FIRST + i * 10 * MIN, id=f"c{i}"))
        life.learns(policy(SEEN + TIERS), FIRST + 5 * MIN, FIRST + 4 * H)
        assert [c.after for c in life.of("y")] == ["flat", "up", "down"]
        assert life.path("y")[-1] == (told(life.customer.frozen.floor_ms), "down")


ALONE = "ladders: {tier: [{name: hot, when: 'seen >= 90'}, {name: cold}]}\n"
LASTING = ALONE.replace("]}", "], y: [{name: up, when: 'seen_3h >= 3', stay: 'seen >= 3'}, {name: down}]}")


def up_by_memory() -> LifeOf:
    """Four clicks soon after each other, hence up, then one in two hours, of which the first are folded."""
    life = LifeOf(policy(SEEN + LASTING))
    for i in range(4):
        life.sees(click(FIRST + i * 10 * MIN, id=f"a{i}"))
    for i in range(16):
        life.sees(click(FIRST + (5 + 2 * i) * H, id=f"b{i}"))
    return life


@pytest.mark.parametrize(
    "between", [ALONE, ALONE + CLASSES, LASTING.replace("up", "top")], ids=["left out", "another kind", "another name"]
)
def test_rule_04_memory_that_a_policy_of_the_past_did_not_carry_over_is_gone_at_the_floor_too(between):
    whole = up_by_memory()
    with folded_early():
        folded = up_by_memory()
        assert folded.customer.frozen is not None
        for life in (folded, whole):
            assert life.value("y") == "up"
            life.learns(policy(SEEN + between), FIRST + 8 * H, FIRST + 40 * H)
            life.learns(policy(SEEN + LASTING), FIRST + 10 * H, FIRST + 41 * H)
            assert life.value("y") == "down"
        assert folded.path("y")[-1] == (told(folded.customer.frozen.floor_ms), "down")


def test_rule_04_memory_from_after_the_policies_of_the_past_that_were_learned_of_is_kept_at_the_floor():
    with folded_early():
        life = up_by_memory()
        life.learns(policy(SEEN + ALONE), FIRST + 5 * MIN, FIRST + 40 * H)
        life.learns(policy(SEEN + LASTING), FIRST + 15 * MIN, FIRST + 41 * H)
        assert (life.value("y"), life.path("y")) == ("up", [(told(FIRST + 20 * MIN), "up")])


def test_rule_04_who_has_not_moved_since_a_dimension_came_back_stays_there_when_the_ledger_is_folded():
    #  y  up, down   ║ left out   ║ up, down again: begins in down   ║ up, down, flat: down is kept      folded
    with folded_early():
        life = LifeOf(policy(SEEN + LASTING))
        life.sees(click(FIRST, id="first"))
        more = "{name: down, when: 'seen >= 90', stay: 'seen >= 1'}, {name: flat}"
        for i, rules in enumerate([ALONE, LASTING, LASTING.replace("{name: down}", more)]):
            life.learns(policy(SEEN + rules), FIRST + (i + 1) * H)
        for i in range(16):
            life.sees(click(FIRST + (5 + 2 * i) * H, id=f"c{i}"))
        assert life.customer.frozen is not None
        assert (life.value("y"), life.of("y")) == ("down", [])


def test_rule_04_what_was_left_out_before_one_s_first_event_is_new_when_it_returns_also_to_who_is_folded():
    with folded_early():
        life = LifeOf(policy(SEEN + LASTING))
        life.learns(policy(SEEN + ALONE), FIRST - H)
        for i in range(16):
            life.sees(click(FIRST + i * 10 * MIN, id=f"c{i}"))
        assert life.customer.frozen is not None
        life.learns(policy(SEEN + LASTING.replace("down", "flat")), FIRST + 30 * H)
        assert (life.value("y"), life.of("y")) == ("flat", [])


@pytest.mark.parametrize(("late", "known"), [(False, 20 * H), (True, 20 * H), (False, 25 * H)])
def test_rule_04_what_was_told_while_merged_of_what_one_s_own_life_does_not_know_ends_where_it_returns(late, known):
    #  b   ●●●● merged into a    ║ no classes y, effective here  ║ or here: before anything of a's own       ║ y returns
    #  a                            ●      16 more: folded            parted
    with folded_early():
        a, b = (LifeOf(policy(SEEN + TIERS + CLASSES), subject=name) for name in "ab")
        for i in range(4):
            b.sees(click(FIRST + i * 10 * MIN, id=f"b{i}", subject="b"))
        a.sees(click(FIRST + 3 * H, id="a", subject="a"))
        a.takes_in(b, FIRST + 4 * H)
        without = policy(SEEN + TIERS), FIRST + 2 * H
        a.learns(policy(SEEN + TIERS + CLASSES.replace("down", "nil")), FIRST + 2 * H, FIRST + 4 * H)  # put right below
        if not late:
            a.learns(*without, FIRST + 4 * H)
        for i in range(16):
            a.sees(click(FIRST + 5 * H + i * 10 * MIN, id=f"a{i}", subject="a"))
        a.gives_back(b, FIRST + 9 * H)
        if late:
            a.learns(*without, FIRST + 10 * H)
        a.learns(policy(SEEN + TIERS + CLASSES.replace("down", "flat")), FIRST + 20 * H, FIRST + known)
        *_, gone, back = a.path("y")
        assert (gone[1], back) == ("down", (told(FIRST + 20 * H), "flat"))
        assert (a.of("y")[-1].before, a.of("y")[-1].after, a.value("y")) == ("down", "flat", "flat")


def test_rule_04_who_is_folded_and_takes_somebody_in_keeps_the_path_that_was_told():
    with folded_early():
        life, other = folded_of(TIERS), LifeOf(policy(SEEN + TIERS), subject="other")
        path = life.path()
        other.sees(click(FIRST + 4 * H, subject="other"))
        life.takes_in(other, FIRST + 5 * H)
        assert life.path() == path
        assert life.path()[-1][1] == life.value() == "hot"
        life.gives_back(other, FIRST + 6 * H)
        assert life.path() == path
        assert other.value() == "cold"


def test_rule_04_an_override_in_force_at_the_floor_masks_there_too_after_a_merge_and_after_being_parted():
    #        li says hot, until April      16 clicks, the floor       other: one click      merged      parted
    # ───────◆════════════════════════════════════┃═════════════════════════════════════════┬═══════════┬════▼──
    with folded_early():
        life, other = (LifeOf(policy(SEEN + LASTING), subject=name) for name in (SUBJECT, "other"))
        life.sees(override(FIRST, "2026-04-01T00:00Z", "tier", "hot"))
        for i in range(1, 17):
            life.sees(click(FIRST + i * 10 * MIN, id=f"c{i}"))
        other.sees(click(FIRST + 4 * H, subject="other"))
        for change in (life.takes_in, life.gives_back):
            assert [c for c in change(other, life.now + H) if c.dimension.name == "tier"] == []
            assert life.path() == [(told(FIRST), "hot")]
            held = life.explained(FIRST).standing["tier"]
            assert (held.value, held.computed, held.since) == ("hot", "cold", to_datetime(FIRST))
            assert held.override is not None
            assert life.next(at=FIRST) == ("2026-04-01T00:00Z", "cold")
        assert (other.path(), other.value()) == ([], "cold"), "the override was not theirs"


def test_rule_04_an_override_that_came_with_somebody_holds_from_the_floor_on():
    with folded_early():
        life, other = folded_of(LASTING), LifeOf(policy(SEEN + LASTING), subject="other")
        floor = told(life.customer.frozen.floor_ms)
        other.sees(override(FIRST + 5 * MIN, "2026-04-01T00:00Z", "tier", "hot", subject="other"), at=FIRST + 4 * H)
        life.takes_in(other, FIRST + 5 * H)
        assert life.path() == [(floor, "hot")]
        life.until("2026-04-02T00:00Z")
        assert life.path() == [(floor, "hot"), ("2026-04-01T00:00Z", "cold")]


def test_rule_04_a_late_override_from_before_the_floor_is_told_from_the_floor_on_and_what_was_told_there_stays():
    #        li says cold          16 clicks, the floor    one ms: cold as told, then hot     now: wang says hot (late)
    # ───────◆══◇══════════════════════════════┃═══════════╪══════════════════════════════════┬──
    with folded_early():
        life = LifeOf(policy(SEEN + LASTING))
        life.sees(override(FIRST, "2026-04-01T00:00Z", "tier", "cold", id="li"))
        for i in range(1, 17):
            life.sees(click(FIRST + i * 10 * MIN, id=f"c{i}"))
        life.sees(override(FIRST + 5 * MIN, "2026-03-01T00:00Z", "tier", "hot", id="wang"), at=FIRST + 4 * H)
        after = told(life.customer.frozen.floor_ms + 1)
        assert life.path() == [(after, "hot")]
        held = life.explained(FIRST).standing["tier"]
        assert (held.value, held.override and held.override.until) == ("cold", to_datetime(ms("2026-04-01T00:00Z")))
        assert life.next(at=FIRST) == (after, "hot")


def test_rule_04_an_override_that_has_ended_by_the_floor_is_not_named_there():
    #        li says hot, until April       wang says cold       16 clicks, the floor
    # ───────◆══════════════════════════════◆═▼══════════════════━━━━━━━━━━┃━━━━━━━━
    with folded_early():
        life = LifeOf(policy(SEEN + LASTING))
        life.sees(override(FIRST, "2026-04-01T00:00Z", "tier", "hot"))
        life.sees(override(FIRST + 5 * MIN, FIRST + 8 * MIN, "tier", "cold"))
        for i in range(1, 17):
            life.sees(click(FIRST + i * 10 * MIN, id=f"c{i}"))
        held = life.explained(FIRST).standing["tier"]
        assert held.value == "hot"
        assert held.override is not None
        assert held.override.until == to_datetime(ms("2026-04-01T00:00Z"))


AWAY = """
features: {seen: {count: click}, seen_3h: {count: click, window: 3h}, calm: {since_last: click}}
classes:
  stage:
    - {name: won_back, when: "calm < 60d", from: [away], dwell: 60d}
    - {name: away, when: "calm >= 180d"}
    - {name: here}
"""


def test_rule_04_who_is_merged_while_folded_is_not_won_back_without_having_been_away():
    with folded_early():
        life, other = LifeOf(policy(AWAY)), LifeOf(policy(AWAY), subject="other")
        life.sees(*(click(FIRST + i * 10 * MIN, id=f"a{i}") for i in range(16)))
        assert life.customer.frozen is not None
        other.sees(click(FIRST + 4 * H, subject="other"))
        life.takes_in(other, FIRST + 5 * H)
        assert (life.path("stage"), life.value("stage")) == ([], "here")
        life.gives_back(other, FIRST + 6 * H)
        assert (life.path("stage"), life.value("stage")) == ([], "here")


def test_rule_04_of_who_is_folded_and_merged_or_erased_no_step_is_left():
    with folded_early():
        for forget in ("merge", "erase"):
            life = folded_of(TIERS)
            if forget == "merge":
                into = LifeOf(policy(SEEN + TIERS), subject="into")
                into.sees(click(FIRST + 4 * H, subject="into"))
                into.takes_in(life, FIRST + 20 * H)
            else:
                life.is_erased(FIRST + 20 * H)
            assert life.path() == []
            assert (life.of()[-1].before, life.of()[-1].after) == ("hot", "cold")


def test_rule_04_of_who_is_folded_while_merged_and_erased_after_being_parted_no_step_is_left():
    #  b   ●●●●   merged into a: a's path begins with b's    ║ no classes y    folded      parted     a is erased
    with folded_early():
        a, b = (LifeOf(policy(SEEN + TIERS + CLASSES), subject=name) for name in "ab")
        for i in range(4):
            b.sees(click(FIRST + i * 10 * MIN, id=f"b{i}", subject="b"))
        a.sees(click(FIRST + H, id="a", subject="a"))
        a.takes_in(b, FIRST + H)
        for life in (a, b):
            life.learns(policy(SEEN + TIERS), FIRST + 2 * H)
        for i in range(16):
            a.sees(click(FIRST + 5 * H + i * 10 * MIN, id=f"a{i}", subject="a"))
        a.gives_back(b, FIRST + 9 * H)
        before = told(FIRST + 20 * MIN)
        assert (a.path()[0], a.path("y")[0]) == ((before, "warm"), (before, "up")), "up to the floor as it was told"
        a.is_erased(FIRST + 10 * H)
        assert (a.path(), a.path("y")) == ([], [])


def test_rule_04_who_is_parted_with_nothing_from_before_the_floor_begins_with_their_first_event():
    #  b   ●●●●●●●●●●●●●●●●   merged into a, of whom nothing is known      parted       another policy      a: ●
    with folded_early():
        a, b = LifeOf(policy(SEEN + TIERS), subject="a"), folded_of(TIERS, subject="b")
        told_of_b = b.path()
        a.takes_in(b, FIRST + 4 * H)
        assert a.path()[-1][1] == "hot"
        a.gives_back(b, FIRST + 5 * H)
        assert (a.path(), b.path()[-1][1]) == ([], told_of_b[-1][1])
        for life in (a, b):
            life.learns(policy(SEEN + TIERS + "segments: {y: 'known_for < 9d'}"), FIRST + 6 * H)
        assert a.explained().tiers == {"tier": "cold"}
        a.sees(click(FIRST + 7 * H, id="first", subject="a"))
        assert a.path("y") == [(told(FIRST + 7 * H), True)]


def test_rule_04_who_is_known_whole_again_after_a_rebuild_keeps_no_step_of_what_was_told_while_folded():
    #  b   ●●●   merged into a       16 more of b: folded      parted       a is rebuilt from its one click
    with folded_early():
        whole = policy(SEEN + TIERS + SEGMENT)
        a, b, anew = LifeOf(whole, subject="a"), LifeOf(whole, subject="b"), LifeOf(whole, subject="a")
        for i in range(3):
            b.sees(click(FIRST + i * 10 * MIN, id=f"b{i}", subject="b"))
        for life in (a, anew):
            life.sees(click(FIRST + 35 * MIN, id="a0", subject="a"))
        a.takes_in(b, FIRST + H)
        for i in range(16):
            a.sees(click(FIRST + 2 * H + i * 10 * MIN, id=f"x{i}", subject="b"))
        a.gives_back(b, FIRST + 9 * H)
        assert a.path("y")[0] == (told(FIRST + 20 * MIN), True)
        anew.until(FIRST + 10 * H)
        a.is_renewed(anew, FIRST + 10 * H)
        assert (a.path("y"), a.value("y")) == ([], False)


def test_rule_04_a_rebuild_that_knows_better_what_was_before_the_floor_tells_it_anew():
    #  live     ●●●●●●        ▼ quiet    ●●●●●┃●●   ○ a click of the silence: too old      ● ● ●
    #  rebuilt  ●●●●●●    ○              ●●●●●●●●                                        ┃ ● ● ●   never quiet
    rules = SEEN.replace("}}", "}, quiet: {since_last: click}}") + TIERS + "segments: {still: 'quiet >= 2h'}"
    live, anew = LifeOf(policy(rules)), LifeOf(policy(rules))
    times = [i * 10 * MIN for i in range(6)] + [3 * H + i * 10 * MIN for i in range(14)]
    for place, time in enumerate(times):
        for life in (live, anew):
            with folded_early() if life is live or place > 12 else nullcontext():
                if place == 12:
                    life.sees(click(FIRST + 90 * MIN, id="late"), at=FIRST + time - MIN)
                life.sees(click(FIRST + time, id=f"c{place}"))
    assert ([r.reason for r in live.reports], anew.reports) == (["too_old"], [])
    assert [step[1] for step in live.path("still")] == [True, False]
    assert None not in (live.customer.frozen, anew.customer.frozen)
    live.is_renewed(anew, live.now)
    assert (live.path("still"), live.value("still"), live.of("still")[-1].cause) == ([], False, "rebuild")


def test_rule_04_an_event_known_under_two_ids_counts_once_also_after_folding():
    #  a   ●●●●   merged with b, who has three of them too      20 more: folded      d comes in
    # ─────┊┊┊┊───┬─────────────────────────────────────────────┃────────────────────┬──
    with folded_early():
        lives = {name: LifeOf(policy(SEEN + TIERS), subject=name) for name in "abd"}
        a = lives["a"]
        a.sees(click(FIRST, id="first", subject="a"))
        for i in range(3):
            for name in "ab":
                lives[name].sees(click(FIRST + (i + 1) * 5 * MIN, id=f"s{i}", subject=name))
        a.takes_in(lives["b"], FIRST + H)
        for i in range(20):
            a.sees(click(FIRST + 2 * H + i * 10 * MIN, id=f"c{i}", subject="a"))
        assert (a.figure("seen"), a.customer.frozen is not None) == (24, True)
        lives["d"].sees(click(FIRST + 10 * H, id="d", subject="d"))
        a.takes_in(lives["d"], FIRST + 11 * H)
        assert a.figure("seen") == 25

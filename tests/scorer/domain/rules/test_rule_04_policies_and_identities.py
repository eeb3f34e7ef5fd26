"""Rules 4, 9, 11, 12 together: ledgers are folded while policies come and go, two are one for a while, one is erased.

No oracle knows what a folded ledger has forgotten. What must hold all the same is what a reader of the decisions lives
by: nothing moves in silence, and what is told adds up to where a customer stands.
"""

from functools import lru_cache
from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from services.scorer.domain.paths import fold
from services.scorer.domain.rules import Policy
from tests.scorer.domain.rules.early import folded_early
from tests.scorer.domain.rules.life_of import DAY, MIN, H, LifeOf, policy, told
from tests.scorer.domain.timeline import buy, click, ms, override

FIRST = ms("2026-01-01T00:00Z")

TIERS = (
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
ladders: {{tier: [{TIERS[tiers]}]}}
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
    _, paths = fold(life.policies, customer.ledger, life.now, customer.life.known, customer.frozen)
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

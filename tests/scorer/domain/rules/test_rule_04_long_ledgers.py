"""Rule 4: beyond a cap clicks and interactions are kept by the hour; what is decided stays exact."""

from collections import Counter
from contextlib import nullcontext
from functools import lru_cache
from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Event
from services.scorer.domain import folding, scoring
from services.scorer.domain.entries import CLICK, Entry, Profile, read_profile, write_profile
from services.scorer.domain.folding import CAP, KEPT
from services.scorer.domain.gauges import MOST_KEPT
from services.scorer.domain.paths import relive
from services.scorer.domain.rules import Policy
from services.scorer.domain.scoring import Arrival
from services.scorer.domain.windows import Total
from tests.scorer.domain.rules.early import folded_early
from tests.scorer.domain.rules.life_of import DAY, MIN, H, LifeOf, policy, told
from tests.scorer.domain.timeline import buy, click, contact, ms, override, profile, refund

FIRST = ms("2026-01-01T00:00Z")
BUSY = policy("""
features:
  seen_30d: {count: click, window: 30d}
  pages_30d: {count: click, window: 30d, where: "page == '/price'"}
  calls_30d: {count: interaction, window: 30d}
  spend: {sum: purchase.amount, minus: refund.amount}
  spend_30d: {sum: purchase.amount, minus: refund.amount, window: 30d}
ladders:
  tier: [{name: gold, when: "spend_30d >= 100", grace: 3d}, {name: basic}]
segments:
  few: "seen_30d >= 5"
  many: "seen_30d > 255"
  both: "seen_30d >= 5 and spend_30d >= 100"
  prices: "pages_30d >= 20"
""")


def clicks(count: int, every: int = 10 * MIN, since: int = FIRST) -> list[Event]:
    return [click(since + i * every, "/price" if i % 10 == 0 else None, id=f"c{since}-{i}") for i in range(count)]


def clicked(*events: Event) -> LifeOf:
    life = LifeOf(BUSY)
    for event in events:
        life.sees(event)
    return life


@pytest.fixture
def never_folded(monkeypatch: pytest.MonkeyPatch):
    """Plays events on a ledger that is never folded."""
    if not scoring.__file__.endswith(".py"):
        pytest.skip("a compiled core calls is_due directly: it cannot be put off")

    def play(*events: Event) -> LifeOf:
        with monkeypatch.context() as patch:
            patch.setattr(folding, "is_due", lambda *_: False)
            patch.setattr(scoring, "is_due", lambda *_: False)
            return clicked(*events)

    return play


def test_rule_04_up_to_the_cap_nothing_is_folded():
    life = clicked(*clicks(CAP))
    assert len(life.customer.ledger) == CAP
    assert life.feature("seen_30d").bound == 0


def test_rule_04_beyond_it_a_record_stays_small():
    life = LifeOf(BUSY)
    largest = 0
    for event in clicks(4 * CAP):
        life.sees(event)
        largest = max(largest, len(life.record))
    assert len(life.customer.ledger) < CAP + 3 * KEPT
    assert largest < 64 * 1024


def test_rule_04_nothing_is_folded_for_a_few_entries_less():
    """Two an hour: folding them brings little at a time, and each time all is played again."""
    life, folds, floor_ms = LifeOf(BUSY), 0, None
    for i in range(2 * CAP):
        life.sees(click(FIRST + i * 30 * MIN, id=f"c{i}"))
        frozen = life.customer.frozen
        if frozen is not None and frozen.floor_ms != floor_ms:
            folds, floor_ms = folds + 1, frozen.floor_ms
    assert 1 <= folds <= 8


def test_rule_04_what_is_decided_is_exact_for_counts_below_what_is_kept(never_folded):
    #        1,700 clicks in 12 days        nothing more: they leave one by one
    # ───────●●●●●●●●●●●●●●●●●●●●●●●●───────┊┊┊┊┊┊┊┊┊┊┊┊┊──
    #                                       few, many and prices end to the millisecond
    events = clicks(1_700)
    folded, whole = clicked(*events), never_folded(*events)
    assert len(folded.customer.ledger) < len(whole.customer.ledger) == 1_700
    for life in (folded, whole):
        life.until(FIRST + 60 * DAY)
    for segment in ("few", "many", "prices"):
        assert folded.path(segment) == whole.path(segment) != []
    assert folded.path("few")[-1][1] is False


def test_rule_04_what_is_decided_anew_after_the_floor_comes_out_as_it_was():
    #        one click a minute, 120 in any two hours; those of one hour at its end would be up to 179 of them
    # ───────●●●●●●●●●●●●●●●●●●●●●●●●┃●●●●●●●●●──
    #                                floor
    life = LifeOf(
        policy("""
features: {seen_2h: {count: click, window: 2h}, seen: {count: click}}
ladders: {tier: [{name: busy, when: "seen_2h > 120", stay: "seen >= 1"}, {name: calm}]}
""")
    )
    for start in range(0, 2_000, 50):
        life.sees(*clicks(2_000, every=MIN)[start : start + 50])
    assert life.customer.frozen is not None
    assert (life.changes, life.value()) == ([], "calm")


def test_rule_04_the_longest_windows_end_to_the_millisecond_though_they_began_before_the_floor():
    #        39 clicks of an hour        the first leaves     1,100 orders      folded: 800 days later      floor: 400
    # ───────●●●─────────────────────────╳────────────────────●●●●●●●●●●●●──────┃───────────────────
    #        day 0                       day 390              from day 393 on   day 801
    life = LifeOf(
        policy("""
features: {seen: {count: click, window: 390d}}
ladders: {tier: [{name: known, when: "seen >= 39"}, {name: new}]}
""")
    )
    for minute in range(20, 60):  # the very first is never folded
        life.sees(click(FIRST + minute * MIN, id=f"c{minute}"))
    orders = [buy(FIRST + (393 + day) * DAY, 1_00, id=f"o{day}-{n}") for day in range(500) for n in range(3)]
    for start in range(0, len(orders), 50):
        life.sees(*orders[start : start + 50])
        if start == 1_150:
            assert (life.customer.frozen, told(life.now)) == (None, told(FIRST + 792 * DAY))
    assert life.customer.frozen is not None
    assert life.customer.frozen.floor_ms == FIRST + 59 * MIN + 400 * DAY
    assert len([e for e in life.customer.ledger.entries if e.kind == CLICK]) == 2
    assert life.path() == [(told(FIRST + 58 * MIN), "known"), (told(FIRST + 21 * MIN + 390 * DAY), "new")]


def test_rule_04_the_newest_that_a_count_needs_are_whole_at_the_moment_of_folding():
    #        clicks of one kind, six an hour      256 newest        now: folded        the first of the 256 leaves
    # ───────●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●●━━━━━━━━━━━━━━━━━━┃──────────────────╳──
    events, life = [click(FIRST + i * 10 * MIN, id=f"c{i}") for i in range(1_700)], LifeOf(BUSY)
    folds = 0
    for i, event in enumerate(events):
        folded = life.customer.frozen
        life.sees(event)
        if life.customer.frozen != folded:
            folds += 1
            assert life.next("many") == (told(FIRST + (i - 255) * 10 * MIN + 30 * DAY), False), "256 are above 255"
    assert folds > 1


def test_rule_04_a_count_shown_beyond_says_how_far_it_may_be_off():
    #        true: those of the last 30 days            shown: whole hours at their newest member
    events = clicks(1_700)
    life = clicked(*events)
    for hours in range(0, 31 * 24, 17):
        at = FIRST + 20 * DAY + hours * H
        exact = sum(ms(e.time.isoformat()) <= at < ms(e.time.isoformat()) + 30 * DAY for e in events)
        shown = life.feature("seen_30d", at)
        assert exact <= shown.value <= exact + shown.bound
        assert shown.bound <= 5, "six clicks an hour"


def test_rule_04_a_decision_record_says_so_too():
    life = clicked(*clicks(1_700))
    assert life.customer.frozen is not None
    life.sees(buy(life.now + 1, 100_00))
    [change] = life.of("both")
    [seen] = [c for c in change.conditions if c.operand == "seen_30d"]
    assert (seen.value, seen.entries) == (1_700, 1_700)
    assert 0 < seen.bound <= 5


def test_rule_04_a_click_before_the_floor_is_refused_as_too_old():
    life = clicked(*clicks(1_700))
    was = life.record
    life.sees(click(FIRST + 5, id="late"), contact(FIRST + 6, id="late too"), at=life.now + 1)
    assert [r.reason for r in life.reports] == ["too_old", "too_old"]
    assert life.record == was


@pytest.mark.parametrize("place", [1, 5])
def test_rule_04_what_was_folded_cannot_be_told_from_what_is_new_and_is_refused_too(place):
    """Of the clicks 1 to 5, an hour's, the last one's id is that of the hour."""
    events = clicks(1_700)
    life = clicked(*events)
    life.sees(events[place], at=life.now + 1)
    assert [r.reason for r in life.reports] == ["too_old"]


def test_rule_04_a_click_at_the_floor_is_too_old_and_one_a_millisecond_after_it_is_still_taken_late():
    life = clicked(*clicks(1_700))
    frozen = life.customer.frozen
    assert frozen is not None
    before = life.figure("seen_30d")
    life.sees(click(frozen.floor_ms, id="at it"), at=life.now + 1)
    life.sees(click(frozen.floor_ms + 1, id="late"), at=life.now + 1)
    assert ([r.reason for r in life.reports], life.figure("seen_30d")) == (["too_old"], before + 1)


def test_rule_04_late_money_is_never_refused():
    #        buys 60 (late)   1,700 clicks ... floor       buys 60
    # ───────○────────────────────────────────┃────────────●──
    life = clicked(*clicks(1_700))
    frozen = life.customer.frozen
    assert frozen is not None
    life.sees(buy(FIRST + DAY, 60_00, order="A"), at=life.now + 1)
    assert (life.reports, life.figure("spend")) == ([], "60.00")
    life.sees(buy(life.now + 1, 60_00))
    assert life.value() == "gold"
    life.sees(refund(FIRST + 2 * DAY, order="A"), at=life.now + 1)
    assert (life.value(), life.figure("spend")) == ("basic", "60.00"), "so it never was gold"


def test_rule_04_a_position_that_late_money_changes_before_the_floor_is_corrected_from_the_floor_on():
    life = clicked(*clicks(1_700))
    frozen = life.customer.frozen
    assert frozen is not None
    life.sees(buy(FIRST + DAY, 100_00), at=life.now + 1)
    [change] = life.of()
    assert (change.before, change.after) == ("basic", "gold")
    assert life.value() == "gold"
    assert ms(life.path()[0][0]) >= frozen.floor_ms, "what is before the floor is not played again"


def test_rule_04_the_path_before_the_floor_stays_and_its_memory_goes_on():
    #        100: gold      1,700 clicks, the floor        leaves     grace over
    # ───────●─────────────────────────────┃───────────────╳──────────▼──
    #        Jan 1                         Jan 10          Jan 31     Feb 3
    life = clicked(buy(FIRST, 100_00), *clicks(1_700, since=FIRST + H))
    assert life.customer.frozen is not None
    life.until("2026-03-01T00:00Z")
    assert life.path() == [("2026-01-01T00:00Z", "gold"), ("2026-02-03T00:00Z", "basic")]


def test_rule_04_folding_decides_nothing_and_writes_no_record():
    events = clicks(1_700)
    life = LifeOf(BUSY)
    for event in events:
        folded = life.customer.frozen
        changes = life.sees(event)
        if life.customer.frozen != folded:
            assert changes == []
    assert life.customer.frozen is not None


def test_rule_04_the_same_again_of_what_is_still_whole_is_a_duplicate():
    events = clicks(1_700)
    life = clicked(*events)
    was = life.record
    life.sees(events[-1], at=life.now + 1)
    assert (life.reports, life.record) == ([], was)


def test_rule_04_orders_are_never_folded():
    life = clicked(*(buy(FIRST + i * H, 1_00) for i in range(CAP + 600)))
    assert len(life.customer.ledger) == CAP + 600
    assert life.figure("spend") == f"{CAP + 600}.00"


def test_rule_04_clicks_that_came_in_one_batch_are_folded_too():
    life = LifeOf(BUSY)
    for start in range(0, 3_000, 100):
        life.sees(*clicks(3_000)[start : start + 100])
    assert len(life.customer.ledger) < CAP + 2 * KEPT


def test_rule_04_of_however_many_entries_the_newest_that_a_count_needs_are_whole_from_the_floor_on():
    #        600 clicks of each of 50 kinds
    #        88 by the hour   256 whole    floor    256 whole
    # ───────▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪▪●●●●●●●●●●●●┃●●●●●●●●●●●●●●●●●──
    pages = [write_profile(Profile(CLICK, fields=(("page", f"p{i}"),))) for i in range(50)]
    entries = [Entry(i * 1_000, i + 1, 0, pages[i % 50]) for i in range(50 * 600)]
    kept, floor_ms = folding.by_the_hour(entries)
    assert len(kept) < 50 * (2 * KEPT + 3) + 1
    assert floor_ms == entries[-50 * KEPT - 1].time_ms, "the newest 256 of each are above it"
    below = Counter(e.profile for e in kept if e.amount == 0 and 0 < e.time_ms <= floor_ms)
    assert below == dict.fromkeys(pages, KEPT), "and as many more below it"


LONG = policy("""
features:
  seen: {count: click}
  seen_2h: {count: click, window: 2h}
  heat: {score: {click: 1}, half_life: 1h}
  pace: {trend: [click], recent: 1h, base: 6h}
  spend: {sum: purchase.amount, window: 3h}
ladders:
  tier: [{name: hot, when: "heat >= 6", stay: "heat >= 4", grace: 1d}, {name: warm, when: "heat >= 3"}, {name: cold}]
segments:
  known: "known_for >= 150min"
  busy: "seen_2h >= 9"
  many: "seen >= 20"
  up: "pace > 1"
  rare: "pace.fewer < 0.2"
  buys: "spend >= 100"
""")
NAMES = ("tier", "known", "busy", "many", "up", "rare", "buys")


@settings(max_examples=150, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.integers(1, 40),
            st.sampled_from([0, 0, 0, 0, 5, 30, 90, 400]),
            st.sampled_from(["click", "click", "click", "click", "click", "click", "order", "override"]),
        ),
        min_size=12,
        max_size=60,
    ),
    st.integers(1, 5),
)
def test_rule_04_what_is_announced_adds_up_to_where_they_stand_and_nothing_moves_in_silence(steps, portion):
    #        clicks, orders and overrides some minutes apart, some of them late; folded again and again
    with folded_early():
        life, at, came = LifeOf(LONG), FIRST, []
        for i, (minutes, late, what) in enumerate(steps):
            at += minutes * MIN
            time, head = at - late * MIN, {"id": f"{what}{i}"}
            match what:
                case "click":
                    event = click(time, **head)
                case "order":
                    event = buy(time, 60_00, **head)
                case _:
                    event = override(time, at + 2 * H, "tier", "warm", **head)
            came.append(Arrival(event, at, i, b""))
            if len(came) < portion and i < len(steps) - 1:
                continue
            life.until(came[0].appended_ms - 1)
            life.turn(*came, until_ms=at)
            came = []
            adds_up(life)
        life.until(at + 30 * DAY)
        adds_up(life)
        if len(steps) > 20 and all(what == "click" and not late for _, late, what in steps):
            assert life.customer.frozen is not None
            assert life.path("known") == [(told(FIRST + steps[0][0] * MIN + 150 * MIN), True)], "to the millisecond"


COUNTED = """
features: {{seen: {{count: click}}, seen_2h: {{count: click, window: 2h}}, spend: {{sum: purchase.amount}}}}
ladders:
  tier:
    - {{name: hot, when: "seen_2h >= {hot}", stay: "seen_2h >= 2", grace: 1h}}
    - {{name: warm, when: "seen >= 9"}}
    - {{name: cold}}
  ever: [{{name: up, when: "seen_2h >= 3", stay: "spend < 500"}}, {{name: down}}]
classes:
  mood: [{{name: keen, when: "seen_2h >= 3", dwell: 3h}}, {{name: {calm}}}]
segments:
  some: "seen_2h >= {some}"
"""


@lru_cache(maxsize=10)
def counted(kind: int) -> Policy:
    return policy(COUNTED.format(hot=4 - kind % 2, some=1 + kind % 3, calm="calm" if kind < 3 else "quiet"))


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.tuples(
            st.sampled_from([1, 5, 10, 20, 40, 60, 130]),
            st.sampled_from([*["click"] * 9, "order", "policy"]),
            st.integers(0, 5),
        ),
        min_size=15,
        max_size=60,
    )
)
def test_rule_04_a_folded_ledger_decides_to_the_millisecond_what_a_whole_one_does(steps):
    #        clicks some minutes apart, an order now and then, another policy; with memory of all kinds
    folded, whole, at = LifeOf(counted(0)), LifeOf(counted(0)), FIRST
    for i, (minutes, what, number) in enumerate(steps):
        at += minutes * MIN
        frozen = folded.customer.frozen
        late = number == 5 and (frozen is None or at - 15 * MIN > frozen.floor_ms)
        for life in (folded, whole):
            with folded_early() if life is folded else nullcontext():
                match what:
                    case "click":
                        life.sees(click(at - 15 * MIN * late, id=f"c{i}"), at=at)
                    case "order":
                        life.sees(buy(at, 60_00, id=f"o{i}"))
                    case _:
                        life.learns(counted(number), at)
        assert folded.customer.shown() == whole.customer.shown()
    for life in (folded, whole):
        life.until(at + 30 * DAY)
    for name in ("tier", "ever", "mood", "some"):
        assert folded.path(name) == whole.path(name), name
    assert all(change.cause != "folding" for change in folded.changes)


def adds_up(life: LifeOf) -> None:
    """What a reader of the decisions holds is where the customer stands, what the ledger gives since it was folded, and
    no step of it repeats the last."""
    customer = life.customer
    _, paths = relive(life.policies, customer.ledger, life.now, customer.life.known, customer.frozen)
    for name in NAMES:
        path = life.path(name)
        values = ["cold" if name == "tier" else False, *(value for _, value in path)]
        assert values[-1] == life.value(name), name
        assert all(a != b for a, b in pairwise(values)), (name, path)
        again = [(told(at_ms), value) for at_ms, value in paths.steps.get(name, [])]
        assert path[len(path) - len(again) :] == again, name


def test_rule_04_a_position_that_comes_out_otherwise_by_the_hour_is_told_as_a_correction():
    #        1,023 clicks in a week           then one more: folded, and the score is a little higher by the hour
    # ───────●●●●●●●●●●●●●●●●●●●●●●●●●────────┃──
    scores = policy("features: {heat: {score: {click: 1}, half_life: 2d}}\nsegments: {hot: 'heat < 381'}")
    life = LifeOf(scores)
    for event in clicks(1_023):
        life.sees(event)
    assert life.value("hot") is True
    [change] = [c for c in life.sees(*clicks(1_024)[1_023:]) if c.dimension.name == "hot"]
    assert (change.before, change.after, change.cause, change.trigger) == (True, False, "folding", None)
    assert life.value("hot") is False


def test_rule_04_an_entry_keeps_what_a_rule_asks_of_the_event_and_nothing_for_attributes_named_alike():
    life = LifeOf(
        policy("""
attributes: [order, currency, amount_minor]
features: {web: {count: purchase, where: "channel == 'web'"}}
segments: {big: "order == 'big'"}
""")
    )
    life.sees(buy("2026-03-01T00:00Z", 1_00, order="o1", channel="web"), profile("2026-03-02T00:00Z", order="big"))
    bought, told = (read_profile(entry.profile) for entry in life.customer.ledger.entries)
    assert (bought.fields, told.fields) == ((("channel", "web"),), (("order", "big"),))
    assert life.value("big") is True


def test_rule_04_however_many_pages_there_are_little_is_remembered_of_them():
    life = LifeOf(
        policy("""
features: {read: {count: click, window: 30d, where: "page != '/'"}}
segments: {reader: "read > 9"}
""")
    )
    [gauge] = [gauge for gauge in life.policies.machines[0].gauges if isinstance(gauge, Total)]
    for number in range(2 * MOST_KEPT):
        gauge.counts(write_profile(Profile(CLICK, fields=(("page", f"/{number}"),))))
    assert len(gauge._profiles) <= MOST_KEPT

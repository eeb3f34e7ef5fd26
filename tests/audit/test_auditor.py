"""Families recomputed and held against a live state that came about in another order, or was damaged. No broker."""

from collections.abc import Callable, Iterable, Sequence
from datetime import timedelta
from random import Random
from typing import Any

import msgspec
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.events import Event, Interaction, InteractionData, Purchase, PurchaseData
from schemas.identities import Erasure, Identity, Merge, Unmerge
from services.audit.auditor import OVERDUE_MS, Auditor
from services.audit.dossier import Came, Done, Held, Moving, Paper, Poison
from services.audit.scope import Scope
from services.audit.tally import Tally
from services.scorer.domain import merging
from services.scorer.domain.entries import TOUCHES
from services.scorer.domain.eras import Policies
from services.scorer.domain.folding import LARGE
from services.scorer.domain.instants import to_ms
from services.scorer.domain.ledger import Ledger
from services.scorer.domain.packing import alias_of, decode, encode
from services.scorer.domain.policy import parse
from services.scorer.domain.scoring import Arrival, decide, score
from services.scorer.domain.state import Customer, Rare
from services.shared.families import Families, subjects
from services.shared.partitioner import partition_of
from tests.scorer.engine.test_relations import BEGIN, DRAWS, END_MS, PARTITIONS, POLICIES, TEXT, Partitioned, history

Step = Event | Identity
_encode = msgspec.json.Encoder().encode
HOUR = timedelta(hours=1)


def logged(steps: Iterable[Step]) -> list[Paper]:
    """As an audit reads them off topics `events` and `identities`."""
    papers: list[Paper] = []
    offsets = [0] * PARTITIONS
    for step in steps:
        if isinstance(step, Merge | Unmerge | Erasure):
            papers.append(Done(step))
            continue
        assert step.receivedtime is not None
        key, at_ms = step.subject.encode(), to_ms(step.receivedtime)
        home = partition_of(key, PARTITIONS)
        papers.append(Came(home, offsets[home], at_ms, at_ms, key, _encode(step)))
        offsets[home] += 1
    return papers


def held(state: Iterable[dict[bytes, bytes]], told_ms: int = 0) -> list[Paper]:
    """As an audit reads them off topic `scorer-state`."""
    records = [one for partition in state for one in partition.items()]
    return [Held(key.decode(), record, alias_of(record), told_ms) for key, record in records]


def found(papers: Sequence[Paper], *, policies: Policies = POLICIES, until_ms: int = END_MS) -> Tally:
    tally = Tally()
    Auditor(policies, PARTITIONS, until_ms).family(papers, tally)
    return tally


def order(number: int, subject: str, euros: int, at: Any = BEGIN, received: Any = None) -> Event:
    data = PurchaseData(amount_minor=euros * 100, currency="EUR")
    return Purchase(id=f"o{number}", source="s", subject=subject, time=at, receivedtime=received or at, data=data)


def call(number: int, subject: str, at: Any, received: Any = None) -> Event:
    return Interaction(id=f"c{number}", source="s", subject=subject, time=at, receivedtime=received or at)


def scored(events: Sequence[Event], portion: int, policies: Policies = POLICIES, until_ms: int = END_MS) -> Customer:
    """One customer as a scorer has them that takes events by so many at once."""
    customer = Customer.new(policies)
    for start in range(0, len(events), portion):
        part = events[start : start + portion]
        arrivals = [Arrival(e, to_ms(e.receivedtime), start + n, b"") for n, e in enumerate(part)]  # type: ignore[arg-type]
        decide(customer, policies, arrivals, arrivals[-1].appended_ms, part[0].subject)
    decide(customer, policies, (), until_ms, events[0].subject)
    return customer


def judged(events: Sequence[Event], live: Customer, told_ms: int = 0, until_ms: int = END_MS) -> Tally:
    subject = events[0].subject
    return found([*logged(events), Held(subject, encode(live), None, told_ms)], until_ms=until_ms)


def details(tally: Tally) -> list[str]:
    return [difference.detail for finding in tally.findings for difference in finding.differences]


@settings(max_examples=100, deadline=None)
@given(DRAWS, st.integers(0, 1 << 30))
def test_whatever_overtook_what_a_live_state_that_is_right_agrees(
    draws: list[tuple[str, str, str, int]], seed: int
) -> None:
    steps = history(draws)
    many = Partitioned(steps)
    many.run(Random(seed))
    papers = [*logged(steps), *held(many.state)]
    Random(seed).shuffle(papers)
    tally = found(papers)
    assert tally.findings == []
    assert tally.customers.keys() <= {"agrees"}


@settings(max_examples=60, deadline=None)
@given(DRAWS, st.integers(0, 1 << 30), st.integers(0, 39))
def test_a_live_state_that_lost_an_event_differs_if_the_event_counts_for_anything(
    draws: list[tuple[str, str, str, int]], seed: int, lost: int
) -> None:
    steps = history(draws)
    events = [number for number, step in enumerate(steps) if isinstance(step, Purchase | Interaction)]
    if not events:
        return
    lost = events[lost % len(events)]
    many, less = Partitioned(steps), Partitioned(steps[:lost] + steps[lost + 1 :])
    many.run(Random(seed))
    less.run(Random(seed))
    tally = found([*logged(steps), *held(less.state)])
    differing = {
        name for name in {*entries(many), *entries(less)} if entries(many).get(name) != entries(less).get(name)
    }
    assert {finding.customer for finding in tally.findings} == differing


def entries(many: Partitioned) -> dict[str, list[tuple[int, int, str]]]:
    """By customer what counts and what is kept aside."""
    found = {}
    for name, customer in many.customers().items():
        shadowed = customer.rare.shadowed if customer.rare else []
        every = sorted((e.time_ms, e.id, e.profile) for e in [*customer.ledger.entries, *shadowed])
        if every:
            found[name] = every
    return found


@pytest.mark.parametrize("number", range(3))
def test_a_record_with_an_entry_less_differs(number: int) -> None:
    events = [order(n, "a", 60, BEGIN + n * HOUR) for n in range(3)]
    live = scored(events, 1)
    kept = live.ledger.entries
    del kept[number]
    live.life.ledger = Ledger.of(kept)
    assert details(judged(events, live)) == [
        f"1 entry is missing: purchase of 60.00 EUR at 2026-03-01T0{number}:00:00.000Z"
    ]


def test_another_tier_another_instant_and_a_fall_that_was_not_begun_are_told_in_words() -> None:
    events = [order(1, "a", 120), order(2, "a", 190, BEGIN + HOUR)]
    live = scored(events, 1)
    assert judged(events, live).customers == {"agrees": 1}
    live.life.standings[0].place, live.life.unpacked = 1, live.life.standings
    gold = "2026-03-01T01:00:00.000Z"
    assert details(judged(events, live)) == [
        f"tier: silver since {gold} in the live state, recomputed gold since {gold}"
    ]
    live = scored(events, 1)
    live.life.standings[0].since_ms = to_ms(BEGIN)
    assert details(judged(events, live)) == [
        f"tier: gold since 2026-03-01T00:00:00.000Z in the live state, recomputed since {gold}"
    ]
    live = scored(events, 1)
    live.life.standings[0].failing_ms = to_ms(BEGIN)
    assert details(judged(events, live)) == [
        "tier: gold is not earned since 2026-03-01T00:00:00.000Z in the live state, recomputed earned"
    ]


def test_an_entry_too_many_is_named_with_its_kind_amount_and_time() -> None:
    events = [order(1, "a", 60), order(2, "a", 7, BEGIN + HOUR)]
    assert details(judged(events[:1], scored(events, 1))) == [
        "1 entry is too many: purchase of 7.00 EUR at 2026-03-01T01:00:00.000Z"
    ]


def test_one_whom_the_live_state_does_not_know_and_one_whom_nothing_on_the_topic_made() -> None:
    (detail,) = details(found(logged([order(1, "a", 60)])))
    assert detail.startswith("the live state knows nothing of the customer; recomputed: purchase of 60.00 EUR")
    (detail,) = details(found([Held("a", encode(scored([order(1, "a", 60)], 1)))]))
    assert detail.startswith("no event on the topic makes this customer; the live state has purchase of 60.00 EUR")


def test_a_record_that_cannot_be_read_is_a_finding() -> None:
    events = [order(1, "a", 60)]
    tally = found([*logged(events), Held("a", encode(scored(events, 1))[:-3])])
    assert tally.customers == {"differs": 1}
    assert details(tally)[0].startswith("the live record cannot be used: a state record cannot be decoded")


def test_a_step_in_time_that_was_never_taken_though_later_events_were_is_told() -> None:
    #  a     ●● active ───────────── 10 d: due ─┄┄ not taken ┄┄─▶
    #  the partition ────────────────────────────────────── ● an event of somebody else
    events = [call(1, "a", BEGIN), call(2, "a", BEGIN + HOUR)]
    live = scored(events, 1, until_ms=to_ms(BEGIN + HOUR))
    due_ms = to_ms(BEGIN + timedelta(days=10))
    assert judged(events, live, told_ms=due_ms + OVERDUE_MS - 1).customers == {"agrees": 1}
    tally = judged(events, live, told_ms=due_ms + OVERDUE_MS)
    assert tally.customers == {"differs": 1}
    assert details(tally) == ["active: no was due at 2026-03-11T00:00:00.000Z; the live state has not taken that step"]


def test_an_alias_that_is_lost_is_told_of_both_names() -> None:
    steps = history([("order", "a", "", 9), ("order", "b", "", 9), ("merge", "b", "a", 1)])
    many = Partitioned(steps)
    many.run(Random(1))
    state = [{key: record for key, record in partition.items() if key != b"b"} for partition in many.state]
    tally = found([*logged(steps), *held(state)])
    assert details(tally) == ["in the live state a customer of their own, recomputed another name of 'a'"]


def forget_who_was_merged(rare: Rare) -> None:
    rare.joined = {}


def forget_the_erasure(rare: Rare) -> None:
    rare.erased = {}


def forget_what_is_kept_aside(rare: Rare) -> None:
    rare.shadowed = []


@pytest.mark.parametrize(
    ("forget", "detail"),
    [
        (forget_who_was_merged, "holds nobody merged in, in the live state; recomputed 'b'"),
        (
            forget_the_erasure,
            "erased up to no instant in the live state, recomputed 2026-03-01T08:00:00.000Z, "
            "2026-03-01T16:00:00.000Z as 'b'",
        ),
        (
            forget_what_is_kept_aside,
            "kept aside in the live state: nothing; "
            "recomputed: purchase of 90.00 EUR of 'b' at 2026-03-02T08:00:00.000Z",
        ),
    ],
)
def test_what_a_merge_and_an_erasure_left_is_compared(forget: Callable[[Rare], None], detail: str) -> None:
    #  a   ▮ erased ── ● 9 ──────────────▮ merge b into a ─▶
    #  b   ▮ erased ──────── ● the same ─┘
    steps = history(
        [
            ("erase", "a", "", 1),
            ("erase", "b", "", 1),
            ("order", "a", "", 9),
            ("again", "b", "", 1),
            ("merge", "b", "a", 1),
        ]
    )
    many = Partitioned(steps)
    many.run(Random(1))
    assert found([*logged(steps), *held(many.state)]).customers == {"agrees": 1}
    state = many.state[partition_of(b"a", PARTITIONS)]
    customer = decode(state[b"a"], POLICIES)
    assert customer.rare is not None
    forget(customer.rare)
    state[b"a"] = encode(customer)
    assert details(found([*logged(steps), *held(many.state)])) == [detail]


def test_a_family_on_its_way_is_left_out_and_counted() -> None:
    steps = history([("order", "a", "", 9), ("order", "b", "", 9), ("merge", "b", "a", 1)])
    many = Partitioned(steps)
    many.run(Random(1))
    tally = found([*logged(steps)[:1], *held(many.state), Moving()])
    assert tally.customers == {"in_motion": 1}


# -- long ledgers


def calls(count: int) -> list[Event]:
    """Three an hour, every hundredth an order instead."""
    return [
        call(n, "a", at) if n % 100 else order(n, "a", 1, at)
        for n in range(count)
        for at in [BEGIN + n * timedelta(minutes=20)]
    ]


@pytest.mark.parametrize("portion", [1, 7, 300, 5000])
def test_a_long_ledger_agrees_by_whatever_portions_it_was_taken_and_folded(portion: int) -> None:
    events = calls(2_500)
    live = scored(events, portion)
    assert live.frozen is not None, "it was not folded"
    assert judged(events, live).customers == {"agrees": 1}


def test_a_long_ledger_that_counts_a_folded_call_too_few_differs() -> None:
    events = calls(2_500)
    live = scored(events[:50] + events[51:], 300)
    assert details(judged(events, live)) == [
        "of the clicks and interactions known by the hour 1 are missing and 0 too many"
    ]


def test_a_long_record_that_has_forgotten_its_texts_agrees() -> None:
    policies = Policies.only(
        parse("""
policy: p
currency: EUR
zone: UTC
features: {calls: {count: interaction, where: "channel == 'call'"}}
ladders: {tier: [{name: gold, when: "calls > 9_999"}, {name: basic}]}
""")
    )
    events: list[Event] = []
    for number, plain in enumerate(calls(3_600)):
        channel = InteractionData(channel="call" if number % 50 == 0 else f"{number}".ljust(128, "x"))
        events.append(msgspec.structs.replace(plain, data=channel) if isinstance(plain, Interaction) else plain)
    record = None
    for start in range(0, len(events), 100):
        part = events[start : start + 100]
        arrivals = [Arrival(e, to_ms(e.receivedtime), start + n, b"") for n, e in enumerate(part)]  # type: ignore[arg-type]
        record, _ = score(record, policies, arrivals, arrivals[-1].appended_ms, "a")
    assert record is not None
    assert len(record) < LARGE // 2, "it has not forgotten anything"
    tally = found([*logged(events), Held("a", record, None, 0)], policies=policies)
    assert tally.customers == {"agrees": 1}


def test_what_came_after_a_long_ledger_was_folded_and_lies_before_is_compared_only_where_it_can_be() -> None:
    #  ●●●●●●●●●●●●●●●● folded ┤●●●●●●●  and then ● a call of the first day: too old, or not yet
    events = calls(2_500)
    late = call(9_999, "a", BEGIN + timedelta(minutes=1), BEGIN + timedelta(days=40))
    live = scored([*events, late], 5000)
    assert judged([*events, late], live).customers == {"inexact": 1}
    without_an_order = scored([e for e in events if e.id != "o500"] + [late], 5000)
    tally = judged([*events, late], without_an_order)
    assert details(tally) == ["1 entry is missing: purchase of 1.00 EUR at 2026-03-07T22:40:00.000Z"]


def test_what_an_order_after_a_long_silence_makes_too_old_is_compared_only_where_it_can_be() -> None:
    #  ●●●● calls   ○○○○ orders                    ○ folded: the floor is 400 days after them   ● a call of the silence
    began = [call(n, "a", BEGIN + timedelta(minutes=n)) for n in range(50)]
    ordered = [order(100 + n, "a", 1, BEGIN + timedelta(days=1, hours=7 * n)) for n in range(973)]
    again = BEGIN + timedelta(days=900)
    late = call(9_999, "a", BEGIN + timedelta(days=350), again + timedelta(hours=1))
    events = [*began, *ordered, order(9_000, "a", 1, again), late]
    live = scored(events, 1)
    assert len([e for e in live.ledger.entries if e.kind in TOUCHES]) == 2, "the first, and the others' hour"
    assert judged(events, live).customers == {"inexact": 1}


def test_a_long_ledger_that_was_merged_is_compared_only_where_it_can_be() -> None:
    #  a  ●●●●●●●●●●●● folded ┤●●●●  ▮ merge b into a
    #  b  ●                          ┘
    events: list[Event] = calls(2_500)
    end = BEGIN + timedelta(days=40)
    steps = [*events, order(9_000, "b", 60), Merge(sequence=1, at=end, from_="b", into="a")]
    live, other = scored(events, 300, until_ms=to_ms(end)), scored([order(9_000, "b", 60)], 1, until_ms=to_ms(end))
    merging.merge(live, other, POLICIES, subject="a", other_subject="b", at_ms=to_ms(end))
    tally = found([*logged(steps), Held("a", encode(live)), Held("b", b"", "a")])
    assert (tally.customers, tally.findings) == ({"inexact": 1}, [])


# -- policies


def test_a_policy_that_holds_from_an_instant_that_was_past_is_played_as_the_scorer_plays_it() -> None:
    #  ● 120: silver ───── lenient: gold ─▶   (activated ten days later)
    lenient = parse(TEXT.replace(">= 300", ">= 110").replace("policy: kin", "policy: lenient"))
    effective, activated = BEGIN + timedelta(days=5), BEGIN + timedelta(days=15)
    policies = POLICIES.then(lenient, to_ms(effective), to_ms(activated))
    events = [order(1, "a", 120), call(2, "a", BEGIN + timedelta(days=20))]
    early = scored(events[:1], 1, POLICIES, to_ms(BEGIN + timedelta(days=1)))
    tally = found([*logged(events[:1]), Held("a", encode(early))], policies=policies)
    assert tally.customers == {"agrees": 1}, "a sweep that has not come to them is no difference"
    live = scored(events, 1, policies)
    assert live.shown()["tier"][1:] == ("gold", to_ms(effective))
    assert found([*logged(events), Held("a", encode(live))], policies=policies).customers == {"agrees": 1}


# -- families and samples


def test_a_family_is_whoever_a_merge_ever_joined_and_it_is_sampled_as_one() -> None:
    steps = history(
        [
            ("merge", "e", "c", 1),
            ("merge", "b", "c", 1),
            ("unmerge", "b", "c", 1),
            ("merge", "f", "d", 1),
            ("erase", "a", "", 1),
        ]
    )
    families = Families(steps)  # type: ignore[arg-type]
    assert {name: families.head(name.encode()) for name in "abcdef"} == {
        "a": b"a", "b": b"b", "c": b"b", "e": b"b", "d": b"d", "f": b"d",
    }  # fmt: skip
    assert sorted(families.members(b"e")) == [b"b", b"c", b"e"]
    assert families.members(b"x") == [b"x"]
    for head in (b"a", b"b", b"d", b"x"):
        assert [Scope(7, n).takes(head, families) for n in range(7)].count(True) == 1
    assert Scope(customer="e").takes(b"b", families)
    assert not Scope(customer="e").takes(b"d", families)
    assert [*subjects(steps[0])] == [b"e", b"c"]  # type: ignore[arg-type]


# -- what the core fails at


def test_an_event_that_went_to_the_dead_letters_as_poison_counts_for_nothing() -> None:
    events = [order(1, "a", 120), order(2, "a", 190, BEGIN + HOUR)]
    live = scored(events[:1], 1)
    home = partition_of(b"a", PARTITIONS)
    tally = found([*logged(events), Held("a", encode(live)), Poison(home, 1)])
    assert tally.customers == {"agrees": 1}


def test_where_the_core_fails_at_a_recomputation_the_customer_is_named_and_the_next_one_looked_at(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    def failing(customer: Customer, policies: Policies, arrivals: Sequence[Arrival], *more: Any, **other: Any) -> Any:
        if arrivals and arrivals[0].event.subject == "a":
            raise ZeroDivisionError("never")
        return decide(customer, policies, arrivals, *more, **other)

    monkeypatch.setattr("services.audit.replay.decide", failing)
    tally = Tally()
    auditor = Auditor(POLICIES, PARTITIONS, END_MS)
    for name in ("a", "b"):
        events = [order(1, name, 120)]
        auditor.family([*logged(events), Held(name, encode(scored(events, 1)))], tally)
    assert tally.customers == {"differs": 1, "agrees": 1}
    assert details(tally) == ["the core fails where it recomputes this one or a relative: ZeroDivisionError: never"]


@pytest.mark.parametrize("name", ["", "\0"], ids=["a marker's", "a position's"])
def test_an_event_whose_key_no_customer_can_have_counts_for_nothing(name: str) -> None:
    assert found(logged([order(1, name, 120)])).customers == {}

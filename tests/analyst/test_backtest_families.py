"""The back-test of customers who have been merged, parted and erased: who counts as whom, and who is named."""

import json
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

import msgspec
from hypothesis import given, settings
from hypothesis import strategies as st

from schemas.identities import Erasure, Identity, Merge, Unmerge
from services.analyst.backtest import run
from services.analyst.backtest.evaluate import Document, Evaluator
from services.analyst.backtest.spill import Spill
from services.analyst.backtest.tally import Tally
from services.ingest.normalise import Normaliser
from services.scorer.domain.instants import to_ms
from services.shared.identities import Directory
from tests.analyst.scripts import POLICY, bought, instant
from tests.scorer.engine.test_relations import END_MS, TEXT, Book, history

OLD = Document(POLICY, "old.yaml")
NEW = Document(POLICY.replace("sandbox", "strict").replace(">= 500", ">= 700"), "new.yaml")
_encode = msgspec.json.Encoder().encode


def at(day: str) -> datetime:
    return datetime.fromisoformat(instant(day))


def done(*wanted: tuple[str, str, str, str] | tuple[str, str, str]) -> list[Identity]:
    """Operations as ingest writes them: (day, merge or unmerge, from, into), (day, erase, whom)."""
    known, operations = Directory(), []
    for day, what, *names in wanted:
        make: Any = {"merge": known.merge, "unmerge": known.unmerge, "erase": known.erase}[what]
        operations.append(make(*names, at(day)))
        known.take(operations[-1])
    return operations


def tried(*lines: dict, operations: list[Identity], until: str | None = None) -> Tally:
    """As what stands on the topics is tried."""

    def read(spill: Spill, told: object) -> None:
        spill.relate(operations)
        for line in lines:
            accepted = datetime.fromisoformat(line["at"])
            event = Normaliser()(json.dumps(line["event"]).encode(), accepted)
            spill.put(event.subject.encode(), to_ms(accepted), _encode(event))

    until_ms = None if until is None else to_ms(at(until))
    return run.run(NEW, OLD, read, about_events=0, until_ms=until_ms, workers=1)[0]


def tiers(tally: Tally) -> dict[tuple[str, str], int]:
    return {(before, after): count for (name, before, after), count in tally.matrix.items() if name == "tier"}


def named(tally: Tally) -> list[str]:
    return [move.subject for move in tally.moves if move.dimension == "tier"]


HALVES = (bought("3-1", "1", "300", "a"), bought("3-2", "2", "300", "b"))


def test_who_is_merged_in_the_end_is_one_customer_in_the_matrix_and_among_those_who_move():
    #  a  300.00 ─────────────╮ merged into b
    #  b         300.00 ──────┴──────── 600.00: good by the old policy, regular by the new
    tally = tried(*HALVES, operations=done(("3-3", "merge", "a", "b")), until="3-10")
    assert (tally.customers, tiers(tally), named(tally)) == (1, {("good", "regular"): 1}, ["b"])
    assert tally.first_ms == to_ms(at("3-1"))
    apart = tried(*HALVES, operations=[], until="3-10")
    assert (apart.customers, tiers(apart), named(apart)) == (2, {("regular", "regular"): 2}, [])


def test_a_merge_behind_the_newest_event_counts_if_no_instant_is_asked_for():
    assert tried(*HALVES, operations=done(("3-3", "merge", "a", "b"))).customers == 1


def test_a_merge_later_than_the_instant_asked_for_has_not_happened():
    assert tried(*HALVES, operations=done(("3-20", "merge", "a", "b")), until="3-10").customers == 2


def test_an_event_filed_under_another_name_counts_for_who_answers_for_it():
    merges = done(("2-1", "merge", "a", "b"), ("2-2", "merge", "b", "c"))
    tally = tried(*HALVES, operations=merges, until="3-10")
    assert (tally.customers, named(tally)) == (1, ["c"])


def test_what_is_filed_under_two_names_counts_once_after_they_are_merged():
    twice = [bought("3-1", "1", "600", subject) for subject in "ab"]
    tally = tried(*twice, operations=done(("3-3", "merge", "a", "b")), until="3-10")
    assert tiers(tally) == {("good", "regular"): 1}


def test_who_has_been_parted_again_counts_as_two_with_what_came_in_under_each_name():
    operations = done(("3-3", "merge", "a", "b"), ("3-5", "unmerge", "a", "b"))
    tally = tried(*HALVES, bought("3-4", "3", "300", "a"), operations=operations, until="3-10")
    assert tiers(tally) == {("good", "regular"): 1, ("regular", "regular"): 1}
    assert named(tally) == ["a"]


def test_moves_are_announced_as_they_were_while_the_two_were_two():
    #  a  600.00: good ────────╮ merged: a falls, b rises and is key
    #  b         600.00: good ─┴───
    both = (bought("3-1", "1", "600", "a"), bought("3-2", "2", "600", "b"))
    tally = tried(*both, operations=done(("3-3", "merge", "a", "b")), until="3-10")
    assert tally.old.announced["tier"] == 4
    assert tiers(tally) == {("key", "key"): 1}


def test_who_was_erased_is_neither_played_nor_named_nor_are_those_merged_into_them():
    erased = done(("3-3", "merge", "a", "b"), ("3-5", "erase", "b"))
    lines = (*HALVES, bought("3-1", "9", "600", "c"))
    tally = tried(*lines, operations=erased, until="3-10")
    assert (tally.customers, named(tally), tally.dead) == (1, ["c"], {"erased": 2})
    assert tally.old.announced["tier"] == 1, "nothing of theirs is told, not even before they were erased"


def test_who_was_erased_later_than_the_instant_asked_for_is_not_named_either():
    tally = tried(bought("3-1", "1", "600", "a"), operations=done(("3-20", "erase", "a")), until="3-10")
    assert (tally.customers, tally.moves, tally.dead) == (0, [], {"erased": 1})


def test_what_comes_after_an_erasure_is_a_new_life_of_each_name():
    operations = done(("3-1", "merge", "a", "b"), ("3-5", "erase", "b"))
    late = bought("3-7", "2", "600", "a", time=instant("3-4"))
    tally = tried(*HALVES, late, bought("3-8", "3", "600", "a"), operations=operations, until="3-10")
    assert (tiers(tally), named(tally), tally.dead) == ({("good", "regular"): 1}, ["a"], {"erased": 3})


def test_a_family_comes_to_one_part_however_many_there_are(tmp_path):
    with Spill(tmp_path, 16) as spill:
        spill.relate(done(*((f"3-{n + 1}", "merge", f"c{n}", f"c{n + 1}") for n in range(9))))
        for n in range(10):
            spill.put(f"c{n}".encode(), n, b"x")
    assert sorted(filter(None, spill.counts)) == [10]
    assert spill.until_ms == to_ms(at("3-9"))


UNLIKE = """{name: nobody, when: "spend >= 1_000_000_000"}
    - {name: all}
"""
EVERYBODY = Document(TEXT[: TEXT.index("{name: gold")] + UNLIKE + TEXT[TEXT.index("segments:") :], "all.yaml")
NAMES = st.sampled_from("abc")
WHAT = st.sampled_from(["order", "order", "order", "again", "call", "merge", "merge", "unmerge", "unmerge", "erase"])


@settings(max_examples=150, deadline=None)
@given(draws=st.lists(st.tuples(WHAT, NAMES, NAMES, st.integers(1, 25)), min_size=8, max_size=30))
def test_whatever_was_merged_parted_and_erased_everybody_stands_where_they_do_in_one_book(draws, tmp_path_factory):
    """The old policy has other tiers only, so that everybody moves and is named."""
    book, operations = Book(), []
    folder: Path = tmp_path_factory.mktemp("spill")
    with Spill(folder, 1) as spill:
        for step in history(draws):
            book.take(step)
            if isinstance(step, Merge | Unmerge | Erasure):
                operations.append(step)
            else:
                spill.put(step.subject.encode(), to_ms(step.receivedtime or step.time), _encode(step))
        book.end()
    tally = Evaluator(Document(TEXT, "new.yaml"), EVERYBODY, END_MS, operations).part(spill.parts[0])
    known = {subject: customer.shown() for subject, customer in book.customers.items() if len(customer.ledger)}
    assert tally.customers == len(known)
    assert {(m.subject, m.after, m.since_ms) for m in tally.moves if m.dimension == "tier"} == {
        (subject, shown["tier"][1], shown["tier"][2]) for subject, shown in known.items()
    }
    active = sum(bool(shown["active"][1]) for shown in known.values())
    assert tally.new.positions["active", True] == active


def test_who_was_erased_just_now_may_have_ordered_in_the_same_instant_ahead_of_the_clock():
    ahead = bought("3-5", "2", "600", "a", time=(at("3-5") + timedelta(minutes=2)).isoformat())
    tally = tried(ahead, operations=done(("3-5", "merge", "a", "b"), ("3-5", "erase", "b")), until="3-10")
    assert (tally.customers, named(tally)) == (1, ["a"])

"""The oracle's identities against cases worked out by hand: merges, unmerges and erasures (rules 5, 11 and 12)."""

import pytest

from tests.scorer.domain.oracle import Complaint, Life
from tests.scorer.domain.timeline import buy, click, refund


def life(*taken: tuple[str, object]) -> Life:
    made = Life()
    for place, (subject, event) in enumerate(taken):
        made.take(event, subject, place)
    return made


def ids(made: Life, subject: str) -> list[str]:
    return sorted(event.id for event in made.events(subject))


def test_a_merge_makes_one_ledger_and_an_unmerge_two() -> None:
    made = life(("a", click(1, id="x")), ("b", click(2, id="y")))
    made.merge("b", "a")
    assert ids(made, "a") == ["x", "y"]
    made.take(click(3, id="z"), "b", 2)
    assert ids(made, "a") == ["x", "y", "z"]
    made.unmerge("b", "a")
    assert (ids(made, "a"), ids(made, "b")) == (["x"], ["y", "z"])


def test_an_event_filed_under_both_counts_once_as_the_smaller_origin_has_it() -> None:
    made = life(("b", buy(1, 100, id="x")), ("a", buy(5, 900, id="x")))
    assert made.intake.complaints == set()
    made.merge("a", "b")
    assert [event.data.amount_minor for event in made.events("b")] == [900]
    made.unmerge("a", "b")
    assert [event.data.amount_minor for event in made.events("b")] == [100]


def test_one_order_filed_under_both_counts_once() -> None:
    made = life(("b", buy(1, 100, "A", id="x")), ("a", buy(5, 900, "A", id="y")))
    made.merge("b", "a")
    assert ids(made, "a") == ["y"]


def test_a_conflict_is_one_within_an_identity() -> None:
    made = life(("a", click(1, id="x")), ("b", click(1, id="x")), ("a", click(2, id="x")), ("b", click(1, id="x")))
    assert made.intake.duplicates == [3]
    assert made.intake.complaints == {Complaint("id_conflict", 2)}


def test_refunds_of_the_other_identity_are_held_against_the_order() -> None:
    made = life(("a", buy(1, 100, "A")))
    made.merge("b", "a")
    made.take(refund(2, 150, "A"), "b", 1)
    assert made.intake.complaints == {Complaint("refund_exceeds_order", 1)}


def test_a_chain_of_merges_parts_where_it_is_cut() -> None:
    made = life(("a", click(1, id="x")), ("b", click(2, id="y")), ("c", click(3, id="z")))
    made.merge("c", "b")
    made.merge("b", "a")
    assert ids(made, "a") == ["x", "y", "z"]
    made.unmerge("b", "a")
    assert (ids(made, "a"), ids(made, "b")) == (["x"], ["y", "z"])


def test_a_cycle_is_refused() -> None:
    made = life()
    made.merge("b", "a")
    for one, into in [("a", "b"), ("a", "a"), ("b", "c")]:
        with pytest.raises(ValueError, match="cannot be merged"):
            made.merge(one, into)
    with pytest.raises(ValueError, match="not merged"):
        made.unmerge("c", "a")


def test_an_erasure_takes_everything_up_to_its_instant_and_keeps_it_out() -> None:
    #   x (a)   y (b)  ‖ erased at 5     z
    # ──●───────●──────‖─────────────────●──
    #   1       5      5                 6        late ones are suppressed, aliases end
    made = life(("a", click(1, id="x")), ("b", click(5, id="y")), ("b", click(6, id="z")))
    made.merge("b", "a")
    made.erase("a", 5)
    assert (ids(made, "a"), ids(made, "b")) == ([], ["z"])
    assert not made.take(click(5, id="late"), "b", 3)
    assert not made.take(click(1, id="x"), "a", 4)
    assert made.take(click(6, id="x"), "a", 5)
    assert made.intake.duplicates == []
    assert made.intake.complaints == set()

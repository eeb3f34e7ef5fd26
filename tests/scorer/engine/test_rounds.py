"""What waits on `transfers` goes round and rests, shortly if something else has come."""

import pytest

from services.scorer.engine import rounds as rounds_module
from services.scorer.engine.rounds import Rounds
from services.scorer.engine.transfers import Forwarded, name_of


def test_a_round_rests_once_it_comes_round_and_begins_anew_when_something_happens() -> None:
    rounds, one, other = Rounds(), Forwarded("b", b"{}", 9, 1, 4), Forwarded("b", b"{}", 9, 1, 5)
    for now_s, rest_s in ((0.0, 0.1), (0.11, 0.2), (0.32, 0.4)):
        assert not rounds.rests(one, now_s)
        rounds.passed_on(one)
        assert not rounds.rests(other, now_s)
        rounds.passed_on(other)
        assert rounds.rests(one, now_s)
        assert rounds.rests(other, now_s + rest_s - 0.01)
    rounds.begin_anew()
    assert not rounds.rests(one, 0.33)


@pytest.mark.parametrize(("size", "rest_s"), [(2, 0.1), (500, 0.5)])
def test_a_round_rests_shortly_if_something_else_has_come_behind_it(size: int, rest_s: float) -> None:
    rounds, waiting = Rounds(), [Forwarded("b", b"{}", 9, 1, n) for n in range(size)]

    def rest(now_s: float, *come: str) -> None:
        for one in waiting:
            assert not rounds.rests(one, now_s)
            rounds.passed_on(one)
        for name in come:
            rounds.came(name)
        assert rounds.rests(waiting[0], now_s)

    names = [name_of(one) for one in waiting]
    rest(0.0)
    assert rounds.rests(waiting[0], rest_s - 0.01)
    for now_s in range(1_000, 30_000, 1_000):
        rest(float(now_s), "1/7/a", *names)  # it is looked at before what comes round
    assert rounds.rests(waiting[0], 29_009)
    rounds.came("1/8/a")
    assert rounds.rests(waiting[0], 29_000 + rest_s - 0.01)
    rest(29_000 + rest_s + 0.01, names[0], "1/9/a")
    rest(29_001.1, *names)
    assert rounds.rests(waiting[0], 29_011.09), "none has come"


def test_a_round_of_more_than_can_be_remembered_rests_too(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(rounds_module, "_MOST_PASSED", 10)
    rounds = Rounds()
    for n in range(10):
        one = Forwarded("b", b"{}", 9, 1, n)
        assert not rounds.rests(one, 0.0)
        rounds.passed_on(one)
    other = Forwarded("b", b"{}", 9, 1, 10)
    assert [rounds.rests(other, now_s) for now_s in (0.0, 0.09, 0.11)] == [True, True, False]

"""Churn alerts as episodes. Days on the time line are of March 2026."""

from datetime import UTC, datetime

import pytest

from services.notifier.domain.alerts import Alert, follow
from services.notifier.domain.turns import Turn


def day(number):
    return datetime(2026, 3, number, tzinfo=UTC)


class Episodes:
    """One customer's alerts, told by turns of dimension `churn`."""

    def __init__(self):
        self.alerts: list[Alert] = []
        self._revision = 0

    def turn(self, before, after, path, *, begins, cause="event"):
        self._revision += 1
        steps = [(day(at), value) for at, value in path]
        turn = Turn(
            subject="c1", dimension="churn", kind="churn", revision=self._revision, sequence=self._revision,
            from_=day(begins), path=steps, before=before, after=after,
            effective_at=steps[-1][0] if steps else day(1), decided_at=day(28), cause=cause,
        )  # fmt: skip
        raised, altered = follow(turn, self.alerts)
        self.alerts += raised
        return raised, altered

    def raised(self, on):
        self.turn(False, True, [(on, True)], begins=on, cause="time")

    @property
    def endings(self):
        return [(alert.since.day, alert.ending) for alert in self.alerts]


def test_an_event_that_brings_the_customer_back_ends_the_episode_as_recovered():
    # ───────●──────────────▼────
    #        5 raised       9 purchase
    episodes = Episodes()
    episodes.raised(5)
    assert episodes.endings == [(5, None)]
    episodes.turn(True, False, [(9, False)], begins=9)
    assert episodes.endings == [(5, "recovered")]
    assert (episodes.alerts[0].closed_at, episodes.alerts[0].closed_revision) == (day(28), 2)


def test_time_alone_ends_it_as_reason_gone():
    episodes = Episodes()
    episodes.raised(5)
    episodes.turn(True, False, [(9, False)], begins=9, cause="time")
    assert episodes.endings == [(5, "reason_gone")]


@pytest.mark.parametrize("cause", ["refund", "manual", "policy", "merge"])
def test_what_is_no_event_of_the_customer_ends_it_as_reason_gone(cause):
    episodes = Episodes()
    episodes.raised(5)
    episodes.turn(True, False, [(9, False)], begins=9, cause=cause)
    assert episodes.endings == [(5, "reason_gone")]


def test_a_merge_that_takes_the_raise_off_the_path_retracts_it():
    # told:   ───────●5 raised──────────
    # merged: ──▼3 the other one's purchase
    episodes = Episodes()
    episodes.raised(5)
    episodes.turn(True, False, [], begins=1, cause="merge")
    assert episodes.endings == [(5, "retracted")]


def test_late_data_that_takes_the_raise_off_the_path_retracts_it():
    # told:  ───────●5 raised──────────
    # late:  ──▼3 purchase─────────────   it never was so
    episodes = Episodes()
    episodes.raised(5)
    episodes.turn(True, False, [], begins=5, cause="late_event")
    assert episodes.endings == [(5, "retracted")]


def test_late_data_from_after_the_raise_recovers():
    # told:  ───────●5 raised──────────
    # late:  ───────────────▼8 purchase
    episodes = Episodes()
    episodes.raised(5)
    episodes.turn(True, False, [(8, False)], begins=8, cause="late_event")
    assert episodes.endings == [(5, "recovered")]


def test_late_data_that_only_moves_the_raise_keeps_the_episode():
    # told:  ───────●5 raised──────────────
    # late:  ──▼3 purchase──────●11 raised──   churn is true before and after: nothing was announced
    episodes = Episodes()
    episodes.raised(5)
    raised, (altered,) = episodes.turn(True, True, [(11, True)], begins=5, cause="late_event")
    assert raised == []
    assert altered.since == day(11)
    assert episodes.endings == [(11, None)]


def test_an_ended_episode_is_retracted_after_the_fact():
    # told:  ───────●5 raised───▼9 purchase──
    # late:  ──▼3 purchase────────────────────   neither step stands
    episodes = Episodes()
    episodes.raised(5)
    episodes.turn(True, False, [(9, False)], begins=9)
    _, altered = episodes.turn(False, False, [], begins=5, cause="late_event")
    assert [alert.ending for alert in altered] == ["retracted"]
    assert episodes.turn(False, False, [], begins=4, cause="late_event") == ([], []), "once"


def test_each_episode_is_an_alert_of_its_own():
    episodes = Episodes()
    episodes.raised(5)
    episodes.turn(True, False, [(9, False)], begins=9)
    episodes.raised(20)
    assert episodes.endings == [(5, "recovered"), (20, None)]
    episodes.turn(True, False, [(25, False)], begins=25)
    assert episodes.endings == [(5, "recovered"), (20, "recovered")]


def test_what_is_raised_already_is_not_raised_again():
    episodes = Episodes()
    episodes.raised(5)
    episodes.turn(False, True, [(6, True)], begins=6, cause="time")
    assert episodes.endings == [(5, None)]

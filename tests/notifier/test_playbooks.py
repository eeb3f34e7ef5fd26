"""Which tasks a transition opens, closes and flags."""

from datetime import timedelta

import pytest

from services.notifier.domain.playbooks import Playbooks
from services.notifier.domain.tasks import Task, TaskConflict, claim, complete
from services.notifier.domain.turns import Turn
from tests.notifier.scribe import NOON, policy


class Worklist:
    """One customer's tasks under the policy's playbooks."""

    def __init__(self) -> None:
        self.playbooks = Playbooks(policy())
        self.tasks: list[Task] = []
        self._revision = 0

    def turn(self, dimension, before, after, *, applies=True, cause="event"):
        self._revision += 1
        turn = Turn(
            subject="c1", dimension=dimension, kind="ladder", revision=self._revision, sequence=self._revision,
            from_=NOON, path=[(NOON, after)], before=before, after=after, effective_at=NOON,
            decided_at=NOON + timedelta(hours=self._revision), cause=cause,
        )  # fmt: skip
        opened, altered = self.playbooks.follow(turn, self.tasks, lambda playbook: applies)
        self.tasks += opened
        return opened, altered

    @property
    def states(self):
        return [(task.title, task.state) for task in self.tasks]


@pytest.fixture
def worklist():
    return Worklist()


def test_a_transition_a_playbook_waits_for_opens_its_task(worklist):
    (task,), altered = worklist.turn("tier", "silver", "gold")
    assert (task.title, task.to, task.priority, task.state) == ("Say thank you", "sales", "high", "open")
    assert task.opened_at == NOON + timedelta(hours=1)
    assert task.due_at == task.opened_at + timedelta(days=2)
    assert altered == []


def test_a_move_into_a_class_opens_a_task_that_ends_when_the_class_is_left(worklist):
    ((task,), _) = worklist.turn("type", "potential", "growth")
    assert (task.title, task.dimension, task.value) == ("Offer a bundle", "type", "growth")
    worklist.turn("type", "growth", "potential", cause="policy")
    assert (task.state, task.reason) == ("closed", "type went from growth to potential (policy)")


def test_other_transitions_open_nothing(worklist):
    assert worklist.turn("tier", "basic", "silver") == ([], [])
    assert worklist.turn("tier", "gold", "silver") == ([], [])
    assert worklist.turn("churn", False, True) == ([], [])


def test_a_playbook_whose_condition_does_not_hold_opens_nothing(worklist):
    assert worklist.turn("active", False, True, applies=False) == ([], [])


def test_an_open_task_is_closed_when_the_customer_leaves_the_position_that_opened_it(worklist):
    #   silver      gold                   basic
    # ──────────────●──────────────────────▼─────
    #               thank you: open        thank you: closed; ask why: open
    worklist.turn("tier", "silver", "gold")
    opened, (closed,) = worklist.turn("tier", "gold", "basic", cause="time")
    assert closed.title == "Say thank you"
    assert (closed.state, closed.finished_at) == ("closed", NOON + timedelta(hours=2))
    assert closed.reason == "tier went from gold to basic (time)"
    assert [task.title for task in opened] == ["Ask why"]


def test_late_data_that_takes_the_position_back_closes_too(worklist):
    worklist.turn("tier", "silver", "gold")
    _, (closed,) = worklist.turn("tier", "gold", "silver", cause="late_event")
    assert closed.reason == "tier went from gold to silver (late event)"


def test_a_claimed_task_is_flagged_instead_and_unflagged_when_its_reason_comes_back(worklist):
    worklist.turn("tier", "silver", "gold")
    (task,) = worklist.tasks
    claim(task, "ann", NOON)
    worklist.turn("tier", "gold", "silver")
    assert (task.state, task.flagged, task.reason) == ("claimed", True, "tier went from gold to silver (event)")
    opened, _ = worklist.turn("tier", "silver", "gold")
    assert (task.state, task.flagged, task.reason) == ("claimed", False, None)
    assert opened == [], "one unfinished task a playbook at a time"


def test_a_done_task_stays_done_and_the_next_occasion_opens_another(worklist):
    worklist.turn("tier", "silver", "gold")
    (task,) = worklist.tasks
    claim(task, "ann", NOON)
    complete(task, "ann", "had tea", NOON)
    worklist.turn("tier", "gold", "silver")
    worklist.turn("tier", "silver", "gold")
    assert worklist.states == [("Say thank you", "done"), ("Say thank you", "open")]


def test_a_task_of_another_dimension_is_left_alone(worklist):
    worklist.turn("tier", "silver", "gold")
    assert worklist.turn("active", True, False) == ([], [])


def test_only_playbooks_with_a_condition_ask_for_state(worklist):
    assert worklist.playbooks.deferring == {"active"}
    assert worklist.playbooks.watched == {"tier", "type", "active"}


def task():
    worklist = Worklist()
    return worklist.turn("tier", "silver", "gold")[0][0]


def test_a_task_is_claimed_once_and_the_same_claim_again_changes_nothing():
    held = task()
    claim(held, "ann", NOON)
    claim(held, "ann", NOON + timedelta(hours=5))
    assert (held.state, held.by, held.claimed_at) == ("claimed", "ann", NOON)
    with pytest.raises(TaskConflict, match="claimed by ann"):
        claim(held, "bob", NOON)


def test_only_who_claimed_a_task_can_complete_it():
    held = task()
    with pytest.raises(TaskConflict, match="claim it first"):
        complete(held, "ann", "done", NOON)
    claim(held, "ann", NOON)
    with pytest.raises(TaskConflict, match="claimed by ann"):
        complete(held, "bob", "done", NOON)
    complete(held, "ann", "had tea", NOON)
    complete(held, "ann", "had tea", NOON + timedelta(hours=1))
    assert (held.state, held.outcome, held.finished_at) == ("done", "had tea", NOON)
    with pytest.raises(TaskConflict, match="done by ann"):
        complete(held, "ann", "something else", NOON)


def test_a_closed_task_says_why_it_cannot_be_claimed():
    worklist = Worklist()
    worklist.turn("tier", "silver", "gold")
    worklist.turn("tier", "gold", "silver")
    with pytest.raises(TaskConflict, match="tier went from gold to silver"):
        claim(worklist.tasks[0], "ann", NOON)


def test_from_a_tier_that_the_policy_no_longer_has_nobody_rises_or_falls(worklist):
    """Which of the two it was the policy cannot say: it does not know the tier's rank."""
    ladder = next(d for d in policy().dimensions if d.name == "tier")
    assert "platinum" not in ladder.values
    assert worklist.turn("tier", "platinum", "basic", cause="policy") == ([], [])
    ((task,), _) = worklist.turn("tier", "platinum", "gold", cause="policy")
    assert task.title == "Say thank you", "whoever enters a tier enters it from anywhere"

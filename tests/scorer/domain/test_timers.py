"""The timer queue against a model that keeps nothing but each customer's due instant and looks at all of them."""

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from services.scorer.domain.timers import HOUR_MS, TimerQueue

KEYS = st.sampled_from([b"a", b"b", b"c", b"d", b"e"])
INSTANTS = st.integers(min_value=0, max_value=6 * HOUR_MS) | st.sampled_from(
    [HOUR_MS - 1, HOUR_MS, HOUR_MS + 1, 2 * HOUR_MS]
)


class AgainstEachCustomersOwnDue(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.due: dict[bytes, int] = {}
        self.queue = TimerQueue(self.due.get)

    @rule(key=KEYS, to=st.none() | INSTANTS)
    def an_event_moves_the_due_instant(self, key: bytes, to: int | None) -> None:
        before = self.due.get(key)
        if to is None:
            self.due.pop(key, None)
        else:
            self.due[key] = to
            if before is None or to < before:
                self.queue.schedule(key, to)

    @rule(until=INSTANTS, limit=st.integers(1, 6), leap=st.none() | st.integers(1, 3 * HOUR_MS))
    def time_passes(self, until: int, limit: int, leap: int | None) -> None:
        late = sorted(at for at in self.due.values() if at <= until)
        found = self.queue.due(until, limit)
        assert [self.due[key] for key in found] == late[:limit]
        assert len(set(found)) == len(found)
        for key in found:
            if leap is None:
                del self.due[key]
            else:
                self.due[key] = until + leap
                self.queue.schedule(key, self.due[key])

    @invariant()
    def nothing_is_due_before_next(self) -> None:
        next_ms = self.queue.next_ms()
        if self.due:
            assert next_ms is not None
            assert next_ms <= min(self.due.values())

    @invariant()
    def every_customer_has_a_hint(self) -> None:
        assert self.queue.hints() >= len(self.due)


TestAgainstEachCustomersOwnDue = AgainstEachCustomersOwnDue.TestCase
TestAgainstEachCustomersOwnDue.settings = settings(max_examples=300, stateful_step_count=40, deadline=None)


@given(st.dictionaries(KEYS, INSTANTS, min_size=1))
def test_waking_at_next_again_and_again_finds_every_customer_at_its_instant(due: dict[bytes, int]) -> None:
    queue = TimerQueue(due.get)
    for key, at in due.items():
        queue.schedule(key, at)
    fired: dict[bytes, int] = {}
    while (now := queue.next_ms()) is not None:
        for key in queue.due(now, 100):
            fired[key] = now
    assert fired == due


def test_a_later_due_instant_leaves_the_hint_where_it_is() -> None:
    # hint ●────────────────────────▶ goes there when its hour is opened
    #      0 h 10                    3 h 20
    due = {b"a": 10 * 60_000}
    queue = TimerQueue(due.get)
    queue.schedule(b"a", due[b"a"])
    due[b"a"] = 3 * HOUR_MS + 20 * 60_000
    assert queue.hints() == 1
    assert queue.due(2 * HOUR_MS, 10) == []
    assert queue.due(due[b"a"] - 1, 10) == []
    assert queue.due(due[b"a"], 10) == [b"a"]


def test_hints_of_one_customer_become_one_when_they_meet() -> None:
    due = {b"a": 9 * HOUR_MS}
    queue = TimerQueue(due.get)
    queue.schedule(b"a", due[b"a"])
    for hour in (7, 5, 3, 1):
        due[b"a"] = hour * HOUR_MS
        queue.schedule(b"a", due[b"a"])
    assert queue.hints() == 5
    due[b"a"] = 20 * HOUR_MS
    assert queue.due(10 * HOUR_MS, 10) == []
    assert queue.due(20 * HOUR_MS - 1, 10) == []
    assert queue.due(20 * HOUR_MS, 10) == [b"a"]
    assert queue.hints() == 0

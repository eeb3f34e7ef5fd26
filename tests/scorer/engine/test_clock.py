"""The engine's clock and how far a partition's time is played."""

import pytest

from services.scorer.engine.clock import Clock, Playback


class Watches:
    """A wall clock and a monotonic one, in seconds, set by hand."""

    def __init__(self, wall_s: float = 1000.0) -> None:
        self.wall_s, self.monotonic_s = wall_s, 50.0

    def pass_s(self, seconds: float) -> None:
        self.wall_s += seconds
        self.monotonic_s += seconds

    def clock(self) -> Clock:
        return Clock(lambda: self.wall_s, lambda: self.monotonic_s)


def test_steps_of_the_wall_clock_do_no_harm() -> None:
    watches = Watches()
    clock = watches.clock()
    watches.pass_s(1)
    watches.wall_s -= 3600
    assert clock.now_ms() == 1_001_000
    watches.wall_s += 9999
    assert clock.now_ms() == 1_001_000


def test_it_is_never_below_an_append_time() -> None:
    watches = Watches()
    clock = watches.clock()
    clock.seen(1_005_000)
    assert clock.now_ms() == 1_005_000
    watches.pass_s(2)
    assert clock.now_ms() == 1_007_000
    clock.seen(1_000_000)
    assert clock.now_ms() == 1_007_000


@pytest.mark.parametrize("off_s", [-3600, 3600])
def test_a_clock_that_is_an_hour_off_at_the_start_is_put_right_by_the_broker(off_s: int) -> None:
    watches = Watches(wall_s=1000.0 + off_s)
    clock = watches.clock()
    asked = clock.ticks_ms()
    watches.pass_s(0.020)
    clock.told(1_000_010, asked)
    assert 1_000_010 <= clock.now_ms() <= 1_000_031


def test_it_is_moved_no_further_than_what_the_broker_says_asks_for() -> None:
    #  sent ──●── 1000.000 ──── appended, somewhere in between ──── ●── 1003.000 told
    watches = Watches()
    clock = watches.clock()
    asked = clock.ticks_ms()
    watches.pass_s(3)
    for appended_ms in (1_000_000, 1_002_000, 1_003_000):
        clock.told(appended_ms, asked)
        assert clock.now_ms() == 1_003_000
    clock.told(999_000, asked)
    assert clock.now_ms() == 1_002_001
    clock.told(1_005_000, asked)
    assert clock.now_ms() == 1_005_000


def test_a_broker_whose_clock_goes_back_takes_ours_with_it_but_not_what_was_played() -> None:
    watches = Watches()
    clock = watches.clock()
    playback = Playback(clock, 0)
    assert playback.until_ms(behind=False, newest_ms=4_600_000) == 4_600_000
    playback.taken(4_600_000)
    playback.played(4_600_000)
    clock.told(1_000_000, clock.ticks_ms())
    assert clock.now_ms() == 1_000_001
    assert playback.until_ms(behind=False) == 4_600_000


def test_a_partition_that_is_behind_plays_up_to_the_last_event_taken() -> None:
    # appended   ──●── 900 ──●── 950 ─────────────── now 1000
    watches = Watches()
    playback = Playback(watches.clock(), 900_000)
    assert playback.until_ms(behind=True) == 900_000
    assert playback.until_ms(behind=True, newest_ms=940_000) == 940_000
    assert playback.until_ms(behind=True) == 900_000, "none was taken"
    playback.taken(950_000)
    playback.taken(940_000)
    assert playback.until_ms(behind=True) == 950_000
    assert playback.until_ms(behind=False) == 1_000_000


def test_time_never_runs_back_when_a_partition_falls_behind_again() -> None:
    playback = Playback(Watches().clock(), 900_000)
    playback.played(playback.until_ms(behind=False))
    playback.taken(990_000)
    assert playback.until_ms(behind=True) == 1_000_000


def test_events_of_a_broker_ahead_of_us_are_not_in_the_future() -> None:
    watches = Watches()
    playback = Playback(watches.clock(), 0)
    playback.taken(1_060_000)
    assert playback.until_ms(behind=False) == 1_060_000

"""Reading recoveries and pauses off the times of commits."""

from tests.faults.recovery import Commit, Pause, Recovery, pauses, recoveries


def commits(partition: int, *at_ms: int) -> list[Commit]:
    return [Commit(partition, at, place) for place, at in enumerate(at_ms)]


def test_a_recovery_is_told_of_the_first_partition_and_of_the_last_one_that_goes_on() -> None:
    # partition 0  ●──●─╳─────●──●──╳───────
    # partition 1  ●────╳────────●──╳───────   nothing after the second fault
    made = sorted([*commits(0, 0, 100, 700, 900), *commits(1, 50, 1_000)], key=lambda commit: commit.at_ms)
    assert recoveries(made, [200, 1_100]) == [Recovery(0.5, 0.8), None]


def test_partitions_that_stand_still_side_by_side_make_one_pause() -> None:
    # partition 0  ●●●────────●●●●●───●●
    # partition 1  ●●●──────●●●●●●●●●●●●
    made = [
        *commits(0, 0, 50, 100, 900, 950, 1_000, 1_400, 1_450),
        *commits(1, 0, 50, 100, 700, *range(750, 1_450, 50)),
    ]
    assert pauses(made, 0, 2_000) == [Pause(100, 0.8, 0.7, 2), Pause(1_000, 0.4, 0.4, 1)]
    assert pauses(made, 800, 2_000) == [Pause(1_000, 0.4, 0.4, 1)]

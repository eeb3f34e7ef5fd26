"""What a partition does where events are known to wait and none comes."""

import pytest
from structlog import get_logger
from structlog.testing import capture_logs

from services.scorer.engine import arrivals
from services.scorer.engine.arrivals import Arrivals
from services.scorer.engine.batches import Room
from services.scorer.engine.eventlog import Next


class Silent:
    """A feed of which the log has everything and nothing is handed over."""

    def __init__(self) -> None:
        self.sought: list[int] = []

    def end(self, partition: int) -> int:
        return 100

    async def seek(self, partition: int, offset: int) -> None:
        self.sought.append(offset)

    async def what_follows(self, partition: int, offset: int) -> Next:
        return Next(record=True, offset=offset)


async def test_a_partition_that_seeking_does_not_help_warns_of_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(arrivals, "_SILENCE_S", 0)
    monkeypatch.setattr(arrivals, "log", get_logger())  # one used before goes by what was configured then
    feed = Silent()
    waiting = Arrivals(3, feed, Room(1))
    with capture_logs() as told:
        for position in (7, 7, 9):
            await waiting.look_for_missing(position)
    assert [(line["log_level"], line["position"]) for line in told] == [("info", 7), ("warning", 7), ("info", 9)]
    assert feed.sought == [7, 7, 9]

"""What is changed of Faust, where no broker is needed to see it."""

from typing import Any

import pytest
from faust.types import TP

from services.scorer.app import create_app
from services.shared.settings import ScorerSettings
from tests.scorer.engine.workers import ROOT


class Assigned:
    """A consumer's thread that knows the assignment, and nothing that a broker would have to tell."""

    def assignment(self) -> set[TP]:
        return {TP("events", 0), TP("events", 1)}


async def test_partitions_begin_to_flow_without_a_question_to_the_broker(monkeypatch: pytest.MonkeyPatch) -> None:
    # A broker that did not answer would keep them from flowing for good: Faust takes the timeout for its own end.
    consumer: Any = create_app(ScorerSettings(policy=ROOT / "policies" / "retail.yaml"), lambda _: None).consumer
    monkeypatch.setattr(consumer, "_thread", Assigned())
    consumer._read_offset = {TP("events", 0): 7}
    await consumer.perform_seek()
    assert consumer._read_offset == {TP("events", 0): None, TP("events", 1): None}

"""The flap metric: who goes back to the tier they left only just before is counted, by ladder."""

from datetime import UTC, datetime, timedelta

from prometheus_client import CollectorRegistry

from services.scorer.domain.eras import Policies
from services.scorer.domain.instants import to_ms
from services.scorer.domain.policy import parse
from services.scorer.engine.gauges import PartitionMetrics
from services.scorer.engine.shard import Shard
from services.scorer.engine.turn import Turn
from services.shared.metrics import ScorerMetrics
from tests.scorer.engine.installation import policy_text, purchase
from tests.scorer.engine.records import fetched

BEGAN = datetime(2026, 3, 1, tzinfo=UTC)


def test_moves_to_and_fro_on_a_ladder_are_counted_segments_are_not() -> None:
    #  basic      silver      basic      silver, 10 s window
    # ────────────▲───────────▼──────────▲───────
    #             0 s         10 s       20 s
    text = policy_text(window="10s").replace("sum: purchase.amount", "sum: purchase.amount, window: 10s")
    of = Shard(Policies.only(parse(text)), number=0, partitions=1, topic="events")
    turns = []
    for place, second in enumerate((0, 20)):
        turns.append(turn := Turn(0, to_ms(BEGAN), catching_up=False))
        at = BEGAN + timedelta(seconds=second)
        of.take(turn, fetched([purchase("a", 100, at=at)], first=place), to_ms(at))
    assert [turn.flaps for turn in turns] == [{}, {"tier": 2}]  # the fall at 10 s, and up again at 20 s
    registry = CollectorRegistry()
    PartitionMetrics(ScorerMetrics(registry), 0).committed(turns[1], to_ms(BEGAN), live=False)
    assert registry.get_sample_value("tierline_scorer_flaps_total", {"dimension": "tier"}) == 2

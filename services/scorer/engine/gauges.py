"""What a partition tells the metrics, with its number as the label where the catalogue has one."""

from services.scorer.engine.rebuilding import Rebuilding
from services.scorer.engine.shard import Shard
from services.scorer.engine.turn import Turn
from services.shared.metrics import ScorerMetrics


class PartitionMetrics:
    def __init__(self, metrics: ScorerMetrics, partition: int) -> None:
        self._all, self._label = metrics, str(partition)

    def committed(self, turn: Turn, now_ms: int, *, live: bool) -> None:
        """A turn stands in Kafka.

        live: nothing had piled up; only then timers are late by our fault, and their lateness is told.
        """
        metrics = self._all
        refused = sum(turn.reasons.values())
        for outcome, count in (
            ("taken", turn.taken),
            ("duplicate", turn.duplicates),
            ("dead_letter", refused),
            ("forwarded", turn.forwarded),
        ):
            if count:
                metrics.events.labels(outcome).inc(count)
        for kind, count in turn.operations.items():
            metrics.operations.labels(kind).inc(count)
        for reason, count in turn.reasons.items():
            metrics.dead_letters.labels(reason).inc(count)
        for (dimension, after, cause), count in turn.transitions.items():
            metrics.transitions.labels(dimension, after, cause).inc(count)
        for dimension, count in turn.flaps.items():
            metrics.flaps.labels(dimension).inc(count)
        metrics.decisions.inc(len(turn.decisions))
        metrics.unpriced.inc(turn.unpriced)
        for received_ms in turn.received_ms:
            metrics.latency.observe((now_ms - received_ms) / 1000)
        if live:
            for due_ms in turn.fired_due_ms:
                metrics.timer_lateness.observe((now_ms - due_ms) / 1000)

    def batch(self, turn: Turn, decided_s: float, committed_s: float) -> None:
        if turn.events:
            self._all.batch.observe(turn.events)
        self._all.batch_time.labels("decide").observe(decided_s)
        self._all.batch_time.labels("commit").observe(committed_s)

    def state(self, shard: Shard, lag: int, rebuilding: Rebuilding) -> None:
        label = self._label
        self._all.lag.labels(label).set(lag)
        self._all.customers.labels(label).set(len(shard.records))
        self._all.state_bytes.labels(label).set(shard.bytes)
        self._all.timers.labels(label).set(shard.timed)
        self._all.to_look_at_again.labels(label).set(shard.sweep.left)
        self._all.set_aside.labels(label).set(len(shard.aside))
        self._all.halted.labels(label).set(0)
        self._all.rebuilding.labels(label).set(rebuilding.remaining)
        self._all.rebuild_refused.labels(label).set(rebuilding.is_refused)

    def failed(self) -> None:
        self._all.failed.inc()

    def halted(self) -> None:
        self._all.halted.labels(self._label).set(1)

    def clear(self) -> None:
        """The partition is not ours any more: its gauges would lie."""
        metrics = self._all
        for gauge in (
            metrics.lag,
            metrics.customers,
            metrics.state_bytes,
            metrics.timers,
            metrics.to_look_at_again,
            metrics.rebuilding,
            metrics.rebuild_refused,
            metrics.restoring,
            metrics.set_aside,
            metrics.halted,
        ):
            gauge.remove(self._label)
